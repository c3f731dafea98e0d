"""Likelihoods of real numbers: Gaussian and Student's t."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simdrnn.losses.base import softplus
from simdrnn.losses.likelihood import FLOOR, Likelihood, location_and_scale
from simdrnn.losses.special import log_gamma_ratio, solve, student_t_tail
from simdrnn.validate import Array, as_positive_number

__all__ = ["Gaussian", "StudentT"]

# From there on, Student's t is taken as with so many degrees of freedom where quantiles are asked
# for: what it differs from the Gaussian is beyond float32.
_MOST_DEGREES = 1e8


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """The normal distribution, with a standard deviation that the network says, too.

    Its two raw outputs a and b are the mean ``a`` and the standard deviation
    ``floor + softplus(b)``.

    Parameters
    ----------
    floor : above 0, the least standard deviation.

    Examples
    --------
    >>> likelihood = Gaussian()
    >>> raw = np.array([[1.0, 0.5]])  # (B, 2)
    >>> loss = likelihood.loss(raw, np.array([2.0]))
    >>> round(loss.value, 4), loss.backward().round(4)
    (1.4196, array([[-1.0537, -0.0343]]))
    >>> likelihood.quantile(raw, [0.1, 0.5, 0.9]).round(3)
    array([[-0.248,  1.   ,  2.248]])
    """

    floor: float = FLOOR

    def __post_init__(self) -> None:
        """Check the arguments."""
        as_positive_number("floor", self.floor)

    @property
    def num_outputs(self) -> int:
        """K = 2."""
        return 2

    def parameters(self, raw: Array) -> dict[str, Array]:
        """Return ``"mean"`` and ``"scale"``, (...) in float64, for `raw` (..., 2)."""
        found = self._raw(raw)
        scale = self.floor + softplus(found[..., 1])[0]
        return {"mean": found[..., 0].astype(np.float64), "scale": scale}

    def mean(self, raw: Array) -> Array:
        """Return the expected value, (...) in the dtype of `raw` (..., 2)."""
        return self._raw(raw)[..., 0].copy()

    def _terms(self, raw: Array, target: Array) -> tuple[Array, Array]:
        spread, slope = softplus(raw[..., 1])
        scale = self.floor + spread
        z, _ = location_and_scale(target, raw[..., 0], scale)
        terms = 0.5 * math.log(2.0 * math.pi) + np.log(scale) + 0.5 * z * z
        d_scale = np.where(slope > 0, (1.0 - z * z) * (slope / scale), 0.0)
        return terms, np.stack([-z / scale, d_scale], axis=-1)

    def _quantile(self, parameters: dict[str, Array], level: float) -> Array:
        return parameters["mean"] + parameters["scale"] * _normal_quantile(level)

    def _sample(
        self, parameters: dict[str, Array], shape: tuple[int, ...], rng: np.random.Generator
    ) -> Array:
        drawn = rng.standard_normal(shape)
        return np.asarray(parameters["mean"] + parameters["scale"] * drawn)


@dataclass(frozen=True)
class StudentT(Likelihood):
    """Student's t distribution: as the Gaussian, but a number far out is no surprise.

    Its three raw outputs a, b and c are the location ``a``, the scale ``floor + softplus(b)`` and
    the degrees of freedom ``2 + softplus(c)``; with fixed `degrees` there are but the first two.

    Parameters
    ----------
    degrees : the degrees of freedom, above 1, or None to learn them.
    floor : above 0, the least scale.

    Notes
    -----
    The standard deviation is ``scale * sqrt(degrees / (degrees - 2))``. Quantiles are solved
    for on the exact distribution function, with at most 1e8 degrees of freedom.

    References
    ----------
    Lange, Little and Taylor 1989, "Robust statistical modeling using the t distribution".

    Examples
    --------
    >>> likelihood = StudentT(degrees=4.0)
    >>> raw = np.array([[1.0, 0.5]])  # (B, 2)
    >>> round(likelihood.loss(raw, np.array([30.0])).value, 4)
    14.4675
    >>> likelihood.quantile(raw, [0.1, 0.5, 0.9]).round(3)
    array([[-0.494,  1.   ,  2.494]])
    """

    degrees: float | None = None
    floor: float = FLOOR

    def __post_init__(self) -> None:
        """Check the arguments."""
        as_positive_number("floor", self.floor)
        if self.degrees is not None and as_positive_number("degrees", self.degrees) <= 1.0:
            raise ValueError(f"degrees: expected a number above 1, got {self.degrees}")

    @property
    def num_outputs(self) -> int:
        """K, 3 or, with fixed degrees of freedom, 2."""
        return 3 if self.degrees is None else 2

    def parameters(self, raw: Array) -> dict[str, Array]:
        """Return ``"location"``, ``"scale"`` and ``"degrees"``, (...), for `raw` (..., K)."""
        found = self._raw(raw)
        return {
            "location": found[..., 0].astype(np.float64),
            "scale": self.floor + softplus(found[..., 1])[0],
            "degrees": self._degrees(found)[0],
        }

    def mean(self, raw: Array) -> Array:
        """Return the expected value, (...) in the dtype of `raw` (..., K)."""
        return self._raw(raw)[..., 0].copy()

    def _degrees(self, raw: Array) -> tuple[Array, Array]:
        """Return the degrees of freedom and their slope for the third raw output."""
        if self.degrees is not None:
            return np.full(raw.shape[:-1], float(self.degrees)), np.zeros(raw.shape[:-1])
        above, slope = softplus(raw[..., 2])
        return 2.0 + above, slope

    def _terms(self, raw: Array, target: Array) -> tuple[Array, Array]:
        spread, spread_slope = softplus(raw[..., 1])
        scale = self.floor + spread
        degrees, degrees_slope = self._degrees(raw)
        z, log_size = location_and_scale(target, raw[..., 0], scale)
        ratio, ratio_slope = log_gamma_ratio(0.5 * degrees, np.full_like(degrees, 0.5))
        far = z * z / degrees
        far_out = np.where(np.isfinite(far), np.log1p(far), 2.0 * log_size - np.log(degrees))
        share = np.where(far > 1.0, 1.0 / (1.0 + 1.0 / far), far / (1.0 + far))
        terms = np.log(scale) + 0.5 * np.log(math.pi * degrees) - ratio
        terms = terms + 0.5 * (degrees + 1.0) * far_out
        d_z = (degrees + 1.0) / (degrees / z + z)
        slopes = [-d_z / scale, (1.0 - (degrees + 1.0) * share) * (spread_slope / scale)]
        if self.degrees is None:
            each = 1.0 / degrees - ratio_slope + far_out - share * ((degrees + 1.0) / degrees)
            slopes.append(0.5 * each * degrees_slope)
        return terms, np.stack(slopes, axis=-1)

    def _quantile(self, parameters: dict[str, Array], level: float) -> Array:
        location, scale = parameters["location"], parameters["scale"]
        tail = min(level, 1.0 - level)
        if tail == 0.5:
            return location
        degrees = np.minimum(parameters["degrees"], _MOST_DEGREES)
        side = 1.0 if level > 0.5 else -1.0
        return np.asarray(location + side * scale * _upper_quantile(tail, degrees))

    def _sample(
        self, parameters: dict[str, Array], shape: tuple[int, ...], rng: np.random.Generator
    ) -> Array:
        drawn = rng.standard_t(parameters["degrees"], shape)
        return np.asarray(parameters["location"] + parameters["scale"] * drawn)


def _normal_quantile(level: float) -> float:
    """Return the quantile of the standard normal distribution."""
    from statistics import NormalDist  # brings modules that nothing else needs

    return NormalDist().inv_cdf(level)


def _upper_quantile(tail: float, degrees: Array) -> Array:
    """Return what Student's t is above with probability `tail`, which is below one half.

    It lies between those of the Gaussian and, since there is more than one degree, of Cauchy.
    """

    def excess(z: Array) -> tuple[Array, Array]:
        above = student_t_tail(z, degrees)
        ratio = log_gamma_ratio(0.5 * degrees, half)[0] - 0.5 * np.log(math.pi * degrees)
        density = np.exp(ratio - 0.5 * (degrees + 1.0) * np.log1p(z * z / degrees))
        return np.log(above) - math.log(tail), -density / above

    half = np.full_like(degrees, 0.5)
    low = np.full_like(degrees, -_normal_quantile(tail))
    high = np.full_like(degrees, 1.0 / math.tan(math.pi * tail))
    guess = low + (low**3 + low) / (4.0 * degrees)  # the first term of an expansion
    return solve(excess, 0.999 * low, high, np.minimum(guess, high))
