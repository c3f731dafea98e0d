"""The training loop: epochs of mini-batches, early stopping, progress, and stopping by Ctrl-C."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from simdrnn.optim import Optimizer
from simdrnn.regularizers import add_, l2
from simdrnn.sklearn.network import Network
from simdrnn.sklearn.objectives import Objective
from simdrnn.sklearn.sequences import batches_of
from simdrnn.sklearn.settings import Settings
from simdrnn.sklearn.workers import Workers
from simdrnn.training.progress import Interrupt, PlainLines, open_progress
from simdrnn.validate import Array

__all__ = ["Batch", "Examples", "History", "Trainer", "report"]


class Batch(NamedTuple):
    """One mini-batch.

    Attributes
    ----------
    x : (T, B, I) in the network's dtype.
    lengths : (B,), or None where all are T.
    targets : as the objective takes them.
    weights : as the objective takes them; for squared errors of steps, the lengths.
    share : what the batch counts in the mean loss of an epoch.
    examples : how many it counts for, by which penalties are divided.
    """

    x: Array
    lengths: Array | None
    targets: Array
    weights: Array | None
    share: float
    examples: float


class Examples(Protocol):
    """What is learned from."""

    @property
    def lengths(self) -> Array:
        """(N,), by which mini-batches are put together."""
        ...

    def batch(self, indices: Array) -> Batch:
        """Return the examples at `indices`."""
        ...


class History:
    """How training went, as estimators show it.

    Attributes
    ----------
    loss_curve : mean loss of every epoch.
    validation_scores : after every epoch, with early stopping.
    best_loss, best_score : the lowest and the highest of these; infinities at first.
    without_change : epochs since the last one that was better by the tolerance.
    """

    def __init__(self) -> None:
        self.loss_curve: list[float] = []
        self.validation_scores: list[float] = []
        self.best_loss, self.best_score = math.inf, -math.inf
        self.without_change = 0

    def begin(self) -> None:
        """Forget what decides when training ends: another run decides for itself."""
        self.best_score, self.without_change = -math.inf, 0

    def mark(self) -> Callable[[], None]:
        """Return a function that forgets all from here on."""
        losses, scores = len(self.loss_curve), len(self.validation_scores)
        others = self.best_loss, self.best_score, self.without_change

        def forget() -> None:
            del self.loss_curve[losses:], self.validation_scores[scores:]
            self.best_loss, self.best_score, self.without_change = others

        return forget

    def add(self, loss: float, score: float | None, tol: float) -> bool:
        """Note an epoch; return whether its score, or without one its loss, is the best so far."""
        if score is None:
            best, changed = loss < self.best_loss, loss <= self.best_loss - tol
        else:
            best, changed = score > self.best_score, score >= self.best_score + tol
            self.best_score = max(self.best_score, score)
            self.validation_scores.append(score)
        self.best_loss = min(self.best_loss, loss)
        self.loss_curve.append(loss)
        self.without_change = 0 if changed else self.without_change + 1
        return best


class Trainer:
    """Trains one network.

    Parameters
    ----------
    network, optimizer : what is trained, and by what.
    objective : see `simdrnn.sklearn.objectives`.
    settings, workers : how, and with whom.
    rng : source of the order of examples.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        objective: Objective,
        settings: Settings,
        workers: Workers,
        rng: np.random.RandomState,
    ) -> None:
        self._network, self._optimizer, self._objective = network, optimizer, objective
        self._settings, self._workers, self._rng = settings, workers, rng

    def run(
        self,
        examples: Examples,
        history: History,
        score: Callable[[], float] | None = None,
        *,
        once: bool = False,
    ) -> int:
        """Train for up to ``max_iter`` epochs; return for how many.

        Parameters
        ----------
        examples : what is learned from.
        history : added to.
        score : of the network on what is held out, for early stopping; higher is better. The
            parameters of the best epoch are then restored.
        once : for one epoch only.
        """
        settings = self._settings
        epochs = 1 if once else settings.max_iter
        history.begin()
        best: list[dict[str, Array]] | None = None
        done, converged = 0, False
        with self._progress(epochs) as progress, Interrupt() as interrupt:
            while done < epochs and not converged and not interrupt.requested:
                loss = self._epoch(examples, interrupt)
                if interrupt.requested and self._workers.alone:
                    break
                loss, found, interrupt.requested = self._agree(loss, score, interrupt.requested)
                if not math.isfinite(loss):
                    raise ValueError(
                        f"fit: expected a finite loss, got {loss} in epoch {done + 1}; "
                        "a smaller learning_rate or clip_norm, or standardize=True, may help"
                    )
                done += 1
                is_best = history.add(loss, found, settings.tol)
                if score is not None and is_best:
                    best = self._network.state()
                converged = history.without_change > settings.n_iter_no_change
                shown = "" if found is None else f" | validation score {found:.4f}"
                progress.update(done, f"loss {loss:.4f}{shown}")
        if best is not None:
            self._network.restore(best)
        if interrupt.requested:
            warnings.warn(
                f"Training interrupted by user after {done} epochs; what was learned is kept.",
                stacklevel=levels_to_the_caller(),
            )
        elif not (converged or once):
            warnings.warn(
                f"Maximum iterations ({done}) reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=levels_to_the_caller(),
            )
        return done

    def _progress(self, epochs: int) -> Any:
        """Return what shows progress: a bar on a terminal, lines elsewhere, or nothing."""
        if not self._settings.verbose:
            return nullcontext(_Silent())
        if sys.stderr.isatty():
            return open_progress(epochs, "epochs")
        return PlainLines(epochs, "epochs", sys.stderr)

    def _agree(
        self, loss: float, score: Callable[[], float] | None, interrupted: bool
    ) -> tuple[float, float | None, bool]:
        """Return loss, score and whether to stop, as all workers have them."""
        found = 0.0 if score is None else score()
        means = self._workers.mean(np.array([loss, found, float(interrupted)]))
        return float(means[0]), None if score is None else float(means[1]), bool(means[2] > 0.0)

    def _epoch(self, examples: Examples, interrupt: Interrupt) -> float:
        """Take a step for every mini-batch; return the mean loss."""
        settings = self._settings
        rng = self._rng if settings.shuffle else None
        total = shares = 0.0
        for indices in batches_of(examples.lengths, settings.batch_size, rng):
            batch = examples.batch(indices)
            total += batch.share * self._step(batch)
            shares += batch.share
            if interrupt.requested and self._workers.alone:
                break
        return total / shares if shares else 0.0

    def _step(self, batch: Batch) -> float:
        """Update the network once; return the loss before."""
        settings = self._settings
        tape = self._network.record(batch.x, batch.lengths, settings.num_threads)
        loss, d_output = self._objective(tape.output, batch.targets, batch.weights)
        gradients = tape.backward(d_output)
        if settings.alpha and batch.examples:
            strength = settings.alpha / (2 * batch.examples)
            for part, own in zip(self._network.parts, gradients, strict=True):
                if not any("weight" in name for name in part.parameters()):
                    continue  # what is on top of scores has no weights
                penalty = l2(part, strength, "*weight*")
                add_(own, penalty)
                loss += penalty.value
        self._optimizer.step(gradients, max_norm=settings.clip_norm)
        return loss


def levels_to_the_caller() -> int:
    """Return for `warnings.warn` how far above is what called the estimators."""
    own = __name__.rpartition(".")[0]
    frame, levels = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(own):
        frame, levels = frame.f_back, levels + 1
    return levels


class _Silent:
    """Progress that is not shown."""

    def update(self, done: float, message: str) -> None:
        """Do nothing."""


def report(estimator: Any, history: History, epochs: int) -> None:
    """Set the attributes of an estimator that say how training went, after so many `epochs`."""
    scored = bool(history.validation_scores)
    estimator.n_iter_ = epochs
    estimator.loss_curve_ = history.loss_curve  # not a copy: of partial_fit there may be many
    estimator.loss_ = history.loss_curve[-1] if history.loss_curve else math.nan
    estimator.best_loss_ = history.best_loss
    estimator.validation_scores_ = history.validation_scores if scored else None
    estimator.best_validation_score_ = history.best_score if scored else None
