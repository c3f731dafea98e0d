"""Which steps of a call are real, where rows start afresh, and the order they are taken in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrnn.engine.protocol import CheckedCall
from simdrnn.validate import Array

__all__ = [
    "INITIAL",
    "RESET",
    "Steps",
    "in_processing_order",
    "real_steps",
    "reversed_run",
    "where_real",
]

# What stands in `Steps.previous` and `Steps.latest` for a time where there is no step to name.
INITIAL, RESET = -1, -2


@dataclass(frozen=True)
class Steps:
    """What happens at each (t, b), in one direction.

    Attributes
    ----------
    real : (T, B) bool: the step is consumed.
    fresh : (T, B) bool: before the step, the states are replaced by those that resets go to.
    order : times in processing order.
    """

    real: Array
    fresh: Array
    order: range

    @classmethod
    def plan(
        cls,
        steps: int,
        batch: int,
        lengths: Array | None,
        mask: Array | None,
        reset: Array | None,
        *,
        reverse: bool,
    ) -> Steps:
        """Combine lengths (B,), mask and reset (T, B)."""
        within = np.ones((steps, batch), bool)
        if lengths is not None:
            within = np.arange(steps)[:, None] < lengths
        real = within if mask is None else within & mask
        fresh = np.zeros((steps, batch), bool)
        if reset is not None and not reverse:
            fresh = within & reset
        elif reset is not None:  # a cut between t-1 and t is met after t, on the way to t-1
            fresh[:-1] = (within & reset)[1:]
        return cls(real, fresh, range(steps - 1, -1, -1) if reverse else range(steps))

    @classmethod
    def of(cls, run: CheckedCall, *, reverse: bool = False) -> Steps:
        """Plan the steps of a run."""
        steps, batch = run.x.shape[:2]
        return cls.plan(steps, batch, run.lengths, run.mask, run.reset, reverse=reverse)

    def previous(self) -> Array:
        """Return (T, B) the time of the step each step continues from, or `INITIAL` or `RESET`."""
        previous = np.empty(self.real.shape, np.intp)
        last = np.full(self.real.shape[1:], INITIAL)
        for t in self.order:
            last = np.where(self.fresh[t], RESET, last)
            previous[t] = last
            last = np.where(self.real[t], t, last)
        return previous

    def latest(self) -> Array:
        """Return (T, B) the time of the step that made the states after each step.

        It is the step itself where that is real; else what it carries over: an earlier step's, or
        `INITIAL` or `RESET`.
        """
        way = slice(None, None, self.order.step)  # from and to processing order
        counts = np.arange(len(self.real))[:, None]
        made_by = np.where(self.real, counts, RESET)[way]
        change = np.maximum.accumulate(np.where((self.real | self.fresh)[way], counts, -1), axis=0)
        found = np.take_along_axis(made_by, np.maximum(change, 0), axis=0)
        return np.where(change < 0, INITIAL, found)[way]


def reversed_run(run: CheckedCall) -> CheckedCall:
    """Return a run whose forward direction does what the reverse direction of `run` does.

    Step s of the result is step T - 1 - s of `run`. Padding then comes first, which is what masked
    steps are; a reset is met on its other side, so it moves by one step.
    """
    attention = run.attention
    turned = run._replace(
        x=run.x[::-1],
        attention=None if attention is None else np.ascontiguousarray(attention[::-1]),
    )
    if run.lengths is None and run.mask is None and run.reset is None:
        return turned
    steps = Steps.of(run, reverse=True)
    whole = run.lengths is None and run.mask is None
    return turned._replace(
        lengths=None,
        mask=None if whole else np.ascontiguousarray(steps.real[::-1]),
        reset=None if run.reset is None else np.ascontiguousarray(steps.fresh[::-1]),
    )


def in_processing_order(sequence: Array, lengths: Array | None) -> Array:
    """Turn each row's real length of a (T, B, ...) sequence around; padding stays at the end.

    Doing it twice gives the sequence back.

    Examples
    --------
    >>> rows = np.array([[1, 5], [2, 6], [3, 0]])
    >>> in_processing_order(rows, np.array([3, 2])).T.tolist()
    [[3, 2, 1], [6, 5, 0]]
    """
    if lengths is None:
        return sequence[::-1]
    times = np.arange(len(sequence))[:, None]
    order = np.where(times < lengths, lengths - 1 - times, times)
    return sequence[order, np.arange(sequence.shape[1])]


def real_steps(run: CheckedCall) -> Array | None:
    """Return (T, B) bool, which steps are real; None where every one is."""
    whole = run.lengths is None and run.mask is None
    return None if whole else Steps.of(run).real


def where_real(real: Array | None, sequence: Array) -> Array:
    """Return a (T, B, F) sequence with 0 at steps that are not real, which may hold NaN.

    It is what residuals add, and the gradient of that.
    """
    if real is None:
        return sequence
    return np.where(real[..., None], sequence, sequence.dtype.type(0))
