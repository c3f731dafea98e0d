"""What the layers of a trace begin with, and where lengths come from."""

from __future__ import annotations

import numpy as np

from simdrnn.onnx.chain import Link
from simdrnn.onnx.matches import same
from simdrnn.onnx.trace import Recurrent, Trace
from simdrnn.validate import Array

__all__ = ["initial_values", "lengths_source"]


def lengths_source(runs: tuple[Trace, Trace]) -> str | None:
    """Return the name of the input with the lengths of all layers, or None where all are full.

    Raises
    ------
    ValueError : a node has lengths that are no input of the model, or not those of the others.
    """
    found = {_lengths(run, node) for run in runs for node in run.recurrent}
    if len(found) > 1:
        label = runs[0].recurrent[-1].attributes.label
        raise ValueError(
            f"{label}: sequence_lens: expected the same for all layers, "
            f"got {sorted(map(str, found))}"
        )
    return found.pop()


def _lengths(run: Trace, node: Recurrent) -> str | None:
    lengths = node.call.sequence_lens
    if lengths is None:
        return None
    for name, value in run.inputs.items():
        if value.dtype.kind in "iu" and np.array_equal(value, lengths):
            return name
    if np.all(lengths == len(node.call.X)):
        return None
    raise ValueError(
        f"{node.attributes.label}: sequence_lens: expected an input of the model, "
        "got something else"
    )


def initial_values(runs: tuple[Trace, Trace], links: tuple[Link, Link]) -> list[Array] | None:
    """Return what a layer begins with if the model says so: (D, H) for each of its states.

    Parameters
    ----------
    runs : of the model.
    links : the layer in both.

    Returns
    -------
    None where states are zeros, or an input of the model: a caller gives them.

    Raises
    ------
    ValueError : a state is neither of these, nor the same for all rows.
    """
    count = len(links[0].states)
    found = [_state(runs, links, place) for place in range(count)]
    if all(one is None for one in found):
        return None
    shape = links[0].states[0].shape
    return [
        np.zeros((shape[0], shape[2]), links[0].Y.dtype) if one is None else one for one in found
    ]


def _state(runs: tuple[Trace, Trace], links: tuple[Link, Link], place: int) -> Array | None:
    """Return one initial state (D, H), or None."""
    directions = []
    for index in links[0].nodes:
        label = runs[0].recurrent[index].attributes.label
        values = [run.recurrent[index].call[2 + place] for run in runs]
        first, second = values
        if first is None or second is None or not (np.any(first) or np.any(second)):
            D = runs[0].recurrent[index].attributes.directions
            directions += [None] * D
        elif all(_is_input(run, value) for run, value in zip(runs, values, strict=True)):
            directions += [None] * len(first)
        elif first.ndim == 3 and second.ndim == 3 and _same_rows(first, second):
            directions += list(first[:, 0])
        else:
            name = ("initial_h", "initial_c")[place]
            raise ValueError(
                f"{label}: {name}: expected zeros, an input of the model, or a constant that is "
                "the same for all rows, got something else"
            )
    if all(one is None for one in directions):
        return None
    zeros = next(np.zeros_like(one) for one in directions if one is not None)
    return np.stack([zeros if one is None else one for one in directions])


def _same_rows(first: Array, second: Array) -> bool:
    """Tell whether the rows of both, (D, B, H) each, are the same."""
    row = first[:, :1]
    return all(np.array_equal(np.broadcast_to(row, one.shape), one) for one in (first, second))


def _is_input(run: Trace, value: Array | None) -> bool:
    """Tell whether (D, B, H) is a part of an input of the model."""
    for given in run.inputs.values():
        if value is None or given.dtype != value.dtype or value.ndim != 3:
            continue
        whole = given[None] if given.ndim == 2 else given
        for stacked in (whole, whole.swapaxes(0, 1)) if whole.ndim == 3 else ():
            starts = range(0, len(stacked) - len(value) + 1)
            if any(same(stacked[start : start + len(value)], value) for start in starts):
                return True
    return False
