"""Sizes that a model leaves free, and what is reckoned with them: polynomials in unknown numbers.

Exporters compute the shapes that they ask for out of the shapes that they are given. Whether a
result is the size of an axis has to hold for every value of the free sizes, so it is decided by
algebra and not by trying some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Length", "Size", "Unclear", "elementwise", "product", "quotient", "same_length"]


class Unclear(Exception):
    """What a node makes cannot be told from the graph; the message completes "makes ..."."""


@dataclass(frozen=True)
class Size:
    """A polynomial with integer coefficients in free sizes, of which each is at least 1.

    Parameters
    ----------
    terms : (names, coefficient) of every term that is not zero, names sorted, in the order of
        names; a name that comes twice is squared.

    Examples
    --------
    >>> T, B = Size.free("T"), Size.free("B")
    >>> print(2 * T * B + 1 - T)
    1 + 2*B*T - T
    """

    terms: tuple[tuple[tuple[str, ...], int], ...]

    @classmethod
    def free(cls, name: str) -> Size:
        """Return the free size of a name."""
        return cls((((name,), 1),))

    def __add__(self, other: object) -> Length:
        """Return the sum."""
        if not isinstance(other, (int, np.integer, Size)):
            return NotImplemented
        found = Counter(dict(self.terms))
        for names, factor in _terms(other):
            found[names] += factor
        return _simple(found)

    def __mul__(self, other: object) -> Length:
        """Return the product."""
        if not isinstance(other, (int, np.integer, Size)):
            return NotImplemented
        found: Counter[tuple[str, ...]] = Counter()
        for names, factor in self.terms:
            for more, times in _terms(other):
                found[tuple(sorted(names + more))] += factor * times
        return _simple(found)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Length:
        """Return the negative."""
        return self * -1

    def __sub__(self, other: object) -> Length:
        """Return the difference."""
        if not isinstance(other, (int, np.integer, Size)):
            return NotImplemented
        return self + -other

    def __rsub__(self, other: int) -> Length:
        """Return the difference."""
        return -self + other

    def __str__(self) -> str:
        """Write the polynomial."""
        text = ""
        for names, factor in self.terms:
            shown = "*".join(names) if names else str(abs(factor))
            if names and abs(factor) != 1:
                shown = f"{abs(factor)}*{shown}"
            sign = ("-" if factor < 0 else "") if not text else (" - " if factor < 0 else " + ")
            text += f"{sign}{shown}"
        return text

    __repr__ = __str__


Length: TypeAlias = "int | Size"


def _terms(value: Any) -> tuple[tuple[tuple[str, ...], int], ...]:
    if isinstance(value, Size):
        return value.terms
    return (((), int(value)),) if value else ()


def _simple(found: Counter[tuple[str, ...]]) -> Length:
    """Return a number where nothing is free."""
    terms = tuple(sorted((names, factor) for names, factor in found.items() if factor))
    if len(terms) > 1 or any(names for names, _ in terms):
        return Size(terms)
    return terms[0][1] if terms else 0


def same_length(one: Length, other: Length) -> bool:
    """Tell whether two are the same for every value of the free sizes."""
    return _terms(one) == _terms(other)


def product(lengths: Any) -> Length:
    """Return the product of lengths."""
    found: Length = 1
    for one in lengths:
        found = found * (one if isinstance(one, Size) else int(one))
    return found


def quotient(one: Length, other: Length) -> Length:
    """Return the quotient of two products of sizes.

    Raises
    ------
    Unclear : it is not whole for every value of the free sizes.
    """
    above, below = _terms(one), _terms(other)
    if len(above) == len(below) == 1:
        (names, factor), (others, divisor) = above[0], below[0]
        left = Counter(names)
        left.subtract(Counter(others))
        if factor % divisor == 0 and min(left.values(), default=0) >= 0:
            return _simple(Counter({tuple(sorted(left.elements())): factor // divisor}))
    raise Unclear(f"{one} / {other}, which depends on free sizes")


def _sign(difference: Length) -> int:
    """Return the sign of a length, which free sizes of 1 and more have to leave no choice."""
    terms = _terms(difference)
    if not terms:
        return 0
    least = sum(factor for _, factor in terms)
    free = [factor for names, factor in terms if names]
    if all(factor > 0 for factor in free) and least > 0:
        return 1
    if all(factor < 0 for factor in free) and least < 0:
        return -1
    raise Unclear(f"a choice by the sign of {difference}, which depends on free sizes")


def _divided(one: Length, other: Length) -> Length:
    """Divide as ONNX divides integers, towards zero."""
    if isinstance(one, Size) or isinstance(other, Size):
        return quotient(one, other)
    if other == 0:
        raise Unclear("a division by zero")
    whole = abs(int(one)) // abs(int(other))
    return whole if (one < 0) == (other < 0) else -whole


_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": lambda one, other: one + other,
    "Sub": lambda one, other: one - other,
    "Mul": lambda one, other: one * other,
    "Div": _divided,
    "Max": lambda one, other: one if _sign(one - other) >= 0 else other,
    "Min": lambda one, other: other if _sign(one - other) >= 0 else one,
    "Equal": lambda one, other: _sign(one - other) == 0,
    "Greater": lambda one, other: _sign(one - other) > 0,
    "GreaterOrEqual": lambda one, other: _sign(one - other) >= 0,
    "Less": lambda one, other: _sign(one - other) < 0,
    "LessOrEqual": lambda one, other: _sign(one - other) <= 0,
}


def elementwise(operator: str) -> Callable[[Any, Any], Any] | None:
    """Return what an operator does to two arrays of lengths, or None of those not known.

    Examples
    --------
    >>> T = np.array([Size.free("T"), 2], object)
    >>> elementwise("Mul")(T, np.array([3, 3]))
    array([3*T, 6], dtype=object)
    >>> elementwise("Equal")(T, -1)
    array([False, False], dtype=object)
    """
    function = _FUNCTIONS.get(operator)
    return None if function is None else np.frompyfunc(function, 2, 1)
