"""The training loop of `Model.fit`: epochs, validation, the best epoch, progress, Ctrl-C."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from simdrnn.layers.gradients import Gradients
from simdrnn.model.batches import Arrays, Batch, Batches
from simdrnn.model.history import History
from simdrnn.model.trainer import Trainer, checksum
from simdrnn.optim import Schedule
from simdrnn.training.progress import Interrupt, PlainLines, open_progress
from simdrnn.validate import Array

__all__ = ["Fitting", "check_loss", "mean_loss"]

Evaluate = Callable[[Batch], tuple[Array, "Array | None"]]


class Fitting:
    """One call of ``fit``.

    Parameters
    ----------
    model, trainer : what is trained, and by what.
    loss : of outputs and targets.
    data : what is learned from.
    validate : returns the validation loss; None is none.
    shuffle : whether rows of arrays are taken in another order in every epoch.
    num_threads : of calls.
    """

    def __init__(
        self, model: Any, trainer: Trainer, loss: Callable[..., Any], data: Arrays | Batches,
        validate: Callable[[], float] | None, shuffle: bool, num_threads: int | None,
    ) -> None:  # fmt: skip
        self._model, self._trainer, self._loss, self._data = model, trainer, loss, data
        self._validate, self._shuffle, self._threads = validate, shuffle, num_threads
        self._best: dict[str, Array] | None = None
        self._progress: Any = None

    def run(self, epochs: int, verbose: bool) -> History:
        """Train for so many epochs; an unfinished one is finished first, and counts."""
        trainer = self._trainer
        trainer.history.stopped = None
        self._go_on()
        try:
            with _shown(epochs, verbose) as self._progress, Interrupt() as interrupt:
                for number in range(epochs):
                    if not self._epoch(number, interrupt):
                        trainer.history.stopped = "interrupted"
                    elif self._finished():
                        trainer.history.stopped = "early stopping"
                    if trainer.history.stopped is not None:
                        break
                else:
                    trainer.history.stopped = "epochs"
        finally:
            self._keep_best()
        return trainer.history

    def _go_on(self) -> None:
        """Begin with the parameters of the last step, where the model has those of the best."""
        trainer, model = self._trainer, self._model
        present = model.parameters()
        is_best = trainer.best is not None and checksum(present) == trainer.best_checksum
        if is_best:
            self._best = model.state_dict()
        if trainer.last is not None and is_best:
            model.load_state_dict(trainer.last)
        trainer.last = None
        if self._validate is None or not is_best:
            # Nothing will be compared with the best; or somebody has given the model other
            # parameters since, which that one says nothing about.
            self._best, trainer.best = None, None

    def _keep_best(self) -> None:
        """Leave the model with the parameters of the best epoch, however training ends."""
        if self._best is None or checksum(self._model.parameters()) == self._trainer.best_checksum:
            return
        self._trainer.last = self._model.state_dict()
        self._model.load_state_dict(self._best)

    def _epoch(self, number: int, interrupt: Interrupt) -> bool:
        """Take a step for every batch that is left; return whether all were."""
        trainer, data = self._trainer, self._data
        order = trainer.order(data.rows) if self._shuffle and data.rows else None
        done = trainer.done
        for index, batch in enumerate(data.batches(order)):
            if index < done:
                continue
            loss, weight, norm = self._step(batch)
            sums = [loss * weight, weight, 0.0 if norm is None else norm]
            trainer.sums = [one + other for one, other in zip(trainer.sums, sums, strict=True)]
            trainer.done = index + 1
            share = number + trainer.done / len(data) if len(data) else number
            self._progress.update(share, f"loss {self._mean():.4f}")
            if interrupt.requested and index + 1 != len(data):
                return False
        self._note(number)
        return not interrupt.requested

    def _mean(self) -> float:
        """Return the mean loss of the epoch until now."""
        total, weight, _ = self._trainer.sums
        return total / weight if weight else 0.0

    def _step(self, batch: Batch) -> tuple[float, float, float | None]:
        """Update the model once; return the loss before, what it counts, and the norm."""
        trainer = self._trainer
        tape = self._model.record(batch.x, num_threads=self._threads, **batch.options)
        loss, weight = _loss(self._loss, tape.output, batch.target, tape.mask)
        value = float(loss.value)
        if not math.isfinite(value):
            raise ValueError(
                f"fit: expected a finite loss, got {value} at step {trainer.steps + 1}, in epoch "
                f"{len(trainer.history) + 1}; that step was not made. {self._reason(batch)}"
            )
        return value, weight, trainer.step(tape.backward(_gradient(loss)))

    def _reason(self, batch: Batch) -> str:
        """Say why a loss is not finite: by what was given, or else by how training goes."""
        given: dict[str, Any] = dict(self._model.parameters())
        if not {"lengths", "mask"} & set(batch.options):  # else what is not real may be anything
            whole = self._data if isinstance(self._data, Arrays) else batch
            given = {"x": whole.x, "target": whole.target} | given
        for name, value in given.items():
            array = np.asarray(value)
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                place = np.argwhere(~np.isfinite(array))[0].tolist()
                return f"{name}{place} is {array[tuple(place)]}"
        return (
            "A lower learning rate, a max_norm, or inputs of a smaller scale may help; "
            "sr.diagnose(tape) tells where"
        )

    def _note(self, number: int) -> None:
        """Measure and note an epoch that is finished."""
        trainer, model = self._trainer, self._model
        loss, norm = self._mean(), math.nan
        if trainer.max_norm is not None and trainer.done:
            norm = trainer.sums[2] / trainer.done
        found = math.nan if self._validate is None else float(self._validate())
        trainer.history.add(loss, found, trainer.optimizer.lr, norm, trainer.steps)
        trainer.done, trainer.sums = 0, [0.0, 0.0, 0.0]
        if isinstance(trainer.schedule, Schedule):
            trainer.schedule.update(loss if self._validate is None else found)
        if not math.isnan(found) and (trainer.best is None or found < trainer.best):
            self._best = model.state_dict()
            trainer.best, trainer.best_checksum = found, checksum(self._best)
        shown = "" if self._validate is None else f" | validation {found:.4f}"
        self._progress.update(number + 1, f"loss {loss:.4f}{shown}")

    def _finished(self) -> bool:
        """Tell early stopping about the epoch; return whether it ends training."""
        stopping, history = self._trainer.early_stopping, self._trainer.history
        return stopping is not None and stopping.update(history.validation[-1])


def check_loss(loss: object) -> None:
    """Raise unless `loss` is a function; Keras's ``fit(x, y)`` has targets in its place."""
    if not callable(loss):
        raise TypeError(
            "loss: expected a function of outputs and targets, as simdrnn.softmax_cross_entropy, "
            f"got {type(loss).__name__}; arrays come as one tuple, fit((x, target), loss)"
        )


def _loss(
    loss: Callable[..., Any], output: Array, target: Any, mask: Array | None
) -> tuple[Any, float]:
    """Return a recorded loss, and how many positions it is the mean of."""
    found = loss(output, target) if mask is None else loss(output, target, mask=mask)
    if not hasattr(found, "value") or not callable(getattr(found, "backward", None)):
        raise TypeError(
            f"loss: expected a Loss, with value and backward(), got {type(found).__name__}"
        )
    return found, float(math.prod(output.shape[:-1]) if mask is None else mask.sum())


def _gradient(loss: Any) -> Array:
    """Return a loss's gradient for the output it was made of."""
    gradient = loss.backward()
    if isinstance(gradient, Gradients):
        raise TypeError(
            "loss: expected one without parameters, got one that has some, as a CRF does, which "
            "fit would leave as they are; write the loop, with one optimizer for the model and the "
            "loss (docs/guide.md, `crf`), or use simdrnn.sklearn.SequenceTagger"
        )
    return gradient  # type: ignore[no-any-return]  # the model looks at it


def mean_loss(data: Arrays | Batches, loss: Callable[..., Any], evaluate: Evaluate) -> float:
    """Return the mean loss over all positions; NaN without any."""
    total = weights = 0.0
    for batch in data.batches(None):
        output, mask = evaluate(batch)
        found, weight = _loss(loss, output, batch.target, mask)
        total, weights = total + float(found.value) * weight, weights + weight
    return total / weights if weights else math.nan


def _shown(epochs: int, verbose: bool) -> Any:
    """Return what shows progress: a bar on a terminal, lines elsewhere, or nothing."""
    if not verbose:
        return nullcontext(_Silent())
    if sys.stderr.isatty():
        return open_progress(epochs, "epochs")
    return PlainLines(epochs, "epochs", sys.stderr)


class _Silent:
    """Progress that is not shown."""

    def update(self, done: float, message: str) -> None:
        """Do nothing."""
