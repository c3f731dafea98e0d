"""Standardisation: mean 0 and variance 1, feature by feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array

__all__ = ["Scaling"]


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """What is taken off every feature, and what it is then divided by.

    Attributes
    ----------
    mean, scale : (I,) float64, or broadcast to what is scaled.
    """

    mean: Array
    scale: Array

    @classmethod
    def none(cls, features: int) -> Scaling:
        """Change nothing."""
        return cls(np.zeros(features), np.ones(features))

    @classmethod
    def of(cls, name: str, rows: Array, workers: Workers, weights: Array | None = None) -> Scaling:
        """Measure the mean and the standard deviation of `rows`, over all workers.

        Parameters
        ----------
        name : of the argument, for the message.
        rows : (M, I). A feature that is constant up to rounding is left at its scale.
        workers : who have more rows.
        weights : (M,) what each row counts; None is 1 each.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            mean = _mean(rows, weights, workers)
            variance = _mean(np.square(rows - mean), weights, workers)
        if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
            raise ValueError(f"{name}: expected numbers whose squares are finite, got larger ones")
        scale = np.sqrt(variance)
        # The mean of equal numbers may be off by as much as summing rounds.
        rounding = np.finfo(np.float64).eps * len(rows) * np.abs(mean)
        return cls(mean, np.where(scale > rounding, scale, 1.0))

    def apply(self, name: str, values: Array, dtype: np.dtype[Any]) -> Array:
        """Scale `values` (..., I), in the wider of both types, and return them as `dtype`.

        Raises
        ------
        ValueError : a result is too large for `dtype`; the message calls it `name`.
        """
        with np.errstate(over="ignore"):
            scaled = ((values - self.mean) / self.scale).astype(dtype)
        if not np.isfinite(scaled).all():
            raise ValueError(f"{name}: expected numbers that fit {dtype} once scaled, got larger")
        return scaled

    def undo(self, values: Array) -> Array:
        """Return float64 in the units before scaling."""
        return np.asarray(values * self.scale + self.mean)


def _mean(rows: Array, weights: Array | None, workers: Workers) -> Array:
    """Return the mean (I,) of rows over all workers."""
    counts = np.ones(len(rows)) if weights is None else weights
    sums = workers.mean(np.append(counts @ rows.astype(np.float64, copy=False), counts.sum()))
    return np.asarray(sums[:-1] / sums[-1])
