"""Learning-rate schedules: what a learning rate is multiplied by at every step.

A schedule is a function of the number of steps done, ``schedule(0)`` being for the first one:
``optimizer.lr = base * schedule(step)``, which `simdrnn.Trainer` does. Nothing is remembered from
step to step, so a run goes on anywhere; `Plateau`, which looks at losses, is the exception.

>>> schedule = Warmup(4, then=Cosine(100))
>>> [schedule(step) for step in (0, 1, 3, 4, 54, 104)]
[0.25, 0.5, 1.0, 1.0, 0.5, 0.0]
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from simdrnn.optim.tree import check_names
from simdrnn.training.trainable import as_number
from simdrnn.validate import (
    as_count,
    as_finite_number,
    as_positive,
    as_positive_number,
    as_real,
    check_choice,
)

__all__ = ["Cosine", "Exponential", "Plateau", "Schedule", "Step", "Warmup", "schedule_of"]


class Schedule:
    """Base of the schedules: called with a number of steps, it returns a factor."""

    __module__ = "simdrnn.optim"

    _names: ClassVar[tuple[str, ...]] = ()  # of the constructor's arguments

    def __call__(self, step: int) -> float:
        """Return the factor of the learning rate.

        Parameters
        ----------
        step : how many steps were made before.
        """
        raise NotImplementedError

    def update(self, value: float) -> None:
        """Take notice of a loss; only `Plateau` does.

        Parameters
        ----------
        value : the loss that was measured.
        """

    def __repr__(self) -> str:
        """Show the constructor's arguments."""
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names)
        return f"{type(self).__name__}({shown})"

    def state_dict(self) -> dict[str, Any]:
        """Return what it is, and what it remembers, as plain values."""
        own = {name: _described(getattr(self, name)) for name in self._names}
        return {"kind": type(self).__name__, **own}


def _described(value: Any) -> Any:
    return value.state_dict() if isinstance(value, Schedule) else value


class Warmup(Schedule):
    """Rises linearly to 1 within the first steps, (t + 1) / steps, and then follows another.

    Parameters
    ----------
    steps : how many.
    then : schedule of the steps behind them, counted from 0; None is 1.

    Examples
    --------
    >>> [Warmup(4)(step) for step in (0, 1, 2, 3, 4)]
    [0.25, 0.5, 0.75, 1.0, 1.0]

    References
    ----------
    Goyal et al. 2017, arXiv:1706.02677.
    """

    __module__ = "simdrnn.optim"
    _names = ("steps", "then")

    def __init__(self, steps: int, then: Schedule | None = None) -> None:
        self.steps = as_positive("steps", steps)
        if then is not None and not isinstance(then, Schedule):
            raise TypeError(f"then: expected a schedule or None, got {type(then).__name__}")
        self.then = then

    def __call__(self, step: int) -> float:
        """Return the factor."""
        done = as_count("step", step)
        if done < self.steps:
            return (done + 1) / self.steps
        return 1.0 if self.then is None else self.then(done - self.steps)

    def update(self, value: float) -> None:
        """Tell the schedule that follows.

        Parameters
        ----------
        value : the loss that was measured.
        """
        if self.then is not None:
            self.then.update(value)


class Cosine(Schedule):
    """Falls along half a cosine from 1 to `low`, where it stays.

    Parameters
    ----------
    steps : until it is there; for a run of ``fit``, epochs times batches.
    low : the lowest factor.

    Examples
    --------
    >>> [round(Cosine(4, low=0.1)(step), 3) for step in (0, 1, 2, 4, 9)]
    [1.0, 0.868, 0.55, 0.1, 0.1]

    References
    ----------
    Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    """

    __module__ = "simdrnn.optim"
    _names = ("steps", "low")

    def __init__(self, steps: int, low: float = 0.0) -> None:
        self.steps = as_positive("steps", steps)
        self.low = as_number("low", low, high=1.0, closed=True)

    def __call__(self, step: int) -> float:
        """Return the factor."""
        done = as_count("step", step)
        if done >= self.steps:
            return self.low
        return self.low + (1.0 - self.low) * (1.0 + math.cos(math.pi * done / self.steps)) / 2.0


class Step(Schedule):
    """Is multiplied by `gamma` after every so many steps.

    Parameters
    ----------
    every : how many.
    gamma : above 0, at most 1.

    Examples
    --------
    >>> [Step(10, 0.5)(step) for step in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """

    __module__ = "simdrnn.optim"
    _names = ("every", "gamma")

    def __init__(self, every: int, gamma: float = 0.1) -> None:
        self.every = as_positive("every", every)
        self.gamma = _fraction("gamma", gamma)

    def __call__(self, step: int) -> float:
        """Return the factor."""
        return float(self.gamma ** (as_count("step", step) // self.every))


class Exponential(Schedule):
    """Falls smoothly: gamma to the power of step / every.

    Parameters
    ----------
    gamma : above 0, at most 1.
    every : how many steps it takes to be multiplied by `gamma` once.

    Examples
    --------
    >>> [Exponential(0.25, every=2)(step) for step in (0, 1, 2)]
    [1.0, 0.5, 0.25]
    """

    __module__ = "simdrnn.optim"
    _names = ("gamma", "every")

    def __init__(self, gamma: float, every: int = 1) -> None:
        self.gamma = _fraction("gamma", gamma)
        self.every = as_positive("every", every)

    def __call__(self, step: int) -> float:
        """Return the factor."""
        return float(self.gamma ** (as_count("step", step) / self.every))


class Plateau(Schedule):
    """Falls by a factor when a loss has not become better for a while: it remembers the best.

    Parameters
    ----------
    factor : what it is multiplied by then, below 1.
    patience : for how many measurements, beyond the best, it waits.
    threshold : by how much of itself, or ``threshold_mode="abs"`` by how much, a loss has to be
        below the best to count as better.
    threshold_mode : ``"rel"`` or ``"abs"``.
    cooldown : for how many measurements after a fall it does not count.
    low : the lowest factor.

    Attributes
    ----------
    scale, best, waited, cooling : what it remembers: its factor, the lowest loss (None before the
        first), measurements since then, and how many of the cooldown are left.

    Notes
    -----
    `update` is to be called with each measured loss, as ``fit`` does with the validation loss of
    every epoch, or without validation with the training loss. PyTorch's `ReduceLROnPlateau`.

    Examples
    --------
    >>> schedule = Plateau(0.5, patience=1)
    >>> for loss in (1.0, 0.9, 0.9, 0.9):
    ...     schedule.update(loss)
    >>> schedule(step=123)
    0.5
    """

    __module__ = "simdrnn.optim"
    _names = ("factor", "patience", "threshold", "threshold_mode", "cooldown", "low")
    _memory: ClassVar[tuple[str, ...]] = ("scale", "best", "waited", "cooling")

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        low: float = 0.0,
    ) -> None:
        self.factor = as_number("factor", factor, high=1.0)
        self.patience = as_count("patience", patience)
        self.threshold = as_number("threshold", threshold)
        check_choice("threshold_mode", threshold_mode, ("rel", "abs"))
        self.threshold_mode = threshold_mode
        self.cooldown = as_count("cooldown", cooldown)
        self.low = as_number("low", low, high=1.0, closed=True)
        self.scale = 1.0
        self.best: float | None = None
        self.waited = self.cooling = 0

    def __call__(self, step: int) -> float:
        """Return the present factor, whatever the step."""
        return self.scale

    def update(self, value: float) -> None:
        """Take notice of a loss.

        Parameters
        ----------
        value : the loss that was measured; NaN is never better.
        """
        loss = as_real("value", value)
        if self._is_better(loss):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if self.cooling:
            self.cooling -= 1
            self.waited = 0
        if self.waited > self.patience:
            self.scale = max(self.scale * self.factor, self.low)
            self.cooling, self.waited = self.cooldown, 0

    def _is_better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None or self.threshold_mode == "abs":
            return self.best is None or value < self.best - self.threshold
        return value < self.best * (1.0 - self.threshold)

    def state_dict(self) -> dict[str, Any]:
        """Return what it is, and what it remembers, as plain values."""
        best = None if self.best is None or math.isinf(self.best) else self.best
        memory = {name: getattr(self, name) for name in self._memory} | {"best": best}
        return super().state_dict() | {"memory": memory}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take over what another remembers.

        Parameters
        ----------
        memory : as the other's `state_dict` has it.
        """
        check_names("memory", self._memory, memory)
        best = memory["best"]
        taken = (
            as_number("scale", memory["scale"], high=1.0, closed=True),
            None if best is None else as_finite_number("best", best),
            as_count("waited", memory["waited"]),
            as_count("cooling", memory["cooling"]),
        )
        self.scale, self.best, self.waited, self.cooling = taken


_KINDS: dict[str, type[Schedule]] = {
    one.__name__: one for one in (Cosine, Exponential, Plateau, Step, Warmup)
}


def schedule_of(state: object) -> Schedule:
    """Return the schedule that a state is of, as `Schedule.state_dict` has it.

    Raises
    ------
    ValueError, TypeError : it is of none.
    """
    kind = state.get("kind") if isinstance(state, Mapping) else None
    if not isinstance(state, Mapping) or not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"schedule: expected one of {', '.join(_KINDS)}, got {state!r:.80}")
    arguments = {name: value for name, value in state.items() if name not in ("kind", "memory")}
    check_names("schedule", _KINDS[kind]._names, arguments)
    if arguments.get("then") is not None:
        arguments["then"] = schedule_of(arguments["then"])
    kinds: Mapping[str, Any] = _KINDS  # each with arguments of its own
    made: Schedule = kinds[kind](**arguments)
    if isinstance(made, Plateau):
        made.remember(state.get("memory", {}))
    return made


def _fraction(name: str, value: object) -> float:
    """Return a number above 0, at most 1."""
    number = as_positive_number(name, value)
    if number > 1.0:
        raise ValueError(f"{name}: expected a number above 0, at most 1, got {value!r}")
    return number
