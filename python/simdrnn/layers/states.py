"""The states of a recorded call: all of them over time, and the output at the last real steps.

The last output is the merged final hidden state, and not the output at the last index: padding
follows shorter rows, and the reverse direction takes its last step at time 0.
"""

from __future__ import annotations

import numpy as np

from simdrnn.engine.merge import join, join_backward
from simdrnn.engine.protocol import CheckedCall, TapeArrays
from simdrnn.engine.steps import Steps, in_processing_order
from simdrnn.spec.layer import LayerSpec
from simdrnn.validate import Array

__all__ = ["all_states", "last_output", "last_output_backward", "merged_final"]


def all_states(run: CheckedCall, arrays: TapeArrays, layer: LayerSpec) -> tuple[Array, ...]:
    """Return S arrays (T, L*D, B, H): entry t is the state after step t.

    A step that is not real carries the states over, so entry t is then what the direction's last
    real step before it made, or the initial state, or the one that a reset went to.

    Parameters
    ----------
    run : the call.
    arrays : what the engine kept of it.
    layer : what was called; a reversed one that does not keep the order has its states in the
        order of its outputs.
    """
    info, structure = layer.info, layer.structure
    steps, batch = run.x.shape[:2]
    rows, _, hidden = run.states[0].shape
    directions = rows // len(arrays.hidden)
    carries = run.lengths is not None or run.mask is not None
    states = tuple(
        np.empty((steps, rows, batch, state.shape[-1]), layer.dtype) for state in run.states
    )
    for direction in range(directions):
        reverse = structure.reverse or direction == 1
        latest = Steps.of(run, reverse=reverse).latest() if carries else None
        for index in range(direction, rows, directions):
            columns = slice(direction * hidden, (direction + 1) * hidden)
            made = [arrays.hidden[index // directions][..., columns]]
            if info.states > 1:
                other = run.states[-1].shape[-1]
                layout = layer.options.saved(info)
                kept = arrays.saved[index].reshape(steps, batch, layout.width, other)
                made += [kept[:, :, place] for place in layout.other_states]
            for position, values in enumerate(made):
                if latest is not None:
                    values = _carried(run, values, latest, position, index)
                states[position][:, index] = values
    if structure.keep_order:
        return states
    return tuple(
        in_processing_order(state.swapaxes(1, 2), run.lengths).swapaxes(1, 2) for state in states
    )


def _carried(run: CheckedCall, values: Array, latest: Array, position: int, index: int) -> Array:
    """Return (T, B, H) the values of the steps that `latest` names."""
    initial = run.states[position][index]
    reset = initial if run.reset_states is None else run.reset_states[position][index]
    # With these appended, RESET = -2 and INITIAL = -1 find them.
    known = np.concatenate([values, reset[None], initial[None]])
    return known[latest, np.arange(values.shape[1])]


def merged_final(layer: LayerSpec, hidden: Array) -> Array:
    """Return the top layer's final hidden states as merging has them.

    Parameters
    ----------
    layer : whose they are.
    hidden : final hidden states (L*D, B, H).

    Returns
    -------
    (B, D*H), or (B, H) where directions merge, or (B, 2, H) where they are kept apart.
    """
    directions = layer.sizes.num_directions
    joined = join(layer.structure.merge, _both(hidden, directions))
    if layer.structure.merge == "none":
        return joined.reshape(len(joined), directions, hidden.shape[-1])
    return joined


def _both(hidden: Array, directions: int) -> Array:
    """Put the top layer's directions side by side: (B, D*H)."""
    return np.concatenate(list(hidden[-directions:]), axis=-1)


def last_output(layer: LayerSpec, run: CheckedCall, hidden: Array, output: Array) -> Array:
    """Return the output (T, B, ...) at each row's last real step, given also its final `hidden`.

    A row without real steps has put out nothing: what it gives is its final state.
    """
    last = merged_final(layer, hidden)
    if layer.structure.residual:  # more than the state: the input was added
        rows, places = _places(layer, run)
        last[rows] = output[places, rows]
    return last


def last_output_backward(
    layer: LayerSpec,
    run: CheckedCall,
    hidden: Array,
    d_last: Array,
    d_output: Array,
    d_hidden: Array,
) -> tuple[Array, Array]:
    """Return `d_output` and `d_hidden` with what `last_output` adds to them; both are new."""
    structure, directions = layer.structure, layer.sizes.num_directions
    d_hidden = d_hidden.copy()
    if structure.residual:
        rows, places = _places(layer, run)
        d_output = d_output.copy()
        d_output[places, rows] += d_last[rows]
        d_last = d_last.copy()
        d_last[rows] = 0.0
    batch, size = hidden.shape[1:]
    width = size if layer.sizes.merged else directions * size
    d_joined = d_last.reshape(batch, width)
    d_both = join_backward(structure.merge, _both(hidden, directions), d_joined)
    d_hidden[-directions:] += d_both.reshape(batch, directions, size).swapaxes(0, 1)
    return d_output, d_hidden


def _places(layer: LayerSpec, run: CheckedCall) -> tuple[Array, Array]:
    """Return the rows that have real steps, and where in the output the last one of each stands."""
    structure = layer.structure
    if layer.sizes.num_directions == 2:
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
