"""What estimators take as X: a table, an array of sequences, or a list of sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from simdrnn.sklearn.carried import (
    Names,
    check_names,
    check_numbers,
    checked_numbers,
    names_of,
    naming,
    shared_names,
)
from simdrnn.sklearn.sequences import Sequences, as_sequence_list, ragged_array
from simdrnn.validate import Array, check_choice

__all__ = ["InputForm", "compared", "read_sequences"]

_DTYPES = [np.float64, np.float32]  # others become the first of these


@dataclass(frozen=True, slots=True)
class InputForm:
    """How `fit` was given sequences, which others are compared with.

    Attributes
    ----------
    table : whether as a table (N, F).
    scalars : whether a table is, or would be, N sequences of F steps of one number.
    features : I of a step.
    names : of these features, if they came with names.
    """

    table: bool
    scalars: bool
    features: int
    names: Names


def read_sequences(
    estimator: Any, X: Any, known: InputForm | None, *, scalars: bool | None = None
) -> tuple[Sequences, InputForm]:
    """Check `X` and return its sequences and their form.

    Parameters
    ----------
    estimator : whose ``columns`` says how `fit` reads a table; its ``n_features_in_`` is set then.
    X : (N, F), a table; (N, T, I); or a list of arrays (T_i, I).
    known : the form in `fit`; None is in `fit`.
    scalars : whether 1-d items of a list are steps of one number; None looks at ``columns``.
    """
    if scalars is None:
        if known is None:
            check_choice("columns", estimator.columns, ("steps", "features"))
        scalars = estimator.columns == "steps" if known is None else known.scalars
    items = as_sequence_list(X)
    if items is not None:
        made = Sequences.of_list(ragged_array("X", items, scalars))
        form = InputForm(False, scalars, made.features, shared_names("X", items))
        return made, compared(estimator, form, known)
    check_numbers("X", X)
    if getattr(X, "ndim", 0) > 2:
        array = checked_numbers("X", X, dtype=_DTYPES, allow_nd=True)
        if array.ndim != 3 or 0 in array.shape:
            raise ValueError(
                "X: expected a table (N, F), sequences (N, T, I) of at least one step and feature, "
                f"or a list of arrays (T, I), got shape {array.shape}"
            )
        form = InputForm(False, scalars, array.shape[2], None)
        return Sequences.of_array(array), compared(estimator, form, known)
    if known is None or known.table:
        with naming("X", X):
            array = validate_data(estimator, X, dtype=_DTYPES, reset=known is None)
    else:
        array = checked_numbers("X", X, dtype=_DTYPES)
        _check_table(array, known)
        check_names("X", names_of(X), known.names)
    steps = array[:, :, None] if scalars else array[:, None, :]
    form = InputForm(True, scalars, steps.shape[2], None if scalars else names_of(X))
    return Sequences.of_array(steps), form


def _check_table(array: Array, known: InputForm) -> None:
    """Check a table given to an estimator that was fitted on sequences."""
    size = known.features
    if (1 if known.scalars else array.shape[1]) != size:
        raise ValueError(
            f"X: expected sequences of {size} features, (N, T, {size}) or a list of (T, {size}), "
            f"as in fit, got a 2-d array {array.shape}; one sequence is X[np.newaxis]"
        )


def compared(
    estimator: Any, form: InputForm, known: InputForm | None, *, named: bool = False
) -> InputForm:
    """Return the form of sequences, compared with that in `fit`, or noted there.

    Parameters
    ----------
    named : whether the estimator has noted the number and the names of features itself.
    """
    if known is None:
        if named:
            return form
        estimator.n_features_in_ = form.features
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif form.features != known.features:
        raise ValueError(
            f"X has {form.features} features per step, but {type(estimator).__name__} is expecting "
            f"{known.features} features per step as input."
        )
    else:
        check_names("X", form.names, known.names)
    return form
