"""A regressor on sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from simdrnn.optim.reduction import AllReduce
from simdrnn.sklearn.arguments import documented
from simdrnn.sklearn.base import RecurrentEstimator
from simdrnn.sklearn.carried import Names, check_names, checked_numbers, names_of
from simdrnn.sklearn.continuing import as_before_if_it_fails
from simdrnn.sklearn.examples import Labelled, outputs_of
from simdrnn.sklearn.objectives import squared_error
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.settings import threads_of
from simdrnn.sklearn.weights import check_count, read_weights
from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array

__all__ = ["RNNRegressor"]


@documented
class RNNRegressor(MultiOutputMixin, RegressorMixin, RecurrentEstimator):  # type: ignore[misc]
    """Recurrent network that tells one or more numbers for each sequence.

    Recurrent layers, pooling over time and a linear head, trained by the squared error.

    {parameters}

    Attributes
    ----------
    network_ : the network: its ``layers`` and its ``head`` with their parameters.
    n_features_in_ : F of a table, I of sequences.
    n_outputs_ : O.
    n_iter_ : epochs of the last `fit`, and calls of `partial_fit` since.
    loss_, best_loss_, loss_curve_ : mean loss of the last epoch, of the best, of each, in units
        of the targets' variance.
    validation_scores_, best_validation_score_ : R^2 on what is held out after each epoch, and the
        highest; None without `early_stopping`.
    input_scaling_, target_scaling_ : the ``mean`` and ``scale`` of the features and the targets.

    Notes
    -----
    What is predicted for a sequence does not depend on the others, to the bit. Ctrl-C ends `fit`
    with a warning and what was learned so far; a second one raises.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(rng.integers(4, 10), 2)) for _ in range(200)]
    >>> y = np.array([[100 * x[:, 0].sum(), x[:, 1].max()] for x in X])
    >>> model = RNNRegressor("gru", hidden_size=32, learning_rate=0.01, random_state=0)
    >>> bool(model.fit(X[:150], y[:150]).score(X[150:], y[150:]) > 0.8)
    True
    """

    n_outputs_: int
    target_scaling_: Scaling
    _flat: bool
    _target_names: Names
    _objective = staticmethod(squared_error)

    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, all_reduce: AllReduce | None = None
    ) -> RNNRegressor:
        """Train for one epoch; the first call starts from new weights.

        Parameters
        ----------
        X, y, sample_weight, all_reduce : as in `fit`.

        Returns
        -------
        The estimator itself.
        """
        with as_before_if_it_fails(self):
            self._fit(X, y, sample_weight, all_reduce, incremental=True)
        return self

    def predict(self, X: Any) -> Array:
        """Return the numbers for each sequence.

        Parameters
        ----------
        X : as in `fit`; sequences may be of other lengths.

        Returns
        -------
        (N,) or (N, O) float64, as `y` was.
        """
        outputs = self._run(X)
        found = self.target_scaling_.undo(outputs)
        return found[:, 0] if self._flat else found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R^2 of what is predicted, the mean over targets.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`.
        """
        check_is_fitted(self, "network_")
        check_names("y", names_of(y), self._target_names)
        targets = checked_numbers("y", y, ensure_2d=False, allow_nd=True, dtype=np.float64)
        told = self.predict(X)
        check_count("y", targets, len(told), "sequence of X")
        if targets.reshape(len(told), -1).shape != told.reshape(len(told), -1).shape:
            raise ValueError(f"y: expected shape {told.shape}, got {targets.shape}")
        weights = read_weights(sample_weight, len(told))
        return float(r2_score(targets.reshape(len(told), -1), told, sample_weight=weights))

    def _read_targets(self, y: Any, *, classes: Any, fitting: bool) -> Array:
        names = names_of(y)
        targets = checked_numbers("y", y, ensure_2d=False, allow_nd=True, dtype=np.float64)
        if targets.ndim not in (1, 2) or 0 in targets.shape:
            raise ValueError(f"y: expected shape (N,) or (N, O), got {targets.shape}")
        flat = targets.ndim == 1
        columns = targets[:, None] if flat else targets
        if not fitting and (flat, columns.shape[1]) != (self._flat, self.n_outputs_):
            form = "(N,)" if self._flat else f"(N, {self.n_outputs_})"
            raise ValueError(f"y: expected shape {form} as in the first call, got {targets.shape}")
        if fitting:
            self._target_names = names
        check_names("y", names, self._target_names)
        self._flat, self.n_outputs_ = flat, columns.shape[1]
        return columns

    def _described(self) -> str:
        return repr((self._flat, self.n_outputs_))

    def _outputs(self) -> int:
        return self.n_outputs_

    def _measure_targets(
        self, raw: Array, weights: Array | None, standardize: bool, workers: Workers
    ) -> None:
        scaling = Scaling.none(raw.shape[1])
        self.target_scaling_ = Scaling.of("y", raw, workers, weights) if standardize else scaling

    def _measure_more_targets(self, raw: Array, weights: Array | None, workers: Workers) -> None:
        self.target_scaling_ = self.target_scaling_.with_more("y", raw, workers, weights)

    def _scaled(self, raw: Array) -> Array:
        return self.target_scaling_.apply("y", raw, self.network_.dtype)

    def _scorer(self, held_out: Labelled, raw: Array) -> Callable[[], float]:
        threads = threads_of(self.n_jobs)

        def score() -> float:
            outputs = outputs_of(self.network_, held_out.sequences, held_out.scaling, threads)
            found = self.target_scaling_.undo(outputs)
            return float(r2_score(raw, found, sample_weight=held_out.weights))

        return score
