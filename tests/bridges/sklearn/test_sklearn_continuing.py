"""Estimators that go on: with other arguments, after a failure, out of files."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from helpers_loops import every

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from sklearn.exceptions import NotFittedError

from simdrnn.sklearn import RNNClassifier, RNNRegressor, SequenceForecaster

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # On the way to a loss that is not finite.
    pytest.mark.filterwarnings(
        "ignore:(overflow|invalid value) encountered in matmul:RuntimeWarning"
    ),
]

QUICK = {"cell": "gru", "hidden_size": 4, "max_iter": 2, "random_state": 0}


def data(seed=0, count=24):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 3, 2)), np.arange(count) % 2


def fitted(kind=RNNClassifier, **arguments):
    return kind(**{**QUICK, **arguments}).fit(*data())


# Other arguments


@every(
    "name, other, was",
    [
        ("hidden_size", 8, "4"),
        ("hidden_size", (4, 5), "4"),
        ("cell", "lstm", "'gru'"),
        ("num_layers", 1, "2"),
        ("bidirectional", True, "False"),
        ("dropout", 0.5, "0.0"),
        ("pooling", "max", "'last'"),
        ("layer_options", {"recurrent_dropout": 0.1}, "{}"),
        ("columns", "features", "'steps'"),
        ("standardize", False, "True"),
        ("dtype", "float64", "'float32'"),
    ],
    ids=str,
)
@every("how", ["warm_start", "partial_fit"])
@pytest.mark.parametrize("kind", [RNNClassifier, RNNRegressor])
def test_another_network_is_not_gone_on_with(how, kind, name, other, was):
    X, y = data()
    model = fitted(kind, warm_start=True, num_layers=2)
    before = model._run(X)
    own = model.get_params()[name]
    model.set_params(**{name: other})
    go_on = model.fit if how == "warm_start" else model.partial_fit

    with pytest.raises(ValueError, match=f"{name}: expected {was}, of the network that {how} goes"):
        go_on(X, y)

    model.set_params(**{name: own})
    assert np.array_equal(model._run(X), before)
    go_on(X, y)
    model.set_params(warm_start=False, **{name: other}).fit(X, y)


@every(
    "arguments",
    [
        {"cell": "GRU"},
        {"hidden_size": [4]},
        {"dtype": np.float32},
        {"layer_options": {}},
        {"learning_rate": 1e-4, "alpha": 0.1, "batch_size": 5, "clip_norm": None, "max_iter": 1},
    ],
    ids=str,
)
@every("how", ["fit", "partial_fit"])
def test_what_means_the_same_and_what_may_change_goes_on(how, arguments):
    X, y = data()
    model = fitted(warm_start=True, layer_options=None).set_params(**arguments)

    getattr(model, how)(X, y)

    assert len(model.loss_curve_) > 2


def test_an_option_that_was_changed_in_place_is_seen():
    options = {"recurrent_dropout": 0.1}
    model = fitted(layer_options=options)
    options["recurrent_dropout"] = 0.5

    with pytest.raises(ValueError, match=r"layer_options: expected {'recurrent_dropout': 0.1}"):
        model.partial_fit(*data())


def test_another_optimizer_needs_a_state_of_its_own():
    X, y = data()
    model = fitted().set_params(optimizer="sgd", optimizer_options={"momentum": 0.9})

    with pytest.raises(ValueError, match=r"optimizer: expected 'adam'.* got 'sgd'; fit with warm"):
        model.partial_fit(X, y)
    model.set_params(warm_start=True).fit(X, y).partial_fit(X, y)
    model.set_params(optimizer_options={"momentum": 0.5})
    with pytest.raises(ValueError, match=r"optimizer_options: expected {'momentum': 0.9}"):
        model.partial_fit(X, y)


def test_scales_of_one_sequence_are_warned_of_once():
    X, y = data()
    one = RNNRegressor(**QUICK).partial_fit(X[:1], y[:1])

    with pytest.warns(UserWarning, match="scales of the first call, which had one seq") as caught:
        one.partial_fit(X, y)

    assert [warning.filename for warning in caught] == [__file__]
    one.partial_fit(X, y)
    RNNRegressor(**QUICK).partial_fit(X[:2], y[:2]).partial_fit(X, y)
    RNNRegressor(**QUICK, standardize=False).partial_fit(X[:1], y[:1]).partial_fit(X, y)
    # What did not vary has no scale yet.
    RNNRegressor(**QUICK).partial_fit(np.ones((1, 3, 2)), y[:1]).partial_fit(X, y)


def test_a_new_random_state_takes_over():
    X, y = data()
    runs = []
    for seed in (0, 1, 1):
        model = fitted(batch_size=8).set_params(random_state=seed)
        runs.append(model.partial_fit(X, y)._run(X))

    assert np.array_equal(runs[1], runs[2])
    assert not np.array_equal(runs[0], runs[1])


def test_what_is_predicted_is_read_as_in_fit():
    X = np.random.default_rng(0).normal(size=(24, 5))
    model = RNNClassifier(**QUICK).fit(X, np.arange(24) % 2)

    found = model.predict_proba(X)

    assert np.array_equal(model.set_params(columns="features").predict_proba(X), found)


# Failures


@pytest.mark.parametrize("kind", [RNNClassifier, RNNRegressor])
def test_a_fit_that_fails_changes_nothing(kind):
    X, y = data()
    model = fitted(kind)
    before, curve = model._run(X), list(model.loss_curve_)
    wild = {"cell": "rnn", "layer_options": {"nonlinearity": "relu"}, "clip_norm": None}
    wild |= {"optimizer": "sgd", "learning_rate": 1e30}

    wider = np.random.default_rng(1).normal(size=(24, 3, 5))
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(wider, y + 5, np.zeros(24))
    with pytest.raises(ValueError, match="expected a finite loss"):
        model.set_params(**wild).fit(wider, y + 5)
    assert (model.n_features_in_, list(model.loss_curve_)) == (2, curve)
    assert np.array_equal(model._run(X), before)
    assert set(model.predict(X)) <= {0, 1} or kind is RNNRegressor


def test_training_on_that_fails_leaves_the_weights():
    X, y = data()
    model = fitted(RNNRegressor, layer_options={"activation": "relu"}, clip_norm=None, alpha=1.0)
    before, curve = model.predict(X), list(model.loss_curve_)

    with pytest.raises(ValueError, match="expected a finite loss"):
        model.set_params(learning_rate=1e38, batch_size=2).partial_fit(X, y)

    assert np.array_equal(model.predict(X), before)
    assert model.loss_curve_ == curve
    model.set_params(learning_rate=1e-3).partial_fit(X, y)
    assert np.isfinite(model.predict(X)).all()


def test_a_first_fit_that_fails_is_none():
    X, y = data()
    model = RNNRegressor(
        **QUICK, layer_options={"activation": "relu"}, optimizer="sgd", learning_rate=1e38,
        clip_norm=None, alpha=1.0, batch_size=2,
    )  # fmt: skip

    with pytest.raises(ValueError, match="expected a finite loss"):
        model.fit(X, y)

    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(ValueError, match="at least 2 steps"):
        SequenceForecaster(**QUICK).fit([1.0])


def test_a_forecaster_that_fails_to_fit_again_forecasts_as_before():
    y = np.sin(np.arange(60.0))
    model = SequenceForecaster(**QUICK).fit(y)
    before = model.predict(4)

    with pytest.raises(ValueError, match="at least"):
        model.set_params(lags=80).fit(np.ones((60, 3)), y)

    assert model.n_features_in_ == 1
    assert np.array_equal(model.predict(4), before)


# Files


def read_only(model):
    """Return a copy whose arrays cannot be written to, as pickle 5 makes them of bytes."""
    buffers = []
    text = pickle.dumps(model, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(text, buffers=[bytes(buffer.raw()) for buffer in buffers])


def mapped(model, tmp_path):
    joblib = pytest.importorskip("joblib")
    joblib.dump(model, tmp_path / "model")
    return joblib.load(tmp_path / "model", mmap_mode="r")


@every("first", ["predict", "score", "partial_fit", "fit"])
@every("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("kind", [RNNClassifier, RNNRegressor])
def test_estimators_whose_arrays_are_read_only_go_on(kind, optimizer, first, tmp_path):
    X, y = data()
    options = {"momentum": 0.9} if optimizer == "sgd" else None
    model = fitted(
        kind, hidden_size=32, num_layers=2, optimizer=optimizer, optimizer_options=options,
        warm_start=True,
    )  # fmt: skip
    wanted = copy.deepcopy(model)
    for _ in range(2):
        wanted.partial_fit(X, y)

    for loaded in (read_only(model), mapped(model, tmp_path)):
        if first in ("predict", "score"):
            getattr(loaded, first)(*((X,) if first == "predict" else (X, y)))
        if first == "fit":
            loaded.fit(X, y)
            continue
        for _ in range(2):
            loaded.partial_fit(X, y)
        assert np.array_equal(loaded._run(X), wanted._run(X))


def test_a_forecaster_out_of_a_file_forecasts(tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 2))
    model = SequenceForecaster(**QUICK, difference=1).fit(X[:30], X[:30, 0])
    wanted = model.predict(X[30:])

    for loaded in (read_only(model), mapped(model, tmp_path)):
        assert np.array_equal(loaded.predict(X[30:]), wanted)
        assert loaded.score(X[30:], X[30:, 0]) == model.score(X[30:], X[30:, 0])
        assert np.array_equal(loaded.fit(X[:30], X[:30, 0]).predict(X[30:]), wanted)
