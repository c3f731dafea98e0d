"""What the classifier and the regressor share: arguments, fitting, running."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from simdrnn.optim.reduction import AllReduce
from simdrnn.sklearn.arguments import Arguments
from simdrnn.sklearn.examples import Labelled, outputs_of
from simdrnn.sklearn.inputs import read_sequences
from simdrnn.sklearn.network import Network, make_layers
from simdrnn.sklearn.objectives import Objective
from simdrnn.sklearn.pooling import POOLINGS
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.sequences import Sequences
from simdrnn.sklearn.settings import Settings, threads_of
from simdrnn.sklearn.training import History, Trainer, report
from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array, as_bool, as_dtype, check_choice

__all__ = ["RecurrentEstimator"]


class RecurrentEstimator(Arguments):
    """Base of `RNNClassifier` and `RNNRegressor`, which say what the outputs stand for."""

    # Where an estimator runs is nothing that comes with the data, as what is routed does.
    __metadata_request__fit: ClassVar = {"all_reduce": UNUSED}
    __metadata_request__partial_fit: ClassVar = {"all_reduce": UNUSED}

    _objective: Objective
    network_: Network
    input_scaling_: Scaling
    n_iter_: int
    _random_state: np.random.RandomState
    _history: History
    _optimizer_state: dict[str, Any]

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn wants to know: sequences are taken, sparse tables are not."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        all_reduce: AllReduce | None = None,
    ) -> Any:
        """Learn from sequences and their targets.

        Parameters
        ----------
        X : (N, T, I), a list of N arrays (T_i, I), or a table (N, F): see `columns`.
        y : (N,) labels, or for regression (N,) or (N, O) numbers.
        sample_weight : (N,) what each sequence counts; None is 1 each.
        all_reduce : for training by several processes, each with its share of the data: takes a
            flat array (float32, or the gradients' float64) and replaces it, in place, by its mean
            over the processes. They need the same arguments, `random_state` an integer, and the
            same number of mini-batches; results are then equal on all.

        Returns
        -------
        The estimator itself.
        """
        return self._fit(X, y, sample_weight, all_reduce, incremental=False)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, all_reduce: AllReduce | None, *,
        incremental: bool, classes: Any = None,
    ) -> Any:  # fmt: skip
        """Do what `fit` says, or one epoch more of it."""
        settings, workers = Settings.of(self), Workers(all_reduce)
        standardize = as_bool("standardize", self.standardize)
        if incremental and settings.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        check_choice("pooling", self.pooling, POOLINGS)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, "
                "but the target y is None."
            )
        going_on = hasattr(self, "network_") and (
            incremental or as_bool("warm_start", self.warm_start)
        )
        sequences = read_sequences(self, X, fitting=not going_on)
        raw = self._read_targets(y, classes=classes, fitting=not going_on)
        check_consistent_length(sequences.lengths, raw, sample_weight)
        weights = _read_weights(sample_weight, len(sequences))
        training, held_out = self._split(settings, sequences, raw)
        if weights is not None and len(held_out):
            for part in (training, held_out):
                _read_weights(weights[part], len(part))
        workers.check_arguments(self, (sequences.features, self._described()))
        batches = -(-len(training) // settings.batch_size)
        workers.check_equal({"number of mini-batches": repr((batches, len(held_out) > 0)).encode()})
        if not going_on:
            self._start(sequences.features)
            counted = None if weights is None else weights[training]
            self._measure(sequences.take(training), raw[training], counted, standardize, workers)
            workers.check_equal({"initial weights": self.network_.bytes()})
        optimizer = settings.make_optimizer(self.network_.parts, workers)
        if going_on and incremental:
            optimizer.load_state_dict(self._optimizer_state)
            optimizer.lr = settings.learning_rate
        examples = Labelled(
            sequences, self.input_scaling_, self._scaled(raw), weights, self.network_.dtype
        )
        trainer = Trainer(
            self.network_, optimizer, self._objective, settings, workers, self._random_state
        )
        score = self._scorer(examples.take(held_out), raw[held_out]) if len(held_out) else None
        learned = examples.take(training)
        done = trainer.run(learned, self._history, score, once=incremental)
        self._optimizer_state = optimizer.state_dict()
        report(self, self._history, done + (self.n_iter_ if incremental else 0))
        return self

    # What the subclasses say

    def _read_targets(self, y: Any, *, classes: Any, fitting: bool) -> Array:
        """Check `y` and return (N,) indices of classes, or (N, O) float64."""
        raise NotImplementedError

    def _described(self) -> str:
        """Return what about the targets has to be the same on all workers."""
        raise NotImplementedError

    def _outputs(self) -> int:
        """Return O."""
        raise NotImplementedError

    def _measure_targets(
        self, raw: Array, weights: Array | None, standardize: bool, workers: Workers
    ) -> None:
        """Choose how targets are scaled."""

    def _scaled(self, raw: Array) -> Array:
        """Return targets as the objective takes them."""
        return raw

    def _scorer(self, held_out: Labelled, raw: Array) -> Callable[[], float]:
        """Return a function that scores the network on what is held out."""
        raise NotImplementedError

    # What they share

    def _start(self, features: int) -> None:
        """Build the network."""
        rng = check_random_state(self.random_state)
        layers = make_layers(
            self.cell, features, self.hidden_size, self.num_layers,
            bidirectional=self.bidirectional, dropout=self.dropout, dtype=as_dtype(self.dtype),
            options=self.layer_options, rng=rng,
        )  # fmt: skip
        self.network_ = Network(layers, self._outputs(), self.pooling, rng)
        self._random_state, self._history, self.n_iter_ = rng, History(), 0

    def _measure(
        self, sequences: Sequences, raw: Array, weights: Array | None, standardize: bool,
        workers: Workers,
    ) -> None:  # fmt: skip
        """Choose how data are scaled."""
        scaling = Scaling.none(sequences.features)
        if standardize:
            steps = None if weights is None else np.repeat(weights, sequences.lengths)
            scaling = Scaling.of("X", sequences.steps(), workers, steps)
        self.input_scaling_ = scaling
        self._measure_targets(raw, weights, standardize, workers)

    def _split(self, settings: Settings, sequences: Sequences, raw: Array) -> tuple[Array, Array]:
        """Return the indices to train on, and those held out: none without early stopping."""
        everything = np.arange(len(sequences))
        if not settings.early_stopping:
            return everything, everything[:0]
        count = int(np.ceil(len(sequences) * settings.validation_fraction))
        if count < 2 or len(sequences) - count < 1:
            raise ValueError(
                "validation_fraction: expected one that holds out at least 2 sequences and leaves "
                f"1 to train on, got {settings.validation_fraction} of {len(sequences)}"
            )
        rng = check_random_state(self.random_state)
        stratify = self._strata(raw, count)
        training, held_out = train_test_split(
            everything, test_size=count, random_state=rng, stratify=stratify
        )
        return training, held_out

    def _strata(self, raw: Array, count: int) -> Array | None:
        """Return the classes to hold out in proportion, or None."""
        return None

    def _run(self, X: Any) -> Array:
        """Return the network's outputs (N, O) for new sequences."""
        check_is_fitted(self, "network_")
        sequences = read_sequences(self, X, fitting=False)
        return outputs_of(self.network_, sequences, self.input_scaling_, threads_of(self.n_jobs))


def _read_weights(sample_weight: Any, count: int) -> Array | None:
    """Check `sample_weight` and return (N,) float64, or None for equal ones."""
    if sample_weight is None:
        return None
    weights: Array = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weights.shape != (count,):
        raise ValueError(f"sample_weight: expected shape ({count},), got {weights.shape}")
    if (weights < 0).any():
        raise ValueError(f"sample_weight: expected no negative weight, got {weights.min()}")
    if not weights.any():
        raise ValueError("sample_weight: expected a weight above zero, got only zeros")
    return weights
