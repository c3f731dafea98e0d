"""Every state of a recorded call over time, at real steps and at those that carry them over."""

from __future__ import annotations

import numpy as np

from simdrnn.engine.protocol import Run, TapeArrays
from simdrnn.engine.steps import Steps, in_processing_order
from simdrnn.spec.cell import CellInfo
from simdrnn.spec.structure import Structure
from simdrnn.validate import Array

__all__ = ["all_states"]


def all_states(
    run: Run, arrays: TapeArrays, info: CellInfo, structure: Structure, dtype: np.dtype[np.generic]
) -> tuple[Array, ...]:
    """Return S arrays (T, L*D, B, H): entry t is the state after step t.

    A step that is not real carries the states over, so entry t is then what the direction's last
    real step before it made, or the initial state, or the one that a reset went to.

    Parameters
    ----------
    run : the call.
    arrays : what the engine kept of it.
    info : the cell.
    structure : of the layer; a reversed one that does not keep the order has its states in the
        order of its outputs.
    dtype : of the results.
    """
    steps, batch = run.x.shape[:2]
    rows, _, hidden = run.states[0].shape
    directions = rows // len(arrays.hidden)
    carries = run.lengths is not None or run.mask is not None
    states = tuple(np.empty((steps, rows, batch, state.shape[-1]), dtype) for state in run.states)
    for direction in range(directions):
        reverse = structure.reverse or direction == 1
        latest = Steps.of(run, reverse=reverse).latest() if carries else None
        for index in range(direction, rows, directions):
            columns = slice(direction * hidden, (direction + 1) * hidden)
            made = [arrays.hidden[index // directions][..., columns]]
            if info.states > 1:
                other = run.states[-1].shape[-1]
                width = arrays.saved[index].shape[-1] // other
                kept = arrays.saved[index].reshape(steps, batch, width, other)
                made += [kept[:, :, place] for place in range(width - info.states + 1, width)]
            for position, values in enumerate(made):
                if latest is not None:
                    values = _carried(run, values, latest, position, index)
                states[position][:, index] = values
    if structure.keep_order:
        return states
    return tuple(
        in_processing_order(state.swapaxes(1, 2), run.lengths).swapaxes(1, 2) for state in states
    )


def _carried(run: Run, values: Array, latest: Array, position: int, index: int) -> Array:
    """Return (T, B, H) the values of the steps that `latest` names."""
    initial = run.states[position][index]
    reset = initial if run.reset_states is None else run.reset_states[position][index]
    # With these appended, RESET = -2 and INITIAL = -1 find them.
    known = np.concatenate([values, reset[None], initial[None]])
    return known[latest, np.arange(values.shape[1])]
