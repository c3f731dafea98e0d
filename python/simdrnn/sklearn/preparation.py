"""What is done to series before a network sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.series import Panel
from simdrnn.sklearn.windows import Plan
from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array

__all__ = ["Preparation"]


@dataclass(frozen=True, slots=True, eq=False)
class Preparation:
    """Differences and scales, as `fit` has found them.

    Attributes
    ----------
    plan : lags and differences.
    target_scaling : of the differenced series, or None where every series has its own.
    feature_scaling : of the features, or None where there are none.
    """

    plan: Plan
    target_scaling: Scaling | None
    feature_scaling: Scaling | None

    @classmethod
    def of(cls, panel: Panel, plan: Plan, standardize: bool | str, workers: Workers) -> Preparation:
        """Measure what data are scaled by."""
        of_targets: Scaling | None = Scaling.none(plan.targets)
        of_features = None if panel.features is None else Scaling.none(plan.features)
        if standardize == "series":
            of_targets = None
        elif standardize:
            changes = [plan.differenced(values) for values in panel.values]
            of_targets = Scaling.of("y", np.concatenate(changes), workers)
        if standardize and panel.features is not None:
            of_features = Scaling.of("X", np.concatenate(panel.features), workers)
        return cls(plan, of_targets, of_features)

    def scalings(self, values: list[Array]) -> list[Scaling]:
        """Return how each of the series `values` is scaled after differences were taken."""
        if self.target_scaling is not None:
            return [self.target_scaling] * len(values)
        alone = Workers()
        return [Scaling.of("y", self.plan.differenced(own), alone) for own in values]

    def scaled_features(self, features: list[Array] | None) -> list[Array] | None:
        """Return the features of each series, scaled."""
        scaling = self.feature_scaling
        if features is None or scaling is None:
            return None
        return [scaling.apply("X", own, np.dtype(np.float64)) for own in features]
