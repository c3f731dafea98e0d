"""What the layers of a model begin with, and where lengths come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from simdrnn.onnx.meeting import Recurrent
from simdrnn.onnx.sizes import Unclear, same_length
from simdrnn.onnx.trace import Trace
from simdrnn.onnx.values import Tensor, Unknown, Value, from_grid, same, transpose, unsqueeze
from simdrnn.validate import Array

__all__ = ["initial_values", "lengths_source"]


def lengths_source(met: Trace) -> str | None:
    """Return the name of the input with the lengths of all layers, or None where all are full.

    Raises
    ------
    ValueError : a node has lengths that are no input of the model, or not those of the others.
    """
    found = {_lengths(met, node) for node in met.recurrent}
    if len(found) > 1:
        label = met.recurrent[-1].attributes.label
        raise ValueError(
            f"{label}: sequence_lens: expected the same for all layers, "
            f"got {sorted(map(str, found))}"
        )
    return found.pop()


def _lengths(met: Trace, node: Recurrent) -> str | None:
    lengths = node.sequence_lens
    if lengths is None:
        return None
    for name, value in met.inputs.items():
        if not isinstance(value, Tensor) or not isinstance(lengths, Tensor):
            continue
        if value.dtype.kind in "iu" and same(replace(lengths, dtype=value.dtype), value):
            return name
    if isinstance(lengths, Tensor) and isinstance(node.X, Tensor) and lengths.known:
        T, flat = node.X.shape[0], lengths.payload.reshape(-1)
        if flat.size and all(same_length(one, T) for one in flat):
            return None
    got = lengths if isinstance(lengths, Unknown) else met.source(node.node.input[4])
    raise ValueError(
        f"{node.attributes.label}: sequence_lens: expected an input of the model, got {got}"
    )


def initial_values(met: Trace, nodes: Sequence[Recurrent], judged: bool) -> list[Array] | None:
    """Return what a layer begins with if the model says so: (D, H) for each of its states.

    Parameters
    ----------
    met : of the model.
    nodes : whose directions are the layer's, forward first.
    judged : whether what is no constant has to be an input of the model.

    Returns
    -------
    None where states are zeros, or an input of the model: a caller gives them.

    Raises
    ------
    ValueError : a state is neither of these, nor the same for all rows.
    """
    places = range(len(nodes[0].attributes.operator.states))
    found = [[_state(met, node, place, judged) for node in nodes] for place in places]
    begins = [one for each in found for one in each]
    fixed = [one.array for one in begins if one.array is not None]
    if not any(np.any(array) for array in fixed):
        return None
    if len(fixed) < len(begins):
        given = next(one.name for one in begins if one.array is None)
        raise ValueError(
            f"{nodes[-1].attributes.label}: {given}: expected initial states that are all "
            "constants, or all inputs, got some of each"
        )
    arrays = [[one.array for one in each if one.array is not None] for each in found]
    return [np.concatenate(each) for each in arrays]


class _Beginning(NamedTuple):
    """One initial state of a node: (D, H), or None if it is given in a call."""

    name: str
    array: Array | None


def _state(met: Trace, node: Recurrent, place: int, judged: bool) -> _Beginning:
    """Return one initial state of a node."""
    value, D = node.initial[place], node.attributes.directions
    name, R = ("initial_h", "initial_c")[place], node.weights.R
    if value is None:
        return _Beginning(name, np.zeros((D, R.shape[2]), R.dtype))
    if isinstance(value, Tensor) and value.known and value.payload.dtype != object:
        rows = _same_rows(value, D, R)
        if rows is not None:
            return _Beginning(name, rows)
    elif not judged or any(_is_part(value, source) for source in met.inputs.values()):
        return _Beginning(name, None)
    got = value if isinstance(value, Unknown) else met.source(node.node.input[5 + place])
    raise ValueError(
        f"{node.attributes.label}: {name}: expected zeros, an input of the model, or a constant "
        f"that is the same for all rows, got {got}"
    )


def _same_rows(value: Tensor, D: int, R: Array) -> Array | None:
    """Return the rows (D, H) of a constant (D, B, H), if they are the same for all of B."""
    if value.ndim != 3 or not value.payload.size or value.dtype != R.dtype:
        return None
    grid = value.grid
    if not np.array_equal(np.broadcast_to(grid[:, :1], grid.shape), grid):
        return None
    return np.broadcast_to(grid[:, 0], (D, R.shape[2]))


def _is_part(value: Value, source: Value) -> bool:
    """Tell whether (D, B, H) is a part of an input of the model."""
    if not isinstance(value, Tensor) or not isinstance(source, Tensor) or value.ndim != 3:
        return False
    whole = unsqueeze(source, 0) if source.ndim == 2 else source
    if value.dtype != source.dtype or whole.ndim != 3:
        return False
    try:
        first, rows = value.grid.reshape(-1)[0], value.grid.shape[0]
    except Unclear:
        return False
    for stacked in (whole, transpose(whole, (1, 0, 2))):
        frees, grid = stacked.frees, stacked.grid
        for start in np.flatnonzero(grid[:, 0, 0] == first):
            part = from_grid(grid[start : start + rows], frees, stacked.dtype, known=False)
            if same(part, value):
                return True
    return False
