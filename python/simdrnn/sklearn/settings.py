"""The arguments of estimators that say how to train, checked."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils import check_random_state

from simdrnn.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from simdrnn.sklearn.workers import Workers
from simdrnn.training.trainable import as_number
from simdrnn.validate import as_bool, as_finite_number, as_positive, as_positive_number

__all__ = ["Settings", "random_state_of", "threads_of"]

_OPTIMIZERS: dict[str, Any] = {"adam": Adam, "adamw": AdamW, "rmsprop": RMSprop, "sgd": SGD}

# Arguments of theirs that are not the user's to give once more.
_TAKEN = ("layers", "lr", "all_reduce", "groups", "constraints")

# Recurrent networks take small steps often better than large ones rarely; more rows than that in a
# mini-batch do not make a row cheaper either.
_AUTO_BATCH = 64


def threads_of(n_jobs: object) -> int | None:
    """Return the number of threads for scikit-learn's `n_jobs`; None leaves it to the engine."""
    if n_jobs is None:
        return None
    if not isinstance(n_jobs, (int, np.integer)) or isinstance(n_jobs, bool) or n_jobs == 0:
        raise ValueError(f"n_jobs: expected an integer other than 0 or None, got {n_jobs!r}")
    return int(effective_n_jobs(int(n_jobs)))


def _check_options(optimizer: Any, options: Mapping[str, Any]) -> None:
    """Raise unless these are further arguments of an optimiser, beside those of the estimator."""
    known = [name for name in inspect.signature(optimizer).parameters if name not in _TAKEN]
    for name in options:
        if name not in known:
            raise ValueError(
                f"optimizer_options: expected some of {', '.join(known)}, got {name!r}"
            )


def random_state_of(value: object) -> np.random.RandomState:
    """Return what scikit-learn's `random_state` stands for."""
    try:
        made: np.random.RandomState = check_random_state(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "random_state: expected an integer in [0, 2**32), a numpy.random.RandomState or None, "
            f"got {value!r:.80}"
        ) from error
    return made


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train; the fields are the estimators' arguments of these names.

    Attributes
    ----------
    num_threads : of the layers; None leaves it to the engine.
    """

    batch_size: int
    max_iter: int
    alpha: float
    clip_norm: float | None
    tol: float
    n_iter_no_change: int
    early_stopping: bool
    validation_fraction: float
    shuffle: bool
    verbose: bool
    num_threads: int | None
    optimizer: str
    learning_rate: float
    optimizer_options: Mapping[str, Any]

    @classmethod
    def of(cls, estimator: Any) -> Settings:
        """Check the arguments of an estimator.

        Raises
        ------
        ValueError, TypeError : one does not fit; the message names it.
        """
        size = estimator.batch_size
        fraction = as_finite_number("validation_fraction", estimator.validation_fraction)
        if not 0.0 < fraction < 1.0:
            raise ValueError(f"validation_fraction: expected a number in (0, 1), got {fraction}")
        norm, options = estimator.clip_norm, estimator.optimizer_options
        if options is not None and not isinstance(options, Mapping):
            found = type(options).__name__
            raise TypeError(f"optimizer_options: expected a dict or None, got {found}")
        if not isinstance(estimator.optimizer, str) or estimator.optimizer not in _OPTIMIZERS:
            known = ", ".join(map(repr, _OPTIMIZERS))
            raise ValueError(f"optimizer: expected one of {known}, got {estimator.optimizer!r}")
        _check_options(_OPTIMIZERS[estimator.optimizer], options or {})
        verbose = estimator.verbose
        if not isinstance(verbose, (bool, np.bool_, int, np.integer)):
            raise TypeError(f"verbose: expected True, False or an integer, got {verbose!r}")
        auto = isinstance(size, str) and size == "auto"
        return cls(
            batch_size=_AUTO_BATCH if auto else as_positive("batch_size", size),
            max_iter=as_positive("max_iter", estimator.max_iter),
            alpha=as_number("alpha", estimator.alpha),
            clip_norm=None if norm is None else as_positive_number("clip_norm", norm),
            tol=as_number("tol", estimator.tol),
            n_iter_no_change=as_positive("n_iter_no_change", estimator.n_iter_no_change),
            early_stopping=as_bool("early_stopping", estimator.early_stopping),
            validation_fraction=fraction,
            shuffle=as_bool("shuffle", estimator.shuffle),
            verbose=bool(verbose),
            num_threads=threads_of(estimator.n_jobs),
            optimizer=estimator.optimizer,
            learning_rate=as_positive_number("learning_rate", estimator.learning_rate),
            optimizer_options=dict(options or {}),
        )

    def make_optimizer(self, parts: list[Any], workers: Workers) -> Optimizer:
        """Build the optimiser of `parts`."""
        made: Optimizer = _OPTIMIZERS[self.optimizer](
            parts, lr=self.learning_rate, all_reduce=workers.all_reduce, **self.optimizer_options
        )
        return made
