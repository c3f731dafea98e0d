"""The forms in which values of layers are handed on and given out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from simdrnn.onnx.values import Tensor, add, from_grid, half, multiply, pick, transpose, turn

__all__ = ["Handoff", "final_forms", "handoffs", "joined", "last_forms"]


class Handoff(NamedTuple):
    """How the output of a layer is made of what its directions give out.

    Parameters
    ----------
    merge, keep_order, residual : the arguments of our layers.
    """

    merge: str = "concat"
    keep_order: bool = True
    residual: bool = False


def handoffs(Y: Tensor, given: Tensor) -> Iterator[tuple[Handoff, Tensor]]:
    """Yield what a layer can hand on, (T, B, F) or with ``merge="none"`` (T, B, D, H).

    Parameters
    ----------
    Y : (T, D, B, H).
    given : the layer's input (T, B, I), for residuals.
    """
    for residual in (False, True):
        for merge, value in _merged(Y):
            if residual and (value.axes != given.axes or value.dtype != given.dtype):
                continue
            output = add(value, given) if residual else value
            yield Handoff(merge, True, residual), output
            if Y.shape[1] == 1:
                yield Handoff(merge, False, residual), turn(output, 0)


def _merged(Y: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield what the directions of Y (T, D, B, H) can be joined to, by the name of `merge`."""
    apart = transpose(Y, (0, 2, 1, 3))
    yield "concat", _flat(apart, 2)
    if Y.shape[1] == 2:
        first, second = pick(Y, 1, 0), pick(Y, 1, 1)
        yield "sum", add(first, second)
        yield "mul", multiply(first, second)
        yield "ave", half(add(first, second))
        yield "none", apart


def _flat(value: Tensor, axis: int) -> Tensor:
    """Join an axis and the one behind it, of which neither is free."""
    grid, frees = value.grid, value.frees
    length = math.prod(grid.shape[axis : axis + 2])
    grid = grid.reshape(*grid.shape[:axis], length, *grid.shape[axis + 2 :])
    return from_grid(grid, frees[: axis + 1] + frees[axis + 2 :], value.dtype, value.known)


def joined(values: list[Tensor], axis: int) -> Tensor:
    """Put values behind each other along an axis that is not free."""
    grid = np.concatenate([value.grid for value in values], axis)
    return from_grid(grid, values[0].frees, values[0].dtype, values[0].known)


def last_forms(output: Tensor) -> Iterator[Tensor]:
    """Yield the first and the last step of an output, which models may give out alone."""
    yield pick(output, 0, -1)
    yield pick(output, 0, 0)


def final_forms(states: list[Tensor]) -> Iterator[Tensor]:
    """Yield the forms in which models give out final states: of one layer, or of several in a row.

    Parameters
    ----------
    states : one state (D, B, H) of each layer, from the first layer up.
    """
    for state in states:
        D = state.grid.shape[0]
        swapped = transpose(state, (1, 0, 2))
        yield state
        yield swapped
        yield _flat(swapped, 1)
        directions = [pick(state, 0, d) for d in range(D)]
        yield from directions
        if D == 2:
            yield add(*directions)
            yield multiply(*directions)
            yield half(add(*directions))
    for first in range(len(states)):
        for last in range(first + 2, len(states) + 1):
            run = states[first:last]
            if len({(*map(str, state.shape[1:]), state.dtype) for state in run}) == 1:
                together = joined(run, 0)
                yield together
                yield transpose(together, (1, 0, 2))
