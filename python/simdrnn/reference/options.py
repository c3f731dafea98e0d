"""Options of a step, as a cell's equations ask for them by name.

Every clip has its true derivative: 1 strictly inside the bounds, 0 where they are reached. With no
option on, `StepOptions` is the cell's own activations and nothing else.
"""

from __future__ import annotations

import numpy as np

from simdrnn.reference.activations import activation_of
from simdrnn.reference.autodiff import apply
from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = ["StepOptions", "clip", "limit_gradient", "step_gradient"]


def _clip(value: Array, bound: float) -> Array:
    """Clip to [-bound, bound]; NaN stays NaN."""
    return np.minimum(np.maximum(value, -bound), bound)


def clip(value: Array, bound: float | None) -> Array:
    """Clip to [-bound, bound], with the derivative 0 where a bound is reached."""
    if bound is None:
        return value
    return apply(_clip, (lambda d, y, *_: d * (np.abs(y) < bound),), value, bound)


class StepOptions:
    """The options of one step, as a cell asks for them.

    Parameters
    ----------
    options : of the layer.
    candidate : (B, H) what dropout multiplies the candidate by, or None.
    noise : (B, H) on the state, of the deviation that the layer has, or None.
    """

    def __init__(
        self, options: Options, candidate: Array | None = None, noise: Array | None = None
    ) -> None:
        self._options, self._candidate, self._noise = options, candidate, noise
        self._activations = [activation_of(named) for named in options.activations]

    def drawn(self, candidate: Array | None, noise: Array | None) -> StepOptions:
        """Return the options of a step for which that was drawn."""
        if candidate is None and noise is None:
            return self
        return StepOptions(self._options, candidate, noise)

    def activate(self, gate: int, argument: Array) -> Array:
        """Activate a gate's argument, clipped by ``gate_clip``."""
        return self._activations[gate](clip(argument, self._options.gate_clip))

    def squash(self, place: int, c: Array) -> Array:
        """Activate what becomes h; `place` is behind the gates."""
        return self._activations[place](c)

    def drop(self, candidate: Array) -> Array:
        """Drop the candidate on its way into the state."""
        return candidate if self._candidate is None else candidate * self._candidate

    def noisy(self, state: Array, leak: Array | float = 1.0) -> Array:
        """Add the noise of the step to a state, in whose update the drive has the share `leak`."""
        return state if self._noise is None else state + np.sqrt(2.0 * leak) * self._noise

    def clip_cell(self, c: Array) -> Array:
        """Clip c after its update."""
        return clip(c, self._options.cell_clip)


def limit_gradient(h: Array, options: Options) -> Array:
    """Return h as it is; the gradient that comes back to it from later steps is limited."""
    if options.step_grad_clip is None and options.step_grad_norm is None:
        return h
    return apply(lambda h: h, (lambda d, *_: step_gradient(d, options),), h)


def step_gradient(d_hidden: Array, options: Options) -> Array:
    """Clip the gradient (B, H) that reaches a step's h from later steps; see `Options`."""
    if options.step_grad_clip is not None:
        d_hidden = np.clip(d_hidden, -options.step_grad_clip, options.step_grad_clip)
    if options.step_grad_norm is not None:
        norm = np.linalg.norm(d_hidden, axis=-1, keepdims=True)
        d_hidden = d_hidden * (options.step_grad_norm / np.maximum(norm, options.step_grad_norm))
    return d_hidden
