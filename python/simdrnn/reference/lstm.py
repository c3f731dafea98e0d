"""Long short-term memory.

    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)     a = W x + b_ih + R h + b_hh
    g = tanh(a_g)
    c' = f * c + i * g
    h' = o * tanh(c')

Hochreiter and Schmidhuber, Neural Computation 9, 1997; forget gate of Gers et al. 2000.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "Lstm"]


class Lstm:
    """LSTM with gates in the order i, f, g, o."""

    info: ClassVar[CellInfo] = CellInfo(
        "lstm",
        gates=4,
        separate=0,
        states=2,
        common=True,
        saved=5,
        candidate=2,
        activations="sigmoid sigmoid tanh sigmoid / tanh",
        layer="LSTM",
        gate_names=("i", "f", "g", "o"),
        keep=1,
        write=0,
        normalise=1,
    )

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` (4, B, H) and (h, c), (B, H) each, to (h', c') and what is saved."""
        c, first = Lstm.update(pre, state, p)
        c = p.clip_cell(c)
        h, second = Lstm.hidden(pre, c, p)
        return (h, c), (*first, *second, c)

    @staticmethod
    def update(
        pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return c before it is clipped, and what is saved of its gates."""
        i, f, g = (p.activate(gate, pre[gate]) for gate in range(3))
        return f * state[1] + i * p.drop(g), (i, f, g)

    @staticmethod
    def hidden(pre: Array, c: Array, p: StepOptions) -> tuple[Array, tuple[Array, ...]]:
        """Return h, made of c, and what is saved of its gate."""
        o = p.activate(3, pre[3])
        return o * p.squash(4, c), (o,)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for (h, c) except through `pre`."""
        c, (d_h, d_c) = saved[4], d_following
        d_c, d_o = Lstm.through_hidden(saved, c, d_h, d_c, p)
        return Lstm.through_update(saved, state, c, p.through_cell_clip(c, d_c), d_o, p)

    @staticmethod
    def through_hidden(
        saved: tuple[Array, ...], c: Array, d_h: Array, d_c: Array | float, p: StepOptions
    ) -> tuple[Array, Array]:
        """Return the gradients for c as `hidden` took it, `d_c` being from elsewhere, and for o."""
        o, squashed = saved[3], p.squash(4, c)
        return d_c + d_h * o * p.squash_slope(4, squashed), d_h * squashed * p.slope(3, o)

    @staticmethod
    def through_update(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        seen_c: Array,
        d_c: Array,
        d_o: Array,
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return what `backward` does, from the gradients for what `update` returned and for o."""
        i, f, g = saved[:3]
        d_pre = (
            d_c * p.drop(g) * p.slope(0, i),
            d_c * state[1] * p.slope(1, f),
            p.drop(d_c * i) * p.slope(2, g),
            d_o,
        )
        return d_pre, (np.zeros_like(state[0]), d_c * f)

    @staticmethod
    def output(saved: tuple[Array, ...], p: StepOptions) -> Array:
        """Return h' of what a step saved."""
        return saved[3] * p.squash(4, saved[4])


CELLS: tuple[Cell, ...] = (Lstm(),)
