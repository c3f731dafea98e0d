"""What is known of the values of a graph before it is run: constants, and where numbers come from.

Every element of an input, and of what a recurrent node gives out, has a label: 64 random bits.
Moving values moves labels; a sum of elements has the sum of their labels. Two values are the same
for every input of the model if their labels are, and axes of free sizes stay whole: their elements
have one label together. Nothing is looked at that depends on an input's numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from simdrnn.onnx.sizes import Length, Size, Unclear, product
from simdrnn.validate import Array

__all__ = [
    "Factor",
    "Free",
    "Tensor",
    "Unknown",
    "Value",
    "add",
    "constant",
    "from_grid",
    "half",
    "multiply",
    "pick",
    "plain",
    "same",
    "same_up_to_ones",
    "transpose",
    "turn",
    "unsqueeze",
]


@dataclass(frozen=True)
class Free:
    """An axis of free size, or a factor of one.

    Parameters
    ----------
    of : name of a value of the graph, and which axis it is there; None if what lies along it is all
        the same.
    size : the name of the size.
    turned : whether its elements come from the last to the first.
    """

    of: tuple[str, int] | None
    size: str
    turned: bool = False


Factor: TypeAlias = "int | Free"


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of which every element is known, or where it comes from.

    Parameters
    ----------
    axes : the factors of every axis, outer ones first; numbers are 0 or larger than 1, so that an
        axis of length 1 has none.
    payload : with an axis for each number among the factors, in their order. Of a constant its
        values, whose dtype is object if some are a `Size`; else labels.
    dtype : of the model's value.
    known : whether it is a constant.
    """

    axes: tuple[tuple[Factor, ...], ...]
    payload: Array
    dtype: np.dtype[Any]
    known: bool

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.axes)

    @property
    def shape(self) -> tuple[Length, ...]:
        """The length of every axis."""
        return tuple(
            product(Size.free(one.size) if isinstance(one, Free) else one for one in factors)
            for factors in self.axes
        )

    @property
    def frees(self) -> list[Free | None]:
        """The free size of every axis, None of those that have a number.

        Raises
        ------
        Unclear : an axis is a product.
        """
        found: list[Free | None] = []
        for factors in self.axes:
            free = [one for one in factors if isinstance(one, Free)]
            if free and len(factors) > 1:
                raise Unclear("something of axes that were joined while their sizes are free")
            found.append(free[0] if free else None)
        return found

    @property
    def grid(self) -> Array:
        """The payload with as many axes as the value; those of free sizes have length 1."""
        free = self.frees
        lengths = [
            math.prod(one for one in factors if isinstance(one, int)) for factors in self.axes
        ]
        return self.payload.reshape([1 if f else n for f, n in zip(free, lengths, strict=True)])

    def __str__(self) -> str:
        """Write the shape."""
        return f"shape ({', '.join(map(str, self.shape))})"


@dataclass(frozen=True)
class Unknown:
    """A value that depends on numbers of the inputs, or on free sizes in a way that is not clear.

    Parameters
    ----------
    label : of the node by which it came to be.
    why : what that node makes, for messages; "" if that is all there is to say.
    other : whether the node is of a kind that is never understood.
    """

    label: str
    why: str = ""
    other: bool = False

    def __str__(self) -> str:
        """Say what came in place of what was expected."""
        return f"what {self.label} makes{f': {self.why}' if self.why else ''}"


Value: TypeAlias = "Tensor | Unknown | None"


def from_grid(
    grid: Array, frees: Sequence[Free | None], dtype: np.dtype[Any], known: bool
) -> Tensor:
    """Return the value whose `grid` and `frees` are given."""
    axes: list[tuple[Factor, ...]] = []
    for length, free in zip(grid.shape, frees, strict=True):
        axes.append((free,) if free else () if length == 1 else (length,))
    return Tensor(tuple(axes), _without_ones(grid), dtype, known)


def _without_ones(array: Array) -> Array:
    return array.reshape([length for length in array.shape if length != 1])


def constant(array: Array) -> Tensor:
    """Return an array, or one of lengths, as a value."""
    dtype = np.dtype(np.int64) if array.dtype == object else array.dtype
    return from_grid(array, [None] * array.ndim, dtype, known=True)


def plain(value: Tensor) -> Array | None:
    """Return the array of a constant with nothing free about it, else None."""
    if not value.known or value.payload.dtype == object or any(map(_has_free, value.axes)):
        return None
    return value.grid


def _has_free(factors: Sequence[Factor]) -> bool:
    return any(isinstance(one, Free) for one in factors)


def transpose(value: Tensor, order: Sequence[int]) -> Tensor:
    """Return the value with its axes in another order."""
    places, groups = 0, []
    for factors in value.axes:
        numbers = sum(isinstance(one, int) for one in factors)
        groups.append(range(places, places + numbers))
        places += numbers
    payload = value.payload.transpose([place for axis in order for place in groups[axis]])
    return replace(value, axes=tuple(value.axes[axis] for axis in order), payload=payload)


def unsqueeze(value: Tensor, axis: int) -> Tensor:
    """Return the value with one more axis, of length 1."""
    return replace(value, axes=(*value.axes[:axis], (), *value.axes[axis:]))


def turn(value: Tensor, axis: int) -> Tensor:
    """Return the value with one axis from the last element to the first."""
    frees = value.frees
    free, grid = frees[axis], value.grid
    if free is None:
        return from_grid(np.flip(grid, axis), frees, value.dtype, value.known)
    frees[axis] = replace(free, turned=not free.turned) if free.of else free
    return from_grid(grid, frees, value.dtype, value.known)


def pick(value: Tensor, axis: int, place: int) -> Tensor:
    """Return one element of an axis; of a free one the first, 0, or the last, -1."""
    frees, grid = value.frees, value.grid
    free = frees.pop(axis)
    if free is None:
        picked = np.asarray(grid.take(place, axis), grid.dtype)
        return from_grid(picked, frees, value.dtype, value.known)
    picked = np.asarray(grid.take(0, axis), grid.dtype)
    if not value.known and free.of:
        last = (place == -1) != free.turned
        with np.errstate(over="ignore"):
            picked = np.asarray(picked * _odd((free.of, last)))
    return from_grid(picked, frees, value.dtype, value.known)


def _beside(one: Tensor, other: Tensor) -> None:
    """Raise unless elements of two values lie beside each other for all free sizes."""
    if one.axes != other.axes or one.known or other.known or one.dtype != other.dtype:
        raise Unclear(f"something of {one} and {other}")
    if one.dtype.kind != "f":
        raise Unclear(f"something of {one.dtype}")


@np.errstate(over="ignore")
def add(one: Tensor, other: Tensor) -> Tensor:
    """Return the sum of values that depend on inputs."""
    _beside(one, other)
    return replace(one, payload=np.asarray(one.payload + other.payload))


@np.errstate(over="ignore")
def multiply(one: Tensor, other: Tensor) -> Tensor:
    """Return the product of values that depend on inputs."""
    _beside(one, other)
    mixed = _mixed(one.payload) * _mixed(other.payload)
    return replace(one, payload=np.asarray(_mixed(mixed)))


@np.errstate(over="ignore")
def half(value: Tensor) -> Tensor:
    """Return half of a value that depends on inputs."""
    return replace(value, payload=np.asarray(value.payload * _HALF))


def same(one: Value, other: Value) -> bool:
    """Tell whether two values are the same whatever the inputs are.

    Of values without elements that cannot be told.
    """
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return False
    if one.axes != other.axes or one.dtype != other.dtype or one.known or other.known:
        return False
    return bool(one.payload.size) and np.array_equal(one.payload, other.payload)


def same_up_to_ones(one: Value, other: Value) -> bool:
    """Compare up to axes of length 1."""
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return False
    squeezed = [
        replace(value, axes=tuple(factors for factors in value.axes if factors))
        for value in (one, other)
    ]
    return same(*squeezed)


def _mixed(labels: Array) -> Array:
    """Return other labels, of which nothing is known but that they come from these.

    The finalizer of Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
    """
    labels = (labels ^ (labels >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    labels = (labels ^ (labels >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(labels ^ (labels >> np.uint64(31)))


# Multiplying by an odd number is one to one, and the half of a sum is the sum of halves.
_HALF = np.random.default_rng().integers(2**64, dtype=np.uint64) | np.uint64(1)


def _odd(of: object) -> np.uint64:
    """Return a number that belongs to something."""
    return np.uint64(hash((of, int(_HALF))) % 2**64) | np.uint64(1)
