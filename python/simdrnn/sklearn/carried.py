"""What arrays and tables carry beside their numbers: names of columns, masks, units of time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils import check_array

from simdrnn.validate import Array, unread

__all__ = [
    *("Names", "check_names", "check_numbers", "check_unmasked", "checked_numbers"),
    *("names_of", "naming", "shared_names", "without_mask"),
]

Names = tuple[str, ...] | None

_NO_NUMBERS = "mMUSTV"  # kinds of types: spans and points of time, text, records


def names_of(table: Any) -> Names:
    """Return the names of the columns of a data frame, of any package; None if it has none."""
    columns = getattr(table, "columns", None)
    if columns is None or callable(columns):
        return None
    names = tuple(columns)
    return names if names and all(isinstance(name, str) for name in names) else None


def shared_names(name: str, items: Sequence[Any]) -> Names:
    """Return the names of the columns of all `items` that have any.

    Raises
    ------
    ValueError : they differ, or come in another order; the message calls `items` by `name`.
    """
    named = [(index, own) for index, item in enumerate(items) if (own := names_of(item))]
    for index, own in named:
        if own != named[0][1]:
            raise ValueError(
                f"{name}[{index}]: expected columns {list(named[0][1])} in this order, "
                f"as {name}[{named[0][0]}] has, got {list(own)}"
            )
    return named[0][1] if named else None


def check_names(name: str, found: Names, known: Names) -> None:
    """Raise unless columns that have names have those that they had in `fit`."""
    if found is not None and known is not None and found != known:
        raise ValueError(
            f"{name}: expected columns {list(known)} in this order, as in fit, got {list(found)}"
        )


def check_unmasked(name: str, values: Any) -> None:
    """Raise if values are masked: what is under a mask would be taken for a number."""
    if np.ma.is_masked(values):
        count = int(np.count_nonzero(np.ma.getmaskarray(values)))
        raise ValueError(f"{name}: expected an array without masked values, got {count} of them")


def without_mask(values: Any) -> Any:
    """Return values, where they are masked as NaN."""
    if not np.ma.is_masked(values):
        return values
    return np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)


def check_numbers(name: str, values: Any) -> None:
    """Raise if values are masked, text, or points or spans of time, of whatever unit."""
    check_unmasked(name, values)
    for dtype in _dtypes(values):
        if getattr(dtype, "kind", "") in _NO_NUMBERS:
            raise TypeError(f"{name}: expected numbers, got {dtype}")


def checked_numbers(name: str, values: Any, **options: Any) -> Array:
    """Return numbers as `sklearn.utils.check_array` does; whatever it refuses, `name` is named."""
    check_numbers(name, values)
    with naming(name, values):
        array: Array = check_array(values, input_name=name, **options)
    return array


@contextmanager
def naming(name: str, values: Any, expected: str = "numbers") -> Iterator[None]:
    """Name the argument where scikit-learn or NumPy refuse `values` in a sentence without it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        text = str(error)
        if re.search(rf"(^|\b){re.escape(name)}(?!\w)", text):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        found = _in_place_of_numbers(values, error)
        if found is not None:
            text = f"expected {expected}, got {found}"
        raise kind(f"{name}: {text}") from error


def _in_place_of_numbers(values: Any, error: Exception) -> str | None:
    """Say what came in place of numbers, and why it is none; None if numbers came."""
    dtypes = _dtypes(values)
    found = ", ".join(sorted(set(map(str, dtypes))))
    if not dtypes:
        found = type(values).__name__
        try:
            dtypes = [np.asarray(values).dtype]
        except (TypeError, ValueError) as unreadable:
            return unread(values, unreadable)
    if all(getattr(dtype, "kind", "O") in "fiub" for dtype in dtypes):
        return None
    first, _, _ = str(error).partition("\n")  # below it arrays are shown
    return f"{found}: {first}"


def _dtypes(values: Any) -> list[Any]:
    """Return the types of an array, or of the columns of a data frame; none of what is neither."""
    if hasattr(values, "dtype"):
        return [values.dtype]
    found = getattr(values, "dtypes", ())
    return [] if callable(found) else list(found)
