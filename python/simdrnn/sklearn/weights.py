"""What examples count: weights that are given, and those of their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

import numpy as np

from simdrnn.sklearn.carried import check_unmasked, checked_numbers
from simdrnn.sklearn.sequences import Sequences
from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array, as_finite_number

__all__ = [
    *("check_any_weight", "check_count", "checked_weights", "class_factors", "read_weights"),
    *("sized", "weights_of_steps"),
]


def read_weights(sample_weight: Any, count: int) -> Array | None:
    """Check `sample_weight` and return (N,) float64, or None for equal ones."""
    return None if sample_weight is None else checked_weights(sample_weight, count)


def check_count(name: str, values: Any, count: int, owner: str) -> None:
    """Raise unless there are `count` values, one for each `owner`; what has no length passes."""
    single = isinstance(values, np.ndarray) and values.ndim == 0
    if sized(values) and not single and len(values) != count:
        raise ValueError(
            f"{name}: expected {count}, one for each {owner}, got {len(values)}; "
            "found input variables with inconsistent numbers of samples"
        )


def checked_weights(sample_weight: Any, count: int) -> Array:
    """Check `sample_weight` and return (N,) float64."""
    check_unmasked("sample_weight", sample_weight)
    if np.asarray(sample_weight).ndim == 0:
        raise TypeError(f"sample_weight: expected shape ({count},), got {sample_weight!r}")
    weights = checked_numbers("sample_weight", sample_weight, ensure_2d=False, dtype=np.float64)
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


def weights_of_steps(sample_weight: Any, lengths: Array) -> Array:
    """Check weights and return one for each step of sequences, one after the other.

    Parameters
    ----------
    sample_weight : (N,), what all steps of a sequence count; or what each counts: (T,) of one
        sequence, (N, T), or a list of (T_i,).
    lengths : (N,), steps of each.
    """
    count, total = len(lengths), int(lengths.sum())
    listed = isinstance(sample_weight, (list, tuple)) and all(map(sized, sample_weight))
    shape = () if listed else np.asarray(sample_weight).shape
    if len(shape) == 2:
        check_unmasked("sample_weight", sample_weight)
        sample_weight = np.asarray(sample_weight)  # of a data frame the rows, not its names
    if listed or len(shape) == 2:
        check_count("sample_weight", sample_weight, count, "series or sequence")
        for index, (own, steps) in enumerate(zip(sample_weight, lengths, strict=True)):
            if np.shape(own) != (steps,):
                raise ValueError(
                    f"sample_weight[{index}]: expected shape ({steps},), a weight for each step, "
                    f"got {np.shape(own)}"
                )
            check_unmasked(f"sample_weight[{index}]", own)
        return checked_weights(np.concatenate([np.asarray(own) for own in sample_weight]), total)
    if count == 1 and shape != (1,):
        return checked_weights(sample_weight, total)
    return np.repeat(checked_weights(sample_weight, count), lengths)


def sized(item: Any) -> bool:
    """Return whether something has items of its own, and is not a string."""
    return isinstance(item, Sized) and not isinstance(item, (str, bytes))


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
