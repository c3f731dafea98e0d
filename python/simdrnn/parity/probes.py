"""Inputs that reach what acts on few: bounds, masks, single numbers, lengths.

A clamp, or a mask of steps that are all -99, does nothing to standard normal numbers. What else a
layer is compared on holds large and small numbers, zeros, the constants that the other side has
about it, whole steps of one number, and other numbers of steps and rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from simdrnn.validate import Array

__all__ = ["Constants", "Probe", "constants_of_code", "probes"]

# What people write into programs, with both signs.
_USUAL = (0.0, 0.5, 1.0, 5.0, 10.0, 99.0, 100.0, 999.0)
# Shares of elements and of steps that such numbers take: between them, a layer is not saturated.
_ELEMENTS, _STEPS = 0.15, 0.3
# Larger ones hide all others of a sum.
_LARGEST = 1e6
_MOST_CONSTANTS = 64
# Of numbers as large as a constant.
_LARGE, _MOST_SIZES = 1e4, 3
# More steps than a bound that is likely, and the most for those that are known.
_LONG, _LONGEST = 70, 600


class Constants(NamedTuple):
    """Numbers that the other side has about it.

    Parameters
    ----------
    numbers : that elements may be compared with.
    """

    numbers: tuple[float, ...] = ()

    @classmethod
    def among(cls, found: Iterable[Any]) -> Constants:
        """Keep the numbers among things."""
        kept: dict[float, None] = {}
        for one in found:
            number = isinstance(one, (int, float, np.integer, np.floating))
            # What is no number is not smaller either.
            if number and not isinstance(one, bool) and abs(one) <= _LARGEST:
                kept[float(one)] = None
            if len(kept) >= _MOST_CONSTANTS:
                break
        return cls(tuple(kept))

    @property
    def steps(self) -> int:
        """More steps than whole numbers that may be a bound on them."""
        bounds = [int(one) for one in self.numbers if one == int(one) and _LONG <= one <= _LONGEST]
        return max(bounds, default=_LONG - 6) + 6


class Probe(NamedTuple):
    """An input.

    Parameters
    ----------
    name : completes "output on ...".
    x : (T, B, I) of float32.
    lengths : of the rows, or None.
    """

    name: str
    x: Array
    lengths: Array | None = None


def probes(
    shape: tuple[int, int, int], constants: Constants, rng: np.random.Generator, lengths: bool
) -> Iterator[Probe]:
    """Yield inputs beside standard normal ones of a shape (T, B, I).

    Parameters
    ----------
    shape : of most.
    constants : of the other side.
    rng : what numbers are drawn by.
    lengths : whether the other side takes lengths.
    """
    T, B, I = shape  # noqa: E741
    own = [*constants.numbers, *(-one for one in constants.numbers)]
    near = [one + shift for one in constants.numbers for shift in (0.25, -0.25)]
    usual = [sign * one for one in _USUAL for sign in (1.0, -1.0) if sign * one not in own]
    # Large numbers hide small ones, and let roundings grow: those of a size come together.
    parts = [np.array(sorted({*few}, key=abs), np.float32) for few in (own + near, usual)]

    def normal(T: int, B: int) -> Array:
        return rng.standard_normal((T, B, I), np.float32)

    yield Probe("zeros", np.zeros(shape, np.float32))
    yield Probe("small numbers", np.float32(1e-3) * normal(T, B))
    sizes = {abs(one) for one in constants.numbers if 5 <= abs(one) <= _LARGE}
    for size in (100.0, *sorted(sizes)[:_MOST_SIZES]):
        yield Probe(f"numbers of about {size:.7g}", np.float32(size) * normal(T, B))
    for few in (one for part in parts for one in _dealt(part, int(_ELEMENTS * T * B * I))):
        mixed = normal(T, B)
        mixed.reshape(-1)[rng.permutation(mixed.size)[: len(few)]] = few
        yield Probe(f"single numbers such as {few[-1]:.7g}", mixed)
    for few in (one for part in parts for one in _dealt(part, int(_STEPS * T * B))):
        mixed = normal(T, B)
        mixed.reshape(T * B, I)[rng.permutation(T * B)[: len(few)]] = few[:, None]
        yield Probe(f"steps of numbers such as {few[-1]:.7g}", mixed)
    yield Probe("one step of one row", normal(1, 1))
    yield Probe("other sizes", normal(T + 1, B + 2))
    yield Probe("many steps", normal(constants.steps, 2))
    if lengths:
        ends = -np.sort(-rng.integers(1, T + 1, B))
        ends[0] = T
        yield Probe("rows of other lengths", normal(T, B), ends)


def _dealt(numbers: Array, each: int) -> list[Array]:
    """Return all numbers in parts of a size."""
    each = max(each, 1)
    return [numbers[start : start + each] for start in range(0, len(numbers), each)]


def constants_of_code(function: Any, depth: int = 2) -> Iterator[Any]:
    """Yield the constants that a function, or a method, of Python has in it, or in its reach.

    Parameters
    ----------
    function : anything; what is no function has none.
    depth : how many functions that it refers to are looked at in turn.

    Examples
    --------
    >>> bound = 7.5
    >>> def clamp(x, low=-5):
    ...     return x.clip(low, bound)
    >>> sorted(one for one in constants_of_code(clamp) if isinstance(one, (int, float)))
    [-5, 7.5]
    """
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        return
    todo = list(code.co_consts)
    while todo:
        one = todo.pop()
        if isinstance(one, (tuple, frozenset)):
            todo += one
        elif hasattr(one, "co_consts"):  # a function inside
            todo += one.co_consts
        else:
            yield one
    names = getattr(function, "__globals__", {})
    reached = [*(getattr(function, "__defaults__", None) or ())]
    reached += [names[name] for name in code.co_names if name in names]
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # not there yet
            reached.append(cell.cell_contents)
    yield from reached
    for one in reached if depth else ():
        yield from constants_of_code(one, depth - 1)
