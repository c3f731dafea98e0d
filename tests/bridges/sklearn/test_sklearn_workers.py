"""Training by several workers: equal to one, and no worker left waiting."""

from __future__ import annotations

import numpy as np
import pytest

from helpers_sklearn import sums, together

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from simdrnn.sklearn import RNNClassifier, RNNRegressor, SequenceForecaster
from simdrnn.sklearn.workers import Workers

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {"cell": "gru", "hidden_size": 6, "max_iter": 4, "random_state": 0}


def shards(X, y, size):
    """Deal out mini-batches of `size`: two workers together see what one sees of twice the size."""
    turn = (np.arange(len(y)) // size) % 2
    return [(X[turn == rank], y[turn == rank]) for rank in range(2)]


@pytest.mark.parametrize("kind", [RNNClassifier, RNNRegressor])
def test_two_workers_are_as_one(kind, rng):
    X, y = rng.normal(size=(48, 5, 2)), rng.normal(size=48)
    y = np.where(y > 0, "up", "down") if kind is RNNClassifier else y
    shared = {**QUICK, "shuffle": False, "standardize": False, "dtype": "float64", "alpha": 0.0}
    parts = shards(X, y, 8)

    alone = kind(**shared, batch_size=16, clip_norm=0.1).fit(X, y)
    models = together(
        2,
        lambda rank, mean: kind(**shared, batch_size=8, clip_norm=0.1).fit(
            *parts[rank], all_reduce=mean
        ),
    )

    assert models[0].network_.bytes() == models[1].network_.bytes()
    # Gradients are float64 and differ in rounding alone, which 12 steps of Adam may magnify.
    np.testing.assert_allclose(models[0]._run(X), alone._run(X), rtol=1e-9, atol=1e-11)
    assert models[0].loss_curve_ == models[1].loss_curve_


@pytest.mark.parametrize("kind", [RNNClassifier, RNNRegressor])
def test_workers_agree_on_scales_and_on_when_to_end(kind, rng):
    X, y = sums(rng, 80)
    y = np.where(y > 0, "up", "down") if kind is RNNClassifier else y
    arguments = {**QUICK, "max_iter": 60, "early_stopping": True, "n_iter_no_change": 3}

    models = together(
        2,
        lambda rank, mean: kind(**arguments).fit(
            [X[k] for k in range(rank, 80, 2)], y[rank::2], all_reduce=mean
        ),
    )

    first, second = models
    assert first.network_.bytes() == second.network_.bytes()
    assert first.validation_scores_ == second.validation_scores_
    assert first.n_iter_ == second.n_iter_
    assert np.array_equal(first.input_scaling_.mean, second.input_scaling_.mean)
    steps = np.concatenate(X)
    if kind is RNNClassifier:  # of which what is held out is chosen by class
        return
    np.testing.assert_allclose(first.input_scaling_.scale, steps.std(axis=0), rtol=0.1)


def test_workers_of_a_forecaster_agree(rng):
    y = np.sin(np.arange(120) * 0.3) + rng.normal(0, 0.1, 120)

    models = together(
        2,
        lambda rank, mean: SequenceForecaster(**QUICK, early_stopping=True).fit(
            y[60 * rank : 60 * rank + 60], all_reduce=mean
        ),
    )

    assert models[0].network_.bytes() == models[1].network_.bytes()
    assert not np.array_equal(models[0].predict(3), models[1].predict(3))  # of their own series


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 7}, "arguments"),
        ({"y": np.array(["left", "up"] * 10)}, "kind of data"),
        ({"count": 10}, "number of mini-batches"),
        ({"random_state": None}, "initial weights"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_workers_that_differ_are_all_told(change, message, rng):
    X = rng.normal(size=(20, 3, 1))
    y = np.array(["down", "up"] * 10)

    def work(rank, mean):
        own = change if rank == 1 or "random_state" in change else {}
        count = own.get("count", 20)
        arguments = {**QUICK, "batch_size": 5}
        arguments |= {name: own[name] for name in ("hidden_size", "random_state") if name in own}
        labels = own.get("y", y)[:count]
        return RNNClassifier(**arguments).fit(X[:count], labels, all_reduce=mean)

    for error in together(3, work):
        assert isinstance(error, ValueError)
        assert str(error) == (
            f"all_reduce: expected the same {message} on every worker, got different ones"
        )


def test_partial_fit_takes_turns_with_workers(rng):
    X, y = rng.normal(size=(40, 3, 2)), rng.normal(size=40)

    def work(rank, mean):
        model = RNNRegressor(**QUICK)
        for _ in range(3):
            model.partial_fit(X[rank::2], y[rank::2], all_reduce=mean)
        return model.network_.bytes()

    first, second = together(2, work)
    assert first == second


def test_hooks_that_cannot_be_are_refused(rng):
    X, y = rng.normal(size=(10, 3, 1)), np.arange(10.0)

    with pytest.raises(TypeError, match="all_reduce: expected a callable or None, got int"):
        RNNRegressor(**QUICK).fit(X, y, all_reduce=3)
    with pytest.raises(TypeError, match="all_reduce: expected None, with the buffer changed"):
        RNNRegressor(**QUICK).fit(X, y, all_reduce=lambda buffer: buffer * 1)
    assert Workers(None).mean(np.array([0.1])) == 0.1
