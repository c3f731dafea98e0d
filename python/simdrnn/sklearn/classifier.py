"""A classifier of sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from simdrnn.optim.reduction import AllReduce
from simdrnn.sklearn.arguments import documented
from simdrnn.sklearn.base import RecurrentEstimator
from simdrnn.sklearn.examples import Labelled, outputs_of
from simdrnn.sklearn.objectives import cross_entropy
from simdrnn.sklearn.settings import threads_of
from simdrnn.validate import Array

__all__ = ["RNNClassifier"]


@documented
class RNNClassifier(ClassifierMixin, RecurrentEstimator):  # type: ignore[misc]
    """Recurrent network that tells classes of sequences apart.

    Recurrent layers, pooling over time, a linear head and a softmax, trained by its cross-entropy.

    {parameters}

    Attributes
    ----------
    classes_ : (K,) the labels, sorted; of any type that can be.
    network_ : the network: its ``layers`` and its ``head`` with their parameters.
    n_features_in_ : F of a table, I of sequences.
    n_iter_ : epochs of the last `fit`, and calls of `partial_fit` since.
    loss_, best_loss_, loss_curve_ : mean loss of the last epoch, of the best, of each.
    validation_scores_, best_validation_score_ : accuracy on what is held out after each epoch, and
        the highest; None without `early_stopping`.
    input_scaling_ : the ``mean`` and ``scale`` (I,) of the features.

    Notes
    -----
    What is predicted for a sequence does not depend on the others, to the bit. Ctrl-C ends `fit`
    with a warning and what was learned so far; a second one raises.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 12, 3))
    >>> y = np.where(X[:, :, 0].sum(axis=1) > 0, "up", "down")
    >>> model = RNNClassifier("gru", hidden_size=16, early_stopping=True, random_state=0)
    >>> bool(model.fit(X[:150], y[:150]).score(X[150:], y[150:]) > 0.8)
    True
    >>> model.predict(X[:2, 3:]).shape, model.classes_.tolist()  # other lengths are fine
    ((2,), ['down', 'up'])
    """

    classes_: Array
    _objective = staticmethod(cross_entropy)

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
        *,
        all_reduce: AllReduce | None = None,
    ) -> RNNClassifier:
        """Train for one epoch; the first call starts from new weights.

        Parameters
        ----------
        X, y, sample_weight, all_reduce : as in `fit`.
        classes : all labels that will ever come; needed in the first call only.

        Returns
        -------
        The estimator itself.
        """
        fitted: RNNClassifier = self._fit(
            X, y, sample_weight, all_reduce, incremental=True, classes=classes
        )
        return fitted

    def predict(self, X: Any) -> Array:
        """Return the most likely label of each sequence.

        Parameters
        ----------
        X : as in `fit`; sequences may be of other lengths.

        Returns
        -------
        (N,), labels of `classes_`.
        """
        chosen = self._run(X).argmax(axis=1)
        return np.asarray(self.classes_[chosen])

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class.

        Parameters
        ----------
        X : as in `predict`.

        Returns
        -------
        (N, K) float64, in the order of `classes_`.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : as in `predict`.

        Returns
        -------
        (N, K) float64, in the order of `classes_`.
        """
        scores = self._run(X).astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))

    def _read_targets(self, y: Any, *, classes: Any, fitting: bool) -> Array:
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        found = np.unique(labels)
        if fitting:
            known = np.unique(column_or_1d(classes)) if classes is not None else found
        else:
            known = self.classes_
            if classes is not None and not np.array_equal(np.unique(classes), known):
                raise ValueError(
                    f"classes: expected those of the first call, {known}, got {classes!r}"
                )
        missing = np.setdiff1d(found, known)
        if missing.size:
            raise ValueError(f"y: expected labels of classes {known}, got also {missing}")
        self.classes_ = known
        return np.asarray(np.searchsorted(known, labels))

    def _described(self) -> str:
        return repr(self.classes_.tolist())

    def _outputs(self) -> int:
        return len(self.classes_)

    def _strata(self, raw: Array, count: int) -> Array | None:
        found, counts = np.unique(raw, return_counts=True)
        enough = counts.min() >= 2 and len(found) <= min(count, len(raw) - count)
        return raw if enough else None

    def _scorer(self, held_out: Labelled, raw: Array) -> Callable[[], float]:
        threads = threads_of(self.n_jobs)

        def accuracy() -> float:
            scores = outputs_of(self.network_, held_out.sequences, held_out.scaling, threads)
            return float(np.average(scores.argmax(axis=1) == raw, weights=held_out.weights))

        return accuracy
