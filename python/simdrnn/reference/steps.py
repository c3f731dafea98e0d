"""Which steps of which rows are consumed, and from which state each one starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrnn.validate import Array

__all__ = ["Steps"]


@dataclass(frozen=True)
class Steps:
    """What happens at each (t, b), in one direction.

    Attributes
    ----------
    real : (T, B) bool: the step is consumed.
    fresh : (T, B) bool: before the step, the states are replaced by the initial ones.
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

    def previous(self) -> Array:
        """Return (T, B) the time of the step each step continues from, or -1: the initial state."""
        previous = np.empty(self.real.shape, np.intp)
        last = np.full(self.real.shape[1:], -1)
        for t in self.order:
            last = np.where(self.fresh[t], -1, last)
            previous[t] = last
            last = np.where(self.real[t], t, last)
        return previous
