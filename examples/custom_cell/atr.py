"""Addition-subtraction twin-gated recurrent network: two gates made of one product with x.

    p = W x + b_ih                                 q = R h + b_hh
    i = sigmoid(p + q)
    f = sigmoid(p - q)
    h' = clip(i * p + f * h)

Zhang, Xiong, Su, Lin and Zhang 2018, "Simplifying neural machine translation with
addition-subtraction twin-gated recurrent networks", arXiv:1810.12546.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.cells import CellInfo
from simdrnn.options import Options
from simdrnn.reference.math import SIGMOID
from simdrnn.reference.options import activate, clip, clip_backward, d_activate
from simdrnn.reference.sequence import Cell
from simdrnn.validate import Array

__all__ = ["CELLS", "Atr"]


class Atr:
    """ATR with one gate, p, whose input part and recurrent part arrive apart."""

    info: ClassVar[CellInfo] = CellInfo(
        "atr", gates=1, separate=1, states=1, saved=3, layer="ATR", gate_names=("p",)
    )

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], options: Options
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` = p, q (2, B, H) and h (B, H) to h' and what is saved."""
        (h,) = state
        p, q = pre
        i = activate(SIGMOID, p + q, options.gate_clip)
        f = activate(SIGMOID, p - q, options.gate_clip)
        return (clip(i * p + f * h, options.hidden_clip),), (i, f, p)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        options: Options,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for h except through `pre`."""
        i, f, p = saved
        (h,), (h_next,), (d_h,) = state, following, d_following
        d_h = clip_backward(h_next, d_h, options.hidden_clip)
        d_i = d_h * p * d_activate(SIGMOID, i, options.gate_clip)
        d_f = d_h * h * d_activate(SIGMOID, f, options.gate_clip)
        return (d_h * i + d_i + d_f, d_i - d_f), (d_h * f,)


CELLS: tuple[Cell, ...] = (Atr(),)
