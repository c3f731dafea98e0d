"""`simdrnn.Trainer`: what training a model takes beside it, and all that changes meanwhile."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from simdrnn.layers.gradients import Gradients
from simdrnn.model.history import History
from simdrnn.optim import Adam, EarlyStopping, GradientNoise, Optimizer
from simdrnn.training.clip import clip_grad_norm_
from simdrnn.training.trainable import as_number, check_trainable
from simdrnn.validate import Array, as_bool, as_count, as_positive, as_seed

__all__ = ["ROWS_OF_A_BATCH", "Trainer", "checksum", "how_batches_go_on"]

ROWS_OF_A_BATCH = 32  # unless told otherwise: what Keras takes


class Trainer:
    """The optimiser of a model, with what goes along with it, and how far training has come.

    ``model.fit`` makes one and keeps it as ``model.trainer``; for a loop of your own make it
    yourself and call `step`. ``model.save`` writes it into the model's file and `simdrnn.load`
    brings it back, so that training goes on with the bits of a run that never stopped.

    Parameters
    ----------
    model : what is trained; its ``trainer`` is this from now on.
    optimizer : of `simdrnn.optim`, made for the model; None is ``Adam(model)``.
    schedule : a factor of the learning rate for each number of steps: of `simdrnn.optim`, or
        another function of it (which no file keeps).
    max_norm : what the norm of all gradients is clipped to at every step.
    gradient_noise : is added to the gradients, after clipping.
    early_stopping : when ``fit`` ends by itself; needs its ``validation=``.
    seed : of the order of examples; None draws one.

    Attributes
    ----------
    base_lr : the optimiser's learning rate at first, which `schedule` multiplies.
    steps : how many were made.
    history : `History` of the epochs of ``fit``.
    optimizer, schedule, max_norm, gradient_noise, early_stopping, seed : as given.
    batch_size, shuffle : of the last ``fit``; None before it.

    Raises
    ------
    TypeError, ValueError : the optimiser is of something else than the model; or an argument does
        not fit.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> model = sr.Model(rnn=sr.GRU(3, 8, seed=0), head=sr.Linear(8, 1, seed=1))
    >>> trainer = sr.Trainer(model, sr.optim.SGD(model, lr=0.1), schedule=sr.optim.Warmup(2))
    >>> x, target = np.ones((5, 2, 3), "float32"), np.zeros((5, 2, 1), "float32")
    >>> for _ in range(3):
    ...     tape = model.record(x)
    ...     norm = trainer.step(tape.backward(sr.mse(tape.output, target).backward()))
    ...     print(trainer.optimizer.lr)
    0.05
    0.1
    0.1
    """

    __module__ = "simdrnn"

    # Of the arrays that `fit` cuts into batches; None, where nobody has said or kept it.
    batch_size: int | None = None
    shuffle: bool | None = None

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer | None = None,
        *,
        schedule: Callable[[int], float] | None = None,
        max_norm: float | None = None,
        gradient_noise: GradientNoise | None = None,
        early_stopping: EarlyStopping | None = None,
        seed: int | None = None,
    ) -> None:
        check_trainable("model", model, "a model, or a layer or module that is trained alone")
        optimizer = Adam(model) if optimizer is None else optimizer
        if not isinstance(optimizer, Optimizer):
            found = type(optimizer).__name__
            raise TypeError(f"optimizer: expected one of simdrnn.optim, got {found}")
        if [id(one) for one in optimizer.trains] != [id(model)]:
            raise ValueError("optimizer: expected one that was made for this model alone")
        self.optimizer, self.base_lr = optimizer, optimizer.lr
        self.schedule: Callable[[int], float] | None = None
        self.max_norm: float | None = None
        self.gradient_noise: GradientNoise | None = None
        self.early_stopping: EarlyStopping | None = None
        self.take(schedule, max_norm, gradient_noise, early_stopping)
        self.seed = as_seed(seed)
        self.steps = 0
        self.history = History()
        # Of the epoch that is not finished: batches done; sums of losses, their weights, norms.
        self.done = 0
        self.sums = [0.0, 0.0, 0.0]
        # Of the best epoch: its validation loss and a checksum of its parameters, which the model
        # has where `last` holds those that training goes on from.
        self.best: float | None = None
        self.best_checksum = 0
        self.last: dict[str, Array] | None = None
        model.trainer = self

    def take(
        self,
        schedule: Callable[[int], float] | None,
        max_norm: float | None,
        gradient_noise: GradientNoise | None,
        early_stopping: EarlyStopping | None,
    ) -> None:
        """Go on with these from now on; None leaves what is there.

        Parameters
        ----------
        schedule, max_norm, gradient_noise, early_stopping : as for the constructor.
        """
        if schedule is not None:
            if not callable(schedule):
                found = type(schedule).__name__
                raise TypeError(f"schedule: expected a function of the step, got {found}")
            self.schedule = schedule
        if max_norm is not None:
            self.max_norm = as_number("max_norm", max_norm, closed=True)
        if gradient_noise is not None:
            if not isinstance(gradient_noise, GradientNoise):
                found = type(gradient_noise).__name__
                raise TypeError(f"gradient_noise: expected a GradientNoise, got {found}")
            self.gradient_noise = gradient_noise
        if early_stopping is not None:
            if not isinstance(early_stopping, EarlyStopping):
                found = type(early_stopping).__name__
                raise TypeError(f"early_stopping: expected an EarlyStopping, got {found}")
            self.early_stopping = early_stopping

    def __repr__(self) -> str:
        """Show what it is made of and how far it is."""
        shown = {name: getattr(self, name) for name in ("optimizer", "schedule", "max_norm")}
        given = ", ".join(f"{name}={one!r}" for name, one in shown.items() if one is not None)
        return f"Trainer({given}; {self.steps} steps)"

    def step(self, grads: Gradients | Mapping[str, Array]) -> float | None:
        """Update the model once; return the norm of the gradients where they are clipped.

        Parameters
        ----------
        grads : of the model, as its tape's ``backward`` or ``model.gradients`` returned them, or a
            dict by the names of its parameters. They are not written to.

        Raises
        ------
        ValueError, TypeError : gradients do not fit, or the schedule returned no number; nothing is
            updated.
        """
        if self.schedule is not None:
            self.optimizer.lr = self.base_lr * as_number("schedule", self.schedule(self.steps))
        noise = self.gradient_noise
        if noise is None:
            norm = self.optimizer.step(grads, max_norm=self.max_norm)
        else:
            given = grads.params if isinstance(grads, Gradients) else grads
            noisy = {name: np.array(one) for name, one in given.items()}
            norm = None if self.max_norm is None else clip_grad_norm_(noisy, self.max_norm)
            noise.add_(noisy, self.steps)
            self.optimizer.step(noisy)
        self.steps += 1
        return norm

    def order(self, rows: int) -> Array:
        """Return the order of examples of the present epoch: of the seed and the epoch alone.

        Parameters
        ----------
        rows : how many there are.

        Raises
        ------
        TypeError, ValueError : `rows` is no number of rows.
        """
        rows = as_count("rows", rows)
        return np.random.default_rng([self.seed, len(self.history)]).permutation(rows)


def how_batches_go_on(
    trainer: Trainer | None, batch_size: int | None, shuffle: bool | None
) -> tuple[int, bool]:
    """Return how ``fit`` cuts arrays: as it is told, or as before, or as it does by itself.

    An epoch that is not finished knows what was done of it by the number of batches alone.

    Parameters
    ----------
    trainer : that goes on; None is a new one.
    batch_size, shuffle : as for ``fit``.

    Raises
    ------
    ValueError, TypeError : an argument does not fit, or not the epoch that is not finished.
    """
    given: dict[str, Any] = {
        "batch_size": None if batch_size is None else as_positive("batch_size", batch_size),
        "shuffle": None if shuffle is None else as_bool("shuffle", shuffle),
    }
    usual = {"batch_size": ROWS_OF_A_BATCH, "shuffle": True}
    for name, value in given.items():
        before = None if trainer is None else getattr(trainer, name)
        if value is None:
            given[name] = usual[name] if before is None else before
        elif trainer is not None and trainer.done and before not in (None, value):
            raise ValueError(
                f"{name}: expected None or {before}, with which the epoch began that is not "
                f"finished, got {value}; a new optimizer begins a new training"
            )
    return given["batch_size"], given["shuffle"]


def checksum(parameters: Mapping[str, Array]) -> int:
    """Return a checksum of parameters: of names and bits."""
    check = 0
    for name, array in parameters.items():
        check = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, check)
        check = zlib.crc32(name.encode(), check)
    return check
