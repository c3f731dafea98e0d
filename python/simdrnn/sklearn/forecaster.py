"""A forecaster of time series."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.metrics import r2_score
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from simdrnn.sklearn.arguments import documented, naming_its_class
from simdrnn.sklearn.carried import check_names
from simdrnn.sklearn.forecaster_fitting import FittedForecaster
from simdrnn.sklearn.forecaster_frames import FrameForecaster
from simdrnn.sklearn.forecasting import (
    Ends,
    continue_series,
    joined_features,
    points_of_block,
    quantiles_of_block,
    quantiles_of_paths,
    sample_paths,
)
from simdrnn.sklearn.reading import read_features, read_history, read_series
from simdrnn.sklearn.series import Form
from simdrnn.sklearn.settings import random_state_of, threads_of
from simdrnn.sklearn.telling import as_levels
from simdrnn.sklearn.weights import weights_of_steps
from simdrnn.spec.parameters import check_memory
from simdrnn.validate import Array, as_chance, as_positive

__all__ = ["SequenceForecaster"]


@documented
class SequenceForecaster(FrameForecaster, FittedForecaster):
    """Recurrent network that continues time series.

    At every step the network is given the last values and tells the next one, or the next
    `horizon`. It is trained on windows of one long series or of many, and continues them from
    their ends.

    {parameters}

    Attributes
    ----------
    network_ : the network: its ``layers`` and its ``head`` with their parameters.
    n_features_in_ : F where there are features, else C.
    n_iter_, loss_, best_loss_, loss_curve_ : as of `RNNRegressor`; the loss is the mean squared
        error of all that is told at every step of a window, in scaled units; with `quantiles` the
        pinball loss there, with `likelihood` minus the logarithm of the density there.
    validation_scores_, best_validation_score_ : minus that loss on what is held out.

    Notes
    -----
    Series are (T,) numbers or (T, C), C targets side by side; several are a list of such, which
    need not be of one length, or an array (N, T, C). Features, known also for the steps to come,
    are (T, F), or for several series a list of such or (N, T, F). Rows are steps in time, so
    `TimeSeriesSplit` is what splits them: every step trained on is before every one told.

    Targets that are NaN or masked are missing: they count nothing in losses and scales, and go in
    as 0 beside a flag that tells the network so, if any was missing in `fit`. With differences,
    those with a missing value are missing, too. Features and covariates may not be missing.

    With `quantiles` or `likelihood`, `predict` returns the median or the expected value of the next
    steps, feeding these back for more; `predict_quantiles`, `predict_interval` and `sample` tell
    the rest.

    References
    ----------
    Direct forecasts from every step of a window, and quantiles: Wen et al. 2017, arXiv:1711.11053.
    Likelihoods and sample paths: Salinas et al. 2020, arXiv:1704.04110.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(200)
    >>> y = 10 + np.sin(0.3 * t)
    >>> model = SequenceForecaster(hidden_size=16, window=32, learning_rate=0.01, random_state=0)
    >>> forecast = model.fit(y[:180]).predict(20)
    >>> bool(np.abs(forecast - y[180:]).max() < 0.3)
    True
    >>> model = SequenceForecaster(
    ...     8, "direct", quantiles=[0.1, 0.5, 0.9], early_stopping=True, random_state=0
    ... )
    >>> lower, upper = model.fit(y).predict_interval(coverage=0.8)
    >>> lower.shape, bool((lower <= upper).all())
    ((8,), True)
    """

    # What `predict` and its like are told is nothing that is routed.
    __metadata_request__predict: ClassVar = dict.fromkeys(
        ("horizon_or_X", "horizon", "history", "history_X", "history_past", "history_static"),
        UNUSED,
    )

    # Arguments that people know from other forecasters -> how the same is said.
    _elsewhere: ClassVar = dict.fromkeys(("steps", "n_steps", "h", "fh"), "horizon")

    @naming_its_class
    def predict(
        self,
        horizon_or_X: Any = None,
        /,
        X: Any = None,
        *,
        horizon: Any = None,
        history: Any = None,
        history_X: Any = None,
        history_past: Any = None,
        history_static: Any = None,
    ) -> Array:
        """Return what comes next.

        Parameters
        ----------
        horizon_or_X : a number is taken for `horizon`, an array for `X`, as when a pipeline calls.
        X : features of the steps to come, (h, F), or a list or array of these for several series;
            needed, and only allowed, if `fit` had features. With ``strategy="direct"`` of as many
            steps as whole blocks have.
        horizon : how many steps; None is the constructor's, or as many as `X` has.
        history : series to continue, in the form of `fit`, instead of those that it had.
        history_X, history_past, history_static : their features and covariates.

        Returns
        -------
        (h,) or (h, C), for several series (N, h) or (N, h, C), float64.
        """
        asked = self._asked(
            horizon_or_X, horizon, X, history, history_X, history_past, history_static
        )
        if self._at_once(asked):
            forecasts = points_of_block(asked.ends, self._telling, asked.steps)
        else:
            telling = self._telling
            forecasts = continue_series(
                asked.ends, asked.steps, lambda block, paths: telling.point(block)
            )
        return asked.form.shape(forecasts[..., 0])

    @naming_its_class
    def predict_quantiles(
        self,
        horizon_or_X: Any = None,
        /,
        X: Any = None,
        *,
        quantiles: Any = None,
        horizon: Any = None,
        history: Any = None,
        history_X: Any = None,
        history_past: Any = None,
        history_static: Any = None,
    ) -> Array:
        """Return quantiles of what comes next, for a forecaster with `quantiles` or `likelihood`.

        They never cross: those of a step ascend as their levels do, as what the network tells is
        brought into that order, and all that is done to it then keeps it.

        Parameters
        ----------
        horizon_or_X, X, horizon, history, history_X, history_past, history_static : as in
            `predict`.
        quantiles : (Q,) levels in (0, 1); None is those of the constructor, with a likelihood 0.1,
            0.5 and 0.9. Of a network that tells quantiles none beyond its outermost.

        Returns
        -------
        (h, Q) or (h, C, Q), for several series with N in front, float64. What the network tells at
        once is taken as it is. Where it tells one step after the other, those after the first are
        quantiles of 1,000 sample paths, the same at every call.
        """
        levels = self._levels(quantiles)
        asked = self._asked(
            horizon_or_X, horizon, X, history, history_X, history_past, history_static
        )
        return asked.form.shape(self._quantiles(asked, levels))

    @naming_its_class
    def predict_interval(
        self,
        horizon_or_X: Any = None,
        /,
        X: Any = None,
        *,
        coverage: float = 0.8,
        horizon: Any = None,
        history: Any = None,
        history_X: Any = None,
        history_past: Any = None,
        history_static: Any = None,
    ) -> tuple[Array, Array]:
        """Return the bounds between which each value comes with probability `coverage`.

        Parameters
        ----------
        horizon_or_X, X, horizon, history, history_X, history_past, history_static : as in
            `predict`.
        coverage : in (0, 1); as much is below as above.

        Returns
        -------
        lower, upper : two of `predict_quantiles`, each in the form of what `predict` returns.
        """
        share = as_chance("coverage", coverage)
        if share == 0.0:
            raise ValueError("coverage: expected a number in (0, 1), got 0")
        outer = [round(0.5 - share / 2, 12), round(0.5 + share / 2, 12)]  # 0.1 for 0.8
        levels = self._levels(outer, "coverage")
        asked = self._asked(
            horizon_or_X, horizon, X, history, history_X, history_past, history_static
        )
        found = asked.form.shape(self._quantiles(asked, levels))
        return found[..., 0], found[..., 1]

    @naming_its_class
    def sample(
        self,
        horizon_or_X: Any = None,
        /,
        X: Any = None,
        *,
        n: int = 100,
        random_state: Any = None,
        horizon: Any = None,
        history: Any = None,
        history_X: Any = None,
        history_past: Any = None,
        history_static: Any = None,
    ) -> Array:
        """Return paths that what comes next may take, for a forecaster that tells step by step.

        Every step is drawn knowing those before, so a path is as smooth, and as sure of its
        season, as the series. Several targets of a step, and several series, are drawn each for
        itself.

        Parameters
        ----------
        horizon_or_X, X, horizon, history, history_X, history_past, history_static : as in
            `predict`.
        n : how many.
        random_state : integer, `numpy.random.RandomState` or None, as everywhere in scikit-learn.

        Returns
        -------
        (n, h) or (n, h, C), for several series (n, N, h) or (n, N, h, C), float64.
        """
        count = as_positive("n", n)
        check_memory(count, n=count)
        check_is_fitted(self, "network_")
        self._check_uncertain("sample")
        if self._preparation.plan.chunk > 1:
            raise ValueError(
                "sample: expected strategy='recursive', in which a step is drawn knowing those "
                f"before, got strategy={self.strategy!r}, which tells each step for itself"
            )
        seed = int(random_state_of(random_state).randint(np.iinfo(np.int32).max))
        asked = self._asked(
            horizon_or_X, horizon, X, history, history_X, history_past, history_static
        )
        paths = sample_paths(asked.ends, self._telling, asked.steps, count, seed)
        return np.moveaxis(asked.form.shape(paths), -1, 0)

    def _check_uncertain(self, method: str) -> None:
        if self._telling.certain:
            raise ValueError(
                f"{method}: expected a forecaster that was fitted with quantiles= or likelihood=; "
                "one number, by the squared error, does not say how sure it is"
            )

    def _levels(self, quantiles: Any, name: str = "quantiles") -> Array:
        """Check levels of quantiles that are asked for."""
        check_is_fitted(self, "network_")
        self._check_uncertain("predict_interval" if name == "coverage" else "predict_quantiles")
        told = self._telling.levels
        if quantiles is None:
            quantiles = (0.1, 0.5, 0.9) if self.quantiles is None else self.quantiles
        levels = as_levels(name, quantiles)
        if told is not None and not (told[0] <= levels.min() and levels.max() <= told[-1]):
            raise ValueError(
                f"{name}: expected levels from {told[0]:g} to {told[-1]:g}, which are the "
                f"outermost that were learned, got {levels.tolist()}"
            )
        return levels

    def _quantiles(self, asked: Asked, levels: Array) -> Array:
        """Return quantiles of what is asked for, (N, h, C, Q)."""
        if self._at_once(asked):
            return quantiles_of_block(asked.ends, self._telling, asked.steps, levels)
        return quantiles_of_paths(asked.ends, self._telling, asked.steps, levels)

    def _at_once(self, asked: Asked) -> bool:
        """Return whether what is asked for, of a forecaster that tells how sure it is, is told so.

        Raises
        ------
        ValueError : it should be, and is more than that.
        """
        plan = asked.ends.plan
        if self._telling.certain:
            return False
        if plan.chunk > 1 and asked.steps > plan.chunk:
            raise ValueError(
                f"horizon: expected at most {plan.chunk} steps of a forecaster that tells how sure "
                f"it is of so many at once, got {asked.steps}; strategy='recursive' goes further"
            )
        return asked.steps <= plan.chunk

    def _asked(
        self, given: Any, horizon: Any, X: Any, history: Any, history_X: Any, history_past: Any,
        history_static: Any,
    ) -> Asked:  # fmt: skip
        """Check what `predict` and its like are given, and run the network to the series' ends."""
        check_is_fitted(self, "network_")
        horizon, X = _steps_and_features(given, horizon, X)
        preparation, panel, scalings = self._preparation, self._end, self._end_scalings
        plan, of_history = preparation.plan, (history_X, history_past, history_static)
        if history is not None:
            panel = read_history(self, history, *of_history, fitted=self._end, missing=plan.missing)
            panel.check_steps("history", plan.least_history)
            scalings = preparation.scalings(panel, "history")
        for name, own in zip(
            ("history_X", "history_past", "history_static"), of_history, strict=True
        ):
            if own is not None and history is None:
                raise ValueError(f"{name}: expected history with it, got None")
        panel.check_ends("y" if history is None else "history", plan.difference)
        if (X is None) != (panel.features is None):
            if X is None:
                raise ValueError("X: expected features as in fit, got NoneType")
            raise ValueError(
                f"X: expected None, as fit had no features, got {type(X).__name__}; "
                "how many steps to tell is horizon=, a series to continue is history="
            )
        steps = plan.horizon if horizon is None else horizon
        features = None
        if X is not None:
            count = len(panel.values)
            ahead = read_features(self, "X", X, panel.form.many, count, fitting=False)
            steps = min(map(len, ahead)) if horizon is None else steps
            features = joined_features(plan, panel, ahead, steps)
        if plan.past and steps > plan.chunk:
            raise ValueError(
                f"horizon: expected at most {plan.chunk} steps, of which past covariates tell, "
                f"got {steps}; beyond they would have to be known themselves"
            )
        series = preparation.prepared(panel, scalings, self.network_.dtype, features)
        threads = threads_of(self.n_jobs)
        return Asked(Ends(self.network_, plan, series, self._window, threads), steps, panel.form)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return R^2 of the forecast of the steps that follow those of `fit`.

        Parameters
        ----------
        X : features of these steps; without `y`, what the series were.
        y : what the series were, in the form of `fit`; several of as many steps each.
        sample_weight : what these steps count, in a form of `fit`; None is 1 each.

        Returns
        -------
        R^2, at most 1, the mean over targets; NaN of a single step of a single series.
        """
        check_is_fitted(self, "network_")
        values, form = read_series("y", X if y is None else y, missing=True)
        check_names("y", form.names, self._end.form.names)
        steps = len(values[0])
        if any(len(value) != steps for value in values):
            raise ValueError("y: expected as many steps of every series, got different numbers")
        forecast = self.predict(steps, None if y is None else X)
        actual = form.shape(np.stack(values))
        if actual.shape != forecast.shape:
            raise ValueError(f"y: expected shape {forecast.shape}, got {actual.shape}")
        weights = None
        if sample_weight is not None:
            weights = weights_of_steps(sample_weight, np.full(len(values), steps))
        targets = values[0].shape[1]
        return _r2_of_known(actual.reshape(-1, targets), forecast.reshape(-1, targets), weights)


def _r2_of_known(actual: Array, forecast: Array, weights: Array | None) -> float:
    """Return the mean over targets of R^2 where they are known and count."""
    known = np.isfinite(actual)
    if known.all():
        return float(r2_score(actual, forecast, sample_weight=weights))
    if not (known if weights is None else known & (weights > 0)[:, None]).any(axis=0).all():
        counting = "" if weights is None else " that counts"
        raise ValueError(
            f"y: expected a known step of every target{counting}, got only missing ones"
        )
    each = np.ones(len(actual)) if weights is None else weights
    columns = zip(actual.T, forecast.T, known.T, strict=True)
    return float(
        np.mean([r2_score(y[own], told[own], sample_weight=each[own]) for y, told, own in columns])
    )


class Asked(NamedTuple):
    """What `predict` and its like are asked for: where the network stands, and how many steps."""

    ends: Ends
    steps: int
    form: Form


def _steps_and_features(given: Any, horizon: Any, X: Any) -> tuple[int | None, Any]:
    """Return `horizon` and `X` of a call of `predict`, of which one may be `given` by its place."""
    if given is not None:
        sized = hasattr(given, "__len__") and not isinstance(given, (str, bytes))
        if getattr(given, "ndim", int(sized)) == 0:
            if horizon is not None:
                raise TypeError(f"horizon: expected it once, got {given!r} and {horizon!r}")
            horizon = given
        elif X is not None:
            raise TypeError(
                f"horizon: expected an integer or None with X, got {type(given).__name__}"
            )
        else:
            X = given
    return None if horizon is None else as_positive("horizon", horizon), X
