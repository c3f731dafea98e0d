"""What forecasters are given, checked: series, features, covariates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from simdrnn.sklearn.carried import (
    check_names,
    check_numbers,
    checked_numbers,
    names_of,
    naming,
    shared_names,
    without_mask,
)
from simdrnn.sklearn.sequences import as_sequence_list, ragged_array
from simdrnn.sklearn.series import Form, Panel
from simdrnn.sklearn.weights import weights_of_steps
from simdrnn.validate import Array

__all__ = ["check_known", "read_features", "read_history", "read_panel", "read_series"]


def read_panel(
    estimator: Any, X: Any, y: Any, sample_weight: Any, past: Any, static: Any,
    fitted: Panel | None,
) -> Panel:  # fmt: skip
    """Check what `fit` is given: series, or features and series, weights and covariates.

    Parameters
    ----------
    fitted : the series of an earlier call that this one goes on from; None is a new start.
    """
    name = "y" if y is not None or fitted is None else "X"
    values, form = read_series(name, X if y is None else y, missing=True)
    if fitted is not None:
        _check_like(name, values, form, fitted)
        if (y is None) != (fitted.features is None):
            wanted = "None, as the first call had no features" if y is not None else "features"
            raise ValueError(f"X: expected {wanted}, got {type(X).__name__}")
    features = None
    if y is not None:
        features = read_features(estimator, "X", X, form.many, len(values), fitting=fitted is None)
    elif fitted is None:
        estimator.n_features_in_ = values[0].shape[1]
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    panel = _with_covariates(Panel(values, features, form), "", past, static, fitted)
    panel.check_rows("y", "X", panel.features)
    panel.check_rows("y", "past", panel.past)
    if sample_weight is None:
        return panel
    lengths = np.array([len(own) for own in values])
    weights = weights_of_steps(sample_weight, lengths)
    return replace(panel, weights=np.split(weights, np.cumsum(lengths)[:-1]))


def read_history(
    estimator: Any, history: Any, X: Any, past: Any, static: Any, fitted: Panel, *, missing: bool
) -> Panel:
    """Check what `predict` is given instead of the series of `fit`.

    Parameters
    ----------
    missing : whether the network has learned what a missing target is.
    """
    values, form = read_series("history", history, missing=True)
    _check_like("history", values, form, fitted)
    if (X is None) != (fitted.features is None):
        wanted = "None, as fit had no features" if fitted.features is None else "features as in fit"
        raise ValueError(f"history_X: expected {wanted}, got {type(X).__name__}")
    features = None
    if X is not None:
        features = read_features(estimator, "history_X", X, form.many, len(values), fitting=False)
    panel = _with_covariates(Panel(values, features, form), "history_", past, static, fitted)
    check_known("history", panel, missing)
    panel.check_rows("history", "history_X", panel.features)
    panel.check_rows("history", "history_past", panel.past)
    return panel


def check_known(name: str, panel: Panel, missing: bool) -> None:
    """Raise if targets are missing, and the network has not learned what that is."""
    for index, value in enumerate(panel.values):
        if not missing and np.isnan(value).any():
            raise ValueError(
                f"{panel.called(name, index)}: expected finite numbers, as nothing was missing in "
                "the series that the network began with, so that it knows of nothing else; "
                f"got {np.count_nonzero(np.isnan(value))} missing ones"
            )


def _check_like(name: str, values: list[Array], form: Form, fitted: Panel) -> None:
    """Raise unless series are of the form, and have the targets, of those in `fit`."""
    if (form.flat, values[0].shape[1]) != (fitted.form.flat, fitted.targets):
        wanted = "(T,)" if fitted.form.flat else f"(T, {fitted.targets})"
        raise ValueError(
            f"{name}: expected series {wanted} as in fit, got {values[0].shape[1]} targets "
            f"{'without' if form.flat else 'with'} an axis of their own"
        )
    check_names(name, form.names, fitted.form.names)


def _with_covariates(
    panel: Panel, prefix: str, past: Any, static: Any, fitted: Panel | None
) -> Panel:
    """Return the panel with what else is known of its series."""
    count, many = len(panel.values), panel.form.many
    for name, given in (("past", past), ("static", static)):
        if fitted is not None and (given is None) != (getattr(fitted, name) is None):
            wanted = "None, as fit had none" if given is not None else "covariates as in fit"
            raise ValueError(f"{prefix}{name}: expected {wanted}, got {type(given).__name__}")
    of_past = None if past is None else _read_past(prefix + "past", past, many, count)
    of_static = None if static is None else _read_static(prefix + "static", static, many, count)
    made = Panel(panel.values, panel.features, panel.form, of_past, of_static)
    for name in ("past", "static"):
        if fitted is not None and made.count(name) != fitted.count(name):
            raise ValueError(
                f"{prefix}{name}: expected {fitted.count(name)} covariates as in fit, "
                f"got {made.count(name)}"
            )
    return made


def _read_past(name: str, past: Any, many: bool, count: int) -> list[Array]:
    """Check covariates (T, P) of one series, or (N, T, P) or a list of (T_i, P) of several."""
    if many:
        return _arrays(name, past, count)
    return [checked_numbers(name, past, dtype=np.float64)]


def _read_static(name: str, static: Any, many: bool, count: int) -> Array:
    """Check what does not change, (S,) of one series or (N, S) of several; return (N, S)."""
    array = checked_numbers(name, static, dtype=np.float64, ensure_2d=False)
    wanted = (count, "S") if many else ("S",)
    if array.ndim != len(wanted) or 0 in array.shape or (many and len(array) != count):
        form = f"({count}, S), a row for each series" if many else "(S,)"
        raise ValueError(f"{name}: expected shape {form}, got {array.shape}")
    return array if many else array[None]


def read_series(name: str, y: Any, *, missing: bool = False) -> tuple[list[Array], Form]:
    """Check series and return them as arrays (T_i, C).

    Parameters
    ----------
    name : of the argument, for messages.
    y : (T,) or (T, C), one series; (N, T, C), or a list of arrays (T_i,) or (T_i, C), several.
    missing : whether values may be: NaN or masked, which is returned as NaN.
    """
    items = as_sequence_list(y, name)
    if items is not None:
        flat = np.ndim(items[0]) == 1
        for index, item in enumerate(items):
            if np.ndim(item) != (1 if flat else 2):
                wanted = "(T,)" if flat else "(T, C)"
                raise ValueError(
                    f"{name}[{index}]: expected shape {wanted} as {name}[0], got {np.shape(item)}"
                )
        names = shared_names(name, items)
        if missing:
            items = [without_mask(item) for item in items]
        arrays = ragged_array(name, items, scalars=True, missing=missing)
        arrays = [array.astype(np.float64) for array in arrays]
        return _some_known(name, Panel(arrays, None, Form(True, flat, names)))
    names = names_of(y)
    y = without_mask(y) if missing else y
    array = checked_numbers(
        name, y, dtype=np.float64, ensure_2d=False, allow_nd=True,
        ensure_all_finite="allow-nan" if missing else True,
    )  # fmt: skip
    if array.ndim not in (1, 2, 3) or 0 in array.shape:
        raise ValueError(
            f"{name}: expected shape (T,), (T, C) or (N, T, C), or a list of arrays (T,) or "
            f"(T, C), got {array.shape}"
        )
    if array.ndim == 3:
        return _some_known(name, Panel(list(array), None, Form(many=True, flat=False)))
    flat = array.ndim == 1
    series = [array[:, None] if flat else array]
    return _some_known(name, Panel(series, None, Form(False, flat, names)))


def _some_known(name: str, panel: Panel) -> tuple[list[Array], Form]:
    """Return series and their form; raise if one has nothing that is known."""
    for index, value in enumerate(panel.values):
        if np.isnan(value).all():
            raise ValueError(
                f"{panel.called(name, index)}: expected steps that are known, got NaN alone"
            )
    return panel.values, panel.form


def _arrays(name: str, X: Any, count: int) -> list[Array]:
    """Check rows of covariates of `count` series and return them as float64 arrays."""
    items: Sequence[Any] | None = as_sequence_list(X, name)
    if items is None:
        array = checked_numbers(name, X, dtype=np.float64, allow_nd=True)
        items = list(array) if array.ndim == 3 else None
    if items is None or len(items) != count:
        got = f"{len(items)}" if items is not None else f"an array {np.shape(X)}"
        raise ValueError(
            f"{name}: expected features (T, F) for each of {count} series, in a list or an array "
            f"(N, T, F), got {got}"
        )
    return [array.astype(np.float64) for array in ragged_array(name, items, scalars=False)]


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
        check_numbers(name, X)
        with naming(name, X):
            return [validate_data(estimator, X, dtype=np.float64, reset=fitting)]
    arrays = _arrays(name, X, count)
    items = as_sequence_list(X, name)
    features, names = arrays[0].shape[1], None if items is None else shared_names(name, items)
    if fitting:
        estimator.n_features_in_ = features
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
        if names is not None:
            estimator.feature_names_in_ = np.array(names, dtype=object)
    elif features != estimator.n_features_in_:
        raise ValueError(
            f"{name} has {features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input."
        )
    elif hasattr(estimator, "feature_names_in_"):
        check_names(name, names, tuple(estimator.feature_names_in_))
    return arrays
