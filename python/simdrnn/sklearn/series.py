"""Time series as forecasters have them: values, features and covariates of several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrnn.sklearn.carried import Names
from simdrnn.validate import Array

__all__ = ["Form", "Panel"]


@dataclass(frozen=True, slots=True)
class Form:
    """How series were given, and how forecasts are returned.

    Attributes
    ----------
    many : whether it was several series.
    flat : whether a step was one number, without an axis of its own.
    names : of the targets, if series came as data frames.
    """

    many: bool
    flat: bool
    names: Names = None

    def shape(self, values: Array) -> Array:
        """Return (N, h, C) in this form: (N, h, C), (N, h), (h, C) or (h,)."""
        values = values[:, :, 0] if self.flat else values
        return values if self.many else values[0]


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """N series.

    Attributes
    ----------
    values : arrays (T_i, C) float64, NaN where missing.
    features : arrays (T_i, F) float64, known also for the steps to come; or None.
    form : how they were given.
    past : arrays (T_i, P) float64, known up to now; or None.
    static : (N, S) float64; or None.
    weights : arrays (T_i,) float64, what it counts that each step is told rightly; None is 1 each.
    """

    values: list[Array]
    features: list[Array] | None
    form: Form
    past: list[Array] | None = None
    static: Array | None = None
    weights: list[Array] | None = None

    @property
    def targets(self) -> int:
        """C."""
        return int(self.values[0].shape[1])

    @property
    def missing(self) -> bool:
        """Whether targets are missing."""
        return any(bool(np.isnan(value).any()) for value in self.values)

    @property
    def weights_of_series(self) -> Array | None:
        """(N,), what the steps of each series count on average, of those that count; or None."""
        if self.weights is None:
            return None
        return np.array([own[own > 0].mean() if own.any() else 0.0 for own in self.weights])

    def count(self, name: str) -> int:
        """F of ``"features"``, P of ``"past"``, S of ``"static"``; 0 where there are none."""
        own = getattr(self, name)
        return 0 if own is None else int(own[0].shape[-1])

    def called(self, name: str, index: int) -> str:
        """Return how messages call what belongs to a series."""
        return f"{name}[{index}]" if self.form.many else name

    def check_steps(self, name: str, least: int) -> None:
        """Raise unless every series has at least so many steps."""
        for index, value in enumerate(self.values):
            if len(value) < least:
                raise ValueError(
                    f"{self.called(name, index)}: expected at least {least} steps, for lags, "
                    f"difference and horizon together, got n_samples={len(value)}"
                )

    def check_weights(self, first: int) -> None:
        """Raise unless a step counts that can be told: none of the `first` steps of a series."""
        if self.weights is not None and not any(own[first:].any() for own in self.weights):
            raise ValueError(
                f"sample_weight: expected a weight above zero after the first {first} steps of a "
                "series, which lags and differences need before a step is told, got only zeros"
            )

    def check_rows(self, values: str, covariates: str, rows: list[Array] | None) -> None:
        """Raise unless covariates have as many steps as values.

        Parameters
        ----------
        values, covariates : names of the arguments, for messages.
        """
        for index, own in enumerate(rows or []):
            steps = len(self.values[index])
            if len(own) != steps:
                raise ValueError(
                    f"{self.called(covariates, index)}: expected features of {steps} steps, as "
                    f"many as {self.called(values, index)} has, got {len(own)}"
                )

    def check_ends(self, name: str, difference: int) -> None:
        """Raise if the last steps are missing that differences of forecasts are added to."""
        for index, value in enumerate(self.values):
            if difference and np.isnan(value[-difference:]).any():
                raise ValueError(
                    f"{self.called(name, index)}: expected the last {difference} steps to be "
                    f"known with difference={difference}, since forecasts are changes from "
                    "there; got missing ones"
                )

    def tail(self, steps: int) -> Panel:
        """Return copies of the last `steps` of every series, or of what there is."""

        def ends(arrays: list[Array] | None) -> list[Array] | None:
            return None if arrays is None else [value[-steps:].copy() for value in arrays]

        static = None if self.static is None else self.static.copy()
        return Panel(
            [value[-steps:].copy() for value in self.values], ends(self.features), self.form,
            ends(self.past), static,
        )  # fmt: skip
