"""Labels of classes, as classifiers and taggers have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from simdrnn.optim.reduction import AllReduce
from simdrnn.sklearn.carried import naming
from simdrnn.sklearn.continuing import as_before_if_it_fails
from simdrnn.validate import Array

__all__ = ["LearnsLabels", "places_of"]


class LearnsLabels:
    """What classifiers and taggers learn alike: from labels that come in pieces."""

    _fit: Callable[..., Any]

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
        *,
        all_reduce: AllReduce | None = None,
    ) -> Any:
        """Train for one epoch; the first call starts from new weights.

        Parameters
        ----------
        X, y, sample_weight, all_reduce : as in `fit`.
        classes : all labels that will ever come; needed in the first call only.

        Returns
        -------
        The estimator itself.
        """
        _check_class_weight_is_known(self)
        with as_before_if_it_fails(self):
            self._fit(X, y, sample_weight, all_reduce, incremental=True, classes=classes)
        return self


def places_of(estimator: Any, labels: Array, classes: Any, fitting: bool) -> tuple[Array, Array]:
    """Return the classes (K,), sorted, and the place of each of the `labels` among them.

    Parameters
    ----------
    estimator : whose ``classes_`` are those of the first call, unless `fitting`.
    labels : (M,).
    classes : all that will ever come, or None.
    """
    with naming("y", labels, "labels"):
        check_classification_targets(labels)
        found = np.unique(labels)
    if fitting:
        known = found
        if classes is not None:
            with naming("classes", classes, "labels"):
                check_classification_targets(column_or_1d(classes))
                known = np.unique(classes)
    else:
        known = estimator.classes_
        if classes is not None and not np.array_equal(np.unique(classes), known):
            raise ValueError(f"classes: expected those of the first call, {known}, got {classes!r}")
    missing = np.setdiff1d(found, known)
    if missing.size:
        raise ValueError(f"y: expected labels of classes {known}, got also {missing}")
    return known, np.asarray(np.searchsorted(known, labels))


def _check_class_weight_is_known(estimator: Any) -> None:
    """Raise if weights of classes are to be found from data that come in pieces."""
    if isinstance(estimator.class_weight, str):
        raise ValueError(
            "class_weight: expected a dict or None in partial_fit, which cannot know how often "
            f"classes will come, got {estimator.class_weight!r}"
        )
