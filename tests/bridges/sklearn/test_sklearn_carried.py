"""What arrays carry beside their numbers is not dropped, and what are no numbers is refused."""

from __future__ import annotations

import numpy as np
import pytest

from helpers_sklearn import Frame

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from simdrnn.sklearn import RNNClassifier, RNNRegressor, SequenceForecaster

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {"cell": "gru", "hidden_size": 4, "max_iter": 1, "random_state": 0}


def frames(count=10, columns="ab"):
    rng = np.random.default_rng(0)
    return [Frame(rng.normal(size=(4, len(columns))), columns) for _ in range(count)]


def turned(items):
    return [item.in_order("".join(reversed(item.columns))) for item in items]


def test_columns_of_sequences_keep_their_order():
    X, y = frames(), np.arange(10) % 2
    model = RNNClassifier(**QUICK).fit(X, y)
    plain = RNNClassifier(**QUICK).fit([x.values for x in X], y)

    assert np.array_equal(model.predict_proba(X), plain.predict_proba([x.values for x in X]))
    assert np.array_equal(model.predict_proba([x.values for x in X]), model.predict_proba(X))
    with pytest.raises(ValueError, match=r"X: expected columns \['a', 'b'\] .* got \['b', 'a'\]"):
        model.predict(turned(X))
    with pytest.raises(
        ValueError, match=r"X\[9\]: expected columns .* as X\[0\] has, got \['b', 'a'\]"
    ):
        model.fit(X[:9] + turned(X[9:]), y)
    model.fit(turned(X), y).predict(turned(X))  # a new fit, new names


def test_a_table_of_features_is_as_its_single_steps():
    table = Frame(np.random.default_rng(0).normal(size=(10, 2)), "ab")
    single = [Frame(row[None], "ab") for row in table.values]

    model = RNNClassifier(**QUICK, columns="features").fit(single, np.arange(10) % 2)

    assert np.array_equal(model.predict(table), model.predict(single))
    with pytest.raises(ValueError, match="X: expected columns"):
        model.predict(table.in_order("ba"))


def test_columns_of_targets_keep_their_order():
    X = np.random.default_rng(0).normal(size=(10, 4, 2))
    y = Frame(np.arange(20.0).reshape(10, 2), "uv")
    model = RNNRegressor(**QUICK).fit(X, y)

    assert model.score(X, y) == model.score(X, y.values)
    for wrong in (model.partial_fit, model.score):
        with pytest.raises(ValueError, match=r"y: expected columns \['u', 'v'\] in this order"):
            wrong(X, y.in_order("vu"))


def test_columns_of_series_and_their_features_keep_their_order():
    y = Frame(np.random.default_rng(0).normal(size=(30, 2)), "ab")
    one = SequenceForecaster(**QUICK).fit(y)
    several = SequenceForecaster(**QUICK).fit(frames(), [x.values[:, 0] for x in frames()])

    assert np.array_equal(one.predict(2, history=y), one.predict(2))
    assert several.feature_names_in_.tolist() == ["a", "b"]
    for wrong, message in [
        (lambda: one.predict(2, history=y.in_order("ba")), "history: expected columns"),
        (lambda: one.score(y.in_order("ba")), "y: expected columns"),
        (lambda: one.fit(frames(1) + turned(frames(1))), r"y\[1\]: expected columns"),
        (lambda: several.predict(2, turned(frames())), "X: expected columns"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    assert several.predict(2, frames()).shape == (10, 2)


def test_what_is_masked_is_no_number():
    X, y = np.random.default_rng(0).normal(size=(10, 4, 2)), np.arange(10) % 2
    masked = np.ma.masked_array(X, mask=X > 1)
    labels = np.ma.masked_array(y, mask=y == 0)

    for wrong, message in [
        (lambda: RNNClassifier(**QUICK).fit(masked, y), "X: expected an array without masked"),
        (
            lambda: RNNClassifier(**QUICK).fit([*masked], y),
            r"X\[\d\]: expected an array without mas",
        ),
        (lambda: RNNClassifier(**QUICK).fit(X, labels), "y: .* without masked values, got 5 of"),
        (lambda: RNNClassifier(**QUICK).fit(X, y, labels), "sample_weight: .* without masked"),
        (lambda: RNNRegressor(**QUICK).fit(X, labels), "y: expected an array without masked"),
        (lambda: SequenceForecaster(**QUICK).fit(masked[:, 0], y), "X: .* without masked"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    whole = np.ma.masked_array(X, mask=np.zeros(X.shape, bool))  # nothing is masked
    assert RNNClassifier(**QUICK).fit(whole, y).n_features_in_ == 2


def test_points_and_spans_of_time_are_no_numbers():
    X, y = np.random.default_rng(0).normal(size=(10, 4, 2)), np.arange(10.0)
    days, spans = y.astype("M8[D]"), y.astype("m8[s]")

    for wrong, message in [
        (
            lambda: SequenceForecaster(**QUICK).fit(days),
            r"y: expected numbers, got datetime64\[D\]",
        ),
        (
            lambda: SequenceForecaster(**QUICK).fit(days[:, None], y),
            "X: expected numbers, got date",
        ),
        (lambda: RNNRegressor(**QUICK).fit(X, spans), r"y: expected numbers, got timedelta64\[s\]"),
        (lambda: RNNClassifier(**QUICK).fit(days[:, None], y > 4), "X: expected numbers, got date"),
        (lambda: RNNClassifier(**QUICK).fit(Frame(spans[:, None], "a"), y > 4), "X: expected numb"),
    ]:
        with pytest.raises(TypeError, match=message):
            wrong()


def test_weights_whose_mean_is_no_number_are_named():
    X, y = np.random.default_rng(0).normal(size=(10, 4, 2)), np.arange(10) % 2

    for weight in (1e308, 1e-320):
        with pytest.raises(
            ValueError, match="sample_weight: expected weights that can be averaged"
        ):
            RNNClassifier(**QUICK).fit(X, y, np.full(10, weight))


def test_what_scikit_learn_and_numpy_refuse_without_a_name_is_named():
    X, y = np.random.default_rng(0).normal(size=(10, 4, 2)), np.arange(10.0)
    labels = np.where(y > 4, "up", "down")
    regressor, classifier = RNNRegressor(**QUICK).fit(X, y), RNNClassifier(**QUICK).fit(X, labels)
    ragged, mixed, odd = [[[1.0, 2.0], [3.0]], [[1.0, 2.0]]], np.array([[1.0, "b"]], object), [[{}]]

    def fit(X, y, **arguments):
        return RNNRegressor(**QUICK, **arguments).fit(X, y)

    for wrong, message in [
        (lambda: fit(ragged, y[:2]), r"X\[0\]: expected an array, got list, whose members differ"),
        (lambda: fit(np.array([["a"]]), y[:1]), "X: expected numbers, got <U1"),
        (lambda: fit(mixed, y[:1]), "X: expected numbers, got object: could not convert"),
        (lambda: fit(np.array(odd, object), y[:1]), "X: expected numbers, got object: .* 'dict'"),
        (lambda: fit(np.array([[1j]]), y[:1]), "X: expected numbers, got complex128: Complex"),
        (lambda: fit(np.float64(1.0), y[:1]), "X: Expected 2D array, got scalar array"),
        (lambda: fit(np.zeros((0, 2)), y[:0]), r"X: Found array with 0 sample\(s\)"),
        (lambda: fit(X, labels), "y: expected numbers, got <U4"),
        (lambda: fit(X, [*labels]), "y: expected numbers, got list: could not convert"),
        (lambda: fit(X, [[1.0], [1.0, 2.0]]), "y: expected numbers, got list, whose members"),
        (lambda: fit(X, y[:3]), "y: expected 10, one for each sequence of X, got 3"),
        (
            lambda: fit(X, y, optimizer_options={"beta": 1}),
            "optimizer_options: expected some of betas, .* got 'beta'",
        ),
        (lambda: RNNClassifier(**QUICK).fit(X, y + 0.5), "y: Unknown label type: continuous"),
        (lambda: classifier.fit(X, labels, y[:3]), "sample_weight: expected 10, one for each"),
        (lambda: classifier.score(X, labels[:3]), "y: expected 10, one for each sequence of X"),
        (lambda: classifier.score(X, y), "y: Mix of label input types"),
        (lambda: classifier.score(X, labels, y[:3]), r"sample_weight: expected shape \(10,\)"),
        (lambda: regressor.score(X, y[:3]), "y: expected 10, one for each sequence of X, got 3"),
        (lambda: regressor.score(X, labels), "y: expected numbers, got <U4"),
        (lambda: regressor.score(X, X[:, 0]), r"y: expected shape \(10,\), got \(10, 2\)"),
    ]:
        with pytest.raises((TypeError, ValueError), match="^" + message):
            wrong()
