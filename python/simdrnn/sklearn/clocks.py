"""Times of series: what lies between two of them, and which come next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.validate import Array

__all__ = ["Clock"]

_DAY = np.timedelta64(1, "D")
_MONDAY = 4  # the first one in datetime64: 1970-01-05
_WEEK, _WORKING = 7, 5  # days; the first five, from Monday on, are business days
_FOREIGN = (
    ("tzinfo", "times with a time zone; tz_localize(None) makes local times of them, "
               "tz_convert(None) those of UTC"),
    ("to_timestamp", "periods; to_timestamp() makes points in time of them"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """Times at equal distances: numbers, points in time, days of months, or business days.

    Attributes
    ----------
    unit : ``""`` of numbers; ``"ns"``, ``"M"`` of dates that are months apart, or ``"B"`` of days
        none of which is in a weekend, though weekends lie between them.
    step : from one time to the next, in these units; a time of a single row has none, 0.
    origin : one of the times, in these units.
    rest : of dates that are months apart, what is left of them beside the month: from its start,
        or where all are the last days of their months, minus a day; the time of day of business
        days.
    last_day : whether they are.
    dtype : of the times.
    """

    unit: str
    step: int | float
    origin: int | float
    rest: np.timedelta64 | None
    last_day: bool
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, name: str, times: Array, rows: Mapping[Any, Array]) -> Clock:
        """Find out the clock of times.

        Parameters
        ----------
        name : of the column, for messages.
        times : of all series.
        rows : the rows of each.
        """
        if times.dtype.kind == "M":
            if np.isnat(times).any():
                raise ValueError(f"{name}: expected a time in every row, got NaT")
            calendar = _months(times)
            if calendar is not None:
                months, rest, last_day = calendar
                step = _step(months, rows)
                if step:
                    return cls("M", step, months[0].item(), rest, last_day, times.dtype)
            values = _nanoseconds(times)
            step = _step(values, rows)
            business = _business_days(times) if step == _DAY.astype("timedelta64[ns]") else None
            if business is not None and _passes_a_weekend(business[0], rows):
                days, rest = business
                return cls("B", 1, days[0].item(), rest, False, times.dtype)
            return cls("ns", step, values[0].item(), None, False, times.dtype)
        _check_readable(name, times)
        if times.dtype.kind not in "iuf" or not np.isfinite(times).all():
            raise TypeError(
                f"{name}: expected numbers or points in time (datetime64), got {times.dtype}"
            )
        return cls("", _step(times, rows), times[0].item(), None, False, times.dtype)

    def places(self, name: str, times: Array) -> Array:
        """Return how many steps times are from the origin, as integers.

        Raises
        ------
        ValueError : one is between two steps; the message calls the times `name`.
        """
        _check_readable(name, times)
        if (times.dtype.kind == "M") != (self.unit != ""):
            wanted = "points in time" if self.unit else "numbers"
            raise ValueError(f"{name}: expected {wanted}, as in fit, got {times.dtype}")
        found = self._in_units(name, times)
        places = (found - self.origin) / (self.step or 1.0)
        whole = np.rint(places)
        wrong = np.flatnonzero(np.abs(places - whole) > 1e-6)
        if wrong.size:
            raise ValueError(
                f"{name}: expected times at equal distances of {self}, with rows left out where "
                f"nothing is known, got {times[wrong[0]]} between two of them"
            )
        return whole.astype(np.int64)

    def times(self, start: int, count: int) -> Array:
        """Return the times of `count` steps from the place `start` on, in their own type."""
        found = self.origin + (start + np.arange(count)) * self.step
        if not self.unit:
            return np.asarray(found.astype(self.dtype))
        if self.unit == "ns":
            return np.asarray(found.astype("datetime64[ns]").astype(self.dtype))
        if self.unit == "B":
            days = found // _WORKING * _WEEK + found % _WORKING + _MONDAY
            return np.asarray(
                (days.astype("M8[D]").astype("M8[ns]") + self.rest).astype(self.dtype)
            )
        return np.asarray((self._starts(found) + self.rest).astype(self.dtype))

    def __str__(self) -> str:
        """Name the distance."""
        if self.unit == "ns":
            return str(np.timedelta64(int(self.step), "ns").astype("timedelta64[us]").item())
        if self.unit == "B":
            return "one business day"
        return f"{self.step:g}" + (" months" if self.unit else "")

    def _starts(self, months: Array) -> Array:
        """Return what `rest` is counted from: the start of a month, or of the next."""
        first = (months + (1 if self.last_day else 0)).astype("datetime64[M]")
        return np.asarray(first.astype("datetime64[ns]"))

    def _in_units(self, name: str, times: Array) -> Array:
        if not self.unit:
            return times
        if self.unit == "ns":
            return _nanoseconds(times)
        if self.unit == "B":
            return self._business_days(name, times)
        months = times.astype("datetime64[M]").astype(np.int64)
        wrong = np.flatnonzero(times.astype("datetime64[ns]") - self._starts(months) != self.rest)
        if wrong.size:
            raise ValueError(
                f"{name}: expected times at equal distances of {self}, as in fit, "
                f"got {times[wrong[0]]} between two of them"
            )
        return np.asarray(months)

    def _business_days(self, name: str, times: Array) -> Array:
        business = _business_days(times, self.rest)
        if business is None:
            wrong = next(one for one in times if _business_days(one[None], self.rest) is None)
            raise ValueError(
                f"{name}: expected business days, Monday to Friday at one time of day, as in fit, "
                f"got {wrong}"
            )
        return business[0]


def _check_readable(name: str, times: Array) -> None:
    """Raise where objects are points in time that no datetime64 is, and say what makes them so."""
    first = times[0] if times.dtype.kind == "O" and len(times) else None
    for attribute, found in _FOREIGN:
        if getattr(first, attribute, None) is not None:
            raise TypeError(f"{name}: expected numbers or points in time (datetime64), got {found}")


def _nanoseconds(times: Array) -> Array:
    return np.asarray(times.astype("datetime64[ns]").astype(np.int64))


def _months(times: Array) -> tuple[Array, np.timedelta64, bool] | None:
    """Return months and what is left, where dates are all alike in their months; else None."""
    months = times.astype("datetime64[M]")
    exact = times.astype("datetime64[ns]")
    for last_day in (False, True):
        rest = exact - (months + (1 if last_day else 0)).astype("datetime64[ns]")
        if (rest == rest[0]).all():
            return months.astype(np.int64), rest[0], last_day
    return None


def _business_days(
    times: Array, rest: np.timedelta64 | None = None
) -> tuple[Array, np.timedelta64] | None:
    """Return which business days these are, counted from a Monday, and the time of day.

    None where one is in a weekend, or at another time of day than the rest, or than `rest`.
    """
    days = times.astype("datetime64[D]")
    apart = times.astype("datetime64[ns]") - days.astype("datetime64[ns]")
    numbers = days.astype(np.int64) - _MONDAY
    if (apart != (apart[0] if rest is None else rest)).any() or (numbers % _WEEK >= _WORKING).any():
        return None
    return numbers // _WEEK * _WORKING + numbers % _WEEK, apart[0]


def _passes_a_weekend(days: Array, rows: Mapping[Any, Array]) -> bool:
    """Tell whether a series has business days of two weeks: days of one are just days."""
    weeks = days // _WORKING
    return any((weeks[own] != weeks[own[0]]).any() for own in rows.values())


def _step(values: Array, rows: Mapping[Any, Array]) -> int | float:
    """Return the least distance of two different times of one series; 0 if there is none."""
    apart = [np.diff(np.unique(values[own])) for own in rows.values()]
    return min((own.min().item() for own in apart if len(own)), default=0)
