"""One direction of one layer over a whole sequence, forward and backward, for any cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from simdrnn.cells import CellInfo
from simdrnn.options import Options
from simdrnn.reference.options import step_gradient
from simdrnn.steps import Steps
from simdrnn.validate import Array

__all__ = ["Cell", "Pass", "PassGradients", "PassResult", "TwoPhaseCell", "Weights"]

Arrays = tuple[Array, ...]


class Cell(Protocol):
    """A cell: elementwise equations on (B, H) arrays."""

    info: ClassVar[CellInfo]

    def forward(self, pre: Array, state: Arrays, options: Options) -> tuple[Arrays, Arrays]:
        """Return the next state and what is saved."""
        ...

    def backward(
        self,
        saved: Arrays,
        state: Arrays,
        following: Arrays,
        d_following: Arrays,
        options: Options,
    ) -> tuple[Arrays, Arrays]:
        """Return the gradients for `pre`, and for `state` except through `pre`."""
        ...


class TwoPhaseCell(Cell, Protocol):
    """A cell whose last gate's recurrent product takes an operand made from the other gates."""

    def operand(self, pre: Array, state: Arrays, options: Options) -> Array:
        """Return the operand (B, H)."""
        ...

    def operand_backward(
        self, saved: Arrays, state: Arrays, d_operand: Array, options: Options
    ) -> tuple[Array, Arrays, Arrays]:
        """Return the operand, and what its gradient adds to those for the first gates and state."""
        ...


class Weights(NamedTuple):
    """Parameters by gate (G = gates): input (G, H, I), recurrent (G, H, H), biases (G, 1, H)."""

    input: Array
    recurrent: Array
    bias_ih: Array
    bias_hh: Array


class PassResult(NamedTuple):
    """Output (T, B, H), S final states (B, H), saved values (T, saved, B, H)."""

    output: Array
    final: Arrays
    saved: Array


class PassGradients(NamedTuple):
    """Gradients for x (T, B, I), for S initial states and S reset states (B, H), and weights."""

    x: Array
    initial: Arrays
    reset: Arrays
    weights: Weights


def _select(condition: Array, chosen: Arrays, other: Arrays) -> Arrays:
    """Choose states row by row: condition is (B,), states are (B, H)."""
    rows = condition[:, None]
    return tuple(np.where(rows, a, b) for a, b in zip(chosen, other, strict=True))


def _add(left: Arrays, right: Arrays) -> Arrays:
    """Add states one by one."""
    return tuple(a + b for a, b in zip(left, right, strict=True))


@dataclass(frozen=True)
class Pass:
    """One direction of one layer over x (T, B, I), from S initial states (B, H).

    `reset` are the S states (B, H) that resets go to.
    """

    cell: Cell
    weights: Weights
    x: Array
    initial: Arrays
    reset: Arrays
    steps: Steps
    hold: bool
    options: Options

    def forward(self) -> PassResult:
        """Run the recurrence."""
        steps, initial = self.steps, self.initial
        length, (batch, hidden) = len(self.x), initial[0].shape
        output = np.empty((length, batch, hidden))
        saved = np.empty((length, self.cell.info.saved, batch, hidden))
        input_part = self._consumed()[:, None] @ self.weights.input.swapaxes(1, 2)
        input_part += self.weights.bias_ih  # (T, G, B, H)
        state = initial
        for t in steps.order:
            state = _select(steps.fresh[t], self.reset, state)
            pre = self._pre_activations(input_part[t], state)
            following, kept = self.cell.forward(pre, state, self.options)
            state = _select(steps.real[t], following, state)
            output[t] = state[0] if self.hold else np.where(steps.real[t][:, None], state[0], 0.0)
            for index, value in enumerate(kept):
                saved[t, index] = value
        return PassResult(output, state, saved)

    def _consumed(self) -> Array:
        """Return `x` with zeros where it must not be read: what stands there may be NaN."""
        return np.where(self.steps.real[..., None], self.x, 0.0)

    def _pre_activations(self, input_part: Array, state: Arrays) -> Array:
        """Join the input part (G, B, H) and the recurrent part: (gates + separate, B, H)."""
        info, recurrent, bias = self.cell.info, self.weights.recurrent, self.weights.bias_hh
        if info.phases == 2:
            first = input_part[:-1] + state[0] @ recurrent[:-1].swapaxes(1, 2) + bias[:-1]
            operand = self.cell.operand(first, state, self.options)  # type: ignore[attr-defined]
            last = input_part[-1] + operand @ recurrent[-1].T + bias[-1]
            return np.concatenate([first, last[None]])
        recurrent_part = state[0] @ recurrent.swapaxes(1, 2) + bias
        joint = info.gates - info.separate
        sums = input_part[:joint] + recurrent_part[:joint]
        return np.concatenate([sums, input_part[joint:], recurrent_part[joint:]])

    def backward(
        self, output: Array, saved: Array, d_output: Array, d_final: Arrays
    ) -> PassGradients:
        """Propagate gradients back: through time first, then, in one product, to the weights.

        Parameters
        ----------
        output, saved : what `forward` returned.
        d_output, d_final : gradients (T, B, H) and (B, H) for the output and the final states.
        """
        steps, info = self.steps, self.cell.info
        after, before = self._states(output, saved)
        d_pre = np.zeros((len(self.x), info.gates + info.separate, *output.shape[1:]))
        operands = np.repeat(before[0][:, None], info.gates, axis=1)  # (T, G, B, H)
        none = tuple(np.zeros_like(state) for state in self.initial)
        d_reset, d_state = none, d_final
        for t in reversed(steps.order):
            real = steps.real[t][:, None]
            if self.hold:  # the step repeated its state, so this is a gradient of that state
                d_state = (d_state[0] + np.where(real, 0.0, d_output[t]), *d_state[1:])
            d_h = step_gradient(d_state[0], self.options) + d_output[t]
            d_step, d_before, operands[t, -1] = self._step_backward(
                tuple(saved[t]),
                tuple(state[t] for state in before),
                tuple(state[t] for state in after),
                (d_h, *d_state[1:]),
            )
            d_pre[t] = np.where(real, d_step, 0.0)
            d_state = _select(steps.real[t], d_before, d_state)
            d_reset = _add(d_reset, _select(steps.fresh[t], d_state, none))
            d_state = _select(steps.fresh[t], none, d_state)
        return self._products(d_pre, operands, d_state, d_reset)

    def _states(self, output: Array, saved: Array) -> tuple[Arrays, Arrays]:
        """Return every state after each real step, and before each step: S arrays (T, B, H)."""
        others = self.cell.info.saved - self.cell.info.states + 1
        after = (output, *saved[:, others:].swapaxes(0, 1))
        # With these appended, RESET = -2 and INITIAL = -1 find them.
        known = (
            np.concatenate([made, reset[None], initial[None]])
            for made, reset, initial in zip(after, self.reset, self.initial, strict=True)
        )
        previous, rows = self.steps.previous(), np.arange(output.shape[1])
        return after, tuple(states[previous, rows] for states in known)

    def _recurrent_rows(self, d_pre: Array) -> Array:
        """Take from d_pre (..., gates + separate, B, H) what the recurrent products made."""
        gates, joint = self.cell.info.gates, self.cell.info.gates - self.cell.info.separate
        return np.concatenate([d_pre[..., :joint, :, :], d_pre[..., gates:, :, :]], axis=-3)

    def _step_backward(
        self, saved: Arrays, state: Arrays, following: Arrays, d_following: Arrays
    ) -> tuple[Array, Arrays, Array]:
        """Propagate back through one step: gradients for pre and state, last gate's operand."""
        cell, recurrent, operand = self.cell, self.weights.recurrent, state[0]
        d_gates, d_state = cell.backward(saved, state, following, d_following, self.options)
        d_pre = np.stack(d_gates)
        d_recurrent = self._recurrent_rows(d_pre)
        if cell.info.phases == 2:
            d_operand = d_recurrent[-1] @ recurrent[-1]
            operand, d_first, d_more = cell.operand_backward(  # type: ignore[attr-defined]
                saved, state, d_operand, self.options
            )
            d_pre[:-1] += d_first
            d_state = _add(d_state, d_more)
            d_recurrent, recurrent = d_pre[:-1], recurrent[:-1]
        d_h = d_state[0] + (d_recurrent @ recurrent).sum(axis=0)
        return d_pre, (d_h, *d_state[1:]), operand

    def _products(
        self, d_pre: Array, operands: Array, d_initial: Arrays, d_reset: Arrays
    ) -> PassGradients:
        """Turn the gradients of all pre-activations into those for x and the weights."""
        d_input = d_pre[:, : self.cell.info.gates]
        d_recurrent = self._recurrent_rows(d_pre)
        weights = Weights(
            np.einsum("tgbh,tbi->ghi", d_input, self._consumed()),
            np.einsum("tgbh,tgbk->ghk", d_recurrent, operands),
            d_input.sum(axis=(0, 2))[:, None],
            d_recurrent.sum(axis=(0, 2))[:, None],
        )
        d_x = (d_input @ self.weights.input).sum(axis=1)
        return PassGradients(d_x, d_initial, d_reset, weights)
