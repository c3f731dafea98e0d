"""Times of series: what lies between two of them, and which come next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.validate import Array

__all__ = ["Clock"]


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """Times at equal distances: numbers, points in time, or days of months.

    Attributes
    ----------
    unit : ``""`` of numbers; ``"ns"``, or ``"M"`` of dates that are months apart.
    step : from one time to the next, in these units; a time of a single row has none, 0.
    origin : one of the times, in these units.
    rest : of dates that are months apart, what is left of them beside the month: from its start,
        or where all are the last days of their months, minus a day.
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
            return cls("ns", _step(values, rows), values[0].item(), None, False, times.dtype)
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
        return np.asarray((self._starts(found) + self.rest).astype(self.dtype))

    def __str__(self) -> str:
        """Name the distance."""
        if self.unit == "ns":
            return str(np.timedelta64(int(self.step), "ns").astype("timedelta64[us]").item())
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
        months = times.astype("datetime64[M]").astype(np.int64)
        wrong = np.flatnonzero(times.astype("datetime64[ns]") - self._starts(months) != self.rest)
        if wrong.size:
            raise ValueError(
                f"{name}: expected times at equal distances of {self}, as in fit, "
                f"got {times[wrong[0]]} between two of them"
            )
        return np.asarray(months)


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


def _step(values: Array, rows: Mapping[Any, Array]) -> int | float:
    """Return the least distance of two different times of one series; 0 if there is none."""
    apart = [np.diff(np.unique(values[own])) for own in rows.values()]
    return min((own.min().item() for own in apart if len(own)), default=0)
