"""scikit-learn's own checks of estimators, on all of ours."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from simdrnn.sklearn import RNNClassifier, RNNRegressor, SequenceForecaster

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # Of scikit-learn's own look at labels that are infinite.
    pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning"),
]

SMALL = {"hidden_size": 12, "learning_rate": 0.02, "max_iter": 60, "n_jobs": 1}
ESTIMATORS = [RNNClassifier(**SMALL), RNNRegressor(**SMALL), SequenceForecaster(**SMALL)]

ROUNDING = "a row of weight 2 and two rows are summed in another order, and float32 rounds that"
TIME = "rows of a forecaster are steps in time: the next forecast follows from those before"


def expected_to_fail(estimator):
    if isinstance(estimator, SequenceForecaster):
        return {
            "check_methods_sample_order_invariance": TIME,
            "check_methods_subset_invariance": TIME,
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

    weighted = kind(**arguments).fit(X, y, sample_weight=counts)
    repeated = kind(**arguments).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))

    # 11 steps of Adam from the same weights: rounding of 1e-16, times at most a few per step.
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)
    found, wanted = weighted._run(X), repeated._run(X)
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)
