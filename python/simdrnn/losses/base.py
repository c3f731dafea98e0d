"""What losses share: how much each position counts, and how a mean of terms is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.training.losses import Loss
from simdrnn.training.modules import integer_array
from simdrnn.training.trainable import as_floats
from simdrnn.validate import Array, as_array, as_reals, check_shape

__all__ = [
    "Loss",
    "Weighing",
    "as_levels",
    "mean_loss",
    "same_floats",
    "single_integer",
    "softplus",
]


@dataclass(frozen=True, slots=True, eq=False)
class Weighing:
    """How much each position counts in a mean.

    Attributes
    ----------
    weight : float64, of the positions' shape, in [0, 1]: the weights over the largest of them; 0
        where the position is masked.
    real : bool, of that shape, where the position is not masked.
    total : what sums are divided by, the sum of `weight` in float64; 0 if nothing counts.
    """

    weight: Array
    real: Array
    total: float

    @classmethod
    def of(cls, positions: tuple[int, ...], mask: object, weights: object) -> Weighing:
        """Check and combine `mask` and `weights`, each None or of leading dimensions."""
        real = np.ones(positions, np.bool_)
        if mask is not None:
            real &= _spread("mask", as_array("mask", mask, np.dtype(np.bool_)), positions)
        if weights is None:
            weight = real.astype(np.float64)
        else:
            given = _spread("weights", as_floats("weights", weights), positions)
            counted = given[real]
            if not (np.isfinite(counted).all() and (counted >= 0).all()):
                raise ValueError("weights: expected finite numbers, 0 or more, at real positions")
            largest = float(counted.max(initial=0.0))
            weight = np.where(real, given, 0.0).astype(np.float64) / (largest or 1.0)
        return cls(weight, real, math.fsum(weight.ravel()))

    @property
    def counts(self) -> Array:
        """Where a position counts at all: bool, of the positions' shape."""
        found: Array = self.weight > 0
        return found

    def mean(self, terms: Array) -> float:
        """Return the weighted mean of terms, which may be anything where they do not count."""
        if self.total == 0.0:
            return 0.0
        kept = np.where(self.counts, terms, 0.0)
        with np.errstate(over="ignore"):  # infinite is then what it is
            total = np.einsum("i,i->", kept.ravel(), self.weight.ravel(), dtype=np.float64)
        return float(total) / self.total

    def gradient(self, slopes: Array, dtype: np.dtype[Any], d_value: float) -> Array:
        """Return the gradient of the mean from the terms' slopes, which may have axes behind."""
        behind = (1,) * (slopes.ndim - self.weight.ndim)
        weight = self.weight.reshape(self.weight.shape + behind)
        factor = weight * (d_value / self.total if self.total else 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.where(weight > 0, slopes * factor, 0.0).astype(dtype)


def _spread(name: str, array: Array, positions: tuple[int, ...]) -> Array:
    """Return an array of leading dimensions of the positions as one of all of them."""
    wanted = positions[: array.ndim]
    if array.shape != wanted:
        raise ValueError(
            f"{name}: expected the shape of positions, {positions}, or of their leading "
            f"dimensions, got {array.shape}"
        )
    behind = (1,) * (len(positions) - array.ndim)
    return np.broadcast_to(array.reshape(array.shape + behind), positions)


def mean_loss(weighing: Weighing, terms: Array, slopes: Array, dtype: np.dtype[Any]) -> Loss:
    """Return the loss whose value is the mean of terms and whose gradient is that of slopes."""
    return Loss(weighing.mean(terms), lambda d_value: weighing.gradient(slopes, dtype, d_value))


def same_floats(
    prediction: object, target: object, name: str = "prediction"
) -> tuple[Array, Array]:
    """Return both as arrays of one shape and one dtype of floats."""
    found = as_floats(name, prediction)
    wanted = as_array("target", target, found.dtype)
    if wanted.shape != found.shape:
        raise ValueError(f"target: expected shape {found.shape}, got {wanted.shape}")
    return found, wanted


def single_integer(name: str, value: object) -> Array:
    """Return one integer, of any type, as an array ()."""
    integer = integer_array(name, value)
    check_shape(name, integer, (), ())
    return integer


def as_levels(name: str, value: object) -> Array:
    """Return the levels of quantiles: (Q,), float64, each in (0, 1).

    Examples
    --------
    >>> as_levels("quantiles", [0.1, 1.0])
    Traceback (most recent call last):
    ValueError: quantiles: expected one or more numbers in (0, 1), got [0.1, 1.0]
    """
    levels = as_reals(name, value, "numbers in (0, 1)")
    if levels.ndim != 1 or not levels.size or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"{name}: expected one or more numbers in (0, 1), got {value!r}")
    return levels


def softplus(score: Array) -> tuple[Array, Array]:
    """Return ``log(1 + exp(score))`` and its slope, the sigmoid, in float64; neither overflows."""
    wide = score.astype(np.float64)
    small = np.exp(-np.abs(wide))
    slope = np.where(wide >= 0, 1.0, small) / (1.0 + small)
    return np.maximum(wide, 0.0) + np.log1p(small), slope
