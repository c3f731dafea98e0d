"""Recurrent additive network: a weighted sum of inputs, whose weights two gates make.

    i, f = sigmoid(a_i), sigmoid(a_f)              a = W x + b_ih + R h + b_hh
    n = W_n x + b_ih_n
    c' = i * n + f * c
    h' = tanh(c')

The content n is made of the input alone, and linear by default: `weight_hh` and `bias_hh` have no
rows for it. The paper's other form, h' = c', has ``output_activation="identity"``.

Lee, Levy and Zettlemoyer 2017, "Recurrent additive networks", arXiv:1705.07393.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "Ran"]


class Ran:
    """RAN with gates in the order i, f, n."""

    info: ClassVar[CellInfo] = CellInfo(
        "ran", gates=3, separate=0, states=2, saved=4, layer="RAN", gate_names=("i", "f", "n"),
        keep=1, write=0, candidate=2, activations="sigmoid sigmoid identity / tanh", input_only=1,
    )  # fmt: skip

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` = i, f, n (3, B, H) and (h, c) to (h', c') and what is saved."""
        _, c = state
        i, f, n = p.activate(0, pre[0]), p.activate(1, pre[1]), p.activate(2, pre[2])
        c = p.clip_cell(f * c + i * p.drop(n))
        return (p.squash(3, c), c), (i, f, n, c)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for (h, c) except through `pre`."""
        (i, f, n, c_next), (_, c), (d_h, d_c) = saved, state, d_following
        d_c = p.through_cell_clip(c_next, d_c + d_h * p.squash_slope(3, p.squash(3, c_next)))
        d_i = d_c * p.drop(n) * p.slope(0, i)
        d_f = d_c * c * p.slope(1, f)
        d_n = p.drop(d_c * i) * p.slope(2, n)
        return (d_i, d_f, d_n), (np.zeros_like(d_h), d_c * f)


CELLS: tuple[Cell, ...] = (Ran(),)
