"""A pass with layer normalisation inside its steps; `simdrnn.spec.layer_norm` has the equations.

    n = (a - mean(a)) / sqrt(mean((a - mean(a))^2) + epsilon)

Ba, Kiros and Hinton 2016, arXiv:1607.06450.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from simdrnn.reference.cell_protocol import HalvedCell
from simdrnn.reference.heads import product
from simdrnn.reference.noise import StepNoise
from simdrnn.reference.options import StepOptions
from simdrnn.reference.sequence import Pass
from simdrnn.reference.states import Arrays
from simdrnn.spec.layer_norm import Placement
from simdrnn.validate import Array

__all__ = ["NormalisedPass", "normal"]


def normal(rows: Array, epsilon: float) -> Array:
    """Return rows (..., K, B, H) of mean 0 and variance 1 over K and H.

    Examples
    --------
    >>> normal(np.array([[[1.0, 3.0]]]), 0.0)
    array([[[-1.,  1.]]])
    """
    away = rows - rows.mean(axis=(-3, -1), keepdims=True)
    made: Array = away / np.sqrt((away * away).mean(axis=(-3, -1), keepdims=True) + epsilon)
    return made


class NormalisedPass(Pass):
    """One direction of one layer, with layer normalisation.

    What is kept of a step begins with W x and R h (G, B, H) each, and where the normalised state is
    carried with the state before.
    """

    @property
    def _placement(self) -> Placement:
        """Where the norms stand."""
        placement = self.options.placement
        assert placement is not None  # or this would be a Pass
        return placement

    def _parameters(self) -> tuple[Array, Array, Array]:
        """Return the weights for W x and for R h (G, 1, H); the state's two (2, 1, H)."""
        gates, own = self.cell.info.gates, self.weights.own[self.cell.info.params :]
        return own[:gates], own[gates : 2 * gates], own[2 * gates :]

    def _step(
        self, of_x: Array, state: Arrays, p: StepOptions, noise: StepNoise, beside: Arrays
    ) -> tuple[Arrays, Arrays]:
        """Take one step, given W x (G, B, H): return the new states and what is kept."""
        info, weights, epsilon = self.cell.info, self.weights, self._placement.epsilon
        for_input, for_recurrent, for_state = self._parameters()
        recurrent = product(noise.seen(state[0]), weights.recurrent)
        pre = self._join(
            for_input * normal(of_x, epsilon) + weights.bias_ih,
            for_recurrent * normal(recurrent, epsilon) + weights.bias_hh,
            tuple(weights.own[: info.params]),
        )
        if info.normalise < 0:
            made, kept = self.cell.forward(pre, state, p)
            return made, (*of_x, *recurrent, *kept)
        halves = cast(HalvedCell, self.cell)
        updated, first = halves.update(pre, state, p)
        if self._placement.carried:
            c = looked_at = p.clip_cell(self._of_state(updated, for_state))
        else:
            c = p.clip_cell(updated)
            looked_at = self._of_state(c, for_state)
        h, second = halves.hidden(pre, looked_at, p)
        before = (updated,) if self._placement.carried else ()
        return (h, c), (*of_x, *recurrent, *before, *first, *second, c)

    def _of_state(self, state: Array, parameters: Array) -> Array:
        """Normalise a state (B, H)."""
        weight, bias = parameters
        made: Array = weight * normal(state[None], self._placement.epsilon)[0] + bias
        return made
