"""A tagger: a label for each step of sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from simdrnn.optim.reduction import AllReduce
from simdrnn.sklearn.arguments import naming_its_class
from simdrnn.sklearn.base import RecurrentEstimator
from simdrnn.sklearn.continuing import BUILT_TAGGER, as_before_if_it_fails
from simdrnn.sklearn.examples import Tagged, batches_of_outputs
from simdrnn.sklearn.inputs import InputForm
from simdrnn.sklearn.labels import LearnsLabels, places_of
from simdrnn.sklearn.objectives import Objective, cross_entropy_of_steps, likelihood_of_tags
from simdrnn.sklearn.sequences import Sequences, as_sequence_list
from simdrnn.sklearn.settings import threads_of
from simdrnn.sklearn.tagging import (
    TaggingNetwork,
    as_given,
    read_labels,
    read_step_weights,
    read_tagged,
)
from simdrnn.sklearn.weights import class_factors
from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array, as_bool

__all__ = ["SequenceTagger"]


class SequenceTagger(ClassifierMixin, LearnsLabels, RecurrentEstimator):  # type: ignore[misc]
    """Recurrent network that tells a label for each step of sequences.

    Recurrent layers, in both directions unless told otherwise, and a linear head at every step;
    then a softmax, trained by the cross-entropy of each step, or a conditional random field,
    trained by the likelihood of all labels of a sequence together.

    Parameters
    ----------
    cell, hidden_size, num_layers, dropout, layer_options : as for `RNNClassifier`.
    bidirectional : whether every layer also runs backwards in time. Labels of a stream, which
        cannot know what comes, need False.
    crf : whether a conditional random field is on top, which learns what labels follow one another.
    class_weight : dict from labels to what their steps count, where others count 1;
        ``"balanced"``, so that all labels count the same in all; or None. Not with `crf`.
    standardize, optimizer, learning_rate, optimizer_options, batch_size : as for `RNNClassifier`.
    max_iter, alpha, clip_norm, tol, n_iter_no_change, early_stopping : as for `RNNClassifier`.
    validation_fraction, shuffle, warm_start, dtype, random_state : as for `RNNClassifier`; what is
        held out are whole sequences.
    n_jobs, verbose : as for `RNNClassifier`.

    Attributes
    ----------
    classes_ : (K,) the labels, sorted; of any type that can be.
    network_ : the network: its ``layers``, its ``head`` and its ``crf``, which may be None.
    n_features_in_ : I.
    n_iter_ : epochs of the last `fit`, and calls of `partial_fit` since.
    loss_, best_loss_, loss_curve_ : mean loss of a step in the last epoch, in the best, in each.
    validation_scores_, best_validation_score_ : share of steps that are labelled rightly on what is
        held out after each epoch, and the highest; None without `early_stopping`.
    input_scaling_ : the ``mean`` and ``scale`` (I,) of the features.

    Notes
    -----
    Sequences are (N, T, I), a list of arrays (T_i, I), or a table (T, I), which is one sequence:
    its rows are steps in time. Labels are (N, T), a list of (T_i,), or (T,). What is told of a
    sequence does not depend on the others, to the bit.

    References
    ----------
    With a conditional random field: Huang, Xu and Yu 2015, arXiv:1508.01991.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(rng.integers(4, 9), 2)) for _ in range(60)]
    >>> y = [np.where(np.cumsum(x[:, 0]) > 0, "above", "below") for x in X]
    >>> model = SequenceTagger("gru", 16, learning_rate=0.02, early_stopping=True, random_state=0)
    >>> bool(model.fit(X[:50], y[:50]).score(X[50:], y[50:]) > 0.8)
    True
    >>> [labels.shape for labels in model.predict(X[:2])] == [(len(x),) for x in X[:2]]
    True
    """

    _building: ClassVar[tuple[str, ...]] = BUILT_TAGGER

    classes_: Array
    network_: TaggingNetwork
    _one: bool  # whether the last call of `fit` was given one sequence, as a table

    @naming_its_class
    def __init__(
        self,
        cell: str = "lstm",
        hidden_size: int | tuple[int, ...] = 64,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        crf: bool = False,
        class_weight: Mapping[Any, float] | str | None = None,
        layer_options: Mapping[str, Any] | None = None,
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
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.crf = crf
        self.class_weight = class_weight
        self.layer_options = layer_options
        self.standardize = standardize
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.optimizer_options = optimizer_options
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.alpha = alpha
        self.clip_norm = clip_norm
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.dtype = dtype
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @naming_its_class
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, all_reduce: AllReduce | None = None
    ) -> Any:
        """Learn from sequences and the labels of their steps.

        Parameters
        ----------
        X : (N, T, I), a list of N arrays (T_i, I), or (T, I), one sequence.
        y : (N, T), a list of (T_i,), or (T,).
        sample_weight : (N,) what all steps of a sequence count, so that one of weight 2 is learned
            from as two; or what each step counts, in the form of `y`, 0 where a label is not
            known. None is 1 each.
        all_reduce : as of `RNNClassifier.fit`.

        Returns
        -------
        The estimator itself.
        """
        with as_before_if_it_fails(self):
            return self._fit(X, y, sample_weight, all_reduce, incremental=False)

    def predict(self, X: Any) -> Any:
        """Return the label of each step: the most likely, with `crf` of the most likely sequence.

        Parameters
        ----------
        X : as in `fit`; sequences may be of other lengths.

        Returns
        -------
        (N, T), a list of arrays (T_i,), or (T,), as `X` was.
        """
        return self._told(X, lambda scores, lengths: self.classes_[self._best(scores, lengths)])

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each label at each step, with `crf` over all sequences of them.

        Parameters
        ----------
        X : as in `predict`.

        Returns
        -------
        (N, T, K), a list of (T_i, K), or (T, K), float64, in the order of `classes_`.
        """
        return self._told(X, self._probabilities)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of what `predict_proba` returns.

        Parameters
        ----------
        X : as in `predict`.
        """
        found = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return [np.log(own) for own in found] if isinstance(found, list) else np.log(found)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of steps that are labelled rightly.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`.
        """
        check_is_fitted(self, "network_")
        sequences, form = read_tagged(self, X, self._form)
        labels, counts = read_labels(y, form.table)
        _check_steps(sequences, counts)
        weights = read_step_weights(sample_weight, sequences, whole=False)
        told = self._steps(sequences, self._best)
        right = self.classes_[told] == labels
        return float(np.average(right, weights=None if weights is None else weights.rows))

    # What is told

    def _told(self, X: Any, read: Callable[[Array, Array | None], Array]) -> Any:
        """Return what is read from scores (T, B, K), in the form of `X`."""
        check_is_fitted(self, "network_")
        sequences, form = read_tagged(self, X, self._form)
        steps = self._steps(sequences, read)
        return as_given(form, as_sequence_list(X) is None, steps, sequences.lengths)

    def _steps(self, sequences: Sequences, read: Callable[[Array, Array | None], Array]) -> Array:
        """Return what is read from scores, for all steps one after the other."""
        threads, found = threads_of(self.n_jobs), {}
        for chosen, scores, lengths in batches_of_outputs(
            self.network_, sequences, self.input_scaling_, threads
        ):
            _check_finite(scores, lengths, chosen)
            values = read(scores, lengths)
            for place, index in enumerate(chosen):
                found[int(index)] = values[: sequences.lengths[index], place]
        return np.concatenate([found[index] for index in range(len(sequences))])

    def _best(self, scores: Array, lengths: Array | None) -> Array:
        """Return the places of the labels (T, B)."""
        if self.network_.crf is not None:
            return self.network_.crf.decode(scores, lengths=lengths)
        return np.asarray(scores.argmax(axis=-1))

    def _probabilities(self, scores: Array, lengths: Array | None) -> Array:
        wide = scores.astype(np.float64)
        if self.network_.crf is not None:
            own = self.network_.crf.marginals(scores, lengths=lengths).astype(np.float64)
            with np.errstate(invalid="ignore"):  # what is no step has no probabilities
                return np.asarray(own / own.sum(axis=-1, keepdims=True))
        wide = np.exp(wide - wide.max(axis=-1, keepdims=True))
        return np.asarray(wide / wide.sum(axis=-1, keepdims=True))

    # How it is learned

    def _check_arguments(self) -> None:
        if as_bool("crf", self.crf) and self.class_weight is not None:
            raise ValueError(
                "class_weight: expected None with crf=True, which learns all labels of a sequence "
                f"together, got {self.class_weight!r}"
            )

    def _read_inputs(self, X: Any, known: InputForm | None) -> tuple[Sequences, InputForm]:
        sequences, form = read_tagged(self, X, known)
        self._one = form.table
        return sequences, form

    def _read_targets(self, y: Any, *, classes: Any, fitting: bool) -> Any:
        labels, counts = read_labels(y, self._one)
        self.classes_, places = places_of(self, labels, classes, fitting)
        return Sequences(places, np.cumsum(counts) - counts, counts)

    def _matched(self, sequences: Sequences, raw: Any, sample_weight: Any) -> tuple[Any, Any]:
        _check_steps(sequences, raw.lengths)
        return raw, read_step_weights(sample_weight, sequences, whole=self.crf)

    def _with_class_weights(self, raw: Any, weights: Any, workers: Workers) -> Any:
        own = None if weights is None else weights.rows
        factors = class_factors(self.class_weight, self.classes_, raw.rows, own, workers)
        if factors is None:
            return weights
        counts = factors[raw.rows] if own is None else factors[raw.rows] * own
        return Sequences(counts, raw.starts, raw.lengths)

    def _examples(self, sequences: Sequences, raw: Any, weights: Any) -> Any:
        return Tagged(sequences, self.input_scaling_, raw, weights, self.network_.dtype)

    def _made_objective(self) -> Objective:
        crf = self.network_.crf
        return cross_entropy_of_steps if crf is None else likelihood_of_tags(crf)

    def _made_network(self, layers: Any, rng: np.random.RandomState) -> TaggingNetwork:
        return TaggingNetwork(layers, self._outputs(), self.crf, rng)

    def _counts_of_steps(self, sequences: Sequences, weights: Any) -> Array | None:
        return None if weights is None else np.asarray(weights.steps())

    def _described(self) -> str:
        return repr(self.classes_.tolist())

    def _outputs(self) -> int:
        return len(self.classes_)

    def _scorer(self, held_out: Any, raw: Any) -> Callable[[], float]:
        right = raw.steps()
        weights = None if held_out.weights is None else held_out.weights.steps()

        def accuracy() -> float:
            told = self._steps(held_out.sequences, self._best)
            return float(np.average(told == right, weights=weights))

        return accuracy


def _check_steps(sequences: Sequences, counts: Array) -> None:
    """Raise unless there is a label for each step."""
    if len(counts) != len(sequences):
        raise ValueError(
            f"y: expected the labels of {len(sequences)} sequences, as many as X has, "
            f"got {len(counts)}; found input variables with inconsistent numbers of samples"
        )
    wrong = np.flatnonzero(counts != sequences.lengths)
    if wrong.size:
        index = wrong[0]
        where = f"[{index}]" if len(sequences) > 1 else ""
        raise ValueError(
            f"y{where}: expected {sequences.lengths[index]} labels, one for each step of X{where}, "
            f"got {counts[index]}"
        )


def _check_finite(scores: Array, lengths: Array | None, chosen: Array) -> None:
    """Raise if a real step has a score that is not finite: its label would be the first one."""
    wrong = ~np.isfinite(scores).all(axis=-1)
    if lengths is not None:
        wrong &= np.arange(len(scores))[:, None] < lengths
    if wrong.any():
        raise ValueError(
            f"X[{chosen[np.flatnonzero(wrong.any(axis=0))[0]]}]: expected a sequence on which the "
            "network stays finite, got scores that are not"
        )
