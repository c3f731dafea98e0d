"""How a forecaster learns."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.metadata_routing import UNUSED

from simdrnn.optim.reduction import AllReduce
from simdrnn.sklearn.continuing import (
    BUILT_FORECASTER,
    OPTIMIZING,
    arguments_of,
    as_before_if_it_fails,
    check_unchanged,
)
from simdrnn.sklearn.forecaster_arguments import ForecasterArguments
from simdrnn.sklearn.forecasting import score_on
from simdrnn.sklearn.network import Network, make_layers
from simdrnn.sklearn.plan import Plan
from simdrnn.sklearn.preparation import Preparation
from simdrnn.sklearn.reading import (
    check_known,
    read_panel,
)
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.series import Panel
from simdrnn.sklearn.settings import Settings, random_state_of
from simdrnn.sklearn.telling import Telling, telling_of
from simdrnn.sklearn.training import History, Trainer, report
from simdrnn.sklearn.windows import Windows, cut
from simdrnn.sklearn.workers import Workers
from simdrnn.validate import as_bool, as_dtype, as_positive

__all__ = ["FittedForecaster"]


class FittedForecaster(ForecasterArguments):
    """Base of `SequenceForecaster`: how it learns."""

    # Where an estimator runs is nothing that comes with the data, as what is routed does.
    __metadata_request__fit: ClassVar = {"all_reduce": UNUSED, "static": UNUSED}
    __metadata_request__partial_fit: ClassVar = __metadata_request__fit

    network_: Network
    n_iter_: int
    _preparation: Preparation
    _window: int
    _end: Panel  # the last steps of the series of `fit`, which are continued
    _end_scalings: list[Scaling]
    _random_state: np.random.RandomState
    _history: History
    _optimizer_state: dict[str, Any]
    _built: dict[str, Any]
    _telling: Telling

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        past: Any = None,
        static: Any = None,
        all_reduce: AllReduce | None = None,
    ) -> Any:
        """Learn from series: ``fit(y)``, or ``fit(X, y)`` with features.

        Parameters
        ----------
        X : features of the series `y`, known also for the steps to come; without `y`, the series.
        y : the series, of as many steps as `X`. What is NaN or masked is missing.
        sample_weight : what it counts that steps are told rightly; None is 1 each. Of one series
            (T,), of several (N,), for all steps of each, or in the form of `y` without C. A series
            of weight 2 is learned from as two of weight 1 in one mini-batch: in losses, scales,
            penalties and scores. One of weight 0 has no say, but is continued as the others are.
            A step of weight 0 has no say either, though its value is known to what comes after;
            steps at the end of a series that have no weight are as if the series ended before.
        past : covariates that are known up to now alone, (T, P), or for several series (N, T, P) or
            a list of (T_i, P). They need a forecast that is told at once: ``strategy="direct"``.
        static : what never changes, (S,), or for several series (N, S).
        all_reduce : for training by several processes, each with its own series; see
            `RNNRegressor.fit`. Every process continues the series that it was given.

        Returns
        -------
        The estimator itself.
        """
        with as_before_if_it_fails(self):
            self._fit(X, y, sample_weight, past, static, all_reduce, incremental=False)
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        past: Any = None,
        static: Any = None,
        all_reduce: AllReduce | None = None,
    ) -> Any:
        """Train for one epoch on further series; the first call starts from new weights.

        What is predicted next continues the series of this call. Scales are those of the first
        call (but for what was constant until now), with ``standardize="series"`` those of every
        series that comes. To go on with a series that has grown, give it with its last `window`
        steps before the new ones.

        Parameters
        ----------
        X, y, sample_weight, past, static, all_reduce : as in `fit`.

        Returns
        -------
        The estimator itself.
        """
        with as_before_if_it_fails(self):
            self._fit(X, y, sample_weight, past, static, all_reduce, incremental=True)
        return self

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, past: Any, static: Any,
        all_reduce: AllReduce | None, *, incremental: bool,
    ) -> None:  # fmt: skip
        """Do what `fit` says, or one epoch more of it."""
        settings, workers = Settings.of(self), Workers(all_reduce)
        if not (isinstance(self.standardize, str) and self.standardize == "series"):
            as_bool("standardize", self.standardize)
        window = as_positive("window", self.window)
        stride = None if self.stride is None else as_positive("stride", self.stride)
        if incremental and settings.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        going_on = self._goes_on(incremental)
        self.__dict__.pop("_long", None)  # these series may have come as arrays
        if not going_on:
            self._telling = telling_of(self)
        fitted = self._end if going_on else None
        panel = read_panel(self, X, y, sample_weight, past, static, fitted)
        plan = self._plan(panel, workers, going_on)
        panel.check_steps("y", plan.least_history + plan.chunk)
        panel.check_weights(plan.least_history)
        check_known("y", panel, plan.missing)
        workers.check_arguments(self, plan)
        if going_on:
            preparation = replace(self._preparation, plan=plan).with_more(panel, workers)
        else:
            preparation = Preparation.of(panel, plan, self.standardize, workers)
        self._telling = copy(self._telling)  # the old one stays with what it was if this fails
        self._telling.fitted_to(panel, preparation.target_scaling)
        scalings = preparation.scalings(panel)
        series = preparation.prepared(panel, scalings, as_dtype(self.dtype), panel.features)
        windows = cut(
            plan, series, window=window, stride=stride,
            held_out=settings.validation_fraction if settings.early_stopping else 0.0,
        )  # fmt: skip
        self._train(plan, windows, settings, workers, going_on=going_on, once=incremental)
        self._preparation, self._window = preparation, window
        self._end, self._end_scalings = panel.tail(window + plan.least_history), scalings

    def _plan(self, panel: Panel, workers: Workers, going_on: bool) -> Plan:
        """Return what goes in and out, as all workers need it."""
        if going_on:
            horizon = as_positive("horizon", self.horizon)
            return replace(self._preparation.plan, horizon=horizon)
        missing = workers.mean(np.array([float(panel.missing)]))[0] > 0.0
        telling = self._telling
        return Plan.of(
            self, panel, missing=bool(missing), numbers=telling.numbers, certain=telling.certain
        )

    def _goes_on(self, incremental: bool) -> bool:
        """Return whether training goes on with the network that is there, if arguments let it."""
        if not (incremental and hasattr(self, "network_")):
            return False
        names = [*BUILT_FORECASTER, *(["horizon"] if self.strategy == "direct" else [])]
        instead = "fit builds a new one"
        check_unchanged(self, self._built, (*names, *OPTIMIZING), "partial_fit", instead)
        return True

    def _train(
        self, plan: Plan, windows: tuple[Windows, Windows | None], settings: Settings,
        workers: Workers, *, going_on: bool, once: bool,
    ) -> None:  # fmt: skip
        """Build the network, unless it is there, and train it."""
        training, held_out = windows
        if not going_on:
            self.network_, self._random_state = self._make_network(plan)
            self._history, self.n_iter_ = History(), 0
            self._built = arguments_of(self, (*BUILT_FORECASTER, "horizon", *OPTIMIZING))
        network = self.network_
        batches = -(-len(training.lengths) // settings.batch_size)
        workers.check_equal(
            {
                "number of mini-batches": str(batches).encode(),
                "initial weights": network.bytes(),
            }
        )
        optimizer = settings.make_optimizer(network.parts, workers)
        if going_on:
            optimizer.load_state_dict(self._optimizer_state)
            optimizer.lr = settings.learning_rate
        objective = self._telling.objective(plan)
        trainer = Trainer(network, optimizer, objective, settings, workers, self._random_state)
        score = None if held_out is None else score_on(network, held_out, objective, settings)
        done = trainer.run(training, self._history, score, once=once)
        self._optimizer_state = optimizer.state_dict()
        report(self, self._history, done + (self.n_iter_ if going_on else 0))

    def _make_network(self, plan: Plan) -> tuple[Network, np.random.RandomState]:
        """Build the network, and return also what it drew from."""
        if isinstance(self.layer_options, Mapping) and self.layer_options.get("reverse"):
            raise ValueError(
                "layer_options: expected layers that go forward in time, got reverse=True"
            )
        rng = random_state_of(self.random_state)
        layers = make_layers(
            self.cell, plan.inputs, self.hidden_size, self.num_layers, bidirectional=False,
            dropout=self.dropout, dtype=as_dtype(self.dtype), options=self.layer_options, rng=rng,
        )  # fmt: skip
        return Network(layers, plan.outputs, "none", rng), rng
