"""What examples count: weights that are given, and those of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import check_array

from simdrnn.sklearn.carried import check_unmasked
from simdrnn.sklearn.sequences import Sequences
from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array, as_finite_number

__all__ = ["check_any_weight", "checked_weights", "class_factors", "read_weights"]


def read_weights(sample_weight: Any, count: int) -> Array | None:
    """Check `sample_weight` and return (N,) float64, or None for equal ones."""
    return None if sample_weight is None else checked_weights(sample_weight, count)


def checked_weights(sample_weight: Any, count: int) -> Array:
    """Check `sample_weight` and return (N,) float64."""
    check_unmasked("sample_weight", sample_weight)
    weights: Array = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weights.shape != (count,):
        raise ValueError(f"sample_weight: expected shape ({count},), got {weights.shape}")
    if (weights < 0).any():
        raise ValueError(f"sample_weight: expected no negative weight, got {weights.min()}")
    check_any_weight("sample_weight", weights)
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.finfo(np.float64).tiny * count <= total <= np.finfo(np.float64).max / count:
        raise ValueError(f"sample_weight: expected weights that can be averaged, got a sum {total}")
    return weights


def check_any_weight(name: str, weights: Any) -> None:
    """Raise if nothing counts, in an array or in sequences; messages call the weights `name`."""
    if not (weights.steps() if isinstance(weights, Sequences) else weights).any():
        raise ValueError(f"{name}: expected a weight above zero, got only zeros")


def class_factors(
    class_weight: Any, classes: Array, labels: Array, weights: Array | None, workers: Workers
) -> Array | None:
    """Check `class_weight` and return (K,) what an example of each class counts more, or None.

    Parameters
    ----------
    class_weight : dict from labels to numbers, ``"balanced"``, or None.
    classes : (K,) labels.
    labels : (...,) indices of classes, of all examples.
    weights : what each of them counts already, of their shape; None is 1 each.
    workers : who have more examples.

    Notes
    -----
    Balanced, all classes count the same in all: what all examples count, divided by K and by what
    those of the class count. A class without examples, which may come later, has 1.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str) and class_weight == "balanced":
        own = None if weights is None else weights.ravel()
        counts = workers.mean(np.bincount(labels.ravel(), own, minlength=len(classes)))
        present = counts > 0
        total = counts.sum() / np.count_nonzero(present)
        return np.where(present, total / np.where(present, counts, 1.0), 1.0)
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight: expected a dict from labels to numbers, 'balanced' or None, "
            f"got {class_weight!r}"
        )
    factors = np.ones(len(classes))
    known = {label: place for place, label in enumerate(classes.tolist())}
    for label, value in class_weight.items():
        plain = label.item() if isinstance(label, np.generic) else label
        if plain not in known:
            raise ValueError(f"class_weight: expected labels of classes {classes}, got {label!r}")
        factor = as_finite_number(f"class_weight[{label!r}]", value)
        if factor < 0:
            raise ValueError(f"class_weight[{label!r}]: expected 0 or more, got {value!r}")
        factors[known[plain]] = factor
    return factors
