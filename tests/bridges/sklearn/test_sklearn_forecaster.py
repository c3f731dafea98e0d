"""The forecaster: forms of series, lags, windows, differences, features, feeding back."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_loops import every

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simdrnn.sklearn import SequenceForecaster
from simdrnn.sklearn.plan import Plan
from simdrnn.sklearn.preparation import Preparation
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.series import Form, Panel
from simdrnn.sklearn.windows import cut

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {"cell": "gru", "hidden_size": 8, "max_iter": 3, "window": 16, "random_state": 0}
GOOD = {"hidden_size": 24, "window": 32, "learning_rate": 0.01, "random_state": 0}


def season(steps, targets=1, seed=0, noise=0.02):
    rng = np.random.default_rng(seed)
    t = np.arange(steps)[:, None]
    y = np.sin(2 * np.pi * t / 12 + np.arange(targets)) + rng.normal(0, noise, (steps, targets))
    return y[:, 0] if targets == 1 else y


# What is learned


@every(
    "arguments",
    [
        {},
        {"strategy": "direct", "horizon": 8},
        {"lags": 12},
        {"lags": [1, 12]},
        {"difference": 1},
        {"num_layers": 2, "cell": "gru"},
        {"hidden_size": (16, 16)},
        {"layer_options": {"residual": True}, "num_layers": 2},
        {"early_stopping": True},
        {"standardize": "series"},
    ],
    ids=str,
)
def test_a_season_is_continued(arguments):
    y = 50 + 20 * season(150)

    model = SequenceForecaster(**{**GOOD, **arguments}).fit(y[:126])
    assert model.predict(24).shape == (24,)
    assert model.score(y[126:]) > 0.9  # a twelfth of a season late would be 0.73


def test_differences_carry_a_trend_on():
    y = 3.0 * np.arange(120) + 10 * season(120)

    forecast = SequenceForecaster(**GOOD, difference=1).fit(y[:96]).predict(24)

    assert np.abs(forecast - y[96:]).max() < 10.0  # the trend alone adds 72


@pytest.mark.parametrize("strategy", ["recursive", "direct"])
def test_features_tell_what_the_series_cannot(strategy, rng):
    X = rng.normal(size=(200, 2))
    y = 5.0 * X[:, 0] + rng.normal(0, 0.1, 200)  # of the same step: known ahead, not from the past

    model = SequenceForecaster(**GOOD, strategy=strategy, horizon=4).fit(X[:180], y[:180])

    assert model.score(X[180:], y[180:]) > 0.8
    assert model.predict(X[180:]).shape == (20,)
    assert model.predict(3, X[180:]).shape == (3,)
    for found in (model.predict(X[180:], horizon=3), model.predict(X=X[180:], horizon=3)):
        assert np.array_equal(found, model.predict(3, X[180:]))


def test_many_series_teach_each_other():
    panel = [100.0 * (k + 1) + season(40 + k, seed=k) * 10 * (k + 1) for k in range(6)]
    known = [y[:-12] for y in panel]
    shared = {**GOOD, "lags": [1, 12], "max_iter": 100}

    model = SequenceForecaster(**shared, standardize="series").fit(known)
    forecasts = model.predict(12)

    assert forecasts.shape == (6, 12)
    for k, y in enumerate(panel):
        assert np.abs(forecasts[k] - y[-12:]).max() < 6 * (k + 1)


# What is taken


@pytest.mark.parametrize("targets", [1, 3])
def test_forecasts_have_the_form_of_the_series(targets):
    y = season(60, targets)
    panel = [y, y[10:], y[:50]]

    one = SequenceForecaster(**QUICK, horizon=5).fit(y)
    some = SequenceForecaster(**QUICK, horizon=5).fit(panel)
    block = SequenceForecaster(**QUICK).fit(np.stack([y[:50], y[10:]]).reshape(2, 50, targets))

    tail = () if targets == 1 else (targets,)
    assert one.predict().shape == (5, *tail)
    assert some.predict(7).shape == (3, 7, *tail)
    assert block.predict(2).shape == (2, 2, targets)
    assert one.n_features_in_ == targets
    listed = SequenceForecaster(**QUICK, horizon=5).fit(y.tolist()).predict()
    assert np.array_equal(listed, one.predict())
    column = SequenceForecaster(**QUICK, horizon=5).fit(y.reshape(60, targets)).predict()
    assert column.shape == (5, targets)
    assert np.array_equal(column.reshape(one.predict().shape), one.predict())


def test_other_histories_are_continued():
    y = season(80)
    model = SequenceForecaster(**QUICK, lags=3, difference=1).fit(y)

    # It starts from zero states `window` steps before the end.
    assert np.array_equal(model.predict(9, history=y), model.predict(9))
    assert np.array_equal(model.predict(9, history=y[-30:]), model.predict(9))
    assert not np.array_equal(model.predict(9, history=y[:-5]), model.predict(9))
    several = model.predict(9, history=[y, y[:-5], y[:4]])
    assert np.array_equal(several[0], model.predict(9))
    assert np.array_equal(several[1], model.predict(9, history=y[:-5]))
    assert np.array_equal(several[2], model.predict(9, history=y[:4]))


def test_histories_have_their_features(rng):
    X, y = rng.normal(size=(60, 2)), season(60)
    model = SequenceForecaster(**QUICK).fit(X[:50], y[:50])

    again = model.predict(X[50:], history=y[:50], history_X=X[:50])
    several = model.predict(
        X=[X[50:], X[50:]], history=[y[:50], y[:50]], history_X=[X[:50], X[:50]]
    )

    assert np.array_equal(again, model.predict(X[50:]))
    assert np.array_equal(several, np.stack([again, again]))


WRONG = [
    ({"horizon": 0}, ValueError, "horizon: expected a positive integer"),
    ({"strategy": "both"}, ValueError, "strategy: expected 'recursive' or 'direct'"),
    ({"lags": 0}, ValueError, "lags: expected a positive integer"),
    ({"lags": []}, TypeError, "lags: expected a positive integer or a list"),
    ({"lags": "1"}, TypeError, "lags: expected a positive integer or a list"),
    ({"lags": b"1"}, TypeError, "lags: expected a positive integer or a list"),
    ({"lags": 10**30}, MemoryError, "lags=1000.*: too large for any memory"),
    ({"lags": [1, 0]}, ValueError, r"lags\[1\]: expected a positive integer"),
    ({"lags": [2, 2]}, ValueError, "lags: expected each lag once"),
    ({"lags": 40}, ValueError, "y: expected at least 41 steps, .* got n_samples=40"),
    ({"window": 0}, ValueError, "window: expected a positive integer"),
    ({"stride": 0}, ValueError, "stride: expected a positive integer"),
    ({"difference": -1}, ValueError, "difference: expected a non-negative integer"),
    ({"standardize": "all"}, TypeError, "standardize: expected True or False"),
    ({"standardize": np.ones(2)}, TypeError, "standardize: expected True or False"),
    ({"layer_options": {"reverse": True}}, ValueError, "layer_options: .* forward in time"),
    ({"layer_options": {"bidirectional": True}}, ValueError, "layer_options: .* has not, got 'bid"),
    ({"early_stopping": True, "validation_fraction": 0.99}, ValueError, "validation_fraction"),
]


@every("arguments, error, message", WRONG, ids=lambda v: str(v)[:40])
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        SequenceForecaster(**{**QUICK, **arguments}).fit(season(40))


def test_wrong_data_are_named(rng):
    y, X = season(40), rng.normal(size=(40, 2))
    plain = SequenceForecaster(**QUICK).fit(y)
    featured = SequenceForecaster(**QUICK, strategy="direct", horizon=4).fit(X, y)
    several = SequenceForecaster(**QUICK).fit([X, X[:30]], [y, y[:30]])

    for wrong, message in [
        (lambda: plain.fit(X, y[:30]), "X: expected features of 30 steps, as many as y has, got 4"),
        (lambda: plain.fit([X, X], [y, y[1:]]), r"X\[1\]: expected features of 39 steps"),
        (lambda: plain.fit(X, [y, y]), "X: expected features .* for each of 2 series"),
        (lambda: plain.fit([y, X]), r"y\[1\]: expected shape \(T,\) as y\[0\], got \(40, 2\)"),
        (lambda: plain.fit([X, y[:, None]]), r"y\[1\]: expected 2 features as y\[0\] has"),
        (lambda: plain.fit(np.zeros((2, 2, 2, 2))), "y: expected shape"),
        (lambda: plain.fit(np.where(y > 0, y, np.inf)), "infinity"),
        (lambda: plain.fit([y, np.where(y > 0, y, np.inf)]), r"y\[1\]: .* got infinity"),
        (lambda: plain.fit([y, y[:1]]), r"y\[1\]: expected at least 2 steps"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    plain.fit(y)
    for wrong, message in [
        (lambda: plain.predict(X), "X: expected None, as fit had no features, got ndarray"),
        (lambda: plain.predict(0), "horizon: expected a positive integer"),
        (lambda: plain.predict(2, history=X), r"history: expected series \(T,\) as in fit, got 2"),
        (lambda: plain.predict(2, history=y, history_X=X), "history_X: expected None, as fit"),
        (lambda: plain.predict(2, history_X=X), "history_X: expected history with it"),
        (lambda: clone(plain).fit(["a", "b"]), "^y: expected numbers, got list: could not"),
        (lambda: plain.predict(2, history=[]), "^history: Found array with 0 sample"),
        (lambda: plain.score([y, y[1:]]), "y: expected as many steps of every series"),
        (lambda: plain.score(np.stack([y, y], axis=1)), r"y: expected shape \(40,\), got \(40, 2"),
        (lambda: featured.predict(4), "X: expected features as in fit, got NoneType"),
        (lambda: featured.predict(X[:6]), "X: expected features of at least 8 steps, to tell 6 in"),
        (lambda: featured.predict(X[:4, :1]), "X has 1 features, but SequenceForecaster is expect"),
        (lambda: featured.predict(2, X[:4], history=y), "history_X: expected features as in fit"),
        (lambda: several.predict([X[:3]]), "X: expected features .* for each of 2 series"),
        (lambda: several.predict([X[:3], X[:3, :1]]), "X"),
        (lambda: several.predict([X[:3, :1]] * 2), "X has 1 features"),
        (lambda: several.predict(5, [X[:5], X[:3]]), r"X\[1\]: expected features of at least 5"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    for wrong, message in [
        (lambda: featured.predict(2.5, X), r"horizon: expected a positive integer, got 2\.5"),
        (lambda: plain.predict(2.0), r"horizon: expected a positive integer, got 2\.0"),
        (lambda: plain.predict("2"), "horizon: expected a positive integer, got '2'"),
        (lambda: clone(plain).fit(np.array(["a", "b"])), "^y: expected numbers, got <U1"),
        (
            lambda: clone(plain).fit([[[1.0], [1.0, 2.0]]] * 2),
            r"^y\[0\]: expected an array, got list",
        ),
        (lambda: plain.predict(2, history=np.array(["a"] * 40)), "^history: expected numbers, got"),
        (lambda: plain.predict(True), "horizon: expected a positive integer, got True"),
        (lambda: plain.predict(2, horizon=3), "horizon: expected it once, got 2 and 3"),
        (
            lambda: featured.predict(X, X),
            "horizon: expected an integer or None with X, got ndarray",
        ),
    ]:
        with pytest.raises(TypeError, match=message):
            wrong()
    with pytest.raises(
        ValueError, match=r"X: expected None, .* to tell is horizon=, a series to con"
    ):
        plain.predict(y, horizon=5)
    with pytest.raises(NotFittedError):
        SequenceForecaster().predict(2)


# How it works


def by_hand(model, y, X, steps):
    """Forecast one series, one value at a time, as the documentation says."""
    prep, network = model._preparation, model.network_
    plan, of_y, of_x = prep.plan, prep.target_scaling, prep.feature_scaling
    z = list((np.diff(y, n=plan.difference) - of_y.mean) / of_y.scale)
    x = (X[plan.difference :] - of_x.mean) / of_x.scale
    start = max(max(plan.lags) - 1, len(z) - model.window)
    while len(z) < len(y) - plan.difference + steps:
        rows = [
            np.concatenate([[z[t + 1 - lag] for lag in plan.lags], *x[t + 1 : t + 1 + plan.chunk]])
            for t in range(start, len(z))
        ]
        output, _ = network.layers(np.array(rows, "float32")[:, None])
        z += list(network.head(output[-1, 0]))
    told = np.array(z[len(y) - plan.difference :][:steps], float) * of_y.scale + of_y.mean
    for order in reversed(range(plan.difference)):
        told = np.diff(y, n=order)[-1] + np.cumsum(told)
    return told


@settings(max_examples=25)
@given(
    st.sampled_from(["recursive", "direct"]),
    st.integers(1, 4),
    st.sampled_from([1, 3, [1, 5], [2]]),
    st.integers(0, 2),
    st.integers(1, 9),
)
def test_forecasts_are_what_is_documented(strategy, horizon, lags, difference, steps):
    rng = np.random.default_rng(steps)
    y, X = season(60) + 5, rng.normal(size=(90, 2))
    model = SequenceForecaster(
        **{**QUICK, "max_iter": 1}, strategy=strategy, horizon=horizon, lags=lags,
        difference=difference,
    ).fit(X[:60], y)  # fmt: skip

    found = model.predict(steps, X[60:])

    # Differences are added up twice at most, over 9 steps, of numbers of about 10.
    wanted = by_hand(model, y, X, steps)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=9 * 9 * 10 * 2**-20)


@given(
    st.integers(1, 4), st.sampled_from([(1,), (1, 3), (2,)]), st.integers(0, 1), st.integers(1, 9),
    st.integers(1, 5), st.sampled_from([0.0, 0.3]),
)  # fmt: skip
def test_windows_cover_everything_and_targets_are_what_follows(
    chunk, lags, difference, window, stride, held_out
):
    plan = Plan(lags, chunk, difference, targets=1, features=1, horizon=chunk)
    series = [np.arange(25.0)[:, None] ** 2, 1000 + np.arange(31.0)[:, None] ** 2]
    features = [value + 1e4 for value in series]

    panel = Panel(series, features, Form(many=True, flat=False))
    none = Scaling.none(1)
    prepared = Preparation(plan, none, none).prepared(
        panel, [none, none], np.dtype("float64"), features
    )
    training, held = cut(plan, prepared, window=window, stride=stride, held_out=held_out)

    changes = [np.diff(value[:, 0], n=difference) for value in series]
    seen = []
    for part in (training, held) if held_out else (training,):
        own = set()
        for index in range(len(part.lengths)):
            batch = part.batch(np.array([index]))
            assert len(batch.x) == len(batch.targets) <= window
            for x, target in zip(batch.x[:, 0], batch.targets[:, 0], strict=True):
                which = int(x[-1] >= 1e4 + 1000)
                ahead = x[len(lags) :] - 1e4
                t = int(np.flatnonzero(series[which][:, 0] == ahead[0])[0]) - difference - 1
                z = changes[which]
                assert x[: len(lags)].tolist() == [z[t + 1 - lag] for lag in lags]
                assert target.tolist() == z[t + 1 : t + 1 + chunk].tolist()
                assert ahead.tolist() == series[which][t + 1 + difference :][:chunk, 0].tolist()
                own |= {(which, t + k) for k in range(1, chunk + 1)}
        seen.append(own)
    if stride <= window:
        everything = {(k, t) for k in (0, 1) for t in range(max(lags), len(changes[k]))}
        assert set.union(*seen) == everything or held_out
        assert held_out or seen[0] == everything
    if held_out:
        assert not seen[0] & seen[1]
        ends = [max(t for which, t in own if which == 1) for own in seen]
        assert ends[0] < ends[1] == len(changes[1]) - 1


def test_early_stopping_looks_at_the_end_of_the_series():
    y = np.concatenate([season(100), 5 + season(20, seed=1)])  # what is held out is new

    model = SequenceForecaster(**{**QUICK, "max_iter": 9}, early_stopping=True).fit(y)

    assert len(model.validation_scores_) == model.n_iter_
    assert max(model.validation_scores_) == model.best_validation_score_ < -model.best_loss_


def test_forecasts_do_not_depend_on_what_is_told_with_them():
    panel = [season(40 + 3 * k, seed=k) for k in range(5)]
    model = SequenceForecaster(**QUICK, lags=2).fit(panel)

    together = model.predict(6)
    threads = model.set_params(n_jobs=2).predict(6)
    alone = [model.predict(6, history=y) for y in panel]

    assert np.array_equal(together, threads)
    assert np.array_equal(together, np.stack(alone))
    assert np.array_equal(model.predict(3), together[:, :3])
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(6), together)


# Among other estimators


def test_searches_and_pipelines_split_by_time(rng):
    X = rng.normal(size=(80, 2))
    y = X[:, 0] + season(80)
    pipeline = make_pipeline(StandardScaler(), SequenceForecaster(**{**QUICK, "max_iter": 20}))

    search = GridSearchCV(
        pipeline, {"sequenceforecaster__lags": [1, 12]}, cv=TimeSeriesSplit(3, test_size=10),
        error_score="raise",
    ).fit(X[:70], y[:70])  # fmt: skip

    assert search.predict(X[70:]).shape == (10,)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    plain = GridSearchCV(
        SequenceForecaster(**QUICK), {"difference": [0, 1]}, cv=TimeSeriesSplit(3, test_size=10),
        error_score="raise",
    ).fit(y)  # fmt: skip
    assert plain.predict(4).shape == (4,)
