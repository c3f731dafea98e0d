"""One direction of one layer over a whole sequence, for any cell; and the way back through it.

Of a pass, the states alone are needed to go back: each step is run again from those before it, on
variables of a tape, which takes the gradients back. So no more than one step is on that tape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from simdrnn.engine.steps import Steps
from simdrnn.reference.autodiff import Tape
from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.heads import product
from simdrnn.reference.noise import Noise, StepNoise
from simdrnn.reference.options import StepOptions, limit_gradient, step_gradient
from simdrnn.reference.projection import project
from simdrnn.reference.results import PassGradients, PassResult, Weights
from simdrnn.reference.states import Arrays, select
from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = ["Pass"]


class _Step(NamedTuple):
    """What a step of all rows puts out (B, P) and carries on, and what is kept of it."""

    output: Array
    state: Arrays
    kept: Arrays


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

    @cached_property
    def _step_options(self) -> StepOptions:
        """Options of a step but for what is drawn for it."""
        return StepOptions(self.options)

    def at(self, t: Any, rows: Any = slice(None)) -> tuple[StepNoise, Arrays]:
        """Return what is random about a step and what its cell takes beside x, (B, 1) each.

        `t` is a time, or n times with n rows.
        """
        real = self.steps.real[t, rows]  # elsewhere `step_inputs` must not be read: it may be NaN
        beside = tuple(np.where(real, one[t, rows], 0.0)[:, None] for one in self.step_inputs)
        return self.noise.at(t, rows, len(self.initial)), beside

    def forward(self, start: Arrays | None = None, *, keep: bool = True) -> PassResult:
        """Run the recurrence, from other states than those that resets go back to if given.

        What `keep` switches off is the result's `saved`, which then is of no use.
        """
        length, (batch, hidden) = len(self.x), self.initial[-1].shape
        output = np.empty((length, *self.initial[0].shape))
        width = self.options.saved(self.cell.info).width if keep else 0
        saved = np.zeros((length, width, batch, hidden))
        products = self.products()
        state = self.initial if start is None else start
        for t in self.steps.order:
            step = self._advance(t, products[t], state)
            output[t], state = step.output, step.state
            if keep:
                for index, value in enumerate(step.kept):
                    saved[t, index, :, : value.shape[-1]] = value
        return PassResult(output, state, saved)

    def products(self) -> Array:
        """Return W x of every step and gate, (T, G, B, H)."""
        (length, batch, inputs), (gates, hidden, _) = self.x.shape, self.weights.input.shape
        # What stands where x must not be read may be NaN.
        consumed = np.where(self.steps.real[..., None], self.x, 0.0)
        flat = self.weights.input.reshape(gates * hidden, inputs)
        made = consumed.reshape(length * batch, inputs) @ flat.T
        return made.reshape(length, batch, gates, hidden).swapaxes(1, 2)

    def _advance(self, t: int, of_x: Array, state: Arrays) -> _Step:
        """Take step `t` of all rows: those that start afresh, those that take no step, the rest."""
        real, fresh = self.steps.real[t], self.steps.fresh[t]
        if fresh.any():
            state = select(fresh, self.reset, state)
        whole = real.all()
        # What a row without a step carries may be NaN, times which a gradient of 0 is not 0.
        seen = state if whole else tuple(np.where(real[:, None], one, 0.0) for one in state)
        (h, *others), kept = self.take(of_x, seen, *self.at(t))
        carried = (limit_gradient(h, self.options), *others)
        if whole:
            return _Step(h, carried, kept)
        output = np.where(real[:, None], h, state[0] if self.hold else 0.0)
        return _Step(output, select(real, carried, state), kept)

    def take(
        self, of_x: Array, state: Arrays, noise: StepNoise, beside: Arrays
    ) -> tuple[Arrays, Arrays]:
        """Take one step, given W x (G, B, H): return the next states and what is kept of it."""
        p = self._step_options.drawn(noise.candidate, noise.state)
        made, kept = self._step(of_x, state, p, noise, beside)
        made = (project(self.weights.projection, made[0], self.options), *made[1:])
        following = noise.mix(made, state)
        if self.options.keeps_carried(len(state)):
            kept = (*kept, made[0], *following[1:])
        return following, kept

    def _step(
        self, of_x: Array, state: Arrays, p: StepOptions, noise: StepNoise, beside: Arrays
    ) -> tuple[Arrays, Arrays]:
        """Let the cell make new states, given W x (G, B, H): return them and what is kept."""
        own = (*self.weights.own, *beside)
        input_part, seen = of_x + self.weights.bias_ih, noise.seen(state[0])
        if self.cell.info.phases == 2:
            pre = self._in_two_phases(input_part, seen, state, p, own)
        else:
            recurrent_part = product(seen, self.weights.recurrent) + self.weights.bias_hh
            pre = self._join(input_part, recurrent_part, own)
        return self.cell.forward(pre, state, p)

    def _in_two_phases(
        self, input_part: Array, seen: Array, state: Arrays, p: StepOptions, own: Arrays
    ) -> Arrays:
        """Return what the cell takes where its last gate waits for the others."""
        info, recurrent, bias = self.cell.info, self.weights.recurrent, self.weights.bias_hh
        first = tuple(input_part[info.joint : info.gates - 1])
        if info.joint:
            product_of_h = product(seen[: info.joint], recurrent[: info.joint])
            first = (*(input_part[: info.joint] + product_of_h + bias[: info.joint]), *first)
        operand = self.cell.operand(first, (seen[-1], *state[1:]), p)  # type: ignore[attr-defined]
        last = seen[-1] @ recurrent[-2].T if info.second_sees_h else input_part[-1]
        return (*first, last + operand @ recurrent[-1].T + bias[-1], *own)

    def _join(self, input_part: Array, recurrent_part: Array, own: Arrays) -> Arrays:
        """Add both parts (G, B, H) where the cell wants the sum; its parameters come last."""
        joint = self.cell.info.joint
        if len(input_part) == len(recurrent_part) == joint:
            return (*(input_part + recurrent_part), *own)
        sums = input_part[:joint] + recurrent_part[:joint]
        return (*sums, *input_part[joint:], *recurrent_part[joint:], *own)

    def backward(
        self,
        output: Array,
        saved: Array,
        d_output: Array,
        d_final: Arrays,
        trace: Array | None = None,
    ) -> PassGradients:
        """Take gradients back through time; each step is run again, on variables.

        Parameters
        ----------
        output, saved : what `forward` returned.
        d_output, d_final : gradients (T, B, H) and (B, H) for the output and the final states.
        trace : (T, B, (S + 1) * H) or None: takes what is carried, see
            `simdrnn.engine.protocol.Network`.
        """
        tape = Tape()
        again = replace(
            self,
            weights=self.weights.each(tape.variable),
            x=tape.variable(self.x),
            reset=tuple(map(tape.variable, self.reset)),
            step_inputs=tape.variable(self.step_inputs),
        )
        before, products = self.before(output, saved), self.products()
        d_products, d_state = np.zeros(products.shape), d_final
        for t in reversed(self.steps.order):
            if trace is not None:
                d_h = step_gradient(d_state[0], self.options) + d_output[t]
                carried = np.concatenate([d_h, *d_state[1:], d_state[0]], axis=1)
                trace[t] = np.where(self.steps.real[t][:, None], carried, trace[t])
            state = tuple(tape.variable(one[t]) for one in before)
            of_x = tape.variable(products[t])
            step = again._advance(t, of_x, state)
            tape.back([(step.output, d_output[t]), *zip(step.state, d_state, strict=True)])
            tape.clear()
            d_products[t], d_state = tape.gradient(of_x), tuple(map(tape.gradient, state))
        tape.back([(again.products(), d_products)])
        tape.clear()
        return PassGradients(
            tape.gradient(again.x),
            d_state,
            tuple(map(tape.gradient, again.reset)),
            again.weights.each(tape.gradient),
            tape.gradient(again.step_inputs),
        )

    def before(self, output: Array, saved: Array) -> Arrays:
        """Return every state before each step, S arrays (T, B, H), of what `forward` returned."""
        others = saved.shape[1] - self.cell.info.states + 1
        after = (output, *saved[:, others:].swapaxes(0, 1))
        # With these appended, RESET = -2 and INITIAL = -1 find them.
        known = (
            np.concatenate([made, reset[None], initial[None]])
            for made, reset, initial in zip(after, self.reset, self.initial, strict=True)
        )
        previous, rows = self.steps.previous(), np.arange(output.shape[1])
        return tuple(states[previous, rows] for states in known)
