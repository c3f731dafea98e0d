"""A pass with layer normalisation inside its steps; `simdrnn.spec.layer_norm` has the equations.

    n = (a - mean(a)) * scale      scale = 1 / sqrt(mean((a - mean(a))^2) + epsilon)
    a's gradient = scale * (g - mean(g) - n * mean(g * n))      g = weight * n's gradient

Ba, Kiros and Hinton 2016, arXiv:1607.06450.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np

from simdrnn.reference.cell_protocol import HalvedCell
from simdrnn.reference.noise import StepNoise
from simdrnn.reference.options import StepOptions
from simdrnn.reference.sequence import Pass
from simdrnn.reference.states import Arrays
from simdrnn.validate import Array

__all__ = ["NormalisedPass", "RowNorm"]


class RowNorm(NamedTuple):
    """Rows (K, B, H), normalised over K and H: `normal` of mean 0 and variance 1, and `scale`."""

    normal: Array
    scale: Array

    @classmethod
    def of(cls, rows: Array, epsilon: float) -> RowNorm:
        """Normalise `rows`."""
        away = rows - rows.mean(axis=(0, 2), keepdims=True)
        scale = 1.0 / np.sqrt((away * away).mean(axis=(0, 2), keepdims=True) + epsilon)
        return cls(away * scale, scale)

    def backward(self, d_normal: Array) -> Array:
        """Take a gradient for `normal` to that for the rows."""
        mean = d_normal.mean(axis=(0, 2), keepdims=True)
        along = (d_normal * self.normal).mean(axis=(0, 2), keepdims=True)
        d_rows: Array = self.scale * (d_normal - mean - self.normal * along)
        return d_rows


class NormalisedPass(Pass):
    """One direction of one layer, with layer normalisation.

    What a step saves begins with W x and R h (G, B, H) each, and where the normalised state is
    carried with the state before. The gradients of a step end with those for W x and R h.
    """

    @property
    def _carried(self) -> bool:
        """Whether the normalised state is what is carried on."""
        placement = self.options.placement
        return placement is not None and placement.carried

    def _norm(self, rows: Array) -> RowNorm:
        """Normalise rows (K, B, H)."""
        placement = self.options.placement
        assert placement is not None  # or this would be a Pass
        return RowNorm.of(rows, placement.epsilon)

    def _parameters(self) -> tuple[Array, Array, Array]:
        """Return the weights for W x and for R h (G, 1, H); the state's two (2, 1, H)."""
        gates, own = self.cell.info.gates, self.weights.own[self.cell.info.params :]
        return own[:gates], own[gates : 2 * gates], own[2 * gates :]

    def _step(
        self, of_x: Array, state: Arrays, p: StepOptions, noise: StepNoise, beside: Arrays
    ) -> tuple[Arrays, Arrays]:
        """Take one step, given W x (G, B, H): return the new states and what is saved."""
        info, weights, cell = self.cell.info, self.weights, self.cell
        for_input, for_recurrent, for_state = self._parameters()
        seen = noise.seen(state[0], info.gates)
        recurrent = seen @ weights.recurrent.swapaxes(1, 2)
        pre = self._join(
            for_input * self._norm(of_x).normal + weights.bias_ih,
            for_recurrent * self._norm(recurrent).normal + weights.bias_hh,
            np.broadcast_to(weights.own[: info.params], (info.params, *of_x.shape[1:])),
        )
        if info.normalise < 0:
            made, kept = cell.forward(pre, state, p)
            return made, (*of_x, *recurrent, *kept)
        halves = cast(HalvedCell, cell)
        updated, first = halves.update(pre, state, p)
        if self._carried:
            c = looked_at = p.clip_cell(self._of_state(updated, for_state))
        else:
            c = p.clip_cell(updated)
            looked_at = self._of_state(c, for_state)
        h, second = halves.hidden(pre, looked_at, p)
        before = (updated,) if self._carried else ()
        return (h, c), (*of_x, *recurrent, *before, *first, *second, c)

    def _of_state(self, state: Array, parameters: Array) -> Array:
        """Normalise a state (B, H)."""
        weight, bias = parameters
        normal: Array = weight * self._norm(state[None]).normal[0] + bias
        return normal

    @property
    def _gradients(self) -> int:
        """How many gradients per unit a step leaves."""
        return super()._gradients + 2 * self.cell.info.gates

    def _of_products(self, d_pre: Array) -> tuple[Array, Array]:
        """Take from d_pre (T, ..., B, H) what belongs to W x and to R h, (T, G, B, H) each."""
        gates = self.cell.info.gates
        return d_pre[:, -2 * gates : -gates], d_pre[:, -gates:]

    def _step_backward(
        self,
        noise: StepNoise,
        beside: Arrays,
        saved: Arrays,
        state: Arrays,
        following: Arrays,
        d_following: Arrays,
    ) -> tuple[Array, Arrays, Array]:
        """Propagate back through one step: its gradients, those for state, last gate's operand."""
        info, gates = self.cell.info, self.cell.info.gates
        for_input, for_recurrent, for_state = self._parameters()
        p = StepOptions(self.options, noise.candidate)
        first = self.options.saved_sums(info)
        sums, saved = saved[:first], saved[first:]
        products = np.stack(sums[: 2 * gates])
        d_made = self._made(noise, following, d_following)
        saved = (*saved, *self.weights.own[: info.params])
        d_for_state: Arrays = ()
        if info.normalise < 0:
            d_gates, d_state = self.cell.backward(saved, state, following, d_made, p)
        else:
            made = sums[-1] if self._carried else following[info.normalise]
            d_gates, d_state, d_for_state = self._halves(
                saved, state, following, d_made, p, made, for_state
            )
        d_pre = np.stack(d_gates)
        parts = (
            (products[:gates], for_input, d_pre[:gates]),
            (products[gates:], for_recurrent, self._recurrent_rows(d_pre)),
        )
        d_weights, d_products = [], []
        for product, weight, d_part in parts:
            norm = self._norm(product)
            d_weights.append(d_part * norm.normal)
            d_products.append(norm.backward(weight * d_part))
        through = noise.back(d_products[1] @ self.weights.recurrent).sum(axis=0)
        gradients = np.concatenate(
            [d_pre, *d_weights, *[d[None] for d in d_for_state], *d_products]
        )
        d_before = self._before(noise, through, d_state, d_following)
        return gradients, d_before, noise.seen(state[0], gates)[-1]

    def _halves(
        self,
        saved: Arrays,
        state: Arrays,
        following: Arrays,
        d_made: Arrays,
        p: StepOptions,
        made: Array,
        parameters: Array,
    ) -> tuple[Arrays, Arrays, Arrays]:
        """Propagate back through a cell whose state is normalised.

        `made` is that state before. Returns the gradients for `pre` and for the states except
        through it, and for the state's weight and bias.
        """
        cell = cast(HalvedCell, self.cell)
        weight, _ = parameters
        norm = self._norm(made[None])
        c, (d_h, d_c) = following[1], d_made
        looked_at = c if self._carried else self._of_state(c, parameters)
        from_elsewhere = d_c if self._carried else 0.0
        d_normal, d_o = cell.through_hidden(saved, looked_at, d_h, from_elsewhere, p)
        if self._carried:
            d_normal = p.through_cell_clip(c, d_normal)
        d_updated = norm.backward((weight * d_normal)[None])[0]
        if not self._carried:
            d_updated = p.through_cell_clip(c, d_c + d_updated)
        d_gates, d_state = cell.through_update(saved, state, looked_at, d_updated, d_o, p)
        return d_gates, d_state, (d_normal * norm.normal[0], d_normal)
