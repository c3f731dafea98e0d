"""Reshape while sizes are free: the factors of all axes, in their order, become other axes."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

from simdrnn.onnx.sizes import Length, Size, Unclear, product, quotient, same_length
from simdrnn.onnx.values import Factor, Free, Tensor

__all__ = ["reshape", "uniform_factors"]


def reshape(value: Tensor, wanted: Sequence[Length], allow_zero: bool) -> Tensor:
    """Return a value with other axes.

    Parameters
    ----------
    value : of which no axis is empty.
    wanted : lengths; -1 is what is left.
    allow_zero : whether 0 is a length; else it is that of the same axis before.

    Raises
    ------
    Unclear : the value has not these lengths for all free sizes, or an axis would be torn.
    """
    if not allow_zero:
        if any(same_length(one, 0) for one in wanted[value.ndim :]):
            raise Unclear(f"nothing of {value} by the shape {[*wanted]}")
        wanted = [value.shape[k] if same_length(one, 0) else one for k, one in enumerate(wanted)]
    lengths = _lengths(value, wanted)
    if _is_uniform(value):
        if not same_length(product(lengths), product(value.shape)):
            raise Unclear(f"nothing of {value} by the shape {[*wanted]}")
        axes = tuple(map(uniform_factors, lengths))
        numbers = [one for factors in axes for one in factors if isinstance(one, int)]
        filled = np.broadcast_to(value.payload.reshape(-1)[0], numbers)
        return Tensor(axes, filled, value.dtype, known=True)
    left = deque(one for factors in value.axes for one in factors)
    axes = tuple(_taken(value, left, length, wanted) for length in lengths)
    if any(one != 1 for one in left):
        raise Unclear(f"nothing of {value} by the shape {[*wanted]}")
    numbers = [one for factors in axes for one in factors if isinstance(one, int)]
    joined = tuple(_joined(factors) for factors in axes)
    payload = value.payload.reshape(numbers)
    merged = [one for factors in joined for one in factors if isinstance(one, int)]
    return Tensor(joined, payload.reshape(merged), value.dtype, value.known)


def _lengths(value: Tensor, wanted: Sequence[Length]) -> list[Length]:
    """Return lengths without -1."""
    places = [k for k, one in enumerate(wanted) if same_length(one, -1)]
    known = product(one for k, one in enumerate(wanted) if k not in places)
    whole = product(value.shape)
    if len(places) > 1 or same_length(whole, 0):
        raise Unclear(f"something of {value} by the shape {[*wanted]}")
    lengths = list(wanted)
    for place in places:
        lengths[place] = quotient(whole, known)
    return lengths


def _taken(
    value: Tensor, left: deque[Factor], length: Length, wanted: Sequence[Length]
) -> tuple[Factor, ...]:
    """Take the factors of one axis from those that are left, of which one may be split."""
    terms = length.terms if isinstance(length, Size) else (((), int(length)),)
    torn = Unclear(f"something of {value} by the shape {[*wanted]}, which tears axes apart")
    if len(terms) != 1 or terms[0][1] < 1:
        raise torn
    names, number = Counter(terms[0][0]), terms[0][1]
    found: list[Factor] = []
    while number > 1 or any(names.values()):
        if not left:
            raise torn
        factor = left.popleft()
        if isinstance(factor, Free):
            if not names[factor.size]:
                raise torn
            names[factor.size] -= 1
        else:
            part = math.gcd(factor, number)
            if part == 1 or part not in (factor, number):
                raise torn
            number //= part
            if part != factor:
                left.appendleft(factor // part)
            factor = part
        found.append(factor)
    return tuple(found)


def _joined(factors: tuple[Factor, ...]) -> tuple[Factor, ...]:
    """Return factors with a single number where several lie beside each other."""
    found: list[Factor] = []
    for one in factors:
        if isinstance(one, int) and found and isinstance(found[-1], int):
            found[-1] *= one
        else:
            found.append(one)
    return tuple(found)


def uniform_factors(length: Length) -> tuple[Factor, ...]:
    """Return the factors of an axis along which all is the same.

    Raises
    ------
    Unclear : the length is no number of things for all free sizes.
    """
    if not isinstance(length, Size):
        if length < 0:
            raise Unclear(f"an axis of length {length}")
        return () if length == 1 else (length,)
    if len(length.terms) > 1 or length.terms[0][1] < 1:
        raise Unclear(f"an axis of length {length}")
    names, factor = length.terms[0]
    return (*(() if factor == 1 else (factor,)), *(Free(None, name) for name in names))


def _is_uniform(value: Tensor) -> bool:
    """Tell whether all of a constant is the same number."""
    free = [one for factors in value.axes for one in factors if isinstance(one, Free)]
    flat = value.payload.reshape(-1)
    plain = value.known and flat.dtype != object and bool(free)
    return plain and bool(np.all(flat == flat[:1]))
