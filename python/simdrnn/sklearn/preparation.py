"""What is done to series before a network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.sklearn.plan import Plan
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.series import Panel
from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array

__all__ = ["Preparation", "Prepared"]

# Covariates of a panel -> the arguments that they came as, in messages.
_ARGUMENTS = {"features": "X", "past": "past", "static": "static"}


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One series as a network sees it, in the network's dtype.

    Attributes
    ----------
    values, scaling : in its own units (T, C), and how it is scaled after differences were taken.
    seen : (T - difference, C) differenced and scaled, or with missing targets (.., 2 C).
    features : (T - difference or more, F), or None.
    past : (T - difference, P), or None.
    static : (S,), or None.
    weights : (T - difference,), what it counts that each is told rightly; None is 1 each.
    """

    values: Array
    scaling: Scaling
    seen: Array
    features: Array | None
    past: Array | None
    static: Array | None
    weights: Array | None = None

    @property
    def taught(self) -> int:
        """How many steps of `seen` there are up to the last that counts; 0 if none does."""
        if self.weights is None:
            return len(self.seen)
        return int(np.flatnonzero(self.weights)[-1]) + 1 if self.weights.any() else 0

    def input_rows(self, plan: Plan, first: int, count: int) -> Array:
        """Return what the network is given after steps `first` and the next: (count, I)."""
        return plan.input_rows(self.seen, self.features, first, count, self.past, self.static)

    def target_rows(self, plan: Plan, first: int, count: int) -> Array:
        """Return what it is to tell then: (count, chunk C)."""
        if plan.from_now:
            rows = plan.level_rows(self.values, self.scaling, first, count)
            return rows.astype(self.seen.dtype)
        return plan.target_rows(plan.told(self.seen), first, count)

    def weight_rows(self, plan: Plan, first: int, count: int) -> Array:
        """Return what each of these counts, if steps have weights: (count, chunk C)."""
        assert self.weights is not None
        each = np.repeat(self.weights[:, None], plan.targets, axis=1)
        return plan.target_rows(each, first, count)


@dataclass(frozen=True, slots=True, eq=False)
class Preparation:
    """Differences and scales, as `fit` has found them.

    Attributes
    ----------
    plan : lags and differences.
    target_scaling : of the differenced series, or None where every series has its own.
    feature_scaling, past_scaling, static_scaling : of the covariates, or None where there are none.
    """

    plan: Plan
    target_scaling: Scaling | None
    feature_scaling: Scaling | None
    past_scaling: Scaling | None = None
    static_scaling: Scaling | None = None

    @classmethod
    def of(cls, panel: Panel, plan: Plan, standardize: bool | str, workers: Workers) -> Preparation:
        """Measure what data are scaled by."""
        of_targets: Scaling | None = Scaling.none(plan.targets)
        if standardize == "series":
            of_targets = None
        elif standardize:
            of_targets = _scaling_of_changes("y", panel.values, plan, workers, panel.weights)

        def measured(name: str) -> Scaling | None:
            rows, weights = _covariates(panel, name)
            if rows is None:
                return None
            if not standardize:
                return Scaling.none(rows.shape[1])
            return Scaling.of(_ARGUMENTS[name], rows, workers, weights)

        return cls(plan, of_targets, *map(measured, _ARGUMENTS))

    def with_more(self, panel: Panel, workers: Workers) -> Preparation:
        """Return what is known after more series, for what was constant so far."""

        def more(name: str, scaling: Scaling | None) -> Any:
            rows, weights = _covariates(panel, name)
            if scaling is None or rows is None or not scaling.constant.any():
                return scaling
            return scaling.with_more(_ARGUMENTS[name], rows, workers, weights)

        of_targets = self.target_scaling
        if of_targets is not None and of_targets.constant.any():
            new = _scaling_of_changes("y", panel.values, self.plan, workers, panel.weights)
            rows = np.concatenate([self.plan.differenced(values) for values in panel.values])
            of_targets = of_targets.joined("y", new, rows)
        return Preparation(
            self.plan, of_targets, more("features", self.feature_scaling),
            more("past", self.past_scaling), more("static", self.static_scaling),
        )  # fmt: skip

    def scalings(self, panel: Panel, name: str = "y") -> list[Scaling]:
        """Return how each series, in messages `name`, is scaled after differences were taken."""
        if self.target_scaling is not None:
            return [self.target_scaling] * len(panel.values)
        alone, made = Workers(), []
        for index, own in enumerate(panel.values):
            weights = None if panel.weights is None else [panel.weights[index]]
            if weights is not None and not weights[0][self.plan.difference :].any():
                weights = None  # it is not learned from, but continued as others are
            called = panel.called(name, index)
            made.append(_scaling_of_changes(called, [own], self.plan, alone, weights))
        return made

    def prepared(
        self,
        panel: Panel,
        scalings: Sequence[Scaling],
        dtype: np.dtype[Any],
        features: Sequence[Array] | None,
    ) -> list[Prepared]:
        """Return every series as the network sees it.

        Parameters
        ----------
        panel : the series; in units of their own.
        scalings : of each, from `scalings`.
        dtype : of the network.
        features : of each, (T_i or more, F), in their own units; or None.
        """
        skipped = self.plan.difference

        def apply(name: str, scaling: Scaling | None, values: Array | None) -> Array | None:
            if scaling is None or values is None:
                return None
            return scaling.apply(name, values, dtype)

        made = []
        for index, (values, scaling) in enumerate(zip(panel.values, scalings, strict=True)):
            known = None if features is None else features[index][skipped:]
            past = None if panel.past is None else panel.past[index][skipped:]
            static = None if panel.static is None else panel.static[index]
            weights = None if panel.weights is None else panel.weights[index][skipped:]
            made.append(
                Prepared(
                    values, scaling, self.plan.seen(values, scaling, dtype),
                    apply("X", self.feature_scaling, known),
                    apply("past", self.past_scaling, past),
                    apply("static", self.static_scaling, static), weights,
                )
            )  # fmt: skip
        return made


def _covariates(panel: Panel, name: str) -> tuple[Array | None, Array | None]:
    """Return the rows of a kind of covariates that count, all series together, and their weights.

    What never changes of a series counts what its steps do on average.
    """
    rows = getattr(panel, name)
    if rows is None:
        return None, None
    if name == "static":
        return _counting(rows, panel.weights_of_series)
    weights = None if panel.weights is None else np.concatenate(panel.weights)
    return _counting(np.concatenate(rows), weights)


def _counting(rows: Array, weights: Array | None) -> tuple[Array, Array | None]:
    """Return the rows that have a weight above zero, and their weights.

    The others are left out, not multiplied by 0: sums are then rounded as if they were not there.
    """
    if weights is None:
        return rows, None
    return rows[weights > 0], weights[weights > 0]


def _scaling_of_changes(
    name: str, series: list[Array], plan: Plan, workers: Workers, weights: list[Array] | None
) -> Scaling:
    """Measure the differenced series together, of steps that have these weights."""
    changes = np.concatenate([plan.differenced(values) for values in series])
    source = np.concatenate(series) if plan.difference else None
    each = None
    if weights is not None:
        each = np.concatenate([own[plan.difference :] for own in weights])
        source = None if source is None else _counting(source, np.concatenate(weights))[0]
    changes, each = _counting(changes, each)
    if not plan.missing:
        return Scaling.of(name, changes, workers, each, source)
    parts = []
    for column in range(plan.targets):
        own = changes[:, [column]]
        before = None if source is None else source[:, [column]]
        finite = np.isfinite(own[:, 0])
        known, counts = own[finite], None if each is None else each[finite]
        count = float(workers.mean(np.array([float(len(known))]))[0])
        if not count:
            counting = "" if weights is None else " with a weight above zero"
            raise ValueError(
                f"{name}: expected known steps of every target{counting}, {plan.difference + 1} in "
                f"a row for difference={plan.difference}, got none of target {column}"
            )
        if before is not None:
            before = before[np.isfinite(before[:, 0])]
        parts.append(Scaling.of(name, known, workers, counts, before))
    return Scaling.side_by_side(parts)
