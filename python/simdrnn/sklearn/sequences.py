"""Sequences of one or of many lengths, and the batches that networks are given of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.sklearn.carried import check_unmasked
from simdrnn.validate import Array, array_of

__all__ = ["Sequences", "as_sequence_list", "batches_of", "ragged_array"]

# Batches of like lengths are cut from so many at a time: padding is then a few per cent, and what
# shares a batch still changes from epoch to epoch.
_SORTED_TOGETHER = 16


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """N sequences, each a run of rows of one array.

    Attributes
    ----------
    rows : (M, I), the steps of all sequences; float32 or float64. What goes with them may be (M,).
    starts, lengths : (N,) integers: where in `rows` a sequence begins, and its T.
    """

    rows: Array
    starts: Array
    lengths: Array

    @classmethod
    def of_array(cls, values: Array) -> Sequences:
        """Wrap an array (N, T, I)."""
        count, steps, features = values.shape
        return cls(
            values.reshape(count * steps, features),
            np.arange(count) * steps,
            np.full(count, steps),
        )

    @classmethod
    def of_list(cls, values: Sequence[Array]) -> Sequences:
        """Put arrays (T_i, I) one after the other."""
        lengths = np.array([len(value) for value in values])
        return cls(np.concatenate(values), np.cumsum(lengths) - lengths, lengths)

    def __len__(self) -> int:
        """Return N."""
        return len(self.starts)

    @property
    def features(self) -> int:
        """I."""
        return int(self.rows.shape[1])

    @property
    def ragged(self) -> bool:
        """Whether lengths differ."""
        return bool((self.lengths != self.lengths[0]).any())

    def take(self, indices: Array) -> Sequences:
        """Return the sequences at `indices`; the rows stay where they are."""
        return Sequences(self.rows, self.starts[indices], self.lengths[indices])

    def alike(self, rows: Array) -> Sequences:
        """Return `rows` (M, ...), one for each of `steps`, in sequences of the same lengths."""
        return Sequences(rows, np.cumsum(self.lengths) - self.lengths, self.lengths)

    def steps(self) -> Array:
        """Return the rows that the sequences consist of, in their order: (sum of T_i, I)."""
        first = np.repeat(self.starts - (np.cumsum(self.lengths) - self.lengths), self.lengths)
        places = first + np.arange(len(first))
        if len(places) == len(self.rows) and (places == np.arange(len(places))).all():
            return self.rows
        return np.take(self.rows, places, axis=0)

    def batch(self, indices: Array) -> tuple[Array, Array | None]:
        """Return the sequences at `indices` side by side.

        Returns
        -------
        x : (T, B, I); what follows the end of a shorter sequence repeats its last step.
        lengths : (B,), or None where all are T.
        """
        starts, lengths = self.starts[indices], self.lengths[indices]
        most = int(lengths.max())
        whole = bool((lengths == most).all())
        times = np.arange(most)[:, None]
        places = starts + (times if whole else np.minimum(times, lengths - 1))
        return np.take(self.rows, places, axis=0), None if whole else lengths


def batches_of(
    lengths: Array, batch_size: int, rng: np.random.RandomState | None = None
) -> Iterator[Array]:
    """Cut the indices of sequences into mini-batches of like lengths.

    Parameters
    ----------
    lengths : (N,).
    batch_size : of every batch but the last one.
    rng : shuffles; None keeps the order, and does not look at lengths.

    Examples
    --------
    >>> [batch.tolist() for batch in batches_of(np.array([3, 3, 3]), 2)]
    [[0, 1], [2]]
    """
    count = len(lengths)
    order = np.arange(count) if rng is None else rng.permutation(count)
    cuts = np.arange(0, count, batch_size)
    if rng is not None and (lengths != lengths[0]).any():
        width = batch_size * _SORTED_TOGETHER
        for start in range(0, count, width):
            part = order[start : start + width]
            order[start : start + width] = part[np.argsort(lengths[part], kind="stable")]
        cuts = rng.permutation(cuts)
    for cut in cuts:
        yield order[cut : cut + batch_size]


def as_sequence_list(X: Any, name: str = "X") -> list[Any] | None:
    """Return `X` as a list of sequences, or None if it is one array, or can be made one.

    A list, a tuple or a 1-d array of objects is sequences if its items are arrays, or if they are
    nested lists of different lengths. Nested lists of one length are an array.

    Raises
    ------
    TypeError : an item is a list of steps of unequal numbers of features; the message calls `X` by
        `name`.
    """
    if isinstance(X, np.ndarray):
        nested = X.dtype == object and X.ndim == 1 and len(X) > 0
        return _as_items(name, X) if nested and all(map(_has_items, X)) else None
    if not isinstance(X, (list, tuple)) or not X:
        return None
    items = list(X)
    if all(getattr(item, "ndim", 0) > 0 for item in items):
        return items
    if not all(isinstance(item, (list, tuple)) and item for item in items):
        return None
    inner = all(isinstance(step, (list, tuple, np.ndarray)) for item in items for step in item)
    if inner or len({len(item) for item in items}) > 1:
        return _as_items(name, items)
    return None


def _has_items(item: Any) -> bool:
    return isinstance(item, (list, tuple)) or getattr(item, "ndim", 0) > 0


def _as_items(name: str, items: Iterable[Any]) -> list[Any]:
    """Return sequences, of nested lists as arrays."""
    return [
        array_of(f"{name}[{index}]", item, "an array") if isinstance(item, (list, tuple)) else item
        for index, item in enumerate(items)
    ]


def ragged_array(
    name: str, items: Sequence[Any], scalars: bool, *, missing: bool = False
) -> list[Array]:
    """Return arrays (T_i, I), float32 if all are and else float64, with one I and no NaN.

    Parameters
    ----------
    name : of the argument, for messages.
    items : arrays (T_i, I), or (T_i,) if `scalars`, which are steps of one number.
    scalars : whether 1-d items are taken.
    missing : whether NaN is taken.

    Raises
    ------
    ValueError, TypeError : an item does not fit; the message says which.
    """
    forms = "(T, I) or (T,)" if scalars else "(T, I)"
    arrays = []
    for index, item in enumerate(items):
        check_unmasked(f"{name}[{index}]", item)
        array = np.asarray(item)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name}[{index}]: expected an array of numbers, got {array.dtype}")
        if array.ndim == 1 and scalars:
            array = array[:, None]
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(
                f"{name}[{index}]: expected an array {forms} of at least one step and feature, "
                f"got shape {np.shape(item)}"
            )
        arrays.append(array)
    features = arrays[0].shape[1]
    single = all(array.dtype == np.float32 for array in arrays)
    made = [array.astype(np.float32 if single else np.float64, copy=False) for array in arrays]
    for index, array in enumerate(made):
        if array.shape[1] != features:
            raise ValueError(
                f"{name}[{index}]: expected {features} features as {name}[0] has, "
                f"got {array.shape[1]}"
            )
        if not (np.isfinite(array) | (missing & np.isnan(array))).all():
            got = "infinity" if missing else "NaN or infinity"
            raise ValueError(f"{name}[{index}]: expected finite numbers, got {got}")
    return made
