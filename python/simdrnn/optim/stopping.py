"""When training has gone on for long enough, and noise that keeps it from settling too early."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from simdrnn.engine.random_words import Feature, call_key, normals
from simdrnn.optim.tree import check_names
from simdrnn.training.trainable import as_number
from simdrnn.validate import (
    Array,
    as_count,
    as_finite_number,
    as_positive_number,
    as_real,
    as_seed,
    check_changeable,
)

__all__ = ["EarlyStopping", "GradientNoise"]


class EarlyStopping:
    """Ends training when the validation loss has not become better for a while.

    Parameters
    ----------
    patience : for how many measurements, beyond the best, training goes on.
    min_delta : by how much a loss has to be below the best to count as better.

    Attributes
    ----------
    best, waited : the lowest loss that counted (None before the first), and how many measurements
        ago that was.

    Examples
    --------
    >>> stopping = EarlyStopping(patience=1)
    >>> [stopping.update(loss) for loss in (1.0, 0.8, 0.9, 0.9)]
    [False, False, False, True]
    """

    __module__ = "simdrnn.optim"

    def __init__(self, patience: int = 5, min_delta: float = 0.0) -> None:
        self.patience = as_count("patience", patience)
        self.min_delta = as_number("min_delta", min_delta)
        self.best: float | None = None
        self.waited = 0

    def __repr__(self) -> str:
        """Show the constructor's arguments."""
        return f"EarlyStopping(patience={self.patience}, min_delta={self.min_delta})"

    def update(self, value: float) -> bool:
        """Take notice of a measured loss; return whether to stop.

        Parameters
        ----------
        value : the loss; NaN is never better.
        """
        loss = as_real("value", value)
        better = self.best is None or loss < self.best - self.min_delta
        if better and not math.isnan(loss):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        return self.waited > self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return what it is, and what it remembers, as plain values."""
        best = None if self.best is None or math.isinf(self.best) else self.best
        own = {"patience": self.patience, "min_delta": self.min_delta}
        return {**own, "best": best, "waited": self.waited}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> EarlyStopping:
        """Return one that remembers what another does.

        Parameters
        ----------
        state : as `state_dict` has it.
        """
        check_names("state", ("patience", "min_delta", "best", "waited"), state)
        made = cls(state["patience"], state["min_delta"])
        made.best = None if state["best"] is None else as_finite_number("best", state["best"])
        made.waited = as_count("waited", state["waited"])
        return made


class GradientNoise:
    """Gaussian noise on gradients, which fades: its variance is eta / (1 + step)**gamma.

    Parameters
    ----------
    eta : variance at the first step; 0.01, 0.3 and 1.0 are the paper's.
    gamma : how fast it fades.
    seed : of the noise; None draws one. The noise of a step is fixed by the seed, the step and the
        place, whatever was drawn before: a run goes on anywhere.

    References
    ----------
    Neelakantan et al. 2015, arXiv:1511.06807.

    Examples
    --------
    >>> import numpy as np
    >>> noise = GradientNoise(eta=0.01, seed=0)
    >>> noise.deviation(0)
    0.1
    >>> grads = {"w": np.zeros(3)}
    >>> noise.add_(grads, step=0)
    >>> bool((np.abs(grads["w"]) > 0).all())
    True
    """

    __module__ = "simdrnn.optim"

    def __init__(self, eta: float = 0.01, gamma: float = 0.55, *, seed: int | None = None) -> None:
        self.eta = as_positive_number("eta", eta)
        self.gamma = as_number("gamma", gamma)
        self.seed = as_seed(seed)

    def __repr__(self) -> str:
        """Show the constructor's arguments."""
        return f"GradientNoise(eta={self.eta}, gamma={self.gamma}, seed={self.seed})"

    def deviation(self, step: int) -> float:
        """Return the standard deviation.

        Parameters
        ----------
        step : how many steps were made before.
        """
        return math.sqrt(self.eta / (1.0 + as_count("step", step)) ** self.gamma)

    def add_(self, grads: Mapping[str, Array], step: int) -> None:
        """Add the noise of a step to gradients, in place.

        Parameters
        ----------
        grads : by name; their order is part of what decides the noise.
        step : how many steps were made before.
        """
        if not isinstance(grads, Mapping):
            raise TypeError(f"grads: expected a dict of arrays, got {type(grads).__name__}")
        for name, gradient in grads.items():
            check_changeable(f"grads[{name!r}]", gradient)
        deviation, key = self.deviation(step), call_key(self.seed, step)
        for number, gradient in enumerate(grads.values()):
            drawn = normals((1, 1, gradient.size), Feature.GRADIENT_NOISE, 0, key, first=number)
            gradient += (deviation * drawn.reshape(gradient.shape)).astype(gradient.dtype)

    def state_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"eta": self.eta, "gamma": self.gamma, "seed": self.seed}
