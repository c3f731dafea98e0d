"""Options of a step, forward and backward: what a cell's equations ask for by name.

Every clip has its true derivative: 1 strictly inside the bounds, 0 where they are reached. With no
option on, `StepOptions` is the cell's own activations and nothing else.
"""

from __future__ import annotations

import numpy as np

from simdrnn.reference.activations import activation_of
from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = ["StepOptions", "clip", "clip_backward", "step_gradient"]


def clip(value: Array, bound: float | None) -> Array:
    """Clip to [-bound, bound]."""
    return value if bound is None else np.clip(value, -bound, bound)


def clip_backward(clipped: Array, d_clipped: Array, bound: float | None) -> Array:
    """Propagate a gradient back through `clip`, given its result."""
    return d_clipped if bound is None else d_clipped * (np.abs(clipped) < bound)


class StepOptions:
    """The options of one step, as a cell asks for them.

    Parameters
    ----------
    options : of the layer.
    candidate : (B, H) what dropout multiplies the candidate by, or None.
    """

    def __init__(self, options: Options, candidate: Array | None = None) -> None:
        self._options, self._candidate = options, candidate
        self._activations = [activation_of(named) for named in options.activations]

    def activate(self, gate: int, argument: Array) -> Array:
        """Activate a gate's argument, clipped by ``gate_clip``."""
        return self._activations[gate].function(clip(argument, self._options.gate_clip))

    def slope(self, gate: int, value: Array) -> Array:
        """Return a gate's derivative, from its value.

        Activations are monotone, so the clip was reached exactly where the value is the
        activation of a bound.
        """
        activation, bound = self._activations[gate], self._options.gate_clip
        derivative = activation.derivative(value)
        if bound is None:
            return derivative
        low, high = np.sort(activation.function(np.array([-bound, bound])))
        return np.where((low < value) & (value < high), derivative, 0.0)

    def squash(self, place: int, c: Array) -> Array:
        """Activate what becomes h; `place` is behind the gates."""
        return self._activations[place].function(c)

    def squash_slope(self, place: int, value: Array) -> Array:
        """Return the derivative of `squash`, from its value."""
        return self._activations[place].derivative(value)

    def drop(self, candidate: Array) -> Array:
        """Drop the candidate on its way into the state, or a gradient on its way back."""
        return candidate if self._candidate is None else candidate * self._candidate

    def clip_cell(self, c: Array) -> Array:
        """Clip c after its update."""
        return clip(c, self._options.cell_clip)

    def through_cell_clip(self, c: Array, d_c: Array) -> Array:
        """Propagate a gradient back through `clip_cell`, given its result."""
        return clip_backward(c, d_c, self._options.cell_clip)


def step_gradient(d_hidden: Array, options: Options) -> Array:
    """Clip the gradient (B, H) that reaches a step's h from later steps; see `Options`."""
    if options.step_grad_clip is not None:
        d_hidden = np.clip(d_hidden, -options.step_grad_clip, options.step_grad_clip)
    if options.step_grad_norm is not None:
        norm = np.linalg.norm(d_hidden, axis=-1, keepdims=True)
        d_hidden = d_hidden * (options.step_grad_norm / np.maximum(norm, options.step_grad_norm))
    return d_hidden
