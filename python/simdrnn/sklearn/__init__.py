"""scikit-learn estimators on recurrent networks: classifier, regressor, tagger, forecaster.

Needs scikit-learn 1.6 or later: ``pip install "simdrnn[sklearn]"``.

>>> import numpy as np
>>> from simdrnn.sklearn import RNNClassifier
>>> rng = np.random.default_rng(0)
>>> X = [rng.normal(size=(rng.integers(3, 9), 2)) for _ in range(120)]  # of different lengths
>>> y = np.where([x[:, 0].sum() > 0 for x in X], "up", "down")
>>> model = RNNClassifier("gru", hidden_size=8, learning_rate=0.03, random_state=0)
>>> bool(model.fit(X[:100], y[:100]).score(X[100:], y[100:]) > 0.8)
True
"""

from __future__ import annotations

try:
    from sklearn.utils.validation import validate_data  # noqa: F401 (which came with 1.6)
except ImportError as error:
    raise ImportError(
        f"simdrnn.sklearn needs scikit-learn 1.6 or later: pip install scikit-learn ({error})"
    ) from error

from simdrnn.sklearn.classifier import RNNClassifier
from simdrnn.sklearn.forecaster import SequenceForecaster
from simdrnn.sklearn.regressor import RNNRegressor
from simdrnn.sklearn.tagger import SequenceTagger
from simdrnn.sklearn.threads import share_threads

__all__ = ["RNNClassifier", "RNNRegressor", "SequenceForecaster", "SequenceTagger"]

share_threads()
