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
    """

    values: Array
    scaling: Scaling
    seen: Array
    features: Array | None
    past: Array | None
    static: Array | None

    def input_rows(self, plan: Plan, first: int, count: int) -> Array:
        """Return what the network is given after steps `first` and the next: (count, I)."""
        return plan.input_rows(self.seen, self.features, first, count, self.past, self.static)

    def target_rows(self, plan: Plan, first: int, count: int) -> Array:
        """Return what it is to tell then: (count, chunk C)."""
        if plan.from_now:
            rows = plan.level_rows(self.values, self.scaling, first, count)
            return rows.astype(self.seen.dtype)
        return plan.target_rows(plan.told(self.seen), first, count)


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
            of_targets = _scaling_of_changes("y", panel.values, plan, workers)

        def measured(name: str, rows: Sequence[Array] | None) -> Scaling | None:
            if rows is None:
                return None
            together = np.concatenate(rows)
            if not standardize:
                return Scaling.none(together.shape[1])
            return Scaling.of(name, together, workers)

        static = None if panel.static is None else [panel.static]
        return cls(
            plan, of_targets, measured("X", panel.features), measured("past", panel.past),
            measured("static", static),
        )  # fmt: skip

    def with_more(self, panel: Panel, workers: Workers) -> Preparation:
        """Return what is known after more series, for what was constant so far."""

        def more(name: str, scaling: Scaling | None, rows: Sequence[Array] | None) -> Any:
            if scaling is None or rows is None or not scaling.constant.any():
                return scaling
            return scaling.with_more(name, np.concatenate(rows), workers)

        of_targets = self.target_scaling
        if of_targets is not None and of_targets.constant.any():
            new = _scaling_of_changes("y", panel.values, self.plan, workers)
            rows = np.concatenate([self.plan.differenced(values) for values in panel.values])
            of_targets = of_targets.joined("y", new, rows)
        static = None if panel.static is None else [panel.static]
        return Preparation(
            self.plan, of_targets, more("X", self.feature_scaling, panel.features),
            more("past", self.past_scaling, panel.past),
            more("static", self.static_scaling, static),
        )  # fmt: skip

    def scalings(self, panel: Panel, name: str = "y") -> list[Scaling]:
        """Return how each series, in messages `name`, is scaled after differences were taken."""
        if self.target_scaling is not None:
            return [self.target_scaling] * len(panel.values)
        alone = Workers()
        return [
            _scaling_of_changes(panel.called(name, index), [own], self.plan, alone)
            for index, own in enumerate(panel.values)
        ]

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
            made.append(
                Prepared(
                    values, scaling, self.plan.seen(values, scaling, dtype),
                    apply("X", self.feature_scaling, known),
                    apply("past", self.past_scaling, past),
                    apply("static", self.static_scaling, static),
                )
            )  # fmt: skip
        return made


def _scaling_of_changes(name: str, series: list[Array], plan: Plan, workers: Workers) -> Scaling:
    """Measure the differenced series together."""
    changes = np.concatenate([plan.differenced(values) for values in series])
    source = np.concatenate(series) if plan.difference else None
    if not plan.missing:
        return Scaling.of(name, changes, workers, source=source)
    parts = []
    for column in range(plan.targets):
        own = changes[:, [column]]
        before = None if source is None else source[:, [column]]
        known = own[np.isfinite(own[:, 0])]
        count = float(workers.mean(np.array([float(len(known))]))[0])
        if not count:
            raise ValueError(
                f"{name}: expected known steps of every target, {plan.difference + 1} in a row for "
                f"difference={plan.difference}, got none of target {column}"
            )
        if before is not None:
            before = before[np.isfinite(before[:, 0])]
        parts.append(Scaling.of(name, known, workers, source=before))
    return Scaling.side_by_side(parts)
