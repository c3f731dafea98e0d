"""Standardisation: mean 0 and variance 1, feature by feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array

__all__ = ["Scaling"]


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """What is taken off every feature, and what it is then divided by.

    A feature that is constant, up to rounding, tells nothing and has no scale: it goes in as 0,
    and comes out as its constant, whatever a network tells of it.

    Attributes
    ----------
    mean, scale : (I,) float64, or broadcast to what is scaled; the scale of a constant is 1.
    constant : (I,) bool.
    count : what the rows that were measured count together; with workers the mean over them. One
        number, or (I,).
    """

    mean: Array
    scale: Array
    constant: Array
    count: float | Array

    @classmethod
    def none(cls, features: int) -> Scaling:
        """Change nothing."""
        return cls(np.zeros(features), np.ones(features), np.zeros(features, np.bool_), 0.0)

    @classmethod
    def of(
        cls,
        name: str,
        rows: Array,
        workers: Workers,
        weights: Array | None = None,
        source: Array | None = None,
    ) -> Scaling:
        """Measure the mean and the standard deviation of `rows`, over all workers.

        Parameters
        ----------
        name : of the argument, for the message.
        rows : (M, I).
        workers : who have more rows.
        weights : (M,) what each row counts; None is 1 each.
        source : (M', I), numbers that `rows` are differences of, so that they are rounded as
            these are; None is `rows`.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            mean, deviation, constant, count = _measured(rows, weights, workers, source)
        _check_finite(name, mean, deviation)
        return cls(mean, np.where(constant, 1.0, deviation), constant, count)

    def with_more(
        self, name: str, rows: Array, workers: Workers, weights: Array | None = None
    ) -> Scaling:
        """Return what is known after more `rows`, for what was constant so far.

        What has a scale keeps it, since a network has been trained in it.
        """
        if not self.constant.any():
            return self
        return self.joined(name, Scaling.of(name, rows, workers, weights), rows)

    def joined(self, name: str, new: Scaling, rows: Array) -> Scaling:
        """Return what `with_more` does, where `new` was measured of `rows`."""
        count = self.count + new.count
        step = new.mean - self.mean
        mean = self.mean + step * (new.count / count)
        within = np.where(new.constant, 0.0, new.scale) ** 2 * (new.count / count)
        between = step**2 * (self.count / count) * (new.count / count)
        deviation = np.sqrt(within + between)
        _check_finite(name, mean, deviation)
        constant = self.constant & (deviation <= _rounding(rows) * np.abs(mean))
        return Scaling(
            np.where(self.constant, mean, self.mean),
            np.where(self.constant & ~constant, deviation, self.scale),
            constant,
            count,
        )

    @classmethod
    def side_by_side(cls, parts: Sequence[Scaling]) -> Scaling:
        """Return the scaling of features that were measured one by one."""
        return cls(
            np.concatenate([part.mean for part in parts]),
            np.concatenate([part.scale for part in parts]),
            np.concatenate([part.constant for part in parts]),
            np.array([part.count for part in parts]),
        )

    def apply(self, name: str, values: Array, dtype: np.dtype[Any]) -> Array:
        """Scale `values` (..., I), in the wider of both types, and return them as `dtype`.

        Raises
        ------
        ValueError : a result is too large for `dtype`; the message calls it `name`.
        """
        with np.errstate(over="ignore"):
            scaled = ((values - self.mean) / self.scale).astype(dtype)
        if self.constant.any():
            scaled = np.where(self.constant, dtype.type(0), scaled)
        if not np.isfinite(scaled).all():
            raise ValueError(f"{name}: expected numbers that fit {dtype} once scaled, got larger")
        return scaled

    def undo(self, values: Array) -> Array:
        """Return float64 in the units before scaling."""
        return np.where(self.constant, self.mean, values * self.scale + self.mean)


def _check_finite(name: str, mean: Array, deviation: Array) -> None:
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
        raise ValueError(f"{name}: expected numbers whose squares are finite, got larger ones")


def _rounding(rows: Array) -> float:
    """Return by how much of itself one number may deviate that was computed in different ways."""
    single = rows.dtype == np.float32
    return float(np.finfo(np.float32).eps if single else 16.0 * np.finfo(np.float64).eps)


def _measured(
    rows: Array, weights: Array | None, workers: Workers, source: Array | None
) -> tuple[Array, Array, Array, float]:
    """Return mean and standard deviation (I,), whether a feature is constant, and the count."""
    mean, count = _mean(rows, weights, workers)
    size = np.abs(mean) if source is None else _mean(np.abs(source), None, workers)[0]
    rounding = _rounding(rows)
    if not workers.alone:  # who are told sums in float32
        mean, deviation = _finely(rows, mean, weights, workers)
        return mean, deviation, deviation <= rounding * size, count
    deviation = np.sqrt(_mean(np.square(rows - mean), weights, workers)[0])
    # The mean may be off by as much as summing rounds, which may be all that is left to see.
    doubtful = deviation <= max(rounding, np.finfo(np.float64).eps * len(rows)) * size
    if doubtful.any():
        finer, finest = _finely(rows, mean, weights, workers)
        mean, deviation = np.where(doubtful, finer, mean), np.where(doubtful, finest, deviation)
    return mean, deviation, deviation <= rounding * size, count


def _finely(
    rows: Array, mean: Array, weights: Array | None, workers: Workers
) -> tuple[Array, Array]:
    """Return mean and standard deviation as exactly as float64 has them.

    Parameters
    ----------
    mean : about right. The mean of what is left is small, and so is what is lost of it.
    """
    for _ in range(2):
        mean = mean + _mean(rows - mean, weights, workers)[0]
    left = rows - mean
    unit = _mean(np.abs(left), weights, workers)[0]
    unit = np.where(unit > 0.0, unit, 1.0)  # in which squares are neither too small nor too large
    return mean, unit * np.sqrt(_mean(np.square(left / unit), weights, workers)[0])


def _mean(rows: Array, weights: Array | None, workers: Workers) -> tuple[Array, float]:
    """Return the mean (I,) of rows over all workers, and what they count."""
    counts = np.ones(len(rows)) if weights is None else weights
    sums = workers.mean(np.append(counts @ rows.astype(np.float64, copy=False), counts.sum()))
    return np.asarray(sums[:-1] / sums[-1]), float(sums[-1])
