"""Classifier and regressor among other estimators: pipelines, searches, other processes."""

from __future__ import annotations

import numpy as np
import pytest

from helpers_sklearn import sums

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from simdrnn.sklearn import RNNClassifier, RNNRegressor

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {"cell": "gru", "hidden_size": 8, "max_iter": 3, "random_state": 0}


def test_pipelines_and_searches_work(rng):
    X = rng.normal(size=(60, 4))
    y = (X.sum(axis=1) > 0).astype(int)
    pipeline = make_pipeline(StandardScaler(), RNNClassifier(**{**QUICK, "max_iter": 20}))

    search = GridSearchCV(
        pipeline, {"rnnclassifier__hidden_size": [2, (3, 2)], "rnnclassifier__cell": ["rnn"]},
        cv=2, n_jobs=2, error_score="raise",
    ).fit(X, y)  # fmt: skip

    assert search.best_score_ > 0.6
    assert search.best_estimator_.predict(X).shape == (60,)


def test_lists_are_split_and_transformed():
    X, y = sums(np.random.default_rng(7))
    shorten = FunctionTransformer(lambda X: [x[:5] for x in X], check_inverse=False)
    model = make_pipeline(shorten, RNNRegressor(**QUICK))

    assert np.isfinite(cross_val_score(model, X, y, cv=3)).all()


def test_fitted_estimators_travel_to_other_processes():
    joblib = pytest.importorskip("joblib")
    X, y = sums(np.random.default_rng(7))
    model = RNNClassifier(**QUICK, early_stopping=True).fit(X, y > 0)

    # Everything above a byte comes there as a read-only file in memory.
    found = joblib.Parallel(n_jobs=2, max_nbytes=1)(
        joblib.delayed(model.predict_proba)(part) for part in (X[:30], X[30:])
    )

    assert np.array_equal(np.concatenate(found), model.predict_proba(X))


def test_all_reduce_is_not_routed():
    assert not hasattr(RNNClassifier().set_fit_request, "all_reduce")
    request = RNNClassifier().get_metadata_routing().fit.requests
    assert "sample_weight" in request
    assert "all_reduce" not in request
