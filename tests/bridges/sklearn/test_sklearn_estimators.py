"""Classifier and regressor: what they take, what they promise, how they train."""

from __future__ import annotations

import io
import pickle
import signal
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_loops import every

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from helpers_sklearn import sums
from simdrnn.sklearn import RNNClassifier, RNNRegressor, SequenceForecaster, training
from simdrnn.sklearn.network import cell_names

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {"cell": "gru", "hidden_size": 8, "max_iter": 3, "random_state": 0}


def fitted(kind=RNNClassifier, ragged=True, **arguments):
    rng = np.random.default_rng(7)
    X, y = sums(rng)
    if not ragged:
        X = rng.normal(size=(60, 5, 2))
    targets = y if kind is RNNRegressor else np.where(y > 0, "up", "down")
    return kind(**{**QUICK, **arguments}).fit(X, targets), X, targets


# What is learned


@every("cell", [*cell_names()])
def test_every_cell_learns(cell, rng):
    X, y = sums(rng, 200)
    model = RNNRegressor(cell, hidden_size=16, learning_rate=0.02, max_iter=60, random_state=0)

    assert model.fit(X[:150], y[:150]).score(X[150:], y[150:]) > 0.7


@every(
    "arguments",
    [
        {"pooling": "mean"},
        {"pooling": "max"},
        {"bidirectional": True},
        {"num_layers": 2, "dropout": 0.1},
        {"hidden_size": (12, 8)},
        {"hidden_size": (12, 8), "bidirectional": True, "pooling": "mean"},
        {"hidden_size": (8, 8), "dropout": 0.1},
        {"layer_options": {"residual": True}, "num_layers": 2},
        {"layer_options": {"merge": "none"}, "bidirectional": True},
        {"layer_options": {"learn_initial_state": True}},
        {"optimizer": "sgd", "optimizer_options": {"momentum": 0.9}, "learning_rate": 0.1},
        {"optimizer": "rmsprop"},
        {"optimizer": "adamw", "alpha": 0.1},
        {"dtype": "float64", "clip_norm": None, "shuffle": False},
    ],
    ids=str,
)
def test_every_kind_of_network_learns(arguments, rng):
    X, y = sums(rng, 200)
    labels = np.where(y > 0, "up", "down")
    shared = {"hidden_size": 16, "learning_rate": 0.02, "max_iter": 40, "random_state": 0}

    model = RNNClassifier("gru", **{**shared, **arguments}).fit(X[:150], labels[:150])

    assert model.score(X[150:], labels[150:]) > 0.8


def test_several_targets_of_other_sizes_are_learned(rng):
    X = rng.normal(size=(200, 4, 2))
    y = np.stack([1000 + 500 * X[:, :, 0].sum(axis=1), 1e-3 * X[:, 0, 1]], axis=1)

    model = RNNRegressor("gru", 24, learning_rate=0.02, max_iter=80, random_state=0)
    model.fit(X[:150], y[:150])

    errors = model.predict(X[150:]) - y[150:]
    assert (errors.std(axis=0) < 0.5 * y.std(axis=0)).all()
    assert model.predict(X).shape == y.shape


# What is taken


def test_all_forms_of_the_same_sequences_are_the_same(rng):
    X = rng.normal(size=(40, 6, 2))
    y = rng.integers(0, 2, 40)
    forms = [X, list(X), tuple(X), X.tolist(), np.asfortranarray(X)]
    nested = np.empty(40, dtype=object)
    nested[:] = list(X)

    found = [RNNClassifier(**QUICK).fit(form, y).predict_proba(X) for form in [*forms, nested]]

    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_a_table_is_sequences_of_numbers_or_single_steps(rng):
    X = rng.normal(size=(40, 6))
    y = rng.integers(0, 2, 40)

    steps = RNNClassifier(**QUICK).fit(X, y)
    features = RNNClassifier(**QUICK, columns="features").fit(X, y)

    assert (steps.n_features_in_, steps.network_.layers.input_size) == (6, 1)
    assert (features.n_features_in_, features.network_.layers.input_size) == (6, 6)
    np.testing.assert_array_equal(
        RNNClassifier(**QUICK).fit(X[:, :, None], y).predict_proba(X[:, :, None]),
        steps.predict_proba(X),
    )
    single = X[:, None, :]
    assert np.array_equal(features.predict_proba(single), features.predict_proba(X))
    # One number for each step: other lengths come as a list, or as (N, T, 1).
    assert steps.predict([X[0], X[1, :3]]).shape == (2,)
    assert steps.predict(X[:, :4, None]).shape == (40,)


@pytest.mark.parametrize("labels", [["b", "a"], [7, -3], [True, False], [2.0, 1.0]])
def test_labels_of_any_type_come_back(labels, rng):
    X = rng.normal(size=(20, 3, 1))
    y = np.array(labels)[rng.integers(0, 2, 20)]

    model = RNNClassifier(**QUICK).fit(X, y)

    assert model.classes_.tolist() == sorted(labels)
    assert model.predict(X).dtype == y.dtype
    assert set(model.predict(X)) <= {*labels}
    proba = model.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-15 * 8)
    np.testing.assert_array_equal(np.log(proba).argmax(1), model.predict_log_proba(X).argmax(1))


def test_integers_and_large_offsets_are_no_trouble(rng):
    X = rng.integers(0, 9, (60, 4, 1))
    y = X.sum(axis=(1, 2))
    shared = {"hidden_size": 16, "learning_rate": 0.02, "max_iter": 60, "random_state": 0}

    model = RNNRegressor(**shared).fit(X, y)
    moved = RNNRegressor(**shared).fit(X + 1_600_000_000, y)  # seconds since 1970

    assert model.score(X, y) > 0.9
    # What is left after the mean is taken off in float64 is off by 1600000000 * 2**-53 at most.
    np.testing.assert_allclose(moved.loss_curve_[0], model.loss_curve_[0], rtol=1e-5)


WRONG = [
    ({"cell": "gpu"}, ValueError, "cell: expected one of 'ctrnn', "),
    ({"cell": 3}, ValueError, "cell: expected one of"),
    ({"hidden_size": 0}, ValueError, "hidden_size: expected a positive integer, got 0"),
    ({"hidden_size": ()}, ValueError, "hidden_size: expected a tuple with the size of each"),
    ({"hidden_size": (3, 4), "num_layers": 3}, ValueError, "hidden_size: .* num_layers=3"),
    ({"num_layers": 0}, ValueError, "num_layers: expected a positive integer"),
    ({"dropout": 2}, ValueError, r"dropout: expected a number in \[0, 1\]"),
    ({"pooling": "sum"}, ValueError, "pooling: expected 'last' or 'mean' or 'max', got 'sum'"),
    ({"pooling": "none"}, ValueError, "pooling: expected 'last'"),
    ({"layer_options": 3}, TypeError, "layer_options: expected a dict or None, got int"),
    ({"layer_options": {"clop": 1}}, TypeError, "clop: unknown option"),
    ({"layer_options": {"batch_first": True}}, ValueError, "layer_options: .* got 'batch_first'"),
    ({"columns": "rows"}, ValueError, "columns: expected 'steps' or 'features'"),
    ({"standardize": 1}, TypeError, "standardize: expected True or False"),
    ({"optimizer": "lbfgs"}, ValueError, "optimizer: expected one of 'adam'"),
    ({"optimizer_options": [1]}, TypeError, "optimizer_options: expected a dict"),
    ({"learning_rate": 0}, ValueError, "learning_rate: expected a positive finite number"),
    ({"batch_size": "all"}, TypeError, "batch_size: expected a positive integer, got 'all'"),
    ({"max_iter": 0}, ValueError, "max_iter: expected a positive integer"),
    ({"alpha": -1}, ValueError, "alpha: expected a number in"),
    ({"clip_norm": 0}, ValueError, "clip_norm: expected a positive"),
    ({"tol": -1}, ValueError, "tol: expected a number in"),
    ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change: expected a positive integer"),
    ({"early_stopping": "yes"}, TypeError, "early_stopping: expected True or False"),
    ({"validation_fraction": 1.0}, ValueError, r"validation_fraction: expected .* \(0, 1\)"),
    ({"shuffle": 2}, TypeError, "shuffle: expected True or False"),
    ({"warm_start": None, "shuffle": 2}, TypeError, "shuffle"),
    ({"dtype": "float16"}, ValueError, "dtype: expected float32 or float64"),
    ({"n_jobs": 0}, ValueError, "n_jobs: expected an integer other than 0"),
    ({"verbose": "much"}, TypeError, "verbose: expected True, False or an integer"),
]


@every("arguments, error, message", WRONG, ids=lambda v: str(v)[:40])
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        fitted(**arguments)


def test_arguments_that_do_not_exist_are_named_with_their_class():
    for kind, arguments, message in [
        (RNNRegressor, {"class_weight": None}, "class_weight: RNNRegressor .* one of cell, hidden"),
        (RNNRegressor, {"steps": 3}, "steps: RNNRegressor has no such argument; expected one of"),
        (SequenceForecaster, {"bidirectional": True}, "bidirectional: SequenceForecaster has no"),
    ]:
        with pytest.raises(TypeError, match=message):
            kind(**arguments)
    with pytest.raises(TypeError, match="RNNClassifier: too many positional arguments"):
        RNNClassifier(*range(40))
    with pytest.raises(TypeError, match="RNNRegressor: multiple values for argument 'cell'"):
        RNNRegressor("gru", cell="lstm")
    with pytest.raises(TypeError, match=r"class_weight: RNNClassifier\.fit has .* one of X, y"):
        RNNClassifier().fit(np.zeros((4, 2)), [0, 1, 0, 1], class_weight={1: 2})
    with pytest.raises(
        TypeError, match=r"epochs: RNNRegressor\.fit has no .* one of X, y, sample_"
    ):
        RNNRegressor().fit(np.zeros((4, 2)), [0, 1, 0, 1], epochs=3)
    with pytest.raises(TypeError, match=r"RNNRegressor\.fit: missing a required argument: 'y'"):
        RNNRegressor().fit(np.zeros((4, 2)))


def test_wrong_data_are_named(rng):
    model, X, y = fitted()
    X3 = rng.normal(size=(4, 3, 2))

    for wrong, message in [
        ([np.zeros((2, 2)), np.zeros((2, 3))], r"X\[1\]: expected 2 features as X\[0\] has, got 3"),
        ([np.zeros((2, 2)), np.zeros((0, 2))], r"X\[1\]: expected an array .* at least one step"),
        ([np.zeros((2, 2)), np.full((2, 2), np.nan)], r"X\[1\]: expected finite numbers, got NaN"),
        (np.zeros((3, 2, 5)), "X has 5 features per step, but RNNClassifier is expecting 2"),
        (np.zeros((3, 2)), r"X: expected sequences of 2 features.*one sequence is X\[np.newaxis\]"),
        (np.zeros((3, 0, 2)), "X: expected a table .* at least one step and feature"),
        (np.zeros((1, 2, 3, 4)), r"X: expected a table .* got shape \(1, 2, 3, 4\)"),
        (np.where(X3 > 3, X3, np.nan), "NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.predict(wrong)
    with pytest.raises(TypeError, match=r"X\[0\]: expected an array of numbers"):
        model.predict([np.array([["a", "b"]])])
    for weights, message in [
        (np.ones(3), "inconsistent numbers of samples"),
        (np.zeros(60), "sample_weight: expected a weight above zero"),
        (-np.ones(60), "sample_weight: expected no negative weight"),
        (np.ones((60, 1)), "sample_weight: expected shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            clone(model).fit(X, y, weights)
    first = (np.arange(60) == 0).astype(float)
    with pytest.raises(ValueError, match="sample_weight: expected a weight above zero"):
        clone(model).set_params(early_stopping=True).fit(X, y, first)  # in both parts
    with pytest.raises(ValueError, match="classes"):
        model.partial_fit(X, y, classes=["up", "down", "left"])
    with pytest.raises(ValueError, match="y: expected labels of classes"):
        model.partial_fit(X, np.where(y == "up", "left", y))
    with pytest.raises(ValueError, match=r"y: expected shape \(N,\) as in the first call"):
        fitted(RNNRegressor)[0].partial_fit(X, np.zeros((60, 2)))
    with pytest.raises(ValueError, match=r"y: expected shape \(N,\) or \(N, O\)"):
        RNNRegressor().fit(X3, np.zeros((4, 1, 1)))
    with pytest.raises(ValueError, match="requires y"):
        RNNRegressor().fit(X3, None)
    with pytest.raises(ValueError, match="early_stopping"):
        fitted()[0].set_params(early_stopping=True).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"validation_fraction: .* got 0\.1 of 4"):
        RNNRegressor(early_stopping=True).fit(X3, np.arange(4.0))
    with pytest.raises(ValueError, match="X: expected numbers that fit float32"):
        RNNRegressor(standardize=False).fit(X3 * 1e300, np.arange(4.0))
    with pytest.raises(ValueError, match="X: expected numbers whose squares are finite"):
        RNNRegressor().fit(X3 * 1e300, np.arange(4.0))
    with pytest.raises(NotFittedError):
        RNNRegressor().predict(X3)


def test_a_loss_that_is_not_finite_ends_training(rng):
    X, y = rng.normal(size=(8, 3, 1)), rng.normal(size=8)
    steep = {"optimizer": "sgd", "learning_rate": 1e30, "clip_norm": None}

    with pytest.raises(ValueError, match="fit: expected a finite loss, got"):
        RNNRegressor("rnn", layer_options={"nonlinearity": "relu"}, **steep).fit(X, y)


def test_scores_that_are_not_finite_are_no_class():
    growing = {"cell": "rnn", "layer_options": {"nonlinearity": "relu"}}
    model, X, _ = fitted(**growing)
    layers = model.network_.layers
    layers.load_state_dict({"weight_hh_l0": 100 * np.eye(8, dtype="float32")}, strict=False)

    assert set(model.predict([x[:1] for x in X])) <= {"down", "up"}
    for predict in (model.predict, model.predict_proba, model.predict_log_proba):
        with pytest.raises(
            ValueError, match=r"X\[1\]: expected a sequence on which .* stays finite"
        ):
            predict([X[0][:1], np.ones((99, 2))])


# What is promised


@settings(max_examples=30)
@given(
    st.sampled_from(["last", "mean", "max"]),
    st.sampled_from([{}, {"bidirectional": True}, {"hidden_size": (3, 1)}, {"hidden_size": 1}]),
    st.lists(st.integers(1, 9), min_size=2, max_size=9),
    st.integers(0, 2**32 - 1),
)
def test_a_row_is_the_same_alone_to_the_bit(pooling, arguments, lengths, seed):
    rng = np.random.default_rng(seed)
    X = [rng.normal(size=(length, 2)) for length in lengths]
    y = [0, 1] * len(X)
    model = RNNClassifier(**{**QUICK, "max_iter": 1, "pooling": pooling, **arguments})
    model.fit(X + X, y)

    together = model.predict_proba(X)
    alone = np.concatenate([model.predict_proba([x]) for x in X])
    threads = model.set_params(n_jobs=2).predict_proba(X[::-1])[::-1]

    assert np.array_equal(together, alone)
    assert np.array_equal(together, threads)


@pytest.mark.parametrize("kind", [RNNClassifier, RNNRegressor])
def test_seeds_fix_everything_and_threads_change_nothing(kind):
    arguments = {
        "num_layers": 2,
        "dropout": 0.3,
        "early_stopping": True,
        "validation_fraction": 0.3,
    }
    first, X, _ = fitted(kind, **arguments)
    again, _, _ = fitted(kind, **arguments, n_jobs=2)
    other, _, _ = fitted(kind, **arguments, random_state=1)

    assert first.loss_curve_ == again.loss_curve_
    assert np.array_equal(first._run(X), again._run(X))
    assert first.loss_curve_ != other.loss_curve_


def test_the_network_is_ours(rng):
    """What is predicted can be had from the layers and the head by hand."""
    model, X, _ = fitted(pooling="mean", bidirectional=True)
    scaling, network = model.input_scaling_, model.network_
    x = ((X[3] - scaling.mean) / scaling.scale).astype("float32")

    output, _ = network.layers(x[:, None])
    scores = network.head(output[:, 0].mean(axis=0))
    proba = np.exp(scores) / np.exp(scores).sum()

    np.testing.assert_allclose(model.predict_proba([X[3]])[0], proba, rtol=1e-5)


# How it trains


def test_early_stopping_keeps_the_best():
    model, X, _ = fitted(
        max_iter=60, early_stopping=True, validation_fraction=0.3, learning_rate=0.05, tol=0.0,
        n_iter_no_change=60,
    )  # fmt: skip
    scores = model.validation_scores_
    best = int(np.argmax(scores))
    shorter, _, _ = fitted(
        max_iter=best + 1, early_stopping=True, validation_fraction=0.3, learning_rate=0.05,
        tol=0.0, n_iter_no_change=60,
    )  # fmt: skip

    assert best + 1 < len(scores) == len(model.loss_curve_) == model.n_iter_ == 60
    assert model.best_validation_score_ == max(scores)
    assert np.array_equal(model.predict_proba(X), shorter.predict_proba(X))


def test_training_ends_when_nothing_changes_and_says_so_when_not(rng):
    X = rng.normal(size=(20, 3, 1))
    y = np.zeros(20)
    y[0] = 1e-3

    converged = RNNRegressor(tol=10.0, n_iter_no_change=4).fit(X, y)
    assert converged.n_iter_ == 6  # the first, four that may pass, and one more
    assert converged.validation_scores_ is None
    for model in (RNNRegressor(max_iter=2), SequenceForecaster(max_iter=2)):
        with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached") as found:
            model.fit(X, y) if isinstance(model, RNNRegressor) else model.fit(y)
        assert found[0].filename == __file__  # where the estimator was called


def test_partial_fit_is_fit_in_pieces():
    whole, X, y = fitted(max_iter=3, tol=0.0)
    piece = RNNClassifier(**QUICK)
    for _ in range(3):
        piece = pickle.loads(pickle.dumps(piece.partial_fit(X, y, classes=["down", "up"])))

    assert piece.n_iter_ == 3
    assert piece.loss_curve_ == whole.loss_curve_
    assert np.array_equal(piece.predict_proba(X), whole.predict_proba(X))


def test_partial_fit_takes_classes_that_come_later(rng):
    X = rng.normal(size=(8, 3, 1))

    model = RNNClassifier(**QUICK).partial_fit(X, ["a"] * 8, classes=["c", "a", "b"])
    model.partial_fit(X, ["c"] * 8)

    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.predict_proba(X).shape == (8, 3)


def test_warm_start_goes_on_and_a_new_fit_does_not():
    model, X, y = fitted(max_iter=20, learning_rate=0.02)
    before = model.loss_

    again = clone(model).fit(X, y)
    assert again.loss_ == before
    model.set_params(warm_start=True, max_iter=1).fit(X, y)
    assert model.loss_curve_[-1] < 1.1 * before < model.loss_curve_[0]
    assert (model.n_iter_, len(model.loss_curve_)) == (1, 21)


def test_weights_of_sequences_matter(rng):
    X = rng.normal(size=(40, 3, 1))
    y = np.repeat([0, 1], 20)

    model = RNNClassifier(**{**QUICK, "max_iter": 60, "learning_rate": 0.02})
    model.fit(X, y, sample_weight=np.where(y == 1, 100.0, 1.0))

    assert (model.predict(X) == 1).mean() > 0.8


def test_alpha_makes_weights_smaller():
    def size(model):
        return sum((value**2).sum() for value in model.network_.layers.state_dict().values())

    free, _, _ = fitted(max_iter=30, learning_rate=0.02)
    held, _, _ = fitted(max_iter=30, learning_rate=0.02, alpha=30.0)

    assert size(held) < 0.5 * size(free)
    assert held.loss_curve_[0] > free.loss_curve_[0]  # the penalty is part of the loss


@pytest.fixture
def default_interrupt():
    """Python's own handler of Ctrl-C, whatever the process was started with."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("default_interrupt")
def test_ctrl_c_keeps_what_was_learned(monkeypatch):
    steps = []
    step = training.Trainer._step

    def interrupted(self, batch):
        steps.append(batch.examples)
        if len(steps) == 5:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch)

    monkeypatch.setattr(training.Trainer, "_step", interrupted)
    with pytest.warns(UserWarning, match="interrupted by user after 2 epochs"):
        model, X, _ = fitted(max_iter=50, batch_size=30)

    assert len(steps) == 5  # two to an epoch: it stops in the middle of the third
    assert (model.n_iter_, len(model.loss_curve_)) == (2, 2)
    assert model.predict(X).shape == (60,)


def test_progress_is_lines_or_a_bar(monkeypatch, capsys):
    fitted()
    assert capsys.readouterr() == ("", "")

    fitted(verbose=True, early_stopping=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3 epochs  loss 0." in err
    assert "validation score 0." in err

    pytest.importorskip("tqdm")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    fitted(verbose=1)
    assert "3/3 epochs |" in screen.getvalue()
    assert "\r" in screen.getvalue()
