"""Gradients of every parameter side by side in flat buffers: what workers average.

A hook that averages over workers pays a latency for each message, so it is handed one buffer for
each dtype, not one array for each parameter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from simdrnn.optim.tree import Leaf
from simdrnn.validate import Array

__all__ = ["AllReduce", "FlatGradients", "check_all_reduce"]

AllReduce: TypeAlias = Callable[[Array], object]


def check_all_reduce(value: object) -> AllReduce | None:
    """Return `value` if it is a callable or None."""
    if value is not None and not callable(value):
        found = type(value).__name__
        raise TypeError(f"all_reduce: expected a callable or None, got {found}")
    return value


class FlatGradients:
    """One contiguous buffer for each dtype, with room for the gradient of every parameter.

    Parameters
    ----------
    leaves : the parameters of all owners. Their order is that of the numbers in the buffers, so
        workers that list the same layers in the same order agree on it.
    """

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self._leaves = leaves
        sizes: dict[np.dtype[Any], int] = {}
        self._starts: list[int] = []
        for leaf in leaves:
            start = sizes.get(leaf.dtype, 0)
            self._starts.append(start)
            sizes[leaf.dtype] = start + math.prod(leaf.shape)
        self._buffers = {dtype: np.empty(size, dtype) for dtype, size in sizes.items()}

    def fill(self, gradients: Sequence[Array]) -> list[Array]:
        """Copy gradients into the buffers; return them there, as views in the same order."""
        views = [
            self._part(leaf, start) for leaf, start in zip(self._leaves, self._starts, strict=True)
        ]
        for ours, given in zip(views, gradients, strict=True):
            ours[...] = given
        return views

    def reduce(self, all_reduce: AllReduce) -> None:
        """Have every buffer averaged over the workers, in place."""
        for dtype, buffer in self._buffers.items():
            result = all_reduce(buffer)
            # A hook that returns its result would leave the worker with its own gradients, and one
            # that returns a handle has not finished: both train on in silence, wrongly.
            if result is not None and result is not buffer:
                raise TypeError(
                    f"all_reduce: expected None, with the buffer of {dtype} changed in place, "
                    f"got {type(result).__name__}"
                )

    def _part(self, leaf: Leaf, start: int) -> Array:
        part = self._buffers[leaf.dtype][start : start + math.prod(leaf.shape)]
        return part.reshape(leaf.shape)
