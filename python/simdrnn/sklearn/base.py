"""What the classifier and the regressor share: arguments, fitting, running."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from simdrnn.optim.reduction import AllReduce
from simdrnn.sklearn.arguments import Arguments, naming_its_class
from simdrnn.sklearn.continuing import (
    BUILT,
    OPTIMIZING,
    arguments_of,
    as_before_if_it_fails,
    check_unchanged,
)
from simdrnn.sklearn.examples import Labelled, outputs_of, taken
from simdrnn.sklearn.inputs import InputForm, read_sequences
from simdrnn.sklearn.network import Network, make_layers
from simdrnn.sklearn.objectives import Objective
from simdrnn.sklearn.pooling import POOLINGS
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.sequences import Sequences
from simdrnn.sklearn.settings import Settings, random_state_of, threads_of
from simdrnn.sklearn.training import History, Trainer, levels_to_the_caller, report
from simdrnn.sklearn.weights import check_any_weight, check_count, read_weights
from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array, as_bool, as_dtype, check_choice

__all__ = ["RecurrentEstimator"]


class RecurrentEstimator(Arguments):
    """Base of `RNNClassifier` and `RNNRegressor`, which say what the outputs stand for."""

    # Where an estimator runs is nothing that comes with the data, as what is routed does.
    __metadata_request__fit: ClassVar = {"all_reduce": UNUSED}
    __metadata_request__partial_fit: ClassVar = {"all_reduce": UNUSED}

    _building: ClassVar[tuple[str, ...]] = BUILT
    _objective: Objective
    network_: Network
    input_scaling_: Scaling
    _scaled_by_one = False  # whether scales are those of one sequence, and nobody was told
    _form: InputForm
    n_iter_: int
    _random_state: np.random.RandomState
    _history: History
    _optimizer_state: dict[str, Any]
    _built: dict[str, Any]  # what the network was built with
    _optimized_by: dict[str, Any]
    _seed: Any  # where `_random_state` comes from

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn wants to know: sequences are taken, sparse tables are not."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags

    @naming_its_class
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
        sample_weight : (N,) what each sequence counts; None is 1 each. A sequence of weight 2 is
            learned from as two of weight 1 in one mini-batch: in losses, scales, penalties and
            scores. One of weight 0 has no say.
        all_reduce : for training by several processes, each with its share of the data: takes a
            flat array (float32, or the gradients' float64) and replaces it, in place, by its mean
            over the processes. They need the same arguments, `random_state` an integer, and the
            same number of mini-batches; results are then equal on all.

        Returns
        -------
        The estimator itself.
        """
        with as_before_if_it_fails(self):
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
        self._check_arguments()
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, "
                "but the target y is None."
            )
        going_on = self._goes_on(incremental)
        sequences, form = self._read_inputs(X, self._form if going_on else None)
        raw = self._read_targets(y, classes=classes, fitting=not going_on)
        raw, weights = self._matched(sequences, raw, sample_weight)
        training, held_out = self._split(settings, sequences, raw)
        workers.check_arguments(self, (sequences.features, self._described()))
        weights = self._with_class_weights(raw, weights, workers)
        if weights is not None:
            for part in (training, held_out) if len(held_out) else (training,):
                check_any_weight("sample_weight", taken(weights, part))
        batches = -(-len(training) // settings.batch_size)
        workers.check_equal({"number of mini-batches": repr((batches, len(held_out) > 0)).encode()})
        counted = None if weights is None else taken(weights, training)
        learned_from = taken(raw, training)
        if going_on:
            if incremental:
                self._warn_of_scales_of_one()
            self._measure_more(sequences.take(training), learned_from, counted, workers)
        else:
            self._form = form
            self._start(sequences.features)
            self._measure(sequences.take(training), learned_from, counted, standardize, workers)
            self._scaled_by_one = standardize and len(training) == 1 and workers.alone
            workers.check_equal({"initial weights": self.network_.bytes()})
        optimizer = settings.make_optimizer(self.network_.parts, workers)
        if going_on and incremental:
            optimizer.load_state_dict(self._optimizer_state)
            optimizer.lr = settings.learning_rate
        examples = self._examples(sequences, raw, weights)
        objective = self._made_objective()
        trainer = Trainer(
            self.network_, optimizer, objective, settings, workers, self._random_state
        )
        score = None
        if len(held_out):
            score = self._scorer(examples.take(held_out), taken(raw, held_out))
        learned = examples.take(training)
        done = trainer.run(learned, self._history, score, once=incremental)
        self._optimizer_state = optimizer.state_dict()
        self._optimized_by = arguments_of(self, OPTIMIZING)
        report(self, self._history, done + (self.n_iter_ if incremental else 0))
        return self

    # What the subclasses say

    def _check_arguments(self) -> None:
        """Check what nobody else does."""
        check_choice("pooling", self.pooling, POOLINGS)

    def _read_inputs(self, X: Any, known: InputForm | None) -> tuple[Sequences, InputForm]:
        """Check `X`; `known` is its form in the call that is gone on from."""
        return read_sequences(self, X, known)

    def _matched(self, sequences: Sequences, raw: Any, sample_weight: Any) -> tuple[Any, Any]:
        """Return targets and weights, checked to be of these sequences."""
        check_count("y", raw, len(sequences), "sequence of X")
        check_count("sample_weight", sample_weight, len(sequences), "sequence of X")
        return raw, read_weights(sample_weight, len(sequences))

    def _examples(self, sequences: Sequences, raw: Any, weights: Any) -> Any:
        """Return what training takes."""
        targets, dtype = self._scaled(raw), self.network_.dtype
        return Labelled(sequences, self.input_scaling_, targets, weights, dtype)

    def _made_objective(self) -> Objective:
        """Return what is minimised."""
        return self._objective

    def _made_network(self, layers: Any, rng: np.random.RandomState) -> Network:
        """Put on layers what is on top of them."""
        return Network(layers, self._outputs(), self.pooling, rng)

    def _counts_of_steps(self, sequences: Sequences, weights: Any) -> Array | None:
        """Return what every step of the sequences counts, or None for equal ones."""
        return None if weights is None else np.repeat(weights, sequences.lengths)

    def _read_targets(self, y: Any, *, classes: Any, fitting: bool) -> Any:
        """Check `y` and return (N,) indices of classes, or (N, O) float64."""
        raise NotImplementedError

    def _described(self) -> str:
        """Return what about the targets has to be the same on all workers."""
        raise NotImplementedError

    def _outputs(self) -> int:
        """Return O."""
        raise NotImplementedError

    def _measure_targets(self, raw: Any, weights: Any, standardize: bool, workers: Workers) -> None:
        """Choose how targets are scaled."""

    def _measure_more_targets(self, raw: Any, weights: Any, workers: Workers) -> None:
        """Choose how targets are scaled that were constant so far."""

    def _with_class_weights(self, raw: Any, weights: Any, workers: Workers) -> Any:
        """Return what examples count, their classes considered."""
        return weights

    def _scaled(self, raw: Any) -> Any:
        """Return targets as the objective takes them."""
        return raw

    def _scorer(self, held_out: Any, raw: Any) -> Callable[[], float]:
        """Return a function that scores the network on what is held out."""
        raise NotImplementedError

    # What they share

    def _goes_on(self, incremental: bool) -> bool:
        """Return whether training goes on with the network that is there, if arguments let it."""
        warm = as_bool("warm_start", self.warm_start)
        if not (hasattr(self, "network_") and (incremental or warm)):
            return False
        how = "partial_fit" if incremental else "warm_start"
        instead = "fit with warm_start=False builds a new one"
        check_unchanged(self, self._built, self._building, how, instead)
        if incremental:
            instead = "fit with warm_start=True goes on from it with another optimizer"
            check_unchanged(self, self._optimized_by, OPTIMIZING, how, instead)
        if self.random_state is not self._seed and self.random_state != self._seed:
            self._seed = self.random_state
            self._random_state = random_state_of(self.random_state)
        return True

    def _start(self, features: int) -> None:
        """Build the network."""
        rng = random_state_of(self.random_state)
        layers = make_layers(
            self.cell, features, self.hidden_size, self.num_layers,
            bidirectional=self.bidirectional, dropout=self.dropout, dtype=as_dtype(self.dtype),
            options=self.layer_options, rng=rng,
        )  # fmt: skip
        self.network_ = self._made_network(layers, rng)
        self._random_state, self._history, self.n_iter_ = rng, History(), 0
        self._built, self._seed = arguments_of(self, self._building), self.random_state

    def _measure(
        self, sequences: Sequences, raw: Any, weights: Any, standardize: bool,
        workers: Workers,
    ) -> None:  # fmt: skip
        """Choose how data are scaled."""
        scaling = Scaling.none(sequences.features)
        if standardize:
            steps = self._counts_of_steps(sequences, weights)
            scaling = Scaling.of("X", sequences.steps(), workers, steps)
        self.input_scaling_ = scaling
        self._measure_targets(raw, weights, standardize, workers)

    def _warn_of_scales_of_one(self) -> None:
        """Warn where one sequence made the scales that all others are now put in, but once."""
        if self._scaled_by_one and not self.input_scaling_.constant.all():
            warnings.warn(
                "partial_fit keeps the scales of the first call, which had one sequence; begin "
                "with some dozens of them, or scale what is given and use standardize=False.",
                stacklevel=levels_to_the_caller(),
            )
        self._scaled_by_one = False

    def _measure_more(self, sequences: Sequences, raw: Any, weights: Any, workers: Workers) -> None:
        """Scale what was constant in all data so far, and is not any more."""
        steps = self._counts_of_steps(sequences, weights)
        scaling = self.input_scaling_
        self.input_scaling_ = scaling.with_more("X", sequences.steps(), workers, steps)
        self._measure_more_targets(raw, weights, workers)

    def _split(self, settings: Settings, sequences: Sequences, raw: Any) -> tuple[Array, Array]:
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
        rng = random_state_of(self.random_state)
        stratify = self._strata(raw, count)
        training, held_out = train_test_split(
            everything, test_size=count, random_state=rng, stratify=stratify
        )
        return training, held_out

    def _strata(self, raw: Any, count: int) -> Array | None:
        """Return the classes to hold out in proportion, or None."""
        return None

    def _run(self, X: Any) -> Array:
        """Return the network's outputs (N, O) for new sequences."""
        check_is_fitted(self, "network_")
        sequences, _ = read_sequences(self, X, self._form)
        return outputs_of(self.network_, sequences, self.input_scaling_, threads_of(self.n_jobs))
