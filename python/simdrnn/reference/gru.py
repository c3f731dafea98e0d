"""Gated recurrent unit, with the reset gate after or before the recurrent product.

    r, z = sigmoid(a_r), sigmoid(a_z)          a = W x + b_ih + R h + b_hh
    n = tanh(W_n x + b_in + r * (R_n h + b_hn))        reset after: PyTorch, cuDNN
    n = tanh(W_n x + b_in + R_n (r * h) + b_hn)        reset before: the paper, ONNX's default
    h' = clip(n + z * (h - n))

Cho et al. 2014, arXiv:1406.1078.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simdrnn.cells import CellInfo
from simdrnn.options import Options
from simdrnn.reference.gates import Gate
from simdrnn.reference.math import SIGMOID, TANH
from simdrnn.reference.options import activate, clip, clip_backward, d_activate
from simdrnn.validate import Array

__all__ = ["Gru", "GruResetBefore"]


# The blocks of both cells' weights, and the first of their saved values.
_GATES = (Gate("r", SIGMOID, 0), Gate("z", SIGMOID, 1), Gate("n", TANH, 2))


class Gru:
    """GRU whose reset gate acts after the recurrent product; gates in the order r, z, n."""

    info: ClassVar[CellInfo] = CellInfo("gru", gates=3, separate=1, states=1, saved=4)
    gates: ClassVar[tuple[Gate, ...]] = _GATES

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], options: Options
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` = r, z, n_x, n_h (4, B, H) and h (B, H) to h' and what is saved."""
        (h,) = state
        r = activate(SIGMOID, pre[0], options.gate_clip)
        z = activate(SIGMOID, pre[1], options.gate_clip)
        n_x, n_h = pre[2], pre[3]
        n = activate(TANH, n_x + r * n_h, options.gate_clip)
        return (clip(n + z * (h - n), options.hidden_clip),), (r, z, n, n_h)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        options: Options,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for h except through `pre`."""
        r, z, n, n_h = saved
        (h,), (h_next,), (d_h,) = state, following, d_following
        d_h = clip_backward(h_next, d_h, options.hidden_clip)
        d_n = d_h * (1.0 - z) * d_activate(TANH, n, options.gate_clip)
        d_r = d_n * n_h * d_activate(SIGMOID, r, options.gate_clip)
        d_z = d_h * (h - n) * d_activate(SIGMOID, z, options.gate_clip)
        return (d_r, d_z, d_n, d_n * r), (d_h * z,)


class GruResetBefore:
    """GRU whose reset gate acts before the recurrent product, which therefore waits for r."""

    info: ClassVar[CellInfo] = CellInfo(
        "gru_reset_before", gates=3, separate=0, states=1, saved=3, phases=2
    )
    gates: ClassVar[tuple[Gate, ...]] = _GATES

    @staticmethod
    def operand(pre: Array, state: tuple[Array, ...], options: Options) -> Array:
        """Return r * h (B, H), which n's recurrent product takes; `pre` = r, z (2, B, H)."""
        return activate(SIGMOID, pre[0], options.gate_clip) * state[0]

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], options: Options
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` = r, z, n (3, B, H) and h (B, H) to h' and what is saved."""
        (h,) = state
        r = activate(SIGMOID, pre[0], options.gate_clip)
        z = activate(SIGMOID, pre[1], options.gate_clip)
        n = activate(TANH, pre[2], options.gate_clip)
        return (clip(n + z * (h - n), options.hidden_clip),), (r, z, n)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        options: Options,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, r's without the operand's share, and for h directly."""
        r, z, n = saved
        (h,), (h_next,), (d_h,) = state, following, d_following
        d_h = clip_backward(h_next, d_h, options.hidden_clip)
        d_n = d_h * (1.0 - z) * d_activate(TANH, n, options.gate_clip)
        d_z = d_h * (h - n) * d_activate(SIGMOID, z, options.gate_clip)
        return (np.zeros_like(r), d_z, d_n), (d_h * z,)

    @staticmethod
    def operand_backward(
        saved: tuple[Array, ...], state: tuple[Array, ...], d_operand: Array, options: Options
    ) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:
        """Return the operand, and what its gradient adds to those for r, z and for h."""
        r, (h,) = saved[0], state
        d_r = d_operand * h * d_activate(SIGMOID, r, options.gate_clip)
        return r * h, (d_r, np.zeros_like(d_r)), (d_operand * r,)
