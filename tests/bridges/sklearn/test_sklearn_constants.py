"""Series, features and targets without variance: there is no scale to measure them in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_loops import every
from helpers_sklearn import together

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from simdrnn.sklearn import RNNClassifier, RNNRegressor, SequenceForecaster
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.workers import Workers

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {"cell": "gru", "hidden_size": 4, "max_iter": 1, "random_state": 0}
EPS = np.finfo(np.float64).eps


def measure(rows, weights=None, source=None):
    return Scaling.of("X", rows, Workers(), weights, source)


# What is told


@every("difference", [0, 1])
@every(
    "arguments",
    [{}, {"standardize": "series"}, {"strategy": "direct", "horizon": 2}, {"lags": [1, 3]}],
    ids=str,
)
@every("value", [0.0, 0.1, -7, 1e15 / 3, np.float32(0.1), 1e-200])
def test_a_constant_series_goes_on(value, arguments, difference):
    model = SequenceForecaster(**QUICK, **arguments, difference=difference)

    forecast = model.fit(np.full(1000, value)).predict(5)

    assert forecast.tolist() == [float(value)] * 5


def test_a_constant_up_to_rounding_is_a_constant(rng):
    value = 0.1 + 0.2
    y = np.where(rng.random(200) < 0.5, value, 0.3)

    forecast = SequenceForecaster(**QUICK).fit(y).predict(4)

    np.testing.assert_allclose(forecast, value, rtol=EPS, atol=0)
    assert len(set(forecast)) == 1


@every(
    "trend, allowed",
    [
        (3 * np.arange(60) - 7, 0.0),
        (0.1 * np.arange(400), 40.0),
        (1e6 + 0.1 * np.arange(400), 1e6),  # its differences are off by 1e-9 of themselves
        (np.cumsum(np.full(400, 0.1)), 40.0),
    ],
    ids=str,
)
def test_a_trend_goes_on(trend, allowed):
    known, ahead = trend[:-8], trend[-8:]

    forecast = SequenceForecaster(**QUICK, difference=1).fit(known).predict(8)

    # Eight steps, each the mean of changes, which is rounded as what it is the change of.
    np.testing.assert_allclose(forecast, ahead, rtol=0, atol=8 * EPS * allowed)


def test_changes_of_changes_go_on():
    squares = 0.1 * np.arange(100.0) ** 2

    forecast = SequenceForecaster(**QUICK, difference=2).fit(squares[:90]).predict(10)

    np.testing.assert_allclose(forecast, squares[90:], rtol=1e-12)


def test_an_empty_series_among_others_stays_empty():
    panel = [np.zeros(40), np.sin(np.arange(50.0)), np.full(30, 5.0)]

    model = SequenceForecaster(**QUICK, standardize="series").fit(panel)

    empty, _, five = model.predict(3)
    assert (empty.tolist(), five.tolist()) == ([0.0] * 3, [5.0] * 3)
    assert model.predict(2, history=[2.5]).tolist() == [2.5, 2.5]  # one observation
    assert model.predict(2, history=np.full(9, 8)).tolist() == [8.0, 8.0]


def test_a_constant_target_beside_others_is_fed_back_as_it_is():
    y = np.stack([np.full(60, 0.3), np.sin(np.arange(60.0))], axis=1)
    model = SequenceForecaster(**QUICK).fit(y)
    before = model.predict(6)

    head = model.network_.head  # what it tells of the first target is nobody's business
    head.load_state_dict({"weight": head.weight, "bias": head.bias + np.array([9, 0], "float32")})

    assert before[:, 0].tolist() == [0.3] * 6
    assert np.array_equal(model.predict(6), before)


def test_targets_of_a_regressor_without_variance_are_told(rng):
    X = rng.normal(size=(20, 3, 2))
    y = np.stack([np.full(20, 0.1), np.arange(20.0)], axis=1)

    assert RNNRegressor(**QUICK).fit(X, y[:, 0]).predict(X).tolist() == [0.1] * 20
    both = RNNRegressor(**QUICK).fit(X, y).predict(X)
    assert both[:, 0].tolist() == [0.1] * 20
    assert len(set(both[:, 1])) == 20
    one = RNNRegressor(**QUICK).fit(X[:1], [4.5])  # a single example
    assert one.predict(X).tolist() == [4.5] * 20
    counted = np.arange(20) < 10  # what weighs nothing does not vary
    twos = RNNRegressor(**QUICK).fit(X, np.where(counted, 2.0, 1e6), counted.astype(float))
    assert twos.predict(X).tolist() == [2.0] * 20


# What is given


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_features_that_never_varied_tell_nothing(value, rng):
    """No weight of theirs was ever trained: what they bring later would be noise."""
    X = rng.normal(size=(40, 5, 2))
    X[:, :, 1] = value
    other = X + np.array([0.0, 3.0])

    model = RNNClassifier(**QUICK).fit(X, rng.integers(0, 2, 40))
    assert np.array_equal(model.predict_proba(other), model.predict_proba(X))

    steps, ahead = X[:, 0], other[:4, 0]
    forecaster = SequenceForecaster(**QUICK).fit(steps, np.arange(40) % 7)
    assert np.array_equal(forecaster.predict(ahead), forecaster.predict(steps[:4]))


def test_series_without_numbers_are_named():
    for wrong, message in [
        (np.full(30, np.nan), "y: expected steps that are known, got NaN alone"),
        ([np.arange(9.0), np.full(9, np.nan)], r"y\[1\]: expected steps that are known, got NaN"),
        ([np.arange(9.0), np.zeros(0)], r"y\[1\]: expected an array .* at least one step"),
    ]:
        with pytest.raises(ValueError, match=message):
            SequenceForecaster(**QUICK).fit(wrong)


# What is measured


def test_little_variance_far_from_zero_is_not_none():
    t = np.arange(4000)
    rows = np.stack([1e12 + 0.01 * np.sin(t), 1e-200 * np.sin(t), 1e-3 + 0.0 * t], axis=1)

    scaling = measure(rows)

    assert scaling.constant.tolist() == [False, False, True]
    # sin has a deviation of sqrt(1/2), and numbers about 1e12 are 1.2e-4 apart.
    np.testing.assert_allclose(scaling.scale[:2], [0.01 / 2**0.5, 1e-200 / 2**0.5], rtol=0.01)
    assert scaling.mean[2] == 1e-3


@every("source", [np.float32, np.float64])
def test_one_number_rounded_in_two_ways_is_constant(source, rng):
    value = np.full(500, 0.3, source)
    rows = np.where(rng.random(500) < 0.5, value, np.nextafter(value, source(1)))[:, None]
    assert rows.dtype == source

    assert measure(rows).constant.all()
    assert not measure(rows + 100 * (rng.random((500, 1)) < 0.5) * np.finfo(source).eps).constant[0]


@given(st.integers(1, 30), st.integers(1, 30), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_constant_that_begins_to_vary_is_measured_over_all(first, second, weighted, seed):
    rng = np.random.default_rng(seed)
    rows = 1e3 + rng.normal(size=(first + second, 3))
    rows[:first, :2] = [7.0, 0.1]
    rows[:, 1] = 0.1
    weights = rng.uniform(0.5, 2.0, first + second) if weighted else None
    parts = (None, None) if weights is None else (weights[:first], weights[first:])

    start = measure(rows[:first], parts[0])
    found = start.with_more("X", rows[first:], Workers(), parts[1])
    whole = measure(rows, weights)

    assert found.constant.tolist()[:2] == [False, True]
    assert (found.mean[1], found.scale[1]) == (0.1, 1.0)
    np.testing.assert_allclose(found.mean[0], whole.mean[0], rtol=1e-12)
    np.testing.assert_allclose(found.scale[0], whole.scale[0], rtol=1e-9)
    if first > 1:  # what has a scale keeps it
        assert (found.mean[2], found.scale[2]) == (start.mean[2], start.scale[2])


@pytest.mark.filterwarnings("ignore:partial_fit keeps the scales of the first call:UserWarning")
def test_training_goes_on_when_a_first_batch_did_not_vary(rng):
    X = rng.normal(size=(64, 4, 2))
    y = 1000 + 300 * X[:, :, 0].sum(axis=1)
    model = RNNRegressor("gru", 16, learning_rate=0.02, random_state=0)

    model.partial_fit(X[:1], y[:1])  # one example
    assert model.predict(X[:3]).tolist() == [y[0]] * 3
    for _ in range(150):
        model.partial_fit(X, y)

    assert model.score(X, y) > 0.9
    # The first call and the second: one example, and all of them.
    seen = np.concatenate([y[:1], y])
    np.testing.assert_allclose(model.target_scaling_.mean, seen.mean())
    np.testing.assert_allclose(model.target_scaling_.scale, seen.std())


@pytest.mark.parametrize("value", [0.1, 1e9 / 3])
def test_workers_find_constants_and_small_variance_too(value, rng):
    """What they are told are means in float32."""
    rows = np.stack([np.full(90, value), value + 1e-3 * rng.normal(size=90)], axis=1)

    found = together(
        3, lambda rank, mean: Scaling.of("X", rows[rank::3][: 20 + rank], Workers(mean))
    )

    seen = np.concatenate([rows[rank::3][: 20 + rank] for rank in range(3)])
    for scaling in found:
        assert scaling.constant.tolist() == [True, False]
        assert scaling.mean[0] == value
        # What the workers' parts are off the mean is a float32; and NumPy's mean is rounded.
        allowed = 1e-3 * 2.0**-22 + 4 * EPS * value
        np.testing.assert_allclose(scaling.mean[1], seen[:, 1].mean(), rtol=0, atol=allowed)
        np.testing.assert_allclose(scaling.scale[1], seen[:, 1].std(), rtol=1e-6)
