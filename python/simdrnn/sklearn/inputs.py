"""What estimators take as X: a table, an array of sequences, or a list of sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from simdrnn.sklearn.sequences import Sequences, as_sequence_list, ragged_array
from simdrnn.validate import Array, check_choice

__all__ = ["read_sequences"]

_DTYPES = [np.float64, np.float32]  # others become the first of these


def read_sequences(estimator: Any, X: Any, *, fitting: bool) -> Sequences:
    """Check `X` and return its sequences.

    Parameters
    ----------
    estimator : whose ``columns`` says how a table is read.
    X : (N, F), a table; (N, T, I); or a list of arrays (T_i, I).
    fitting : sets ``n_features_in_`` and what else is remembered of the form of `X`; if not, `X`
        is compared with these.
    """
    check_choice("columns", estimator.columns, ("steps", "features"))
    scalars = estimator.columns == "steps"
    items = as_sequence_list(X)
    if items is not None:
        made = Sequences.of_list(ragged_array("X", items, scalars))
        _remember(estimator, made.features, table=False, fitting=fitting)
        return made
    if getattr(X, "ndim", 0) > 2:
        array = check_array(X, dtype=_DTYPES, allow_nd=True, input_name="X")
        if array.ndim != 3 or 0 in array.shape:
            raise ValueError(
                "X: expected a table (N, F), sequences (N, T, I) of at least one step and feature, "
                f"or a list of arrays (T, I), got shape {array.shape}"
            )
        _remember(estimator, array.shape[2], table=False, fitting=fitting)
        return Sequences.of_array(array)
    if fitting or estimator._table:
        array = validate_data(estimator, X, dtype=_DTYPES, reset=fitting)
        if fitting:
            estimator._table = True
            estimator._step_size = 1 if scalars else array.shape[1]
    else:
        array = check_array(X, dtype=_DTYPES, input_name="X")
        _check_table(estimator, array, scalars)
    return Sequences.of_array(array[:, :, None] if scalars else array[:, None, :])


def _check_table(estimator: Any, array: Array, scalars: bool) -> None:
    """Check a table given to an estimator that was fitted on sequences."""
    size = estimator._step_size
    if (1 if scalars else array.shape[1]) != size:
        raise ValueError(
            f"X: expected sequences of {size} features, (N, T, {size}) or a list of (T, {size}), "
            f"as in fit, got a 2-d array {array.shape}; one sequence is X[np.newaxis]"
        )


def _remember(estimator: Any, features: int, *, table: bool, fitting: bool) -> None:
    """Set, or compare with, what `fit` saw: I features a step."""
    if fitting:
        estimator._table, estimator._step_size = table, features
        estimator.n_features_in_ = features
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif features != estimator._step_size:
        raise ValueError(
            f"X has {features} features per step, but {type(estimator).__name__} is expecting "
            f"{estimator._step_size} features per step as input."
        )
