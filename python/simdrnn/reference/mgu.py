"""Minimal gated unit: one gate that forgets and resets.

    f = sigmoid(a_f)                               a = W x + b_ih + R h + b_hh
    n = tanh(W_n x + b_in + f * (R_n h + b_hn))
    h' = clip(n + f * (h - n))

With the reset after the recurrent product and f as the gate that keeps, as Flax has it. In the
paper the reset comes before the product, R_n (f * h), and f writes: h' = h + f * (n - h).

Zhou, Wu, Zhang and Zhou 2016, "Minimal gated unit for recurrent neural networks",
arXiv:1603.09420.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.cells import CellInfo
from simdrnn.options import Options
from simdrnn.reference.math import SIGMOID, TANH
from simdrnn.reference.options import activate, clip, clip_backward, d_activate
from simdrnn.reference.sequence import Cell
from simdrnn.validate import Array

__all__ = ["CELLS", "Mgu"]


class Mgu:
    """Minimal gated unit with gates in the order f, n."""

    info: ClassVar[CellInfo] = CellInfo(
        "mgu", gates=2, separate=1, states=1, saved=3, layer="MGU", gate_names=("f", "n"), keep=0
    )

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], options: Options
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` = f, n_x, n_h (3, B, H) and h (B, H) to h' and what is saved."""
        (h,) = state
        n_x, n_h = pre[1], pre[2]
        f = activate(SIGMOID, pre[0], options.gate_clip)
        n = activate(TANH, n_x + f * n_h, options.gate_clip)
        return (clip(n + f * (h - n), options.hidden_clip),), (f, n, n_h)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        options: Options,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for h except through `pre`."""
        f, n, n_h = saved
        (h,), (h_next,), (d_h,) = state, following, d_following
        d_h = clip_backward(h_next, d_h, options.hidden_clip)
        d_n = d_h * (1.0 - f) * d_activate(TANH, n, options.gate_clip)
        d_f = (d_h * (h - n) + d_n * n_h) * d_activate(SIGMOID, f, options.gate_clip)
        return (d_f, d_n, d_n * f), (d_h * f,)


CELLS: tuple[Cell, ...] = (Mgu(),)
