"""The tagger: a label for each step, with a conditional random field and without."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from helpers_loops import every

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from sklearn.model_selection import cross_val_score

from helpers_sklearn import together
from simdrnn import losses
from simdrnn.sklearn import SequenceTagger

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {"cell": "gru", "hidden_size": 6, "max_iter": 3, "random_state": 0}
CRF = [{"crf": False}, {"crf": True}]


def tagged(rng, count=40):
    """Return sequences, and for each step whether the sum so far is above zero."""
    X = [rng.normal(size=(rng.integers(2, 9), 2)) for _ in range(count)]
    return X, [np.where(np.cumsum(x[:, 0]) > 0, "above", "below") for x in X]


# What is learned


@every("arguments", [{}, {"crf": True}, {"bidirectional": False, "num_layers": 2}], ids=str)
def test_sums_so_far_are_told(arguments, rng):
    X, y = tagged(rng, 160)
    model = SequenceTagger("gru", 16, learning_rate=0.02, max_iter=40, random_state=0)

    model.set_params(**arguments).fit(X[:120], y[:120])

    assert model.score(X[120:], y[120:]) > 0.85
    assert model.classes_.tolist() == ["above", "below"]


def test_a_field_knows_what_follows_what(rng):
    """Labels are a clock with three hands that nobody sees where a step is but noise."""
    X, y = [], []
    for _ in range(150):
        labels = (np.arange(9) + rng.integers(3)) % 3
        x = np.eye(3)[labels]
        x[rng.permutation(9)[:6]] = 0.0
        X.append(x)
        y.append(labels)
    arguments = {"cell": "rnn", "hidden_size": 2, "bidirectional": False, "learning_rate": 0.05}
    arguments |= {"max_iter": 40, "random_state": 0}

    alone = SequenceTagger(**arguments).fit(X[:100], y[:100])
    field = SequenceTagger(**arguments, crf=True).fit(X[:100], y[:100])

    assert field.score(X[100:], y[100:]) > alone.score(X[100:], y[100:]) + 0.05
    told = np.stack(field.predict(X[100:]))
    follows = (np.diff(told, axis=1) % 3 == 1).mean()
    assert follows > 0.97


# What is taken and returned


@every("arguments", CRF, ids=str)
def test_labels_have_the_form_of_sequences(arguments, rng):
    X = rng.normal(size=(12, 5, 2))
    y = rng.integers(0, 3, (12, 5))
    fits = [(X, y), (list(X), list(y)), (list(X), y.tolist()), (X.tolist(), y)]
    models = [SequenceTagger(**QUICK, **arguments).fit(*own) for own in fits]
    first = models[0]

    assert all(own.network_.bytes() == first.network_.bytes() for own in models)
    assert first.predict(X).shape == (12, 5)
    proba = first.predict_proba(X)
    assert proba.shape == (12, 5, 3)
    np.testing.assert_allclose(proba.sum(-1), 1.0, rtol=1e-14)
    assert np.array_equal(np.log(proba), first.predict_log_proba(X))
    ragged = [X[0], X[1, :2], X[2, :4]]
    several = first.predict(ragged)
    assert [own.shape for own in several] == [(5,), (2,), (4,)]
    assert np.array_equal(several[1], first.predict([X[1, :2]])[0])
    single = first.predict(X[3])  # a table is one sequence
    assert np.array_equal(single, first.predict(X)[3])
    assert np.array_equal(first.predict_proba(X[3]), proba[3])
    names = SequenceTagger(**QUICK, **arguments).fit(X, np.array(["a", "b", "c"])[y])
    assert np.array_equal(names.predict(X), np.array(["a", "b", "c"])[first.predict(X)])
    steps = SequenceTagger(**QUICK, **arguments).fit(X[:, :1], y[:, :1])  # of one step each
    assert steps.predict(X[:, :1]).shape == (12, 1)
    numbers = SequenceTagger(**QUICK, **arguments).fit([x[:, 0] for x in X], y)
    assert numbers.predict([X[0, :, 0]])[0].shape == (5,)


@every("arguments", CRF, ids=str)
def test_a_sequence_is_the_same_alone_to_the_bit(arguments, rng):
    X, y = tagged(rng)
    model = SequenceTagger(**QUICK, **arguments).fit(X, y)

    together = model.predict_proba(X)
    alone = [model.predict_proba([x])[0] for x in X]

    assert all(np.array_equal(one, other) for one, other in zip(together, alone, strict=True))
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(np.concatenate(again.predict_proba(X)), np.concatenate(together))


def test_a_field_is_that_of_the_losses(rng):
    X, y = tagged(rng)
    model = SequenceTagger(**QUICK, crf=True).fit(X, y)
    network, scaling = model.network_, model.input_scaling_
    x = ((X[0] - scaling.mean) / scaling.scale).astype("float32")[:, None]

    output, _ = network.layers(x)
    scores = network.head(output.reshape(len(x), 1, -1))

    assert isinstance(network.crf, losses.CRF)
    best = network.crf.decode(scores)[:, 0]
    assert np.array_equal(model.predict([X[0]])[0], model.classes_[best])
    np.testing.assert_allclose(
        model.predict_proba([X[0]])[0], network.crf.marginals(scores)[:, 0], rtol=1e-6
    )


# How it is learned


@every("arguments", CRF, ids=str)
def test_a_weight_of_a_sequence_is_repetition(arguments, rng):
    X, y = tagged(rng, 20)
    counts = rng.integers(0, 3, 20)
    shared = {**QUICK, **arguments, "dtype": "float64", "alpha": 0.3, "max_iter": 9}
    repeated = np.repeat(np.arange(20), counts)

    weighted = SequenceTagger(**shared).fit(X, y, sample_weight=counts)
    twice = SequenceTagger(**shared).fit([X[k] for k in repeated], [y[k] for k in repeated])

    # 9 steps of Adam from the same weights: rounding of 1e-16, times at most a few per step.
    np.testing.assert_allclose(weighted.loss_curve_, twice.loss_curve_, rtol=1e-9)
    assert weighted.score(X, y, counts) == pytest.approx(
        weighted.score([X[k] for k in repeated], [y[k] for k in repeated])
    )


def test_steps_without_weight_are_not_looked_at(rng):
    X, y = tagged(rng)
    known = [rng.random(len(own)) < 0.7 for own in y]
    other = [np.where(own, labels, "above") for own, labels in zip(known, y, strict=True)]
    weights = [own.astype(float) for own in known]
    arguments = {**QUICK, "standardize": False}

    models = [SequenceTagger(**arguments).fit(X, labels, weights) for labels in (y, other)]

    assert models[0].network_.bytes() == models[1].network_.bytes()


def test_weights_of_labels_are_weights_of_their_steps(rng):
    X, y = tagged(rng)
    factors = {"above": 5.0}
    weights = [np.where(own == "above", 5.0, 1.0) for own in y]

    one = SequenceTagger(**QUICK, class_weight=factors).fit(X, y)
    other = SequenceTagger(**QUICK).fit(X, y, weights)

    assert one.network_.bytes() == other.network_.bytes()


def test_it_goes_on_stops_early_and_works_in_parts(rng):
    X, y = tagged(rng)
    for arguments in CRF:
        whole = SequenceTagger(**QUICK, **arguments, tol=0.0).fit(X, y)
        piece = SequenceTagger(**QUICK, **arguments)
        for _ in range(3):
            piece.partial_fit(X, y, classes=["above", "below"])
        assert piece.network_.bytes() == whole.network_.bytes()
        with pytest.raises(ValueError, match="crf: expected"):
            piece.set_params(crf=not piece.crf).partial_fit(X, y)
        stopped = SequenceTagger(**QUICK, **arguments, early_stopping=True).fit(X, y)
        assert max(stopped.validation_scores_) == stopped.best_validation_score_ <= 1.0
        parts = [(X[k::2], y[k::2]) for k in (0, 1)]
        first, second = together(
            2,
            lambda rank, mean, arguments=arguments, parts=parts: SequenceTagger(
                **QUICK, **arguments
            ).fit(*parts[rank], all_reduce=mean),
        )
        assert first.network_.bytes() == second.network_.bytes()
    stacked = np.stack([np.resize(x, (6, 2)) for x in X])
    labels = np.where(np.cumsum(stacked[:, :, 0], 1) > 0, 1, 0)
    assert np.isfinite(cross_val_score(SequenceTagger(**QUICK), stacked, labels, cv=3)).all()


def test_what_cannot_be_is_named(rng):
    X, y = tagged(rng, 6)
    model = SequenceTagger(**QUICK).fit(X, y)
    wild = SequenceTagger(
        **{**QUICK, "cell": "rnn"}, layer_options={"nonlinearity": "relu"}, bidirectional=False
    ).fit(X, y)
    wild.network_.layers.load_state_dict(
        {"weight_hh_l0": 100 * np.eye(6, dtype="float32")}, strict=False
    )

    for wrong, message in [
        (lambda: model.fit(X, y[:5]), "y: expected the labels of 6 sequences, as many as X has"),
        (lambda: model.fit(X, [*y[:5], y[5][1:]]), r"y\[5\]: expected \d labels, one for each"),
        (lambda: model.fit(X[0], y[0][1:]), r"y: expected \d labels, one for each step of X, got"),
        (lambda: model.fit(X, y, [np.ones(99)] * 6), r"sample_weight\[0\]: expected shape \(\d,\)"),
        (lambda: model.fit(X, y, np.ones(5)), r"sample_weight: expected shape \(6,\)"),
        (
            lambda: model.predict([np.zeros((3, 5))]),
            "X has 5 features per step, but Sequence",
        ),
        (lambda: model.partial_fit(X, [["left"] * len(x) for x in X]), "y: expected labels of cla"),
        (
            lambda: wild.predict([X[0][:1], np.ones((99, 2))]),
            r"X\[1\]: expected a sequence on ",
        ),
        (
            lambda: SequenceTagger(**QUICK, crf=True, class_weight="balanced").fit(X, y),
            "class_weight: expected None with crf=True",
        ),
        (
            lambda: SequenceTagger(**QUICK, crf=True).fit(X, y, [np.arange(len(x)) for x in X]),
            r"sample_weight: expected one weight for all steps of a sequence with crf=True",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(TypeError, match="crf: expected True or False"):
        SequenceTagger(**QUICK, crf=1).fit(X, y)
    with pytest.raises(TypeError, match="pooling: SequenceTagger has no such argument"):
        SequenceTagger(pooling="last")
