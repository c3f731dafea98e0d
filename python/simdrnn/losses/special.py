"""Functions that likelihoods need and NumPy has not, in float64, element by element.

All are computed from differences that do not cancel: neither a logarithm of a gamma function of a
large number nor a probability near 1 is ever subtracted from another.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simdrnn.validate import Array

__all__ = [
    "first_integer",
    "incomplete_beta",
    "log1p_ratio",
    "log_gamma_ratio",
    "solve",
    "student_t_tail",
]

# Arguments are raised by so many by recurrence; from there on the series is exact to rounding.
_SHIFT = 16

# Stirling's series of log gamma in 1 / x, 1 / x**3, ...: Bernoulli numbers B_2k / (2k (2k - 1)).
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)

_TINY = 1e-300
# Terms of a continued fraction: enough for parameters of a hundred million.
_TERMS = 20_000


def _series(x: Array) -> tuple[Array, Array]:
    """Return what Stirling's formula leaves of log gamma at x >= 16, and its derivative."""
    inverse = 1.0 / x
    square = inverse * inverse
    value, slope = np.zeros_like(x), np.zeros_like(x)
    for index in reversed(range(len(_STIRLING))):
        value = value * square + _STIRLING[index]
        slope = slope * square - _STIRLING[index] * (2 * index + 1)
    return value * inverse, slope * square


def log1p_ratio(y: Array, x: Array) -> Array:
    """Return ``log(1 + y / x)`` for y >= 0 and x > 0, whose ratio may be too large for a float."""
    ratio = y / x
    large = np.log(np.maximum(y, _TINY)) - np.log(x)
    return np.where(np.isfinite(ratio), np.log1p(ratio), large)


def log_gamma_ratio(x: Array, y: Array) -> tuple[Array, Array]:
    """Return ``log(gamma(x + y) / gamma(x))`` and its derivative for x.

    Parameters
    ----------
    x : above 0, y : 0 or more, of one shape.

    Examples
    --------
    >>> value, slope = log_gamma_ratio(np.array([1.0]), np.array([5.0]))
    >>> np.round([np.exp(value[0]), slope[0]], 10)
    array([120.        ,   2.28333333])
    """
    with np.errstate(over="ignore", under="ignore"):
        high = x + _SHIFT
        top, (one, d_one), (other, d_other) = high + y, _series(high + y), _series(high)
        relative = log1p_ratio(y, high)
        value = (high - 0.5) * relative - y + y * np.log(top) + (one - other)
        slope = relative + 0.5 * (y / high) / top + (d_one - d_other)
        for step in range(_SHIFT):
            low = x + step
            value = value - log1p_ratio(y, low)
            # 1 / low - 1 / (low + y), which is 0 and not infinite where y is 0 and low is tiny
            slope = slope + (y / (low + y)) / low
    return value, slope


def incomplete_beta(a: Array, b: Array, x: Array, rest: Array) -> tuple[Array, Array]:
    """Return the regularised incomplete beta function I_x(a, b) and what it lacks to 1.

    Parameters
    ----------
    a, b : above 0, up to a hundred million.
    x, rest : in [0, 1], and 1 - x, which is told apart so that neither is rounded.

    Notes
    -----
    A continued fraction by the method of Lentz: NIST Digital Library of Mathematical Functions,
    8.17.22. The smaller of both results is right to the last digits, however small.

    Examples
    --------
    >>> one = np.array([1.0])
    >>> [round(float(part[0]), 9) for part in incomplete_beta(2 * one, one, 0.3 * one, 0.7 * one)]
    [0.09, 0.91]
    """
    # The fraction converges fast on the lower side; beside a large second argument it still does
    # some way above, and is not rounded there as it is of arguments the other way round.
    swap = np.where(b > 1e6 * (a + 1.0), x * b > a + 40.0, x * (a + b + 2.0) > a + 1.0)
    first, second = np.where(swap, b, a), np.where(swap, a, b)
    at, other = np.where(swap, rest, x), np.where(swap, x, rest)
    fewer, more = np.minimum(a, b), np.maximum(a, b)
    # gamma(1 + x) is x gamma(x); and a ratio of gammas so near each other does not cancel.
    per_beta = log_gamma_ratio(more, fewer)[0] - log_gamma_ratio(np.ones_like(fewer), fewer)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        power = first * _log_of(at, other) + second * _log_of(other, at) + per_beta
        scale = np.where(at > 0, np.exp(power) * fewer / first, 0.0)
    small = np.clip(scale * _fraction(first, second, at), 0.0, 1.0)
    return np.where(swap, 1.0 - small, small), np.where(swap, small, 1.0 - small)


def _log_of(number: Array, rest: Array) -> Array:
    """Return the logarithm of a number in [0, 1], by what it lacks to 1 where that is small."""
    found: Array = np.where(rest < 0.5, np.log1p(-rest), np.log(number))
    return found


def _fraction(a: Array, b: Array, x: Array) -> Array:
    """Return the continued fraction of the incomplete beta function."""
    c, d = np.ones_like(x), 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / np.where(np.abs(d) < _TINY, _TINY, d)
    value, going = d.copy(), np.ones(x.shape, np.bool_)
    for term in range(1, _TERMS):
        twice = a + 2 * term
        for factor in (
            term * (b - term) * x / ((twice - 1.0) * twice),
            -(a + term) * (a + b + term) * x / (twice * (twice + 1.0)),
        ):
            d, c = 1.0 + factor * d, 1.0 + factor / c
            d = 1.0 / np.where(np.abs(d) < _TINY, _TINY, d)
            c = np.where(np.abs(c) < _TINY, _TINY, c)
            value = np.where(going, value * (d * c), value)
        going &= np.abs(d * c - 1.0) > 1e-15  # rounding may still move the factor afterwards
        if not going.any():
            return value
    raise ValueError(f"expected parameters up to 1e8, got {max(a.max(), b.max()):.3g}")


def student_t_tail(z: Array, degrees: Array) -> Array:
    """Return the probability that Student's t is above z, for z >= 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        square = z * z
        x = np.where(np.isfinite(square), degrees / (degrees + square), 0.0)
        rest = np.where(np.isfinite(square), square / (degrees + square), 1.0)
    return 0.5 * incomplete_beta(0.5 * degrees, np.full_like(degrees, 0.5), x, rest)[0]


def solve(
    function: Callable[[Array], tuple[Array, Array]], low: Array, high: Array, start: Array
) -> Array:
    """Return where a falling function is 0 between low and high, by Newton's method.

    A step that leaves the bracket, which shrinks at every evaluation, goes to its middle.

    Parameters
    ----------
    function : array of places -> values and slopes.
    """
    place = start
    for _ in range(200):
        value, slope = function(place)
        low, high = np.where(value > 0, place, low), np.where(value > 0, high, place)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = place - value / slope
        inside = (step >= low) & (step <= high)
        following = np.where(inside, step, low + 0.5 * (high - low))
        moved = np.abs(following - place)
        place = following
        if np.all(moved <= 4e-16 * np.abs(place)):
            break
    return place


def first_integer(holds: Callable[[Array], Array], high: Array) -> Array:
    """Return the least whole number, 0 or more, at which a condition holds, as floats.

    Parameters
    ----------
    holds : array of whole numbers -> array of bool: at every number, or from some number on.
    high : whole numbers at which it holds.
    """
    low = np.full_like(high, -1.0)
    while np.any(high - low > 1.0):
        middle = np.floor(0.5 * (low + high))
        found = holds(np.maximum(middle, 0.0)) & (middle >= 0.0)
        low, high = np.where(found, low, middle), np.where(found, middle, high)
    return high
