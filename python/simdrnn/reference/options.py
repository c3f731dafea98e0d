"""Elementwise options, forward and backward; ``None`` switches each off.

Every clip has its true derivative: 1 strictly inside the bounds, 0 where they are reached.
"""

from __future__ import annotations

import numpy as np

from simdrnn.options import Options
from simdrnn.reference.math import Activation
from simdrnn.validate import Array

__all__ = ["activate", "clip", "clip_backward", "d_activate", "step_gradient"]


def clip(value: Array, bound: float | None) -> Array:
    """Clip to [-bound, bound]."""
    return value if bound is None else np.clip(value, -bound, bound)


def clip_backward(clipped: Array, d_clipped: Array, bound: float | None) -> Array:
    """Propagate a gradient back through `clip`, given its result."""
    return d_clipped if bound is None else d_clipped * (np.abs(clipped) < bound)


def _range(activation: Activation, bound: float) -> Array:
    """Return the activation's values at -bound and bound."""
    return activation.function(np.array([-bound, bound]))


def activate(activation: Activation, argument: Array, bound: float | None) -> Array:
    """Activate an argument clipped to [-bound, bound].

    Activations are monotone, so this is the same as clipping the result to the activation's values
    at the bounds; and then the result alone tells `d_activate` where the clip was reached.
    """
    result = activation.function(argument)
    return result if bound is None else np.clip(result, *_range(activation, bound))


def d_activate(activation: Activation, result: Array, bound: float | None) -> Array:
    """Return the derivative of `activate` with respect to the argument, from its result."""
    derivative = activation.derivative(result)
    if bound is None:
        return derivative
    low, high = _range(activation, bound)
    inside: Array = (low < result) & (result < high)
    return derivative * inside


def step_gradient(d_hidden: Array, options: Options) -> Array:
    """Clip the gradient (B, H) that reaches a step's h from later steps; see `Options`."""
    if options.step_grad_clip is not None:
        d_hidden = np.clip(d_hidden, -options.step_grad_clip, options.step_grad_clip)
    if options.step_grad_norm is not None:
        norm = np.linalg.norm(d_hidden, axis=-1, keepdims=True)
        d_hidden = d_hidden * (options.step_grad_norm / np.maximum(norm, options.step_grad_norm))
    return d_hidden
