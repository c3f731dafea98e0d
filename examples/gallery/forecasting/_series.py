"""The three series, and the two forecasts that are to be beaten."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import Ridge
from statsmodels.datasets import co2, sunspots
from statsmodels.tsa.statespace.tests.results.results_sarimax import air2_data


class Series(NamedTuple):
    """A series with what is known of it.

    Attributes
    ----------
    unit : of the values.
    years : (T,), when.
    values : (T,), in the unit; NaN where missing.
    features : (T, F), known ahead: where in the year.
    learned : makes of values what is learned, where swings are of one size everywhere.
    undone : back from there.
    known : steps before the held-out years.
    period, horizon : steps of a season, and steps to forecast.
    every : steps from one forecast to the next.
    """

    unit: str
    years: np.ndarray
    values: np.ndarray
    features: np.ndarray
    learned: Callable[[np.ndarray], np.ndarray]
    undone: Callable[[np.ndarray], np.ndarray]
    known: int
    period: int
    horizon: int
    every: int

    @property
    def ends(self) -> np.ndarray:
        """The numbers of known steps from which forecasts are made in the held-out years."""
        return np.arange(self.known, len(self.values) - self.horizon + 1, self.every)

    def ahead(self, values: np.ndarray) -> np.ndarray:
        """Return what comes after each of `ends`, (forecasts, horizon)."""
        return np.stack([values[end : end + self.horizon] for end in self.ends])


def season(turns: np.ndarray, waves: int) -> np.ndarray:
    """Return where in the year steps are, as sines and cosines (T, 2 waves)."""
    angles = 2 * np.pi * turns[:, None] * np.arange(1, waves + 1)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def load() -> dict[str, Series]:
    """Return the series by name."""
    spots = sunspots.load_pandas().data
    passengers = np.array(air2_data, float)
    months = np.arange(len(passengers))
    weeks = co2.load_pandas().data
    turns = weeks.index.dayofyear.to_numpy() / 365.25
    return {
        "sunspots": Series(
            "sunspots in a year", spots["YEAR"].to_numpy(), spots["SUNACTIVITY"].to_numpy(),
            np.zeros((len(spots), 0)), np.sqrt, lambda z: np.square(np.maximum(z, 0.0)),
            250, 11, 3, 1,
        ),
        "airline": Series(
            "thousand passengers in a month", 1949 + months / 12, passengers,
            season(months / 12, 1), np.log, np.exp, 108, 12, 12, 1,
        ),
        "co2": Series(
            "ppm of CO2 in a week", weeks.index.year.to_numpy() + turns,
            weeks["co2"].to_numpy(), season(turns, 2), np.array, np.array,
            len(weeks) - 260, 52, 52, 4,
        ),
    }  # fmt: skip


def seasonal_naive(series: Series) -> np.ndarray:
    """Say what was a season ago: (forecasts, horizon); the step before where that is missing."""
    filled = forward_filled(series.values)
    back = np.arange(series.horizon) % series.period - series.period
    return np.stack([filled[end + back] for end in series.ends])


def linear(series: Series) -> np.ndarray:
    """Tell every step ahead by ridge regression on a season of lags and the features ahead."""
    values = series.learned(forward_filled(series.values))
    lags = np.arange(1, series.period + 2)

    def row(end: int) -> np.ndarray:
        ahead = series.features[end : end + series.horizon].ravel()
        return np.concatenate([values[end - lags] - values[end - 1], ahead])

    past = np.arange(len(lags), series.known - series.horizon + 1)
    rows = np.stack([row(end) for end in past])
    changes = np.stack([values[end : end + series.horizon] - values[end - 1] for end in past])
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    model = Ridge(alpha=1.0).fit((rows - mean) / scale, changes)
    now = np.stack([row(end) for end in series.ends])
    told = model.predict((now - mean) / scale) + values[series.ends - 1][:, None]
    return series.undone(told)


def forward_filled(values: np.ndarray) -> np.ndarray:
    """Return values, where one is missing the last that is known."""
    places = np.where(np.isnan(values), 0, np.arange(len(values)))
    return values[np.maximum.accumulate(places)]


def mase(series: Series, told: np.ndarray) -> float:
    """Return the mean absolute error over that of seasonal naive one step ahead, in known years."""
    known = series.values[: series.known]
    scale = np.nanmean(np.abs(known[series.period :] - known[: -series.period]))
    return float(np.nanmean(np.abs(told - series.ahead(series.values))) / scale)
