"""One direction of one layer over a whole sequence, forward and backward, for any cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.engine.steps import Steps
from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.heads import product, product_backward, weight_gradients
from simdrnn.reference.noise import Noise, StepNoise
from simdrnn.reference.options import StepOptions, step_gradient
from simdrnn.reference.projection import project, project_backward, weight_gradient
from simdrnn.reference.results import PassGradients, PassResult, Weights
from simdrnn.reference.states import Arrays, add, select
from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = ["Pass"]


@dataclass(frozen=True)
class Pass:
    """One direction of one layer over x (T, B, I), from S initial states (B, H).

    `reset` are the S states (B, H) that resets go to, `step_inputs` (step_inputs, T, B) what the
    cell takes of every step beside x.
    """

    cell: Cell
    weights: Weights
    x: Array
    initial: Arrays
    reset: Arrays
    steps: Steps
    hold: bool
    options: Options
    noise: Noise
    step_inputs: Array

    def _at(self, t: Any, rows: Any = slice(None)) -> StepNoise:
        """Return what is random about step `t`, or about n steps of n rows."""
        return self.noise.at(t, rows, len(self.initial))

    def _beside(self, t: Any, rows: Any = slice(None)) -> Arrays:
        """Return what the cell takes beside x of step `t`, (B, 1) each, or of n steps of n rows."""
        real = self.steps.real[t, rows]  # elsewhere it must not be read: it may be NaN
        return tuple(np.where(real, one[t, rows], 0.0)[:, None] for one in self.step_inputs)

    @property
    def _kept(self) -> int:
        """How many values per unit a step saves beside the states that are carried on."""
        return self.options.saved_sums(self.cell.info) + self.cell.info.saved

    def forward(self, start: Arrays | None = None) -> PassResult:
        """Run the recurrence, from other states than those that resets go back to if given."""
        steps, initial = self.steps, self.initial
        length, (batch, hidden) = len(self.x), initial[-1].shape
        output = np.empty((length, *initial[0].shape))
        more = self.options.saved_states(len(initial))
        saved = np.zeros((length, self._kept + more, batch, hidden))
        products = self._consumed()[:, None] @ self.weights.input.swapaxes(1, 2)  # (T, G, B, H)
        state = initial if start is None else start
        for t in steps.order:
            state = select(steps.fresh[t], self.reset, state)
            noise = self._at(t)
            p = StepOptions(self.options, noise.candidate)
            made, kept = self._step(products[t], state, p, noise, self._beside(t))
            made = (project(self.weights.projection, made[0], self.options), *made[1:])
            following = noise.mix(made, state)
            if more:
                kept = (*kept, made[0], *following[1:])
            state = select(steps.real[t], following, state)
            output[t] = state[0] if self.hold else np.where(steps.real[t][:, None], state[0], 0.0)
            for index, value in enumerate(kept):
                saved[t, index, :, : value.shape[-1]] = value
        return PassResult(output, state, saved)

    def _consumed(self) -> Array:
        """Return `x` with zeros where it must not be read: what stands there may be NaN."""
        return np.where(self.steps.real[..., None], self.x, 0.0)

    def _step(
        self, of_x: Array, state: Arrays, p: StepOptions, noise: StepNoise, beside: Arrays
    ) -> tuple[Arrays, Arrays]:
        """Take one step, given W x (G, B, H): return the new states and what is saved."""
        pre = self._pre_activations(of_x + self.weights.bias_ih, state, p, noise, beside)
        return self.cell.forward(pre, state, p)

    def _pre_activations(
        self, input_part: Array, state: Arrays, p: StepOptions, noise: StepNoise, beside: Arrays
    ) -> Array:
        """Join the input part (G, B, H), the recurrent part, the cell's parameters and `beside`."""
        info, recurrent, bias = self.cell.info, self.weights.recurrent, self.weights.bias_hh
        seen = noise.seen(state[0], info.recurrent_blocks)
        own = np.broadcast_to(self.weights.own, (info.params, *input_part.shape[1:]))
        if beside:
            own = np.concatenate([own, np.broadcast_to(beside, (len(beside), *own.shape[1:]))])
        joint = info.joint
        if info.phases == 2:
            sums = seen[:joint] @ recurrent[:joint].swapaxes(1, 2) + bias[:joint]
            first = np.concatenate([input_part[:joint] + sums, input_part[joint : info.gates - 1]])
            seen_last = (seen[-1], *state[1:])
            operand = self.cell.operand(first, seen_last, p)  # type: ignore[attr-defined]
            last = seen[-2] @ recurrent[-2].T if info.second_sees_h else input_part[-1]
            last = last + operand @ recurrent[-1].T + bias[-1]
            return np.concatenate([first, last[None], own])
        return self._join(input_part, product(seen, recurrent) + bias, own)

    def _join(self, input_part: Array, recurrent_part: Array, own: Array) -> Array:
        """Add both parts (G, B, H) where the cell wants the sum; its parameters come last."""
        joint = self.cell.info.joint
        sums = input_part[:joint] + recurrent_part[:joint]
        return np.concatenate([sums, input_part[joint:], recurrent_part[joint:], own])

    def backward(
        self,
        output: Array,
        saved: Array,
        d_output: Array,
        d_final: Arrays,
        trace: Array | None = None,
    ) -> PassGradients:
        """Propagate gradients back: through time first, then, in one product, to the weights.

        Parameters
        ----------
        output, saved : what `forward` returned.
        d_output, d_final : gradients (T, B, H) and (B, H) for the output and the final states.
        trace : (T, B, (S + 1) * H) or None: takes what is carried, see `engine.protocol.Network`.
        """
        steps, info = self.steps, self.cell.info
        after, before = self.states(output, saved)
        d_pre = np.zeros((len(self.x), self._gradients, *self.initial[-1].shape))
        d_hs = np.zeros(output.shape)  # of real steps, (T, B, P)
        operands = self._at(0).seen(before[0], info.recurrent_blocks).copy()  # (T, G, B, H)
        none = tuple(np.zeros_like(state) for state in self.initial)
        d_reset, d_state = none, d_final
        for t in reversed(steps.order):
            real = steps.real[t][:, None]
            if self.hold:  # the step repeated its state, so this is a gradient of that state
                d_state = (d_state[0] + np.where(real, 0.0, d_output[t]), *d_state[1:])
            d_h = step_gradient(d_state[0], self.options) + d_output[t]
            if trace is not None:
                carried = np.concatenate([d_h, *d_state[1:], d_state[0]], axis=1)
                trace[t] = np.where(real, carried, trace[t])
            d_hs[t] = np.where(real, d_h, 0.0)
            d_step, d_before, operand = self._step_backward(
                self._at(t),
                self._beside(t),
                tuple(saved[t, : self._kept]),
                tuple(state[t] for state in before),
                tuple(state[t] for state in after),
                (d_h, *d_state[1:]),
            )
            if info.phases == 2:
                operands[t, -1] = operand
            d_pre[t] = np.where(real, d_step, 0.0)
            d_state = select(steps.real[t], d_before, d_state)
            d_reset = add(d_reset, select(steps.fresh[t], d_state, none))
            d_state = select(steps.fresh[t], none, d_state)
        found = self._products(d_pre, operands, d_state, d_reset)
        if self.weights.projection is None:
            return found
        d_hs = d_hs * self._at(slice(None)).update[0]
        d_weight = weight_gradient(self.cell, saved[:, : self._kept], after[0], d_hs, self.options)
        return found._replace(weights=found.weights._replace(projection=d_weight))

    def states(self, output: Array, saved: Array) -> tuple[Arrays, Arrays]:
        """Return every state after each real step, and before each step: S arrays (T, B, H)."""
        others = saved.shape[1] - self.cell.info.states + 1
        after = (output, *saved[:, others:].swapaxes(0, 1))
        # With these appended, RESET = -2 and INITIAL = -1 find them.
        known = (
            np.concatenate([made, reset[None], initial[None]])
            for made, reset, initial in zip(after, self.reset, self.initial, strict=True)
        )
        previous, rows = self.steps.previous(), np.arange(output.shape[1])
        before = tuple(states[previous, rows] for states in known)
        if not self.options.saved_states(self.cell.info.states):
            return after, before
        # What the cell made of them: h was saved, the others are among its saved values.
        made = saved[:, self._kept - self.cell.info.states + 1 : self._kept]
        return (saved[:, self._kept, :, : output.shape[-1]], *made.swapaxes(0, 1)), before

    @property
    def _gradients(self) -> int:
        """How many gradients per unit a step leaves: for all that its cell takes."""
        return self.cell.info.pre + len(self.weights.own) + self.cell.info.step_inputs

    def _recurrent_rows(self, d_pre: Array) -> Array:
        """Take from d_pre (..., gates + separate, B, H) what the recurrent products made."""
        info = self.cell.info
        parts = [d_pre[..., : info.joint, :, :]]
        if info.phases == 2:  # through h and the operand, or through the operand alone
            parts += [d_pre[..., info.gates - 1 : info.gates, :, :]] * (1 + info.second_sees_h)
        parts.append(d_pre[..., info.gates : info.pre, :, :])
        return np.concatenate(parts, axis=-3)

    def _step_backward(
        self,
        noise: StepNoise,
        beside: Arrays,
        saved: Arrays,
        state: Arrays,
        following: Arrays,
        d_following: Arrays,
    ) -> tuple[Array, Arrays, Array]:
        """Propagate back through one step: gradients for pre and state, last gate's operand."""
        cell, recurrent = self.cell, self.weights.recurrent
        p = StepOptions(self.options, noise.candidate)
        operand = seen = noise.seen(state[0], max(1, cell.info.recurrent_gates))[-1]
        saved = (*saved, *self.weights.own, *beside)
        d_made = self._made(noise, following, d_following)
        d_gates, d_state = cell.backward(saved, state, following, d_made, p)
        d_pre = np.stack(d_gates)
        d_recurrent = self._recurrent_rows(d_pre)
        if cell.info.phases == 2:
            d_operand = d_recurrent[-1] @ recurrent[-1]
            operand, d_first, d_more = cell.operand_backward(  # type: ignore[attr-defined]
                saved, (seen, *state[1:]), d_operand, p
            )
            last = cell.info.gates - 1
            d_pre[:last] += d_first
            d_state = add(d_state, (noise.back_from_operand(d_more[0]), *d_more[1:]))
            d_recurrent, recurrent = self._recurrent_rows(d_pre)[:-1], recurrent[:-1]
        d_seen = noise.back(product_backward(d_recurrent, recurrent, state[0].shape[-1]))
        return d_pre, self._before(noise, d_seen.sum(axis=0), d_state, d_following), operand

    def _made(self, noise: StepNoise, following: Arrays, d_following: Arrays) -> Arrays:
        """Take the gradients for the states after a step back to what its cell made of them."""
        d_h, *others = (share * d for share, d in zip(noise.update, d_following, strict=True))
        d_h = project_backward(self.weights.projection, following[0], d_h, self.options)
        return d_h, *others

    @staticmethod
    def _before(noise: StepNoise, through: Array, d_state: Arrays, d_following: Arrays) -> Arrays:
        """Add for the states before a step: `through` the product, the cell, and past it."""
        past = tuple((1.0 - share) * d for share, d in zip(noise.update, d_following, strict=True))
        return add((d_state[0] + through, *d_state[1:]), past)

    def _of_products(self, d_pre: Array) -> tuple[Array, Array]:
        """Take from d_pre (T, ..., B, H) what belongs to W x and to R h, (T, G, B, H) each."""
        return d_pre[:, : self.cell.info.input_blocks], self._recurrent_rows(d_pre)

    def _products(
        self, d_pre: Array, operands: Array, d_initial: Arrays, d_reset: Arrays
    ) -> PassGradients:
        """Turn the gradients of all pre-activations into those for x and the weights."""
        info = self.cell.info
        d_input, d_recurrent = self._of_products(d_pre)
        own = info.pre + len(self.weights.own)
        weights = Weights(
            np.einsum("tgbh,tbi->ghi", d_input, self._consumed()),
            weight_gradients(d_recurrent, operands, self.weights.recurrent.shape[-1]),
            d_pre[:, : info.input_blocks].sum(axis=(0, 2))[:, None],
            self._recurrent_rows(d_pre)[:, : info.recurrent_gates].sum(axis=(0, 2))[:, None],
            d_pre[:, info.pre : own].sum(axis=(0, 2))[:, None],
        )
        d_beside = d_pre[:, own : own + info.step_inputs].sum(axis=-1).swapaxes(0, 1)
        d_x = (d_input @ self.weights.input).sum(axis=1)
        return PassGradients(d_x, d_initial, d_reset, weights, d_beside)
