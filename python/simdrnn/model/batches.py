"""What `fit` and `evaluate` are given: arrays that are cut into batches, or batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, NamedTuple

import numpy as np

from simdrnn.validate import Array, array_of

__all__ = ["Arrays", "Batch", "Batches", "data_of"]

_FORMS = "(x, target), (x, target, {'lengths': ...})"
# Arguments of a call that are cut, and whether along the axis of x that is the rows'.
_CUT = {"lengths": False, "mask": True, "reset": True, "attention": True}


class Batch(NamedTuple):
    """Rows that make one step: `options` are further arguments of ``model.record``."""

    x: Any
    target: Any
    options: dict[str, Any]


class Arrays:
    """All rows in arrays.

    Parameters
    ----------
    label : of the argument that they are.
    value : x, target and options.
    axis, target_axis : which of x, and of the target, is the rows'.
    batch_size : rows of a batch; the last one may have fewer.

    Attributes
    ----------
    x, target : of all rows.
    rows : how many there are.
    """

    def __init__(
        self, label: str, value: tuple[Any, ...], axis: int, target_axis: int, batch_size: int
    ) -> None:
        x, target, options = _split(label, value)
        self.x = array_of(f"{label}[0]", x, "an array of all rows")
        self.target = array_of(f"{label}[1]", target, "an array of all rows")
        self._axis, self._target_axis, self._size = axis, target_axis, batch_size
        if self.x.ndim <= axis:
            raise ValueError(f"{label}: expected rows on axis {axis} of x, got {self.x.shape}")
        self.rows = rows = self.x.shape[axis]
        if self.target.ndim <= target_axis or self.target.shape[target_axis] != rows:
            raise ValueError(
                f"{label}: expected a target of {rows} rows on axis {target_axis}, as x "
                f"{self.x.shape} has on axis {axis}, got shape {self.target.shape}"
            )
        self._options: dict[str, tuple[Array, int]] = {}
        for name, given in options.items():
            if given is None:
                continue
            if name not in _CUT:
                raise ValueError(f"{label}: expected options of {', '.join(_CUT)}, got {name!r}")
            array, along = array_of(name, given, "an array of all rows"), axis if _CUT[name] else 0
            if array.ndim <= along or array.shape[along] != rows:
                raise ValueError(
                    f"{label}: expected {name} of {rows} rows along axis {along}, got {array.shape}"
                )
            self._options[name] = (array, along)

    def __len__(self) -> int:
        """Return the number of batches."""
        return int(-(-self.rows // self._size))

    def batches(self, order: Array | None) -> Iterator[Batch]:
        """Yield the batches, of rows in this order."""
        for start in range(0, self.rows, self._size):
            chosen: Any = slice(start, start + self._size)
            if order is not None:
                chosen = order[chosen]
            yield Batch(
                _rows(self.x, chosen, self._axis),
                _rows(self.target, chosen, self._target_axis),
                {name: _rows(one, chosen, along) for name, (one, along) in self._options.items()},
            )


class Batches:
    """Batches that were made elsewhere.

    Parameters
    ----------
    label : of the argument that they are.
    source : an iterable of them that can be gone through again, or what returns one when called.
    """

    rows: int | None = None

    def __init__(self, label: str, source: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        self._label, self._source = label, source
        self._length = len(source) if isinstance(source, Sized) else None
        if self._length == 0:
            raise ValueError(f"{label}: expected one batch or more, got none")
        self._gone_through = False

    def __len__(self) -> int:
        """Return the number of batches, 0 where nobody knows it."""
        return self._length or 0

    def batches(self, order: Array | None) -> Iterator[Batch]:
        """Yield the batches as they come."""
        source: Any = self._source() if callable(self._source) else self._source
        if iter(source) is source and not callable(self._source):
            if self._gone_through:
                raise ValueError(
                    f"{self._label}: expected batches to be gone through once for each epoch, "
                    "as a list or a function that returns them, got an iterator"
                )
            self._gone_through = True
        for index, value in enumerate(source):
            yield Batch(*_split(f"{self._label}[{index}]", value))


def data_of(label: str, value: Any, axes: tuple[int, int], batch_size: int) -> Arrays | Batches:
    """Return data of an argument: a tuple is arrays, all else batches."""
    if isinstance(value, tuple):
        return Arrays(label, value, *axes, batch_size)
    if callable(value) or (
        isinstance(value, Iterable) and not isinstance(value, (np.ndarray, str))
    ):
        return Batches(label, value)
    found = type(value).__name__
    raise TypeError(
        f"{label}: expected arrays {_FORMS}, or an iterable of such batches, got {found}"
    )


def _split(label: str, value: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Return x, target and options."""
    if not isinstance(value, (tuple, list)) or not 2 <= len(value) <= 3:
        found = f"{type(value).__name__}"
        found += f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
        raise TypeError(f"{label}: expected {_FORMS}, got {found}")
    options = value[2] if len(value) == 3 else {}
    if not isinstance(options, Mapping):
        found = type(options).__name__
        raise TypeError(f"{label}: expected further arguments as a dict, got {found}")
    return value[0], value[1], dict(options)


def _rows(array: Array, chosen: Any, axis: int) -> Array:
    """Return rows of an array; a view where they are neighbours."""
    if isinstance(chosen, slice):
        return np.asarray(array[(slice(None),) * axis + (chosen,)])
    return np.asarray(np.take(array, chosen, axis))
