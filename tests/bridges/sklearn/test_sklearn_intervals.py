"""The forecaster that says how sure it is: quantiles, likelihoods, intervals, sample paths."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from helpers_loops import every

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from sklearn.exceptions import NotFittedError

from simdrnn import losses
from simdrnn.sklearn import SequenceForecaster
from simdrnn.sklearn.plan import Plan
from simdrnn.sklearn.preparation import Preparation
from simdrnn.sklearn.series import Form, Panel
from simdrnn.sklearn.telling import Quantiles, telling_of
from simdrnn.sklearn.windows import cut
from simdrnn.sklearn.workers import Workers

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {"cell": "gru", "hidden_size": 8, "max_iter": 3, "window": 16, "random_state": 0}
DECILES = [0.1, 0.5, 0.9]
KINDS = [
    {"quantiles": DECILES},
    {"likelihood": "gaussian"},
    {"likelihood": "student_t"},
    {"likelihood": losses.StudentT(degrees=5.0)},
]


def copied(model):
    return pickle.loads(pickle.dumps(model))


def walk(steps, seed=0):
    return 50 + np.cumsum(np.random.default_rng(seed).normal(size=steps))


# What is learned


@every("arguments", KINDS, ids=str)
def test_intervals_hold_as_often_as_they_say(arguments, rng):
    spread = np.where(np.arange(2600) % 4 < 2, 0.5, 3.0)  # which a network has to find out
    y = 20 + spread * rng.normal(size=2600)
    model = SequenceForecaster(
        hidden_size=16, window=48, lags=[1, 4], learning_rate=0.02, max_iter=12, batch_size=16,
        stride=12, random_state=0, **arguments,
    ).fit(y[:1800])  # fmt: skip

    ends = range(1800, 2600)
    lower, upper = model.predict_interval(1, history=[y[end - 60 : end] for end in ends])

    held = (lower[:, 0] <= y[1800:]) & (y[1800:] <= upper[:, 0])
    wide = spread[1800:] > 1
    # Five standard deviations of a mean of 800, and 0.04 for what was not learned.
    assert abs(held.mean() - 0.8) < 5 * (0.16 / 800) ** 0.5 + 0.04
    widths = (upper - lower)[:, 0]
    assert widths[wide].mean() > 3 * widths[~wide].mean()  # of 6


def test_counts_are_told_as_counts(rng):
    rates = np.where(np.arange(600) % 6 < 3, 2.0, 40.0)
    y = rng.negative_binomial(5, 5 / (5 + rates)).astype(float)
    y[100:110] = np.nan
    model = SequenceForecaster(
        hidden_size=12, window=24, lags=6, likelihood="negative_binomial", learning_rate=0.02,
        max_iter=30, batch_size=16, random_state=0,
    ).fit(y)  # fmt: skip

    paths = model.sample(6, n=200, random_state=0)
    low, high = model.predict_interval(6)

    for values in (paths, low, high):
        assert np.array_equal(values, np.rint(values))
        assert (values >= 0).all()
    assert (paths[:, 3:].mean(0) > 4 * paths[:, :3].mean(0).max()).all()  # of 20
    assert model.predict(6)[3:].min() > 4 * model.predict(6)[:3].max()
    for wrong, message in [
        ({"y": y - 3.0}, "y: expected whole numbers, 0 or more, with likelihood="),
        ({"y": y + 0.5}, "y: expected whole numbers"),
        ({"difference": 1}, "likelihood: expected difference=0 and standardize=True or False"),
        ({"standardize": "series"}, "likelihood: .* got difference=0 and standardize='series'"),
    ]:
        data = wrong.pop("y", y)
        with pytest.raises(ValueError, match=message):
            SequenceForecaster(**QUICK, likelihood="negative_binomial", **wrong).fit(data)


# What is returned


@every("arguments", [*KINDS, {"likelihood": "negative_binomial", "difference": 0}], ids=str)
@every("how", [{}, {"strategy": "direct", "horizon": 5}], ids=str)
def test_quantiles_never_cross_and_have_the_form_of_forecasts(arguments, how):
    arguments = {"difference": 1, **how, **arguments}
    y = np.rint(walk(60))
    model = SequenceForecaster(**QUICK, **arguments).fit(y)
    two = SequenceForecaster(**QUICK, **arguments).fit([np.stack([y, y], 1), np.ones((30, 2))])
    levels = [0.5, 0.9, 0.1, 0.11, 0.3]

    found = model.predict_quantiles(5, quantiles=levels)
    lower, upper = model.predict_interval(5, coverage=0.8)

    assert found.shape == (5, 5)
    assert (np.diff(found[:, np.argsort(levels)], axis=1) >= 0).all()
    assert np.array_equal(np.stack([lower, upper], 1), found[:, [2, 1]])
    assert model.predict_quantiles(3).shape == (3, 3)
    assert np.array_equal(model.predict_quantiles(3, quantiles=levels), found[:3])
    assert np.array_equal(found[:1], model.predict_quantiles(1, quantiles=levels))
    panel = two.predict_quantiles(4, quantiles=[0.5])
    assert panel.shape == (2, 4, 2, 1)
    assert two.predict_interval(4)[0].shape == two.predict(4).shape == (2, 4, 2)
    if "likelihood" not in arguments or how:
        return
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(
        again.sample(4, n=7, random_state=3), model.sample(4, n=7, random_state=3)
    )


def test_sample_paths_know_the_steps_before():
    y = walk(400)
    model = SequenceForecaster(
        cell="gru", hidden_size=4, max_iter=6, window=32, learning_rate=0.02, random_state=0,
        difference=1, likelihood="gaussian",
    ).fit(y)  # fmt: skip

    paths = model.sample(9, n=2000, random_state=0)

    assert paths.shape == (2000, 9)
    # Of a random walk: the spread grows as a root, and what is reached stays.
    np.testing.assert_allclose(paths[:, 8].std() / paths[:, 0].std(), 3.0, rtol=0.15)
    np.testing.assert_allclose(np.corrcoef(paths[:, 3], paths[:, 8])[0, 1], 2 / 3, atol=0.08)
    assert np.array_equal(model.sample(4, n=2000, random_state=0), paths[:, :4])
    assert not np.array_equal(model.sample(9, n=2000), paths)
    wide = model.predict_quantiles(9, quantiles=DECILES)
    np.testing.assert_allclose(wide[8], np.quantile(paths[:, 8], DECILES), atol=1.0)
    assert np.array_equal(model.predict_quantiles(9, quantiles=DECILES), wide)


def test_a_series_is_drawn_the_same_whatever_comes_after_it(monkeypatch):
    from simdrnn.sklearn import forecasting

    panel = [walk(40, seed) for seed in range(5)]
    model = SequenceForecaster(**QUICK, likelihood="student_t").fit(panel)
    together = model.sample(4, n=6, random_state=1)

    alone = model.sample(4, n=6, random_state=1, history=panel[:2])
    monkeypatch.setattr(forecasting, "_ROWS", 12)  # two series at a time

    assert together.shape == (6, 5, 4)
    assert np.array_equal(alone, together[:, :2])
    assert np.array_equal(model.sample(4, n=6, random_state=1), together)


@every("difference", [0, 1, 2])
def test_what_is_told_at_once_is_where_the_series_will_be(difference):
    """A network that tells exactly its targets would tell exactly the series."""
    y = np.stack([walk(40), walk(40, 1)], axis=1)
    panel = Panel([y], None, Form(many=False, flat=False))
    model = SequenceForecaster(4, "direct", difference=difference, quantiles=[0.5])
    plan = Plan.of(model, panel, missing=False, numbers=1, certain=False)
    made = Preparation.of(panel, plan, standardize=True, workers=Workers())
    scalings = made.scalings(panel)
    (own,) = made.prepared(panel, scalings, np.dtype("float64"), None)

    windows, _ = cut(plan, [own], window=50, stride=1, held_out=0.0)
    targets = windows.batch(np.array([0])).targets[:, 0]

    assert plan.from_now == (difference > 0)
    for row, told in enumerate(targets):
        known = row + 1 + difference
        levels = plan.levels(y[:known], scalings[0], told.reshape(4, 2))
        np.testing.assert_allclose(levels, y[known : known + 4], rtol=1e-12)
    assert len(targets) == 40 - difference - 4


def test_quantiles_between_and_beyond_those_that_were_learned():
    told = Quantiles(np.array([0.25, 0.5, 0.75]))
    block = np.array([[3.0, 0.0, 1.0]])  # crossing: 0, 1, 3 it is

    found = told.quantiles(block, np.array([0.25, 0.3, 0.5, 0.75]))
    draws = told.draw(np.broadcast_to(block, (200_000, 3)), np.random.default_rng(0))

    np.testing.assert_allclose(found, [[0.0, 0.2, 1.0, 3.0]], rtol=1e-15, atol=1e-15)
    assert told.point(block).tolist() == [1.0]
    # Five standard deviations of a share of 200,000 at most: sqrt(0.25 / 200000) is 0.0011.
    for value, share in [(0.0, 0.25), (0.4, 0.35), (1.0, 0.5), (3.0, 0.75)]:
        assert abs((draws <= value).mean() - share) < 0.0056
    # Exponential below 0, with the density 0.25 there: half of it within log(2) of its mean, 1.
    assert abs((draws <= -np.log(2.0)).mean() - 0.125) < 0.0056
    assert abs((draws <= 3.0 + 2.0 * np.log(2.0)).mean() - 0.875) < 0.0056


@every("likelihood", [None, "gaussian", "student_t", "negative_binomial"])
def test_gradients_are_differences_of_losses(likelihood, rng):
    y = rng.poisson(6.0, (40, 2)).astype(float)
    y[rng.random(y.shape) < 0.2] = np.nan
    panel = Panel([y[:25], y[25:]], None, Form(many=True, flat=False))
    quantiles = DECILES if likelihood is None else None
    model = SequenceForecaster(2, "direct", quantiles=quantiles, likelihood=likelihood)
    telling = telling_of(model)
    plan = Plan.of(model, panel, missing=True, numbers=telling.numbers, certain=False)
    made = Preparation.of(panel, plan, standardize=True, workers=Workers())
    telling.fitted_to(panel, made.target_scaling)
    prepared = made.prepared(panel, made.scalings(panel), np.dtype("float64"), None)
    windows, _ = cut(plan, prepared, window=20, stride=20, held_out=0.0)
    batch = windows.batch(np.array([0, len(windows.lengths) - 1]))
    outputs = rng.normal(size=(*batch.targets.shape[:2], plan.outputs))
    objective = telling.objective(plan)

    _, gradient = objective(outputs, batch.targets, batch.weights)

    direction, step = rng.normal(size=outputs.shape), 1e-6
    losses_near = [
        objective(outputs + sign * step * direction, batch.targets, batch.weights)[0]
        for sign in (1, -1)
    ]
    slope = (losses_near[0] - losses_near[1]) / (2 * step)
    np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-6)
    ended = np.arange(len(outputs))[:, None] >= batch.lengths
    assert not gradient[ended].any()


def test_what_cannot_be_is_named():
    y = walk(40)
    plain = SequenceForecaster(**QUICK).fit(y)
    direct = SequenceForecaster(**QUICK, strategy="direct", horizon=4, quantiles=DECILES).fit(y)
    single = SequenceForecaster(**QUICK, quantiles=[0.5]).fit(y)

    for wrong, message in [
        ({"quantiles": [0.1, 1.0]}, r"quantiles: expected a list of numbers in \(0, 1\), got \[0"),
        ({"quantiles": 0.5}, "quantiles: expected a list of numbers"),
        ({"quantiles": ["0.5"]}, "quantiles: expected a list of numbers .* got dtype <U3"),
        ({"random_state": "x"}, r"random_state: expected an integer in \[0, 2\*\*32\), .* got 'x'"),
        ({"quantiles": "all"}, "quantiles: expected a list of numbers"),
        ({"quantiles": [0.5, 0.5]}, "quantiles: expected each level once"),
        ({"quantiles": [0.8, 0.9]}, "quantiles: expected 0.5 or levels on both sides of it"),
        ({"likelihood": "normal"}, "likelihood: expected one of 'gaussian', 'student_t', 'neg"),
        ({"likelihood": "gaussian", "quantiles": [0.5]}, "likelihood: expected None with quant"),
    ]:
        with pytest.raises(ValueError, match=message):
            SequenceForecaster(**QUICK | wrong).fit(y)
    for wrong, message in [
        (lambda: plain.predict_interval(2), "predict_interval: expected a forecaster that was fit"),
        (lambda: plain.predict_quantiles(2), "predict_quantiles: expected a forecaster"),
        (lambda: plain.sample(2), "sample: expected a forecaster that was fitted with quantiles="),
        (lambda: direct.sample(2), "sample: expected strategy='recursive'"),
        (lambda: direct.predict(5), "horizon: expected at most 4 steps of a forecaster"),
        (
            lambda: direct.predict_interval(coverage=0.9),
            "coverage: expected levels from 0.1 to 0.9",
        ),
        (lambda: direct.predict_interval(coverage=0), r"coverage: expected a number in \(0, 1\)"),
        (lambda: direct.predict_quantiles(quantiles=[0.95]), "quantiles: expected levels from 0.1"),
        (lambda: single.sample(2), "quantiles: expected two levels or more to draw from, got one"),
        (lambda: direct.partial_fit(y).set_params(quantiles=[0.5]).partial_fit(y), "quantiles: ex"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(NotFittedError):
        SequenceForecaster(quantiles=DECILES).predict_interval(2)
    assert single.predict_quantiles(1).shape == (1, 1)
