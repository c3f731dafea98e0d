"""Time series as forecasters take them, and their features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from simdrnn.sklearn.sequences import as_sequence_list, ragged_array
from simdrnn.validate import Array

__all__ = ["Form", "Panel", "read_features", "read_history", "read_panel", "read_series"]


@dataclass(frozen=True, slots=True)
class Form:
    """How series were given, and how forecasts are returned.

    Attributes
    ----------
    many : whether it was several series.
    flat : whether a step was one number, without an axis of its own.
    """

    many: bool
    flat: bool

    def shape(self, values: Array) -> Array:
        """Return (N, h, C) in this form: (N, h, C), (N, h), (h, C) or (h,)."""
        values = values[:, :, 0] if self.flat else values
        return values if self.many else values[0]


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """N series.

    Attributes
    ----------
    values : arrays (T_i, C) float64.
    features : arrays (T_i, F) float64, or None.
    form : how they were given.
    """

    values: list[Array]
    features: list[Array] | None
    form: Form

    @property
    def targets(self) -> int:
        """C."""
        return int(self.values[0].shape[1])

    @property
    def feature_count(self) -> int:
        """F, 0 without features."""
        return 0 if self.features is None else int(self.features[0].shape[1])

    def check_steps(self, name: str, least: int) -> None:
        """Raise unless every series has at least so many steps."""
        for index, value in enumerate(self.values):
            if len(value) < least:
                where = f"[{index}]" if self.form.many else ""
                raise ValueError(
                    f"{name}{where}: expected at least {least} steps, for lags, difference and "
                    f"horizon together, got n_samples={len(value)}"
                )

    def check(self, values: str, features: str) -> None:
        """Raise unless features have as many steps as values.

        Parameters
        ----------
        values, features : names of the arguments, for messages.
        """
        for index, value in enumerate(self.values):
            where = f"[{index}]" if self.form.many else ""
            own = None if self.features is None else self.features[index]
            if own is not None and len(own) != len(value):
                raise ValueError(
                    f"{features}{where}: expected features of {len(value)} steps, as many as "
                    f"{values}{where} has, got {len(own)}"
                )

    def tail(self, steps: int) -> Panel:
        """Return copies of the last `steps` of every series, or of what there is."""
        features = self.features
        return Panel(
            [value[-steps:].copy() for value in self.values],
            None if features is None else [value[-steps:].copy() for value in features],
            self.form,
        )


def read_panel(estimator: Any, X: Any, y: Any) -> Panel:
    """Check what `fit` is given: series, or features and series."""
    if y is None:
        values, form = read_series("y", X)
        estimator.n_features_in_ = values[0].shape[1]
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
        panel = Panel(values, None, form)
    else:
        values, form = read_series("y", y)
        features = read_features(estimator, "X", X, form.many, len(values), fitting=True)
        panel = Panel(values, features, form)
    panel.check("y", "X")
    return panel


def read_history(estimator: Any, history: Any, history_X: Any, fitted: Panel) -> Panel:
    """Check what `predict` is given instead of the series of `fit`."""
    values, form = read_series("history", history)
    if (form.flat, values[0].shape[1]) != (fitted.form.flat, fitted.targets):
        wanted = "(T,)" if fitted.form.flat else f"(T, {fitted.targets})"
        raise ValueError(
            f"history: expected series {wanted} as in fit, got {values[0].shape[1]} targets "
            f"{'without' if form.flat else 'with'} an axis of their own"
        )
    if (history_X is None) != (fitted.features is None):
        wanted = "None, as fit had no features" if fitted.features is None else "features as in fit"
        raise ValueError(f"history_X: expected {wanted}, got {type(history_X).__name__}")
    features = None
    if history_X is not None:
        features = read_features(
            estimator, "history_X", history_X, form.many, len(values), fitting=False
        )
    panel = Panel(values, features, form)
    panel.check("history", "history_X")
    return panel


def read_series(name: str, y: Any) -> tuple[list[Array], Form]:
    """Check series and return them as arrays (T_i, C).

    Parameters
    ----------
    name : of the argument, for messages.
    y : (T,) or (T, C), one series; (N, T, C), or a list of arrays (T_i,) or (T_i, C), several.
    """
    items = as_sequence_list(y)
    if items is not None:
        flat = np.ndim(items[0]) == 1
        for index, item in enumerate(items):
            if np.ndim(item) != (1 if flat else 2):
                wanted = "(T,)" if flat else "(T, C)"
                raise ValueError(
                    f"{name}[{index}]: expected shape {wanted} as {name}[0], got {np.shape(item)}"
                )
        arrays = ragged_array(name, items, scalars=True)
        return [array.astype(np.float64) for array in arrays], Form(many=True, flat=flat)
    array = check_array(y, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name=name)
    if array.ndim not in (1, 2, 3) or 0 in array.shape:
        raise ValueError(
            f"{name}: expected shape (T,), (T, C) or (N, T, C), or a list of arrays (T,) or "
            f"(T, C), got {array.shape}"
        )
    if array.ndim == 3:
        return list(array), Form(many=True, flat=False)
    flat = array.ndim == 1
    return [array[:, None] if flat else array], Form(many=False, flat=flat)


def read_features(
    estimator: Any, name: str, X: Any, many: bool, count: int, *, fitting: bool
) -> list[Array]:
    """Check features and return them as arrays (T_i, F) float64, one for each of `count` series.

    Parameters
    ----------
    estimator : remembers F, and names of columns, when `fitting`; else compared with that.
    name : of the argument, for messages.
    X : (T, F) for one series; for several (N, T, F) or a list of arrays (T_i, F).
    many : whether it is several.
    count : N.
    """
    if not many:
        return [validate_data(estimator, X, dtype=np.float64, reset=fitting)]
    items: Sequence[Any] | None = as_sequence_list(X)
    if items is None:
        array = check_array(X, dtype=np.float64, allow_nd=True, input_name=name)
        items = list(array) if array.ndim == 3 else None
    if items is None or len(items) != count:
        got = f"{len(items)}" if items is not None else f"an array {np.shape(X)}"
        raise ValueError(
            f"{name}: expected features (T, F) for each of {count} series, in a list or an array "
            f"(N, T, F), got {got}"
        )
    arrays = [array.astype(np.float64) for array in ragged_array(name, items, scalars=False)]
    features = arrays[0].shape[1]
    if fitting:
        estimator.n_features_in_ = features
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif features != estimator.n_features_in_:
        raise ValueError(
            f"{name} has {features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input."
        )
    return arrays
