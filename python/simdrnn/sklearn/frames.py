"""Long data frames: a row for each series and time; of any package, or a dict of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.sklearn.carried import without_mask
from simdrnn.sklearn.clocks import Clock
from simdrnn.validate import Array, array_of

__all__ = ["LongForm", "LongSeries", "as_name", "as_names", "numbers_of"]


def as_name(name: str, value: object) -> str:
    """Return the name of a column."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected the name of a column, got {value!r}")
    return value


def as_names(name: str, value: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return names of columns; one may be given alone, None is none."""
    if value is None:
        return ()
    alone = isinstance(value, str) or not isinstance(value, Iterable)
    names: tuple[Any, ...] = (value,) if alone else tuple(value)
    if not all(isinstance(own, str) for own in names) or len(set(names)) < len(names):
        raise ValueError(f"{name}: expected names of columns, each once, got {value!r}")
    return names


@dataclass(frozen=True, slots=True)
class LongForm:
    """What the columns of a long frame are.

    Attributes
    ----------
    time, id : names of the columns with times and with the series' names; `id` may be None.
    targets, features, past, static : names of columns.
    flat : whether the target was named alone, without a list.
    """

    time: str
    id: str | None
    targets: tuple[str, ...]
    features: tuple[str, ...]
    past: tuple[str, ...]
    static: tuple[str, ...]
    flat: bool


@dataclass(frozen=True, slots=True, eq=False)
class LongSeries:
    """The series of a long frame.

    Attributes
    ----------
    names : of the series, in the order of their first rows; (None,) without `id`.
    clock : the step from one time to the next, the same for all.
    starts, lengths : place of the first step of each on the clock, and how many steps it has.
    columns : of each series, name of a column -> (T,) float64 values at all steps, NaN where the
        frame has no row.
    """

    names: tuple[Any, ...]
    clock: Clock
    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    columns: tuple[Mapping[str, Array], ...]

    @classmethod
    def of(
        cls, argument: str, frame: Any, form: LongForm, wanted: Sequence[str], clock: Clock | None
    ) -> LongSeries:
        """Read a frame.

        Parameters
        ----------
        argument : how messages call the frame.
        wanted : names of columns with numbers.
        clock : of the times, or None to find it out.

        Raises
        ------
        ValueError, TypeError : a column is missing, a time comes twice, or not in its turn.
        """
        times = _values(f"{argument}[{form.time!r}]", _column(argument, frame, form.time))
        numbers = {name: numbers_of(argument, frame, name, len(times)) for name in wanted}
        rows = _rows_of(argument, frame, form.id, len(times))
        clock = Clock.of(f"{argument}[{form.time!r}]", times, rows) if clock is None else clock
        starts, lengths, columns = [], [], []
        for name, own in rows.items():
            where = f"{argument}[{form.time!r}]" + ("" if form.id is None else f" of {name!r}")
            places = clock.places(where, times[own])
            order = np.argsort(places, kind="stable")
            places, own = places[order], own[order]
            twice = np.flatnonzero(np.diff(places) == 0)
            if twice.size:
                raise ValueError(
                    f"{where}: expected every time once, got {times[own[twice[0]]]} more often"
                )
            starts.append(int(places[0]))
            lengths.append(int(places[-1] - places[0]) + 1)
            columns.append(
                {
                    key: _spread(values[own], places - places[0], lengths[-1])
                    for key, values in numbers.items()
                }
            )
        return cls(tuple(rows), clock, tuple(starts), tuple(lengths), tuple(columns))

    def table(self, index: int, names: Sequence[str]) -> Array:
        """Return columns of a series side by side, (T, len(names))."""
        return np.stack([self.columns[index][name] for name in names], axis=1)

    def check_complete(self, argument: str, names: Sequence[str]) -> None:
        """Raise if a column of covariates has no value at a step."""
        for series, start, own in zip(self.names, self.starts, self.columns, strict=True):
            for name in names:
                gone = np.flatnonzero(np.isnan(own[name]))
                if gone.size:
                    where = "" if series is None else f" of {series!r}"
                    raise ValueError(
                        f"{argument}[{name!r}]{where}: expected a number at every step, got none "
                        f"at {self.clock.times(start + int(gone[0]), 1)[0]}; only targets may be "
                        "missing"
                    )

    def constant(self, argument: str, names: Sequence[str]) -> Array:
        """Return what does not change of every series, (N, S)."""
        made = np.empty((len(self.names), len(names)))
        for row, (series, own) in enumerate(zip(self.names, self.columns, strict=True)):
            for column, name in enumerate(names):
                values = own[name][np.isfinite(own[name])]
                if not len(values) or (values != values[0]).any():
                    raise ValueError(
                        f"{argument}[{name!r}]: expected one number for all rows of a series, "
                        f"got {'none' if not len(values) else 'several'} of {series!r}"
                    )
                made[row, column] = values[0]
        return made


def _column(argument: str, frame: Any, name: str) -> Any:
    """Return a column of a frame or a dict."""
    known = list(frame) if isinstance(frame, Mapping) else list(getattr(frame, "columns", ()))
    if not known:
        raise TypeError(
            f"{argument}: expected a data frame or a dict of columns, got {type(frame).__name__}"
        )
    if name not in known:
        raise ValueError(f"{argument}: expected a column {name!r}, got {known}")
    return frame[name]


def _values(where: str, column: Any, count: int | None = None) -> Array:
    """Return a column as an array (N,); None is of any number of rows."""
    array = array_of(where, column, "a column")
    if array.ndim != 1 or count not in (None, len(array)):
        rows = "N" if count is None else count
        raise ValueError(f"{where}: expected shape ({rows},), a row for each, got {array.shape}")
    return array


def numbers_of(argument: str, frame: Any, name: str, count: int | None = None) -> Array:
    """Return a column of numbers as float64, NaN where they are missing or masked.

    Parameters
    ----------
    count : how many rows there are, if that is known.
    """
    where = f"{argument}[{name!r}]"
    column = without_mask(_column(argument, frame, name))
    # Data frames have missing values of several kinds, and know how to make them one.
    array = _values(where, column.to_numpy() if hasattr(column, "to_numpy") else column, count)
    try:
        if array.dtype.kind == "O":
            array = np.array([np.nan if own is None or own != own else own for own in array])
        if array.dtype.kind not in "fiubO":
            raise TypeError(f"got {array.dtype}")
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where}: expected numbers; {error}") from error


def _rows_of(argument: str, frame: Any, name: str | None, count: int) -> dict[Any, Array]:
    """Return the name of every series -> its rows, in the order in which series come first."""
    if not count:
        raise ValueError(f"{argument}: expected at least one row, got none")
    if name is None:
        return {None: np.arange(count)}
    where = f"{argument}[{name!r}]"
    ids = _values(where, _column(argument, frame, name), count)
    try:
        known, first, place = np.unique(ids, return_index=True, return_inverse=True)
    except TypeError as error:  # None beside names, say
        raise TypeError(f"{where}: expected names that can be sorted; {error}") from error
    order = np.argsort(place, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(place))[:-1])
    names = known.tolist()
    return {names[k]: groups[k] for k in np.argsort(first)}


def _spread(values: Array, places: Array, steps: int) -> Array:
    """Return values at all steps, NaN where there is none."""
    made = np.full(steps, np.nan)
    made[places] = values
    return made
