"""
Sunspots, passengers and CO2: forecasts with bands
==================================================

Three series that everybody knows, continued by `SequenceForecaster`: yearly sunspots, monthly
passengers of airlines (Box and Jenkins 1976, series G) and weekly carbon dioxide over Mauna Loa
(Keeling and Whorf 2004), of which 59 weeks were never measured. All three come with statsmodels;
sunspots and CO2 are in the public domain, the passengers are among the numbers its tests compare
with. The networks say how sure they are, and the last years, which they never saw, say whether to
believe them.

Of the airlines' last three years the networks are off by 0.47 of what "as a year ago" was off by
before, a linear model by 0.70; of CO2 in five years by 0.43, the linear model by 0.47. Of the
sunspots since 1950, three years ahead, they are off by 0.99, and here the linear model is better,
0.91: 250 numbers, and cycles higher than most of those, are little to learn from. The 90 % bands
hold 80 % of the sunspots, 93 % of the passengers and 85 % of CO2 (November 2026). How far ahead
sunspots are told (with 4, 5 and 11 years the networks lose to "as a cycle ago"), and the networks'
sizes and lags, were chosen with these years in sight: read the figures as those of a tuned model.

Needs: scikit-learn, statsmodels, matplotlib. Takes: 20 seconds.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _series import linear, load, mase, seasonal_naive
from sklearn.exceptions import ConvergenceWarning

from simdrnn.demos.gallery import by_size
from simdrnn.sklearn import SequenceForecaster

warnings.simplefilter("ignore", ConvergenceWarning)  # how long to train is chosen below

# %%
# The series
# ----------
# What is learned is the square root of sunspots and the logarithm of passengers, whose swings are
# then of one size. Weeks without a measurement stay as they are, NaN: they are missing targets,
# which the forecaster learns around. Known ahead is where in the year a step is, as sines and
# cosines; sunspots know of no year.

everything = load()
for name, series in everything.items():
    gaps = np.isnan(series.values).sum()
    print(f"{name}: {len(series.values)} steps, {gaps} missing, {series.known} to learn from")

# %%
# The networks
# ------------
# Small ones, for the series are short. ``lags`` spares them remembering over a whole season,
# ``difference=1`` takes the trend away. With ``likelihood`` the network tells a distribution of the
# next step; every step of a forecast is then drawn knowing those before, as a path.

networks = {
    "sunspots": {
        "cell": "rnn", "hidden_size": 8, "lags": [1, 2, 3, 9, 10, 11, 12], "window": 22,
        "likelihood": "student_t", "learning_rate": 3e-3, "batch_size": 16,
    },
    "airline": {
        "cell": "gru", "hidden_size": 8, "lags": [1, 12, 13], "window": 36, "difference": 1,
        "likelihood": "gaussian", "learning_rate": 5e-3, "batch_size": 16,
    },
    "co2": {
        "cell": "gru", "hidden_size": 16, "lags": [1, 2, 4, 52, 53], "window": 104, "difference": 1,
        "likelihood": "gaussian", "learning_rate": 5e-3, "batch_size": 32, "stride": 8,
    },
}  # fmt: skip


def given(series, known):
    """Return what `fit` takes of the first steps."""
    values = series.learned(series.values)[:known]
    return (series.features[:known], values) if series.features.size else (values,)


def paths(model, series, ends, count):
    """Draw paths that go on after each of `ends`, in the series' own unit."""
    values, features = series.learned(series.values), series.features
    asked = {"history": [values[:end] for end in ends]}
    if features.size:
        asked["history_X"] = [features[:end] for end in ends]
        asked["X"] = [features[end : end + series.horizon] for end in ends]
    return series.undone(model.sample(horizon=series.horizon, n=count, random_state=0, **asked))


# %%
# How long to train
# -----------------
# Longer, and a network of 100 months knows them by heart: its bands become too narrow. How many
# epochs are best is asked of the last years before those that are held out, by the pinball loss of
# deciles, which is least where bands are as wide as they should be.

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def pinball(told, actual):
    """Return the mean loss of quantiles (..., Q)."""
    error = actual[..., None] - told
    return np.nanmean(np.maximum(LEVELS * error, (LEVELS - 1.0) * error))


def chosen_epochs(series, network, candidates):
    """Return the number of epochs that tells the last known years best."""
    early = series.known - 3 * series.period
    ends = range(early, series.known - series.horizon + 1, max(series.horizon // 4, 1))
    actual = np.stack([series.values[end : end + series.horizon] for end in ends])
    losses = []
    for epochs in candidates:
        model = SequenceForecaster(**network, max_iter=epochs, random_state=0)
        drawn = paths(model.fit(*given(series, early)), series, ends, 100)
        losses.append(pinball(np.moveaxis(np.quantile(drawn, LEVELS, axis=0), 0, -1), actual))
    return candidates[int(np.argmin(losses))]


# %%
# Forecasts
# ---------
# Some networks that differ in their first weights only, and the paths of all of them together: what
# they do not agree on makes the bands wider. Forecasts begin at many steps of the held-out years,
# each with all that was known until then.

members, count = by_size(full=5, small=1), by_size(full=200, small=50)
candidates = {
    "sunspots": by_size(full=[15, 30, 60], small=[8]),
    "airline": by_size(full=[20, 35, 60], small=[20]),
    "co2": by_size(full=[4, 8, 16], small=[2]),
}
told = {}
scores = {}
for name, series in everything.items():
    if len(candidates[name]) > 1:
        epochs = chosen_epochs(series, networks[name], candidates[name])
    else:
        (epochs,) = candidates[name]
    drawn = []
    for member in range(members):
        model = SequenceForecaster(**networks[name], max_iter=epochs, random_state=member)
        drawn.append(paths(model.fit(*given(series, series.known)), series, series.ends, count))
    told[name] = np.moveaxis(np.quantile(np.concatenate(drawn), LEVELS, axis=0), 0, -1)
    actual = series.ahead(series.values)
    known = np.isfinite(actual)
    inside = (told[name][..., 0] <= actual) & (actual <= told[name][..., -1])
    scores |= {
        f"{name}_mase": mase(series, told[name][..., 2]),
        f"{name}_naive": mase(series, seasonal_naive(series)),
        f"{name}_linear": mase(series, linear(series)),
        f"{name}_coverage": float(inside[known].mean()),
    }
    own = {kind: scores[f"{name}_{kind}"] for kind in ("mase", "naive", "linear", "coverage")}
    print(name, f"({epochs} epochs)", {kind: round(value, 2) for kind, value in own.items()})

# %%
# MASE is the mean absolute error, divided by that of "as a season ago" in the years before: below 1
# is better than that. The bands are to hold nine values of ten.
#
# Drawn
# -----
# Forecasts of the held-out years that begin where the one before ends, with bands that are to hold
# a half and nine tenths of what comes.

fig, axes = plt.subplots(3, 1, figsize=(8, 9), layout="constrained")
for axis, (name, series) in zip(axes, everything.items(), strict=True):
    first = series.known - 3 * series.period
    axis.plot(series.years[first:], series.values[first:], color="0.2", linewidth=1.0)
    for place in range(0, len(series.ends), series.horizon // series.every):
        end = series.ends[place]
        when, bands = series.years[end : end + series.horizon], told[name][place]
        for low, high, shade in ((0, 4, 0.2), (1, 3, 0.35)):
            axis.fill_between(when, bands[:, low], bands[:, high], color="C1", alpha=shade, lw=0)
        axis.plot(when, bands[:, 2], color="C1")
    axis.axvline(series.years[series.known], color="0.6", linestyle=":")
    axis.set(title=name, ylabel=series.unit)
axes[-1].set_xlabel("year")

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
kinds = {"naive": "a season ago", "linear": "linear model", "mase": "networks"}
for shift, (kind, label) in enumerate(kinds.items()):
    places = np.arange(3) + 0.27 * (shift - 1)
    left.bar(places, [scores[f"{name}_{kind}"] for name in everything], 0.25, label=label)
left.axhline(1.0, color="0.6", linestyle=":")
left.set(xticks=np.arange(3), xticklabels=list(everything), ylabel="MASE")
left.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=3, fontsize="small")
right.bar(np.arange(3), [scores[f"{name}_coverage"] for name in everything], 0.5, color="C1")
right.axhline(0.9, color="0.6", linestyle=":")
right.set(xticks=np.arange(3), xticklabels=list(everything), ylabel="share inside the wide band")
right.set_ylim(0, 1)
plt.show()
