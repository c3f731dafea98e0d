"""What a forecaster's network tells of every target: a number, quantiles, or a distribution.

All are in units of the scaled series, in which a block of what is told is (..., numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from simdrnn import losses
from simdrnn.losses import Likelihood, Loss
from simdrnn.sklearn.objectives import (
    Objective,
    squared_error_of_counted,
    squared_error_of_known,
    squared_error_of_steps,
)
from simdrnn.sklearn.plan import Plan
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.series import Panel
from simdrnn.validate import Array, as_reals

__all__ = ["Telling", "as_levels", "telling_of"]

_LIKELIHOODS: dict[str, Callable[[], Likelihood]] = {
    "gaussian": lambda: losses.Gaussian(),
    "student_t": lambda: losses.StudentT(),
    "negative_binomial": lambda: losses.NegativeBinomial(),
}


class Telling(Protocol):
    """How outputs of a network are understood.

    Attributes
    ----------
    numbers : that are told of every target and step.
    certain : whether one number is told, with nothing about how sure it is.
    levels : of the quantiles that are told, ascending; None where any may be asked for.
    whole : whether values are whole numbers.
    """

    numbers: int
    certain: bool
    levels: Array | None
    whole: bool

    def objective(self, plan: Plan) -> Objective:
        """Return what is minimised."""
        ...

    def point(self, block: Array) -> Array:
        """Return one number for each target, (...)."""
        ...

    def quantiles(self, block: Array, levels: Array) -> Array:
        """Return quantiles (..., Q), which ascend as the levels do."""
        ...

    def draw(self, block: Array, rng: np.random.Generator) -> Array:
        """Return a value that may come, (...)."""
        ...

    def fitted_to(self, panel: Panel, scaling: Scaling | None) -> None:
        """Look at the series `y` of `fit`, and how they are scaled."""
        ...


def as_levels(name: str, value: Any) -> Array:
    """Return levels of quantiles, (Q,) float64 in (0, 1), each once."""
    try:
        levels = as_reals(name, value, "a list of numbers in (0, 1)")
    except TypeError as error:
        raise ValueError(str(error)) from error
    if levels.ndim != 1 or not levels.size or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"{name}: expected a list of numbers in (0, 1), got {value!r}")
    if len(np.unique(levels)) < len(levels):
        raise ValueError(f"{name}: expected each level once, got {value!r}")
    return levels


def telling_of(estimator: Any) -> Telling:
    """Check the arguments `quantiles` and `likelihood` of a forecaster."""
    quantiles, likelihood = estimator.quantiles, estimator.likelihood
    if quantiles is not None and likelihood is not None:
        raise ValueError(
            f"likelihood: expected None with quantiles, which are told instead, got {likelihood!r}"
        )
    if quantiles is not None:
        levels = as_levels("quantiles", quantiles)
        if not levels.min() <= 0.5 <= levels.max():
            raise ValueError(
                "quantiles: expected 0.5 or levels on both sides of it, since predict returns the "
                f"median, got {quantiles!r}"
            )
        return Quantiles(np.sort(levels))
    if likelihood is None:
        return Number()
    if isinstance(likelihood, Likelihood):
        made = likelihood
    elif isinstance(likelihood, str) and likelihood in _LIKELIHOODS:
        made = _LIKELIHOODS[likelihood]()
    else:
        names = ", ".join(map(repr, _LIKELIHOODS))
        raise ValueError(
            f"likelihood: expected one of {names}, a likelihood of simdrnn.losses or None, "
            f"got {likelihood!r}"
        )
    if isinstance(made, losses.NegativeBinomial):
        if estimator.difference or estimator.standardize == "series":
            raise ValueError(
                "likelihood: expected difference=0 and standardize=True or False with counts, got "
                f"difference={estimator.difference!r} and standardize={estimator.standardize!r}"
            )
        return Counts(made)
    return Distribution(made)


class Number:
    """One number, by the squared error."""

    numbers, certain, whole = 1, True, False
    levels: Array | None = None

    def objective(self, plan: Plan) -> Objective:
        """Return the squared error."""
        alike = squared_error_of_known if plan.missing else squared_error_of_steps

        def squared(found: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
            if weights is not None and weights.ndim > 1:
                return squared_error_of_counted(found, targets, weights)
            return alike(found, targets, weights)

        return squared

    def point(self, block: Array) -> Array:
        """Return the number."""
        return np.asarray(block[..., 0])

    def quantiles(self, block: Array, levels: Array) -> Array:
        """Refuse."""
        raise _uncertain()

    def draw(self, block: Array, rng: np.random.Generator) -> Array:
        """Refuse."""
        raise _uncertain()

    def fitted_to(self, panel: Panel, scaling: Scaling | None) -> None:
        """Do nothing."""


def _uncertain() -> ValueError:
    return ValueError(
        "expected a forecaster that was fitted with quantiles= or likelihood=; one number, by the "
        "squared error, does not say how sure it is"
    )


class _Uncertain:
    """What is told with how sure it is, by a loss of `simdrnn.losses`."""

    certain, whole = False, False
    levels: Array | None = None
    numbers: int

    def objective(self, plan: Plan) -> Objective:
        """Return the mean loss over targets that are known."""

        def of_known(outputs: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
            mask = np.isfinite(targets)
            weighted = weights is not None and weights.ndim > 1
            if weights is not None and weighted:
                mask = weights > 0
            elif weights is not None:  # lengths they are
                mask &= (np.arange(len(targets))[:, None] < weights)[:, :, None]
            shape = (*targets.shape[:2], plan.chunk, plan.targets)
            known = np.where(mask, targets, targets.dtype.type(0)).reshape(shape)
            block = outputs.reshape(*shape, self.numbers)
            each = weights.reshape(shape) if weights is not None and weighted else None
            loss = self._loss(block, known, mask.reshape(shape), each)
            return loss.value, loss.backward().reshape(outputs.shape)

        return of_known

    def _loss(self, block: Array, targets: Array, mask: Array, weights: Array | None) -> Loss:
        raise NotImplementedError

    def fitted_to(self, panel: Panel, scaling: Scaling | None) -> None:
        """Do nothing."""


class Quantiles(_Uncertain):
    """Quantiles, by the pinball loss.

    They never cross: those of a step are brought into ascending order, which never makes the loss
    larger (V. Chernozhukov, I. Fernandez-Val, A. Galichon 2010, "Quantile and probability curves
    without crossing"). Between them lies a straight line, beyond the outermost an exponential tail
    that begins with the density beside it.
    """

    def __init__(self, levels: Array) -> None:
        self.levels = self._known = levels
        self.numbers = len(levels)

    def _loss(self, block: Array, targets: Array, mask: Array, weights: Array | None) -> Loss:
        return losses.quantile(block, targets, self._known, mask=mask, weights=weights)

    def point(self, block: Array) -> Array:
        """Return the median."""
        return np.asarray(self.quantiles(block, np.array([0.5]))[..., 0])

    def quantiles(self, block: Array, levels: Array) -> Array:
        """Return quantiles between the outermost."""
        ordered, known = np.sort(block, axis=-1), self._known
        if len(known) == 1:
            return ordered
        after = np.clip(np.searchsorted(known, levels, side="left"), 1, len(known) - 1)
        share = (levels - known[after - 1]) / (known[after] - known[after - 1])
        share = share.astype(block.dtype)
        low, high = ordered[..., after - 1], ordered[..., after]
        return np.asarray(np.where(share == 1, high, low + share * (high - low)))

    def draw(self, block: Array, rng: np.random.Generator) -> Array:
        """Return the quantile of a level that is drawn."""
        known = self._known
        if len(known) == 1:
            raise ValueError("quantiles: expected two levels or more to draw from, got one")
        ordered, rank = np.sort(block, axis=-1), rng.random(block.shape[:-1])
        after = np.clip(np.searchsorted(known, rank), 1, len(known) - 1)
        low = np.take_along_axis(ordered, after[..., None] - 1, axis=-1)[..., 0]
        high = np.take_along_axis(ordered, after[..., None], axis=-1)[..., 0]
        slope = (high - low) / (known[after] - known[after - 1])
        found = low + slope * (rank - known[after - 1])
        first, last = known[0], known[-1]
        below = low + slope * first * np.log(np.maximum(rank, 1e-300) / first)
        above = high - slope * (1.0 - last) * np.log((1.0 - rank) / (1.0 - last))
        found = np.where(rank < first, below, np.where(rank > last, above, found))
        return np.asarray(found.astype(block.dtype))


class Distribution(_Uncertain):
    """A distribution of a number, by its likelihood."""

    def __init__(self, likelihood: Likelihood) -> None:
        self.likelihood, self.numbers = likelihood, likelihood.num_outputs

    def _loss(self, block: Array, targets: Array, mask: Array, weights: Array | None) -> Loss:
        return self.likelihood.loss(block, targets, mask=mask, weights=weights)

    def point(self, block: Array) -> Array:
        """Return the expected value."""
        return self.likelihood.mean(block)

    def quantiles(self, block: Array, levels: Array) -> Array:
        """Return quantiles of the distribution."""
        order = np.argsort(levels)
        found = self.likelihood.quantile(block, levels[order])
        # Solved for one by one, two near ones might differ by rounding the wrong way.
        ascending = np.maximum.accumulate(found, axis=-1)
        return np.asarray(ascending[..., np.argsort(order)])

    def draw(self, block: Array, rng: np.random.Generator) -> Array:
        """Return a draw."""
        return np.asarray(self.likelihood.sample(block, 1, seed=rng)[0])


class Counts(Distribution):
    """A distribution of counts, whose mean is told in units of the scaled series."""

    whole = True
    scaling: Scaling

    def fitted_to(self, panel: Panel, scaling: Scaling | None) -> None:
        """Take note of how targets are scaled; raise unless all that is known are counts."""
        for index, values in enumerate(panel.values):
            known = values[np.isfinite(values)]
            if not ((known >= 0) & (known == np.floor(known))).all():
                raise ValueError(
                    f"{panel.called('y', index)}: expected whole numbers, 0 or more, with "
                    f"likelihood={self.likelihood!r}, got others"
                )
        assert scaling is not None  # as `telling_of` has seen to
        self.scaling = scaling

    def point(self, block: Array) -> Array:
        """Return the expected value."""
        return self._scaled(self.likelihood.mean(self._raw(block)), block)

    def quantiles(self, block: Array, levels: Array) -> Array:
        """Return quantiles, which are counts up to rounding."""
        found = np.moveaxis(super().quantiles(self._raw(block), levels), -1, 0)
        return np.moveaxis(self._scaled(found, block), 0, -1)

    def draw(self, block: Array, rng: np.random.Generator) -> Array:
        """Return a draw, which is a count up to rounding."""
        return self._scaled(super().draw(self._raw(block), rng), block)

    def _raw(self, block: Array) -> Array:
        """Return what the likelihood takes: the mean in counts."""
        raw = block.astype(np.float64)
        raw[..., 0] = raw[..., 0] * self.scaling.scale + self.scaling.mean
        return raw

    def _scaled(self, counts: Array, block: Array) -> Array:
        return np.asarray(((counts - self.scaling.mean) / self.scaling.scale).astype(block.dtype))

    def _loss(self, block: Array, targets: Array, mask: Array, weights: Array | None) -> Loss:
        counts = np.where(mask, np.rint(targets * self.scaling.scale + self.scaling.mean), 0.0)
        loss = self.likelihood.loss(self._raw(block), counts, mask=mask, weights=weights)

        def gradient(d_value: float) -> Array:
            found = loss.backward(d_value)
            found[..., 0] *= self.scaling.scale
            return np.asarray(found.astype(block.dtype))

        return Loss(loss.value, gradient)
