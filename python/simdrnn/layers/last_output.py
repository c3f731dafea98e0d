"""The top layer's output at the last real step of each row, and the gradient of that.

It is the merged final hidden state, and not the output at the last index: padding follows shorter
rows, and the reverse direction takes its last step at time 0.
"""

from __future__ import annotations

import numpy as np

from simdrnn.engine.protocol import Run
from simdrnn.engine.steps import Steps
from simdrnn.spec.merge import join, join_backward
from simdrnn.spec.structure import Structure
from simdrnn.validate import Array

__all__ = ["last_output", "last_output_backward", "merged_final"]


def merged_final(structure: Structure, hidden: Array, directions: int) -> Array:
    """Return the top layer's final hidden states as merging has them.

    Parameters
    ----------
    structure : of the layer.
    hidden : final hidden states (L*D, B, H).
    directions : D.

    Returns
    -------
    (B, D*H), or (B, H) where directions merge, or (B, 2, H) where they are kept apart.
    """
    joined = join(structure.merge, _both(hidden, directions))
    if structure.merge == "none":
        return joined.reshape(len(joined), directions, hidden.shape[-1])
    return joined


def _both(hidden: Array, directions: int) -> Array:
    """Put the top layer's directions side by side: (B, D*H)."""
    return np.concatenate(list(hidden[-directions:]), axis=-1)


def last_output(
    structure: Structure, run: Run, directions: int, hidden: Array, output: Array
) -> Array:
    """Return the output (T, B, ...) at each row's last real step, given also its final `hidden`.

    A row without real steps has put out nothing: what it gives is its final state.
    """
    last = merged_final(structure, hidden, directions)
    if structure.residual:  # more than the state: the input was added
        rows, places = _places(structure, run, directions)
        last[rows] = output[places, rows]
    return last


def last_output_backward(
    structure: Structure,
    run: Run,
    directions: int,
    hidden: Array,
    d_last: Array,
    d_output: Array,
    d_hidden: Array,
) -> tuple[Array, Array]:
    """Return `d_output` and `d_hidden` with what `last_output` adds to them; both are new."""
    d_hidden = d_hidden.copy()
    if structure.residual:
        rows, places = _places(structure, run, directions)
        d_output = d_output.copy()
        d_output[places, rows] += d_last[rows]
        d_last = d_last.copy()
        d_last[rows] = 0.0
    batch, size = hidden.shape[1:]
    width = size if structure.merge in ("sum", "mul", "ave") else directions * size
    d_joined = d_last.reshape(batch, width)
    d_both = join_backward(structure.merge, _both(hidden, directions), d_joined)
    d_hidden[-directions:] += d_both.reshape(batch, directions, size).swapaxes(0, 1)
    return d_output, d_hidden


def _places(structure: Structure, run: Run, directions: int) -> tuple[Array, Array]:
    """Return the rows that have real steps, and where in the output the last one of each stands."""
    if directions == 2:
        raise ValueError(
            "last_output: expected one direction with residual=True, got bidirectional=True: "
            "the directions end at different steps, which have different inputs to add"
        )
    real = Steps.of(run).real
    steps = len(real)
    times = np.arange(steps)[:, None]
    if structure.reverse:
        places = np.where(real, times, steps).min(axis=0, initial=steps)
    else:
        places = np.where(real, times, -1).max(axis=0, initial=-1)
    if not structure.keep_order:
        places = (steps if run.lengths is None else run.lengths) - 1 - places
    rows = np.flatnonzero(real.any(axis=0))
    return rows, places[rows]
