"""scikit-learn's own checks of estimators, on all of ours."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from simdrnn.sklearn import RNNClassifier, RNNRegressor, SequenceForecaster, SequenceTagger

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # Of scikit-learn's own look at labels that are infinite.
    pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning"),
]

SMALL = {"hidden_size": 12, "learning_rate": 0.02, "max_iter": 60, "n_jobs": 1}
FIELDS = {**SMALL, "max_iter": 25, "learning_rate": 0.05, "crf": True}
ESTIMATORS = [
    *(RNNClassifier(**SMALL), RNNRegressor(**SMALL), SequenceForecaster(**SMALL)),
    *(SequenceTagger(**SMALL), SequenceTagger(**FIELDS)),
]

ROUNDING = "a row of weight 2 and two rows are summed in another order, and float32 rounds that"
TIME = "rows are steps in time: what is told of one follows from those before"

FIELD = "with a field the labels of a sequence are learned together, none counts more than others"


def expected_to_fail(estimator):
    in_time = (
        *("check_methods_sample_order_invariance", "check_methods_subset_invariance"),
        "check_sample_weight_equivalence_on_dense_data",
    )
    if isinstance(estimator, SequenceForecaster):
        return dict.fromkeys(in_time, TIME)
    if isinstance(estimator, SequenceTagger):
        alone = ["check_sample_weights_not_overwritten", "check_class_weight_classifiers"]
        alone.append("check_classifiers_one_label_sample_weights")
        return {
            **dict.fromkeys(in_time, TIME),
            **dict.fromkeys(alone if estimator.crf else [], FIELD),
        }
    return {"check_sample_weight_equivalence_on_dense_data": ROUNDING}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_to_fail)
def test_estimators_pass_the_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", [RNNClassifier, RNNRegressor])
def test_weights_are_as_repeated_rows_but_for_rounding(kind, rng):
    X = rng.normal(size=(30, 4, 2))
    y = rng.integers(0, 3, 30)
    counts = rng.integers(0, 3, 30)
    arguments = {**SMALL, "dtype": "float64", "batch_size": 90, "max_iter": 11, "random_state": 0}
    arguments |= {"alpha": 0.5}

    weighted = kind(**arguments).fit(X, y, sample_weight=counts)
    repeated = kind(**arguments).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))

    # 11 steps of Adam from the same weights: rounding of 1e-16, times at most a few per step.
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)
    found, wanted = weighted._run(X), repeated._run(X)
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)


def test_weights_of_classes_are_weights_of_their_sequences(rng):
    X, y = rng.normal(size=(30, 4, 2)), np.array(["few"] * 6 + ["many"] * 24)
    weights = rng.integers(1, 3, 30).astype(float)
    arguments = {**SMALL, "max_iter": 4, "random_state": 0}

    def scores(class_weight, sample_weight):
        model = RNNClassifier(**arguments, class_weight=class_weight)
        return model.fit(X, y, sample_weight=sample_weight)._run(X)

    once = scores({"few": 3.0}, weights)
    assert np.array_equal(once, scores(None, np.where(y == "few", 3.0, 1.0) * weights))
    counts = {name: weights[y == name].sum() for name in ("few", "many")}
    even = {name: weights.sum() / (2 * count) for name, count in counts.items()}
    assert np.array_equal(scores("balanced", weights), scores(even, weights))
    assert not np.array_equal(scores("balanced", weights), once)
    for wrong, error, message in [
        ({"none": 1.0}, ValueError, "class_weight: expected labels of classes .* got 'none'"),
        ({"few": -1.0}, ValueError, r"class_weight\['few'\]: expected 0 or more, got -1.0"),
        ({"few": 0, "many": 0}, ValueError, "sample_weight: expected a weight above zero"),
        ("even", TypeError, "class_weight: expected a dict .* 'balanced' or None, got 'even'"),
    ]:
        with pytest.raises(error, match=message):
            RNNClassifier(**arguments, class_weight=wrong).fit(X, y)
    with pytest.raises(ValueError, match="class_weight: expected a dict or None in partial_fit"):
        RNNClassifier(**arguments, class_weight="balanced").partial_fit(X, y, ["few", "many"])
