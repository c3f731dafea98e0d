"""A layer run step by step over a sequence whose inputs come to be on the way, and back.

Every step has its place in arrays for all steps, so that nothing is copied; the chains of the
weights' gradients go on from step to step, and end with the bits of one call of the whole sequence.
"""

from __future__ import annotations

import numpy as np

from simdrnn.engine.kept_arrays import empty
from simdrnn.engine.protocol import CheckedCall, GradientArrays, PackedNetwork, TapeArrays
from simdrnn.layers.bound import BoundLayer
from simdrnn.validate import Array

__all__ = ["CellSteps"]


class CellSteps:
    """The steps of one call.

    Parameters
    ----------
    bound, packed : the layer, and the version of its parameters.
    steps, batch, threads : of the call.
    states : to begin with, S arrays (L, B, H).
    real : (T, B) int64, 1 where a step is real, else 0; or None where all are.

    Attributes
    ----------
    x, output : (T, B, I), to be filled step by step, and (T, B, H), which is.
    tapes : of the steps that were taken.
    """

    def __init__(
        self, bound: BoundLayer, packed: PackedNetwork, steps: int, batch: int,
        states: tuple[Array, ...], real: Array | None, threads: int,
    ) -> None:  # fmt: skip
        dtype = bound.dtype
        self.bound, self.packed, self._real, self._threads = bound, packed, real, threads
        self.x = empty((steps, batch, bound.sizes.input_size), dtype)
        self.output = empty((steps, batch, bound.width), dtype)
        self._states = [np.empty((steps + 1, *state.shape), dtype) for state in states]
        for kept, state in zip(self._states, states, strict=True):
            kept[0] = state
        self._whole = bound.tapes.allocate(dtype, self.output, 0)
        self.tapes: list[TapeArrays] = []

    def states(self, step: int) -> tuple[Array, ...]:
        """Return the states after so many steps."""
        return tuple([kept[step] for kept in self._states])

    def run(self, step: int) -> CheckedCall:
        """Return the call that a step is."""
        real = None if self._real is None else self._real[step]
        return CheckedCall(
            self.x[step : step + 1], self.states(step), real, num_threads=self._threads
        )

    def forward(self, step: int) -> Array:
        """Take a step, whose input is there; return the output (B, H)."""
        at, whole = slice(step, step + 1), self._whole
        tape = TapeArrays([one[at] for one in whole.saved], [one[at] for one in whole.hidden])
        self.packed.forward(self.run(step), self.output[at], self.states(step + 1), tape=tape)
        self.tapes.append(tape)
        return np.asarray(self.output[step])

    def back(self, d_states: tuple[Array, ...]) -> CellStepsBack:
        """Return the way back, from gradients for the final states."""
        return CellStepsBack(self, d_states)


class CellStepsBack:
    """The way back, from the last step to the first.

    Attributes
    ----------
    d_states : gradients for the states before the step that was taken last.
    """

    def __init__(self, steps: CellSteps, d_states: tuple[Array, ...]) -> None:
        self._steps = steps
        self.d_states = d_states
        self._d_x = np.empty_like(steps.x[:1])
        bound = steps.bound
        self._params, self._passes = bound.passes.gradient_arrays()
        for array in self._params.values():
            array.fill(0)

    def step(self, step: int, d_output: Array) -> Array:
        """Take a step back; return the gradient for its input (B, I), until the next one."""
        steps = self._steps
        before = tuple([np.empty_like(one) for one in self.d_states])
        steps.packed.backward(
            steps.run(step), steps.tapes[step], d_output[None], self.d_states,
            GradientArrays(self._d_x, before, self._passes, add=True),
        )  # fmt: skip
        self.d_states = before
        return np.asarray(self._d_x[0])

    def finish(self, learned: bool) -> dict[str, Array]:
        """Return the gradients for the layer's parameters; `learned` initial states are some."""
        bound, params = self._steps.bound, self._params
        if bound.learned is not None:
            bound.learned.backward([self.d_states] if learned else [], params)
        return bound.passes.as_parameters(params)
