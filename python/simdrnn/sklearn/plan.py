"""What goes into a forecaster's network at every step, and what comes out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.series import Panel
from simdrnn.spec.parameters import check_memory
from simdrnn.validate import Array, as_count, as_positive, check_choice

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes in and out at every step.

    After step t of the (differenced, scaled) series z, the network is given z[t + 1 - lag] for
    every lag, the features of the steps t + 1 to t + chunk, past covariates of step t and what is
    static; and it tells z[t + 1] to z[t + chunk], or of each several numbers.

    Attributes
    ----------
    lags : 1 is the last known step.
    chunk : steps told at once.
    difference : how many times differences are taken.
    targets, features : C and F.
    horizon : steps of a forecast unless others are asked for.
    past, static : covariates that are known up to now, and those that never change.
    missing : whether targets may be missing. They go in as 0, and beside every number of a target
        then stands one more: whether it is missing.
    numbers : that are told of every target and step.
    from_now : whether what is told of a step ahead is how far it is from where the series would be
        then without further changes, instead of its own difference: sums of quantiles of
        differences are no quantiles of sums.
    """

    lags: tuple[int, ...]
    chunk: int
    difference: int
    targets: int
    features: int
    horizon: int
    past: int = 0
    static: int = 0
    missing: bool = False
    numbers: int = 1
    from_now: bool = False

    @classmethod
    def of(
        cls, estimator: Any, panel: Panel, *, missing: bool, numbers: int = 1, certain: bool = True
    ) -> Plan:
        """Check the arguments of a forecaster of such series."""
        horizon = as_positive("horizon", estimator.horizon)
        check_choice("strategy", estimator.strategy, ("recursive", "direct"))
        lags = estimator.lags
        if isinstance(lags, Integral):
            count = as_positive("lags", lags)
            check_memory(count, lags=count)
            chosen = tuple(range(1, count + 1))
        elif _has_some(lags):
            chosen = tuple(as_positive(f"lags[{k}]", lag) for k, lag in enumerate(lags))
        else:
            raise TypeError(f"lags: expected a positive integer or a list of such, got {lags!r}")
        if len(set(chosen)) < len(chosen):
            raise ValueError(f"lags: expected each lag once, got {lags!r}")
        chunk = horizon if estimator.strategy == "direct" else 1
        difference = as_count("difference", estimator.difference)
        if panel.past is not None and chunk != horizon:
            raise ValueError(
                "past: expected strategy='direct' with covariates that are known up to now alone, "
                f"or horizon=1, got strategy={estimator.strategy!r} and horizon={horizon}"
            )
        return cls(
            chosen, chunk, difference, panel.targets, panel.count("features"), horizon,
            panel.count("past"), panel.count("static"), missing, numbers,
            not certain and chunk > 1 and difference > 0,
        )  # fmt: skip

    @property
    def inputs(self) -> int:
        """I of the network."""
        seen = self.targets * (2 if self.missing else 1)
        return len(self.lags) * seen + self.chunk * self.features + self.past + self.static

    @property
    def outputs(self) -> int:
        """O of the network."""
        return self.chunk * self.targets * self.numbers

    @property
    def least_history(self) -> int:
        """Steps that have to be known before the first forecast."""
        return self.difference + max(self.lags)

    def differenced(self, values: Array) -> Array:
        """Return the differences of (T, C) that are modelled: (T - difference, C)."""
        return np.diff(values, n=self.difference, axis=0)

    def integrated(self, history: Array, forecast: Array) -> Array:
        """Undo `differenced` for what follows `history` (T, C): (h, C) -> (h, C)."""
        for order in reversed(range(self.difference)):
            last = np.diff(history, n=order, axis=0)[-1]
            forecast = last + np.cumsum(forecast, axis=0)
        return forecast

    def seen(self, values: Array, scaling: Scaling, dtype: np.dtype[Any]) -> Array:
        """Return (T, C) as the network sees it: (T - difference, C), with `missing` (.., 2 C)."""
        changes = self.differenced(values)
        if not self.missing:
            return scaling.apply("y", changes, dtype)
        gone = np.isnan(changes)
        z = scaling.apply("y", np.where(gone, scaling.mean, changes), dtype)
        return np.concatenate([z, gone.astype(dtype)], axis=1)

    def told(self, seen: Array) -> Array:
        """Return of what is seen the targets, NaN where they are missing."""
        if not self.missing:
            return seen
        return np.where(seen[:, self.targets :] > 0, np.nan, seen[:, : self.targets])

    def input_rows(
        self,
        z: Array,
        x: Array | None,
        first: int,
        count: int,
        past: Array | None = None,
        static: Array | None = None,
    ) -> Array:
        """Return what the network is given after steps `first` and the next: (..., count, I).

        Parameters
        ----------
        z : (..., T, C), or twice as wide, from `seen`.
        x : (..., T', F), up to step ``first + count - 1 + chunk`` at least; None is no features.
        past : (..., T', P), up to step ``first + count - 1``.
        static : (..., S).
        """
        parts = [z[..., first + 1 - lag : first + 1 - lag + count, :] for lag in self.lags]
        if x is not None:
            ahead = range(first + 1, first + 1 + self.chunk)
            parts += [x[..., start : start + count, :] for start in ahead]
        if past is not None:
            parts.append(past[..., first : first + count, :])
        if static is not None:
            shape = (*static.shape[:-1], count, static.shape[-1])
            parts.append(np.broadcast_to(static[..., None, :], shape))
        return np.concatenate(parts, axis=-1)

    def level_rows(self, values: Array, scaling: Scaling, first: int, count: int) -> Array:
        """Return what `from_now` means after steps `first` and the next: (count, O).

        Parameters
        ----------
        values : (T, C), in units of their own; not differenced.
        """
        start = first + self.difference
        changes = [np.diff(values, n=order, axis=0) for order in range(self.difference)]
        now = [own[start - order : start - order + count] for order, own in enumerate(changes)]
        parts = []
        for ahead in range(1, self.chunk + 1):
            offset = self._unchanged(now, scaling, ahead)
            error = values[start + ahead : start + ahead + count] - offset
            parts.append(np.where(scaling.constant, 0.0 * error, error / scaling.scale))
        return np.concatenate(parts, axis=-1)

    def levels(self, values: Array, scaling: Scaling, block: Array) -> Array:
        """Undo `level_rows` after the end of `values` (T, C): (h, C, ...), h up to chunk, alike."""
        changes = [np.diff(values, n=order, axis=0) for order in range(self.difference)]
        behind = (1,) * (block.ndim - 2)
        made = []
        for ahead, own in enumerate(block.astype(np.float64), 1):
            offset = self._unchanged([change[-1] for change in changes], scaling, ahead)
            shape = (*offset.shape, *behind)
            error = own * scaling.scale.reshape(shape)
            constant = scaling.constant.reshape(shape)
            made.append(offset.reshape(shape) + np.where(constant, 0.0, error))
        return np.stack(made)

    def _unchanged(self, now: Sequence[Array], scaling: Scaling, ahead: int) -> Array:
        """Return where a series is so many steps ahead if its differences are their mean from now.

        Parameters
        ----------
        now : (..., C), the last value, the last change, and so on, for each order of differences.
        """
        mean = math.comb(ahead + self.difference - 1, self.difference) * scaling.mean
        return np.asarray(
            sum((math.comb(ahead + k - 1, k) * own for k, own in enumerate(now)), mean)
        )

    def target_rows(self, z: Array, first: int, count: int) -> Array:
        """Return what the network is to tell after steps `first` and the next: (count, O)."""
        ahead = range(first + 1, first + 1 + self.chunk)
        return np.concatenate([z[start : start + count] for start in ahead], axis=-1)


def _has_some(value: object) -> bool:
    """Tell whether something is a list or an array of one value or more."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0 and len(value) > 0
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and len(value) > 0
