"""Likelihood of counts: the negative binomial distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.losses.base import softplus
from simdrnn.losses.likelihood import FLOOR, Likelihood
from simdrnn.losses.special import first_integer, incomplete_beta, log1p_ratio, log_gamma_ratio
from simdrnn.validate import Array, array_of, as_array, as_positive_number

__all__ = ["NegativeBinomial"]

# A dispersion beyond is taken as this: its inverse has a square then.
_MOST_DISPERSION = 1e150

# Beyond that float64 does not hold all whole numbers, and the distribution has no sense.
_LARGEST_COUNT = 2.0**53


@dataclass(frozen=True)
class NegativeBinomial(Likelihood):
    """Counts whose variance is above their mean: ``mean + dispersion * mean**2``.

    Its two raw outputs a and b are the mean ``floor + softplus(a)`` and the dispersion
    ``floor + softplus(b)``. Targets are whole numbers, 0 or more, of the dtype of the raw outputs
    or of integers. With little dispersion it is near Poisson's distribution.

    Parameters
    ----------
    floor : in (0, 1], the least mean and the least dispersion.

    Notes
    -----
    Its size ``1 / dispersion`` is SciPy's n. Quantiles are the least whole numbers at which the
    distribution function reaches the level.

    References
    ----------
    Hilbe 2011, "Negative binomial regression", where it is NB2.

    Examples
    --------
    >>> likelihood = NegativeBinomial()
    >>> raw = np.array([[3.0, 0.5]])  # (B, 2)
    >>> round(likelihood.loss(raw, np.array([2])).value, 4)
    1.9564
    >>> likelihood.quantile(raw, [0.1, 0.5, 0.9])
    array([[0., 2., 8.]])
    """

    floor: float = FLOOR

    def __post_init__(self) -> None:
        """Check the arguments."""
        if as_positive_number("floor", self.floor) > 1.0:
            raise ValueError(f"floor: expected a number in (0, 1], got {self.floor}")

    @property
    def num_outputs(self) -> int:
        """K = 2."""
        return 2

    def parameters(self, raw: Array) -> dict[str, Array]:
        """Return ``"mean"`` and ``"dispersion"``, (...) in float64, for `raw` (..., 2)."""
        found = self._raw(raw)
        return {
            "mean": self.floor + softplus(found[..., 0])[0],
            "dispersion": self._dispersion(found)[0],
        }

    def mean(self, raw: Array) -> Array:
        """Return the expected value, (...) in the dtype of `raw` (..., 2)."""
        found = self._raw(raw)
        with np.errstate(over="ignore"):
            return self.parameters(found)["mean"].astype(found.dtype)

    def _dispersion(self, raw: Array) -> tuple[Array, Array]:
        """Return the dispersion and its slope for the second raw output."""
        above, slope = softplus(raw[..., 1])
        return np.minimum(self.floor + above, _MOST_DISPERSION), slope

    def _terms(self, raw: Array, target: Array) -> tuple[Array, Array]:
        mean, mean_slope = softplus(raw[..., 0])
        mean = self.floor + mean
        dispersion, dispersion_slope = self._dispersion(raw)
        size = 1.0 / dispersion
        ways, ways_slope = log_gamma_ratio(size, target)
        orders, _ = log_gamma_ratio(np.ones_like(target), target)
        stays = log1p_ratio(mean, size)  # minus the logarithm of size / (size + mean)
        terms = orders - ways + size * stays
        terms = terms + np.where(target > 0, target * log1p_ratio(size, mean), 0.0)
        d_mean = (1.0 - target / mean) / (1.0 + dispersion * mean)
        d_size = stays - ways_slope + (target - mean) / (size + mean)
        d_dispersion = -(size * d_size) * size
        slopes = [d_mean * mean_slope, d_dispersion * dispersion_slope]
        return terms, np.stack(slopes, axis=-1)

    def _quantile(self, parameters: dict[str, Array], level: float) -> Array:
        mean, dispersion = parameters["mean"], parameters["dispersion"]
        size = 1.0 / dispersion
        stays, goes = size / (size + mean), mean / (size + mean)

        def reached(count: Array) -> Array:
            below, above = incomplete_beta(size, count + 1.0, stays, goes)
            return np.asarray(below >= level if level < 0.5 else above <= 1.0 - level)

        high = np.ceil(mean + 1.0)
        while np.all(high < _LARGEST_COUNT):
            held = reached(high)
            if np.all(held):
                return first_integer(reached, high)
            high = np.where(held, high, 2.0 * high)
        raise ValueError("raw: expected quantiles below 2**53, got a larger one")

    def _sample(
        self, parameters: dict[str, Array], shape: tuple[int, ...], rng: np.random.Generator
    ) -> Array:
        mean, dispersion = parameters["mean"], parameters["dispersion"]
        with np.errstate(over="ignore"):
            rates = rng.gamma(1.0 / dispersion, 1.0, shape) * (dispersion * mean)
        if not np.all(rates < _LARGEST_COUNT):
            raise ValueError("raw: expected counts below 2**53, drew a larger one")
        drawn: Array = rng.poisson(rates)
        return drawn.astype(np.float64)

    def _target(self, target: Array, dtype: np.dtype[Any]) -> Array:
        found = array_of("target", target, "an array of counts")
        return found if found.dtype.kind in "iu" else as_array("target", target, dtype)

    def _refused(self, target: Array) -> str | None:
        counts = (target >= 0) & (target < _LARGEST_COUNT) & (target == np.floor(target))
        return None if counts.all() else "whole numbers, 0 or more and below 2**53,"
