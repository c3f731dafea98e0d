"""The forecaster beside clean series: missing targets, covariates of all kinds, going on."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from helpers_loops import every

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from helpers_sklearn import together
from simdrnn.sklearn import SequenceForecaster
from simdrnn.sklearn.plan import Plan
from simdrnn.sklearn.preparation import Preparation
from simdrnn.sklearn.series import Form, Panel
from simdrnn.sklearn.windows import cut
from simdrnn.sklearn.workers import Workers

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {"cell": "gru", "hidden_size": 8, "max_iter": 3, "window": 16, "random_state": 0}
GOOD = {"hidden_size": 24, "window": 32, "learning_rate": 0.02, "random_state": 0, "max_iter": 60}
NAN = np.nan


def season(steps):
    return 50 + 20 * np.sin(2 * np.pi * np.arange(steps) / 12)


# Missing targets


@every("arguments", [{}, {"difference": 1}, {"strategy": "direct", "horizon": 12}], ids=str)
def test_a_season_with_gaps_is_continued(arguments, rng):
    y = season(190)
    gaps = y.copy()
    gaps[rng.random(190) < 0.15] = NAN
    gaps[40:52] = NAN
    gaps[165] = y[165]

    model = SequenceForecaster(**GOOD, **arguments).fit(gaps[:166])

    assert model.score(y[166:178]) > 0.9
    assert model.score(np.where(np.arange(12) % 3, y[166:178], NAN)) > 0.9
    masked = np.ma.masked_array(np.where(np.isnan(gaps), 1e9, gaps), np.isnan(gaps))
    quick = [SequenceForecaster(**QUICK, **arguments).fit(y[:166]) for y in (gaps, masked)]
    assert np.array_equal(quick[0].predict(12), quick[1].predict(12))


def test_what_is_missing_is_neither_learned_nor_measured():
    series = [
        np.array([[1.0, 10.0], [NAN, 20.0], [5.0, NAN], [3.0, 60.0], [7.0, 10.0], [NAN, 20.0]]),
        np.array([[2.0, NAN], [2.0, 30.0], [NAN, NAN], [8.0, 50.0], [1.0, 20.0]]),
    ]
    panel = Panel(series, None, Form(many=True, flat=False))
    model = SequenceForecaster(strategy="direct", horizon=2)
    plan = Plan.of(model, panel, missing=True)

    made = Preparation.of(panel, plan, standardize=True, workers=Workers())
    scalings = made.scalings(panel)
    prepared = made.prepared(panel, scalings, np.dtype("float64"), None)
    windows, _ = cut(plan, prepared, window=4, stride=1, held_out=0.0)
    batch = windows.batch(np.arange(2))

    together = np.concatenate(series)
    np.testing.assert_allclose(made.target_scaling.mean, np.nanmean(together, axis=0), rtol=1e-15)
    np.testing.assert_allclose(made.target_scaling.scale, np.nanstd(together, axis=0), rtol=1e-15)
    z = (series[0] - made.target_scaling.mean) / made.target_scaling.scale
    gone = np.isnan(series[0])
    wanted = np.concatenate([np.where(gone, 0.0, z), gone], axis=1)[:4]
    np.testing.assert_allclose(batch.x[:, 0], wanted, rtol=1e-15)
    np.testing.assert_allclose(batch.targets[:, 0, :2], z[1:5], rtol=1e-15)
    np.testing.assert_allclose(batch.targets[:, 0, 2:], z[2:6], rtol=1e-15)
    assert batch.lengths.tolist() == [4, 3]
    assert np.isnan(batch.targets[3, 1]).all()  # there the shorter window has ended
    assert batch.share == np.isfinite(batch.targets).sum() / 4


def test_gaps_that_cannot_be_are_named():
    y = season(40)
    whole = SequenceForecaster(**QUICK).fit(y)
    gaps = np.where(np.arange(40) % 9 == 5, NAN, y)
    holed = SequenceForecaster(**QUICK, difference=1).fit(gaps)

    for wrong, message in [
        (lambda: whole.predict(3, history=gaps), "history: expected finite numbers, as nothing"),
        (lambda: whole.partial_fit(gaps), "y: expected finite numbers, .* got 4 missing ones"),
        (
            lambda: holed.predict(3, history=np.append(y, NAN)),
            "history: expected the last 1 steps to be known with difference=1",
        ),
        (
            lambda: holed.fit(np.where(np.arange(40) % 2, y, NAN)),
            "y: expected known steps of every target, 2 in a row for difference=1, got none of",
        ),
        (
            lambda: SequenceForecaster(**QUICK, standardize="series", difference=1).fit(
                [y, np.where(np.arange(40) % 2, y, NAN)]
            ),
            r"y\[1\]: expected known steps of every target",
        ),
        (
            lambda: whole.set_params(lags=3).fit(np.where(np.arange(40) < 3, y, NAN)),
            "y: expected known targets after the lags",
        ),
        (lambda: holed.score(np.full(4, NAN)), "y: expected steps that are known, got NaN alone"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    assert np.isfinite(holed.predict(3, history=gaps)).all()


def test_workers_agree_on_whether_anything_is_missing():
    y = season(40)
    parts = [y, np.where(np.arange(40) % 7 == 3, NAN, y)]

    first, second = together(
        2, lambda rank, mean: SequenceForecaster(**QUICK).fit(parts[rank], all_reduce=mean)
    )

    assert first.network_.bytes() == second.network_.bytes()
    assert first.network_.layers.input_size == 2


# Covariates


def test_past_and_static_covariates_tell_what_the_series_cannot(rng):
    def make(steps, kind):
        hint = rng.normal(size=(steps, 1))  # of the last step: what comes in the next two
        y = np.zeros(steps)
        y[1:] += 3.0 * kind * hint[:-1, 0]
        y[2:] += hint[:-2, 0]
        return y, hint

    panel = [make(90, kind) for kind in (-1.0, 1.0) * 4]
    values, past = [y[:80] for y, _ in panel], [hint[:80] for _, hint in panel]
    static = np.array([[-1.0], [1.0]] * 4)
    model = SequenceForecaster(**GOOD, strategy="direct", horizon=1)

    model.fit(values, past=past, static=static)

    told = model.predict()
    wanted = np.array([y[80] for y, _ in panel])
    assert np.abs(told[:, 0] - wanted).max() < 0.8  # their spread is 3.2
    arguments = {"history_past": [hint[:70] for _, hint in panel], "history_static": static}
    other = model.predict(history=[y[:70] for y, _ in panel], **arguments)
    assert np.abs(other[:, 0] - [y[70] for y, _ in panel]).max() < 0.8
    first = model.predict(history=values[0], history_past=past[0], history_static=static[0])
    assert np.array_equal(first, told[0])


def test_rows_of_inputs_are_in_their_places(rng):
    X, past, y = rng.normal(size=(40, 2)), rng.normal(size=(40, 3)), season(40)
    model = SequenceForecaster(
        **QUICK, strategy="direct", horizon=2, difference=1, standardize=False, lags=[1, 3]
    ).fit(X, y, past=past, static=[7.0, 8.0])
    plan = model._preparation.plan
    panel = Panel([y[:, None]], [X], Form(False, True), [past], np.array([[7.0, 8.0]]))
    scalings = model._preparation.scalings(panel)
    (own,) = model._preparation.prepared(panel, scalings, np.dtype("float64"), [X])

    rows = own.input_rows(plan, 5, 2)

    z = np.diff(y)  # step t of z is step t + 1 of the rest
    for place, t in enumerate((5, 6)):
        wanted = [z[t], z[t - 2], *X[t + 2], *X[t + 3], *past[t + 1], 7.0, 8.0]
        assert rows[place].tolist() == wanted
    assert model.network_.layers.input_size == 2 + 4 + 3 + 2
    assert model.predict(2, X[:2]).shape == (2,)


def test_wrong_covariates_are_named(rng):
    y, past = season(40), rng.normal(size=(40, 2))
    direct = {**QUICK, "strategy": "direct", "horizon": 3}
    model = SequenceForecaster(**direct).fit(y, past=past, static=[1.0])

    for wrong, message in [
        (
            lambda: SequenceForecaster(**QUICK, horizon=2).fit(y, past=past),
            "past: expected strategy='direct' .* got strategy='recursive' and horizon=2",
        ),
        (lambda: model.predict(4), "horizon: expected at most 3 steps, of which past covariates"),
        (lambda: model.predict(history=y), "history_past: expected covariates as in fit, got None"),
        (
            lambda: model.predict(history=y, history_past=past[:9], history_static=[1.0]),
            "history_past: expected features of 40 steps, as many as history has, got 9",
        ),
        (
            lambda: model.predict(history=y, history_past=past[:, :1], history_static=[1.0]),
            "history_past: expected 2 covariates as in fit, got 1",
        ),
        (lambda: model.predict(history_static=[1.0]), "history_static: expected history with it"),
        (lambda: model.partial_fit(y, past=past), "static: expected covariates as in fit, got Non"),
        (lambda: model.fit(y, static=[[1.0]]), r"static: expected shape \(S,\), got \(1, 1\)"),
        (lambda: model.fit([y, y], static=[[1.0]]), r"static: expected shape \(2, S\), a row for"),
        (lambda: model.fit(y, past=np.full((40, 1), NAN)), "past contains NaN"),
        (lambda: model.fit([y, y], past=[past, past[:3]]), r"past\[1\]: expected features of 40"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(TypeError, match=r"fh: SequenceForecaster\.predict .* expected horizon"):
        model.predict(fh=3)
    with pytest.raises(TypeError, match=r"stops: SequenceForecaster\.predict .* one of X, horiz"):
        model.predict(stops=3)


# Going on


def test_a_forecaster_is_fitted_in_pieces():
    y, X = season(60), np.random.default_rng(0).normal(size=(66, 2))
    arguments = {**QUICK, "tol": 0.0}
    whole = SequenceForecaster(**arguments).fit(X[:60], y)
    piece = SequenceForecaster(**arguments)

    for _ in range(3):
        piece = pickle.loads(pickle.dumps(piece.partial_fit(X[:60], y)))

    assert piece.n_iter_ == 3
    assert piece.loss_curve_ == whole.loss_curve_
    assert np.array_equal(piece.predict(X[60:]), whole.predict(X[60:]))
    piece.partial_fit(X[:40], y[:40])
    assert piece.predict(X[40:43]).shape == (3,)  # what follows the series of the last call
    again = SequenceForecaster(**arguments).fit(X[:60], y)
    again.fit(X[:60], y)  # starts anew
    assert again.loss_curve_ == whole.loss_curve_


def test_series_that_did_not_vary_at_first_are_scaled_later():
    model = SequenceForecaster(**QUICK).partial_fit(np.full(20, 3.0))
    assert model.predict(2).tolist() == [3.0, 3.0]

    model.partial_fit(np.arange(60.0) % 5)

    assert np.ptp(model.predict(5)) > 0.0
    pooled = np.append(np.full(20, 3.0), np.arange(60.0) % 5)
    np.testing.assert_allclose(model._preparation.target_scaling.mean, pooled.mean(), rtol=1e-14)
    np.testing.assert_allclose(model._preparation.target_scaling.scale, pooled.std(), rtol=1e-14)


def test_what_cannot_go_on_is_named():
    y = season(40)
    model = SequenceForecaster(**QUICK).partial_fit(y)

    for wrong, message in [
        (lambda: model.partial_fit(np.stack([y, y], 1)), r"X: expected series \(T,\) as in fit"),
        (lambda: model.partial_fit(np.ones((40, 2)), y), "X: expected None, as the first call had"),
        (lambda: model.set_params(lags=2).partial_fit(y), "lags: expected 1, of the network that"),
        (
            lambda: model.set_params(lags=1, early_stopping=True).partial_fit(y),
            "partial_fit does not support early_stopping=True",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    model.set_params(early_stopping=False, horizon=4, window=9, learning_rate=1e-4).partial_fit(y)
    assert model.n_iter_ == 2
    assert model.predict().shape == (4,)
