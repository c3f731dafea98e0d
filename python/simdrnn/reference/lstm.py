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

from simdrnn.cells import CellInfo
from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
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
    )

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` (4, B, H) and (h, c), (B, H) each, to (h', c') and what is saved."""
        _, c = state
        i, f, g, o = (p.activate(gate, pre[gate]) for gate in range(4))
        c = p.clip_cell(f * c + i * p.drop(g))
        return (o * p.squash(4, c), c), (i, f, g, o, c)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for (h, c) except through `pre`."""
        i, f, g, o, c_next = saved
        h, c = state
        d_h, d_c = d_following
        squashed = p.squash(4, c_next)
        d_c = p.through_cell_clip(c_next, d_c + d_h * o * p.squash_slope(4, squashed))
        d_pre = (
            d_c * p.drop(g) * p.slope(0, i),
            d_c * c * p.slope(1, f),
            p.drop(d_c * i) * p.slope(2, g),
            d_h * squashed * p.slope(3, o),
        )
        return d_pre, (np.zeros_like(h), d_c * f)

    @staticmethod
    def output(saved: tuple[Array, ...], p: StepOptions) -> Array:
        """Return h' of what a step saved."""
        return saved[3] * p.squash(4, saved[4])


CELLS: tuple[Cell, ...] = (Lstm(),)
