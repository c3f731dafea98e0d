"""A forecaster of time series."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from simdrnn.optim.reduction import AllReduce
from simdrnn.sklearn.forecasting import continue_series, joined_features, score_on
from simdrnn.sklearn.network import Network, make_layers
from simdrnn.sklearn.objectives import squared_error_of_steps
from simdrnn.sklearn.preparation import Preparation
from simdrnn.sklearn.series import read_features, read_history, read_panel, read_series
from simdrnn.sklearn.settings import Settings, threads_of
from simdrnn.sklearn.training import History, Trainer, report
from simdrnn.sklearn.windows import Plan, Windows, cut
from simdrnn.sklearn.workers import Workers
from simdrnn.validate import Array, as_bool, as_dtype, as_positive

__all__ = ["SequenceForecaster"]


class SequenceForecaster(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Recurrent network that continues time series.

    At every step the network is given the last values and tells the next one, or the next
    `horizon`. It is trained on windows of one long series or of many, and continues them from
    their ends.

    Parameters
    ----------
    horizon : steps that `predict` tells unless it is asked for others.
    strategy : ``"recursive"``: the network tells one step, and forecasts are fed back for more.
        ``"direct"``: it tells `horizon` steps at once; only what is beyond is fed back.
    lags : which values it is given: n for the last n, or a list such as ``[1, 12]``, where 1 is the
        last known value. The network remembers; lags spare it remembering over whole seasons.
    window : steps of a training window, and at the end of a series before it is continued, at most.
    stride : steps from one window to the next; None chooses, 1 in short series.
    difference : how often differences are taken before all else, which removes trends: 0 or more.
    standardize : True: all series are scaled alike, to mean 0 and variance 1 over all of them, as
        are features. ``"series"``: every series by itself. False: nothing is scaled.
    cell, hidden_size, num_layers, dropout, layer_options : as for `RNNRegressor`, one direction.
    optimizer, learning_rate, optimizer_options, batch_size, max_iter : as for `RNNRegressor`.
    alpha, clip_norm, tol, n_iter_no_change, shuffle : as for `RNNRegressor`.
    early_stopping, validation_fraction : whether to hold the last part of every series out, and to
        end with the parameters that did best on it; their score is minus the squared error.
    dtype, random_state, n_jobs, verbose : as for `RNNRegressor`.

    Attributes
    ----------
    network_ : the network: its ``layers`` and its ``head`` with their parameters.
    n_features_in_ : F where there are features, else C.
    n_iter_, loss_, best_loss_, loss_curve_ : as of `RNNRegressor`; the loss is the mean squared
        error of all that is told at every step of a window, in scaled units.
    validation_scores_, best_validation_score_ : minus that error on what is held out.

    Notes
    -----
    Series are (T,) numbers or (T, C), C targets side by side; several are a list of such, which
    need not be of one length, or an array (N, T, C). Features, known also for the steps to come,
    are (T, F), or for several series a list of such or (N, T, F). Rows are steps in time, so
    `TimeSeriesSplit` is what splits them: every step trained on is before every one told.

    References
    ----------
    Direct forecasts from every step of a window: Wen et al. 2017, arXiv:1711.11053.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(200)
    >>> y = 10 + np.sin(0.3 * t)
    >>> model = SequenceForecaster(hidden_size=16, window=32, learning_rate=0.01, random_state=0)
    >>> forecast = model.fit(y[:180]).predict(20)
    >>> bool(np.abs(forecast - y[180:]).max() < 0.3)
    True
    """

    # Where an estimator runs is nothing that comes with the data, as what is routed does.
    __metadata_request__fit: ClassVar = {"all_reduce": UNUSED}
    __metadata_request__predict: ClassVar = {
        "horizon": UNUSED, "history": UNUSED, "history_X": UNUSED
    }  # fmt: skip

    def __init__(
        self,
        horizon: int = 1,
        strategy: str = "recursive",
        lags: int | Sequence[int] = 1,
        window: int = 64,
        stride: int | None = None,
        difference: int = 0,
        standardize: bool | str = True,
        cell: str = "lstm",
        hidden_size: int | tuple[int, ...] = 64,
        num_layers: int = 1,
        dropout: float = 0.0,
        layer_options: Mapping[str, Any] | None = None,
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
        dtype: str = "float32",
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.horizon = horizon
        self.strategy = strategy
        self.lags = lags
        self.window = window
        self.stride = stride
        self.difference = difference
        self.standardize = standardize
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.layer_options = layer_options
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
        self.dtype = dtype
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, *, all_reduce: AllReduce | None = None) -> Any:
        """Learn from series: ``fit(y)``, or ``fit(X, y)`` with features.

        Parameters
        ----------
        X : features of the series `y`; without `y`, the series.
        y : the series, of as many steps as `X`.
        all_reduce : for training by several processes, each with its own series; see
            `RNNRegressor.fit`. Every process continues the series that it was given.

        Returns
        -------
        The estimator itself.
        """
        settings, workers = Settings.of(self), Workers(all_reduce)
        if self.standardize != "series":
            as_bool("standardize", self.standardize)
        window = as_positive("window", self.window)
        stride = None if self.stride is None else as_positive("stride", self.stride)
        panel = read_panel(self, X, y)
        plan = Plan.of(self, panel.targets, panel.feature_count)
        panel.check_steps("y", plan.least_history + plan.chunk)
        workers.check_arguments(self, plan)
        preparation = Preparation.of(panel, plan, self.standardize, workers)
        scalings = preparation.scalings(panel.values)
        windows = cut(
            plan, panel.values, preparation.scaled_features(panel.features), scalings,
            as_dtype(self.dtype), window=window, stride=stride,
            held_out=settings.validation_fraction if settings.early_stopping else 0.0,
        )  # fmt: skip
        self._train(plan, windows, settings, workers)
        self._preparation, self._window = preparation, window
        self._end, self._end_scalings = panel.tail(window + plan.least_history), scalings
        return self

    def _train(
        self, plan: Plan, windows: tuple[Windows, Windows | None], settings: Settings,
        workers: Workers,
    ) -> None:  # fmt: skip
        """Build the network and train it."""
        training, held_out = windows
        network, rng = self._make_network(plan)
        batches = -(-len(training.lengths) // settings.batch_size)
        workers.check_equal(
            {
                "number of mini-batches": str(batches).encode(),
                "initial weights": network.bytes(),
            }
        )
        optimizer, history = settings.make_optimizer(network.parts, workers), History()
        trainer = Trainer(network, optimizer, squared_error_of_steps, settings, workers, rng)
        score = None if held_out is None else score_on(network, held_out, settings)
        done = trainer.run(training, history, score)
        self.network_ = network
        report(self, history, done)

    def predict(
        self, horizon: Any = None, X: Any = None, *, history: Any = None, history_X: Any = None
    ) -> Array:
        """Return what comes next.

        Parameters
        ----------
        horizon : how many steps; None is the constructor's, or as many as `X` has. An array is
            taken for `X`, as when a pipeline calls.
        X : features of the steps to come, (h, F), or a list or array of these for several series;
            needed, and only allowed, if `fit` had features. With ``strategy="direct"`` of as many
            steps as whole blocks have.
        history : series to continue, in the form of `fit`, instead of those that it had.
        history_X : their features.

        Returns
        -------
        (h,) or (h, C), for several series (N, h) or (N, h, C), float64.
        """
        check_is_fitted(self, "network_")
        if horizon is not None and not isinstance(horizon, numbers.Integral):
            if X is not None:
                found = type(horizon).__name__
                raise TypeError(f"horizon: expected an integer or None with X, got {found}")
            horizon, X = None, horizon
        plan, panel, scalings = self._preparation.plan, self._end, self._end_scalings
        if history is not None:
            panel = read_history(self, history, history_X, self._end)
            panel.check_steps("history", plan.least_history)
            scalings = self._preparation.scalings(panel.values)
        elif history_X is not None:
            raise ValueError("history_X: expected history with it, got None")
        if (X is None) != (panel.features is None):
            wanted = "None, as fit had no features" if X is not None else "features as in fit"
            raise ValueError(f"X: expected {wanted}, got {type(X).__name__}")
        steps = plan.horizon if horizon is None else as_positive("horizon", horizon)
        features = None
        if X is not None:
            count = len(panel.values)
            ahead = read_features(self, "X", X, panel.form.many, count, fitting=False)
            steps = min(map(len, ahead)) if horizon is None else steps
            features = joined_features(plan, panel, ahead, steps)
        forecasts = continue_series(
            self.network_, plan, panel.values, scalings,
            self._preparation.scaled_features(features), steps=steps, window=self._window,
            num_threads=threads_of(self.n_jobs),
        )  # fmt: skip
        return panel.form.shape(forecasts)

    def score(self, X: Any, y: Any = None) -> float:
        """Return R^2 of the forecast of the steps that follow those of `fit`.

        Parameters
        ----------
        X : features of these steps; without `y`, what the series were.
        y : what the series were, in the form of `fit`; several of as many steps each.

        Returns
        -------
        R^2, at most 1, the mean over targets; NaN of a single step of a single series.
        """
        check_is_fitted(self, "network_")
        values, form = read_series("y", X if y is None else y)
        steps = len(values[0])
        if any(len(value) != steps for value in values):
            raise ValueError("y: expected as many steps of every series, got different numbers")
        forecast = self.predict(steps, None if y is None else X)
        actual = form.shape(np.stack(values))
        if actual.shape != forecast.shape:
            raise ValueError(f"y: expected shape {forecast.shape}, got {actual.shape}")
        targets = values[0].shape[1]
        return float(r2_score(actual.reshape(-1, targets), forecast.reshape(-1, targets)))

    def _make_network(self, plan: Plan) -> tuple[Network, np.random.RandomState]:
        """Build the network, and return also what it drew from."""
        if isinstance(self.layer_options, Mapping) and self.layer_options.get("reverse"):
            raise ValueError(
                "layer_options: expected layers that go forward in time, got reverse=True"
            )
        rng = check_random_state(self.random_state)
        layers = make_layers(
            self.cell, plan.inputs, self.hidden_size, self.num_layers, bidirectional=False,
            dropout=self.dropout, dtype=as_dtype(self.dtype), options=self.layer_options, rng=rng,
        )  # fmt: skip
        return Network(layers, plan.outputs, "none", rng), rng
