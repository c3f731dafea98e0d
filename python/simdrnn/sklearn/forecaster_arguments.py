"""The arguments of the forecaster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from simdrnn.losses import Likelihood
from simdrnn.sklearn.arguments import naming_its_class

__all__ = ["ForecasterArguments"]


class ForecasterArguments(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Constructor of `SequenceForecaster`.

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
        are features. ``"series"``: every series by itself. False: nothing is scaled. What is
        scaled and does not vary, after differences, goes on exactly as it is.
    cell, hidden_size, num_layers, dropout, layer_options : as for `RNNRegressor`, one direction.
    optimizer, learning_rate, optimizer_options, batch_size, max_iter : as for `RNNRegressor`.
    alpha, clip_norm, tol, n_iter_no_change, shuffle : as for `RNNRegressor`.
    early_stopping, validation_fraction : whether to hold the last part of every series out, and to
        end with the parameters that did best on it; their score is minus the squared error.
    dtype, random_state, n_jobs, verbose : as for `RNNRegressor`.
    quantiles : None, or levels such as ``[0.1, 0.5, 0.9]``, one of which is 0.5 or two of which are
        on both sides of it: the network tells these quantiles, trained by the pinball loss.
    likelihood : None, or ``"gaussian"``, ``"student_t"`` or ``"negative_binomial"`` (counts), or an
        object of `simdrnn.losses` of this kind: the network tells a distribution.
    """

    @naming_its_class
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
        quantiles: Sequence[float] | None = None,
        likelihood: str | Likelihood | None = None,
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
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.shuffle = shuffle
        self.dtype = dtype
        self.random_state = random_state
        self.n_jobs, self.verbose = n_jobs, verbose
        self.quantiles, self.likelihood = quantiles, likelihood
