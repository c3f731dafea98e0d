"""What arrays and tables carry beside their numbers: names of columns, masks, units of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    *("Names", "check_names", "check_numbers", "check_unmasked"),
    *("names_of", "shared_names", "without_mask"),
]

Names = tuple[str, ...] | None


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
    """Raise if values are masked, or points or spans of time, whose unit nobody could know."""
    check_unmasked(name, values)
    dtypes = [values.dtype] if hasattr(values, "dtype") else getattr(values, "dtypes", ())
    for dtype in dtypes:
        if getattr(dtype, "kind", "") in ("M", "m"):
            raise TypeError(f"{name}: expected numbers, got {dtype}")
