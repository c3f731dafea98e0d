"""A classifier of sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import column_or_1d

from simdrnn.sklearn.arguments import documented, naming_its_class
from simdrnn.sklearn.base import RecurrentEstimator
from simdrnn.sklearn.carried import check_unmasked, naming
from simdrnn.sklearn.examples import Labelled, outputs_of
from simdrnn.sklearn.labels import LearnsLabels, places_of
from simdrnn.sklearn.objectives import cross_entropy
from simdrnn.sklearn.settings import threads_of
from simdrnn.sklearn.weights import check_count, class_factors, read_weights
from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array

__all__ = ["RNNClassifier"]


@documented
class RNNClassifier(ClassifierMixin, LearnsLabels, RecurrentEstimator):  # type: ignore[misc]
    """Recurrent network that tells classes of sequences apart.

    Recurrent layers, pooling over time, a linear head and a softmax, trained by its cross-entropy.

    {parameters}
    class_weight : dict from labels to what their sequences count, where others count 1;
        ``"balanced"``, so that all classes count the same in all; or None, 1 each. Multiplied with
        `sample_weight`, and means the same.

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

    @naming_its_class
    def __init__(
        self,
        cell: str = "lstm",
        hidden_size: int | tuple[int, ...] = 64,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        pooling: str = "last",
        layer_options: Mapping[str, Any] | None = None,
        columns: str = "steps",
        standardize: bool = True,
        optimizer: str = "adam",
        learning_rate: float = 3e-3,
        optimizer_options: Mapping[str, Any] | None = None,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        alpha: float = 0.0,
        clip_norm: float | None = 1.0,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        shuffle: bool = True,
        warm_start: bool = False,
        dtype: str = "float32",
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: bool = False,
        class_weight: Mapping[Any, float] | str | None = None,
    ) -> None:
        super().__init__(
            cell=cell,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            pooling=pooling,
            layer_options=layer_options,
            columns=columns,
            standardize=standardize,
            optimizer=optimizer,
            learning_rate=learning_rate,
            optimizer_options=optimizer_options,
            batch_size=batch_size,
            max_iter=max_iter,
            alpha=alpha,
            clip_norm=clip_norm,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            shuffle=shuffle,
            warm_start=warm_start,
            dtype=dtype,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.class_weight = class_weight

    classes_: Array
    _objective = staticmethod(cross_entropy)

    def predict(self, X: Any) -> Array:
        """Return the most likely label of each sequence.

        Parameters
        ----------
        X : as in `fit`; sequences may be of other lengths.

        Returns
        -------
        (N,), labels of `classes_`.
        """
        chosen = self._scores(X).argmax(axis=1)
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
        scores = self._scores(X).astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of sequences whose class is told rightly.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`.
        """
        told = self.predict(X)
        labels = _labels(y)
        check_count("y", labels, len(told), "sequence of X")
        weights = read_weights(sample_weight, len(told))
        with naming("y", y, "labels"):
            return float(accuracy_score(labels, told, sample_weight=weights))

    def _scores(self, X: Any) -> Array:
        """Return (N, K) finite scores: the largest of NaNs would be the first class."""
        scores = self._run(X)
        wrong = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        if wrong.size:
            raise ValueError(
                f"X[{wrong[0]}]: expected a sequence on which the network stays finite, "
                f"got scores {scores[wrong[0]]}"
            )
        return scores

    def _read_targets(self, y: Any, *, classes: Any, fitting: bool) -> Array:
        self.classes_, places = places_of(self, _labels(y), classes, fitting)
        return places

    def _described(self) -> str:
        return repr(self.classes_.tolist())

    def _with_class_weights(
        self, raw: Array, weights: Array | None, workers: Workers
    ) -> Array | None:
        factors = class_factors(self.class_weight, self.classes_, raw, weights, workers)
        if factors is None:
            return weights
        return np.asarray(factors[raw] if weights is None else factors[raw] * weights)

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


def _labels(y: Any) -> Array:
    """Return labels as an array (N,)."""
    check_unmasked("y", y)
    with naming("y", y, "labels"):
        labels: Array = column_or_1d(y, warn=True)
    return labels
