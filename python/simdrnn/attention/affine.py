"""Affine maps of an attention's own, one version of all of them at a time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from simdrnn.engine.dense import DenseNetwork, PackedDense, weight_gradient
from simdrnn.engine.kept_arrays import empty
from simdrnn.validate import Array, readable

__all__ = ["Maps", "PackedMaps", "applied", "applied_back", "map_gradient"]


class PackedMaps:
    """One version of several maps: `simdrnn.engine.packing.Version`.

    Attributes
    ----------
    maps : by their order; none for a kind of attention without parameters.
    """

    __slots__ = ("beside", "made_for", "maps", "version")

    def __init__(self, maps: Sequence[PackedDense]) -> None:
        self.version: int | None = None
        self.made_for: Hashable = None
        self.beside: Any = None
        self.maps = tuple(maps)


class Maps:
    """What packs the weights and biases of as many maps of one dtype."""

    __slots__ = ("_networks",)

    token = staticmethod(DenseNetwork.token)

    def __init__(self, dtype: np.dtype[Any], count: int) -> None:
        self._networks = [DenseNetwork(dtype) for _ in range(count)]

    def pack(self, passes: Sequence[tuple[Array, Array | None]], token: Hashable) -> PackedMaps:
        """Return the maps of weights (O, I), each with its bias (O,) or None."""
        return PackedMaps(
            [one.pack([given], token) for one, given in zip(self._networks, passes, strict=True)]
        )


def rows_of(array: Array) -> Array:
    """Return an array (..., I) as rows (N, I) that the engine reads."""
    count = array.size // max(array.shape[-1], 1)
    return readable(array.reshape(count, array.shape[-1]))


def applied(one: PackedDense, x: Array, outputs: int, threads: int) -> Array:
    """Return the map of x (..., I): (..., O)."""
    rows = rows_of(x)
    made = empty((len(rows), outputs), x.dtype)
    one.forward(rows, made, threads)
    return made.reshape(*x.shape[:-1], outputs)


def applied_back(one: PackedDense, d_y: Array, inputs: int, threads: int) -> Array:
    """Return the gradient for x (..., I) from that for y (..., O)."""
    rows = rows_of(d_y)
    made = empty((len(rows), inputs), d_y.dtype)
    one.backward(rows, made, threads)
    return made.reshape(*d_y.shape[:-1], inputs)


def map_gradient(
    d_y: Array, x: Array, *, bias: bool = False, threads: int = 0
) -> tuple[Array, Array | None]:
    """Return the gradients for a map's weight and bias from d_y (..., O) and x (..., I)."""
    return weight_gradient(rows_of(d_y), rows_of(x), bias=bias, threads=threads)
