"""Tolerances and small tools for the tests of modules, losses, clipping and optimisers."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, np.dtype[Any]]

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


def eps(dtype: object) -> float:
    """Distance from 1 to the next number of `dtype`."""
    return float(np.finfo(np.dtype(dtype)).eps)


def rounding(dtype: object, operations: int, magnitude: float) -> float:
    """Bound on what rounding adds up to over `operations` results of at most `magnitude`.

    Each result is off by at most eps/2 of itself. Two computations of one thing, which is what is
    compared, differ by at most twice the sum.
    """
    return operations * eps(dtype) * magnitude


def optimizer_tolerance(dtype: object, steps: int, magnitude: float) -> float:
    """Bound on the difference of two implementations of one optimiser after `steps`.

    A step is at most 24 operations per element in any rule. An error made in one step enters every
    later one through the running means and through the parameter, so it counts up to `steps` times.
    """
    return rounding(dtype, 24 * steps * steps, magnitude)


def dot_tolerance(dtype: object, reduction: int, magnitude: float) -> float:
    """Bound for sums of `reduction` products, each factor at most `magnitude`."""
    return rounding(dtype, (reduction + 1) * reduction, magnitude * magnitude)


def difference_tolerance(step: float, third: float, operations: int, magnitude: float) -> float:
    """Bound on the error of a central difference of a function computed in float64.

    Parameters
    ----------
    step : h of (f(x + h) - f(x - h)) / 2h.
    third : bound on the function's third derivative, for the truncation, h**2 / 6 * third.
    operations, magnitude : of the function, for the rounding, which is divided by h.
    """
    return step * step / 6.0 * third + rounding(np.float64, operations, magnitude) / step


def central_difference(function: Callable[[], float], array: Array, step: float) -> Array:
    """Gradient of `function` for `array`, which it reads and which is changed and restored."""
    gradient = np.empty(array.shape)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + step
        above = function()
        array[index] = value - step
        below = function()
        array[index] = value
        gradient[index] = (above - below) / (2.0 * step)
    return gradient


def assert_close(got: object, want: object, tolerance: float) -> None:
    """Fail unless the arrays have one shape and differ nowhere by more than `tolerance`."""
    np.testing.assert_allclose(got, want, rtol=0.0, atol=tolerance)
    assert np.shape(got) == np.shape(want)
