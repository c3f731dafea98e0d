"""The order of what calls take and give, and where each of these has its batch axis.

The order is that of ``csrc/python/buffer_call.hpp``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from simdrnn.jax.plan import Plan

__all__ = [
    "Axes",
    "Call",
    "argument_axes",
    "backward_fields",
    "call_fields",
    "differentiable",
    "gradient_axes",
    "output_axes",
    "shapes_like",
    "tape_axes",
]

# For each array the axis of the batch; None where it has none, as parameters.
Axes = list[int | None]

FORWARD, RECORD, BACKWARD = range(3)


class Call(NamedTuple):
    """What is fixed when a call is traced.

    Parameters
    ----------
    batch_first : whether sequences are (B, T, ...).
    hold : whether a step that is not real outputs the carried hidden state instead of 0.
    threads : 0 leaves the number to the engine.
    every : steps between checkpoints; 0 where everything is kept.
    reset_states, lengths, mask, reset, key : whether there is such an argument.
    way : of `simdrnn.jax.execution`.
    """

    batch_first: bool
    hold: bool
    threads: int
    every: int
    reset_states: bool
    lengths: bool
    mask: bool
    reset: bool
    key: bool
    way: str

    @property
    def sequence_axis(self) -> int:
        """The batch axis of sequences."""
        return 0 if self.batch_first else 1

    def steps(self, x: Any) -> tuple[int, int]:
        """Return T and B of a sequence."""
        axis = self.sequence_axis
        return x.shape[1 - axis], x.shape[axis]


def argument_axes(plan: Plan, call: Call) -> Axes:
    """Return the axes of what forward takes."""
    states: Axes = [1] * len(plan.state_names)
    axes: Axes = [call.sequence_axis, *states, *[None] * len(plan.names)]
    axes += states if call.reset_states else []
    axes += [0] if call.lengths else []
    axes += [1] * (call.mask + call.reset)
    return axes + [None] * call.key


def differentiable(plan: Plan, call: Call) -> int:
    """Return how many of the arguments, the first ones, have gradients."""
    states = len(plan.state_names)
    return 1 + states + len(plan.names) + states * call.reset_states


def output_axes(plan: Plan, call: Call) -> Axes:
    """Return the axes of the output and the final states."""
    return [call.sequence_axis, *[1] * len(plan.state_names)]


def tape_axes() -> Axes:
    """Return the axes of what a recorded call leaves: lower layers' outputs, and what is kept."""
    return [2, 2]


def gradient_axes(plan: Plan, call: Call, d_x: bool) -> Axes:
    """Return the axes of what backward gives."""
    return argument_axes(plan, call)[not d_x : differentiable(plan, call)]


def call_fields(plan: Plan, call: Call, which: int, x: Any) -> list[int]:
    """Write a call down as the extension reads it."""
    steps, batch = call.steps(x)
    flags = (call.reset_states, call.lengths, call.mask, call.reset, call.key)
    return [
        plan.number, which, steps, batch, call.batch_first, call.hold, call.threads, call.every,
        _bits(flags), 0,
    ]  # fmt: skip


def backward_fields(plan: Plan, call: Call, x: Any, given: Sequence[bool], d_x: bool) -> list[int]:
    """Write a call of backward down: which gradients are `given`, and whether `d_x` is wanted."""
    *fields, flags, _ = call_fields(plan, call, BACKWARD, x)
    return [*fields, flags | _bits((given[0], d_x)) << 5, _bits(given[1:])]


def _bits(flags: Sequence[bool]) -> int:
    """Return a number whose bit k is flag k."""
    return sum(flag << bit for bit, flag in enumerate(flags))


def shapes_like(arrays: Any) -> list[jax.ShapeDtypeStruct]:
    """Describe arrays by their shapes and dtypes."""
    return [jax.ShapeDtypeStruct(array.shape, np.dtype(array.dtype)) for array in arrays]
