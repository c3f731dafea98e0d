"""Whether two arrays of a trace hold the same numbers, and the forms that values come in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from simdrnn.validate import Array

__all__ = ["Handoff", "final_forms", "handoffs", "last_forms", "same"]


def same(one: Array, other: Array) -> bool:
    """Tell whether arrays are the same up to the rounding of a sum or product of two."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    spacing = float(np.finfo(one.dtype).eps)
    return bool(np.all(np.abs(one - other) <= 4 * spacing * (np.abs(one) + np.abs(other))))


class Handoff(NamedTuple):
    """How the output of a layer is made of what its directions give out.

    Parameters
    ----------
    merge, keep_order, residual : the arguments of our layers.
    """

    merge: str = "concat"
    keep_order: bool = True
    residual: bool = False


def handoffs(Y: Array, given: Array) -> Iterator[tuple[Handoff, Array]]:
    """Yield what a layer can hand on, (T, B, F) or with ``merge="none"`` (T, B, D, H).

    Parameters
    ----------
    Y : (T, D, B, H).
    given : the layer's input (T, B, I), for residuals.
    """
    for residual in (False, True):
        for merge, value in _merged(Y):
            if residual and value.shape != given.shape:
                continue
            output = value + given if residual else value
            yield Handoff(merge, True, residual), output
            if Y.shape[1] == 1:
                yield Handoff(merge, False, residual), output[::-1]


def _merged(Y: Array) -> Iterator[tuple[str, Array]]:
    """Yield what the directions of Y (T, D, B, H) can be joined to, by the name of `merge`."""
    T, D, B, H = Y.shape
    apart = Y.swapaxes(1, 2)
    yield "concat", apart.reshape(T, B, D * H)
    if D == 2:
        yield "sum", Y[:, 0] + Y[:, 1]
        yield "mul", Y[:, 0] * Y[:, 1]
        yield "ave", (Y[:, 0] + Y[:, 1]) / 2
        yield "none", apart


def last_forms(output: Array) -> Iterator[Array]:
    """Yield the first and the last step of an output, which models may give out alone."""
    if len(output):
        yield output[-1]
        yield output[0]


def final_forms(states: list[Array]) -> Iterator[Array]:
    """Yield the forms in which models give out final states: of one layer, or of several in a row.

    Parameters
    ----------
    states : one state (D, B, H) of each layer, from the first layer up.
    """
    for state in states:
        D, B, H = state.shape
        yield state
        yield state.swapaxes(0, 1)
        yield state.swapaxes(0, 1).reshape(B, D * H)
        yield from state
        if D == 2:
            yield from (state[0] + state[1], state[0] * state[1], (state[0] + state[1]) / 2)
    for first in range(len(states)):
        for last in range(first + 2, len(states) + 1):
            run = states[first:last]
            if len({state.shape[1:] for state in run}) == 1:
                joined = np.concatenate(run)
                yield joined
                yield joined.swapaxes(0, 1)
