"""What likelihoods share: distributions whose parameters are a network's raw outputs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from simdrnn.losses.base import Loss, Weighing, as_levels, mean_loss
from simdrnn.spec.parameters import check_memory
from simdrnn.training.trainable import as_floats
from simdrnn.validate import Array, as_array, as_count, as_positive

__all__ = ["FLOOR", "Likelihood", "location_and_scale"]

# What is added to positive parameters: likelihoods of numbers that a network can name exactly
# would grow without bound otherwise. A ten-thousandth of a standardised target's spread.
FLOOR = 1e-4


class Likelihood(ABC):
    """A distribution of a number, given by `num_outputs` raw outputs of a network.

    Raw outputs are any finite numbers, (..., K) for targets (...). A head for O targets is a
    ``sr.Linear(hidden, O * K)`` whose output (T, B, O * K) is reshaped to (T, B, O, K); for one
    target per step (T, B, K) goes with targets (T, B).

    Attributes
    ----------
    num_outputs : K, how many raw outputs a target has.
    """

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """K, how many raw outputs a target has."""

    @abstractmethod
    def parameters(self, raw: Array) -> dict[str, Array]:
        """Return the distribution's parameters for `raw` (..., K) by name: (...), float64."""

    @abstractmethod
    def mean(self, raw: Array) -> Array:
        """Return the expected value, (...) in the dtype of `raw` (..., K)."""

    @abstractmethod
    def _terms(self, raw: Array, target: Array) -> tuple[Array, Array]:
        """Return negative log-likelihoods (...) and their slopes (..., K), all in float64."""

    @abstractmethod
    def _quantile(self, parameters: dict[str, Array], level: float) -> Array:
        """Return the quantile of one level, (...) in float64."""

    @abstractmethod
    def _sample(
        self, parameters: dict[str, Array], shape: tuple[int, ...], rng: np.random.Generator
    ) -> Array:
        """Return draws of that shape, which ends as the parameters' shapes."""

    def loss(
        self, raw: Array, target: Array, *, mask: Array | None = None, weights: Array | None = None
    ) -> Loss:
        """Return the mean negative log-likelihood of `target`, in nats.

        Parameters
        ----------
        raw : (..., K), float32 or float64.
        target : (...), the dtype of `raw`.
        mask : bool, the shape of `target` or its leading dimensions, say (T, B) for (T, B, O); True
            where the position is real; None is all of them.
        weights : floats, 0 or more, shaped as `mask` may be: the mean is weighted by them.

        Returns
        -------
        A `Loss`; its ``backward()`` has the shape and dtype of `raw`.

        Raises
        ------
        TypeError, ValueError : an argument is of another type, shape or range.
        """
        found = self._raw(raw)
        wanted = self._target(target, found.dtype)
        if wanted.shape != found.shape[:-1]:
            raise ValueError(f"target: expected shape {found.shape[:-1]}, got {wanted.shape}")
        weighing = Weighing.of(wanted.shape, mask, weights)
        # What does not count may be anything, and is in nobody's way as zeros.
        counts = weighing.counts
        given = np.where(counts, wanted, 0).astype(np.float64)
        expected = self._refused(given)
        if expected is not None:
            raise ValueError(f"target: expected {expected} at real positions")
        numbers = np.where(counts[..., np.newaxis], found, 0).astype(np.float64)
        with np.errstate(all="ignore"):
            terms, slopes = self._terms(numbers, given)
        return mean_loss(weighing, terms, slopes, found.dtype)

    def quantile(self, raw: Array, quantiles: object) -> Array:
        """Return quantiles of the distributions.

        Parameters
        ----------
        raw : (..., K), float32 or float64.
        quantiles : (Q,), numbers in (0, 1).

        Returns
        -------
        (..., Q) in the dtype of `raw`.
        """
        found, levels = self._raw(raw), as_levels("quantiles", quantiles)
        parameters = self.parameters(found)
        each = [self._quantile(parameters, float(level)) for level in levels]
        with np.errstate(over="ignore"):
            return np.stack(each, axis=-1).astype(found.dtype)

    def sample(self, raw: Array, n: int, *, seed: int | np.random.Generator | None = None) -> Array:
        """Return `n` independent draws from each distribution.

        Parameters
        ----------
        raw : (..., K), float32 or float64.
        n : how many.
        seed : non-negative integer for the same draws again, a generator of NumPy to go on from, or
            None for other draws every time.

        Returns
        -------
        (n, ...) in the dtype of `raw`.
        """
        found, count = self._raw(raw), as_positive("n", n)
        check_memory(count * math.prod(found.shape[:-1]), n=count)
        if not isinstance(seed, np.random.Generator):
            seed = np.random.default_rng(None if seed is None else as_count("seed", seed))
        drawn = self._sample(self.parameters(found), (count, *found.shape[:-1]), seed)
        with np.errstate(over="ignore"):
            return drawn.astype(found.dtype)

    def _raw(self, raw: Array) -> Array:
        """Return raw outputs if they are of a shape that this likelihood has."""
        found, wanted = as_floats("raw", raw), self.num_outputs
        if found.ndim == 0 or found.shape[-1] != wanted:
            raise ValueError(f"raw: expected shape (..., K) = (..., {wanted}), got {found.shape}")
        return found

    def _target(self, target: Array, dtype: np.dtype[Any]) -> Array:
        """Return targets of a type that this likelihood takes."""
        return as_array("target", target, dtype)

    def _refused(self, target: Array) -> str | None:
        """Say what was expected of targets that this distribution cannot have."""
        return None


def location_and_scale(target: Array, location: Array, scale: Array) -> tuple[Array, Array]:
    """Return ``(target - location) / scale`` and the logarithm of its size.

    Halves are subtracted, so that no difference of finite numbers overflows.
    """
    difference = 0.5 * target - 0.5 * location
    return difference / (0.5 * scale), np.log(np.abs(difference)) - np.log(0.5 * scale)
