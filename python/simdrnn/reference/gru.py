"""Gated recurrent unit, with the reset gate after or before the recurrent product.

    r, z = sigmoid(a_r), sigmoid(a_z)          a = W x + b_ih + R h + b_hh
    n = tanh(W_n x + b_in + r * (R_n h + b_hn))        reset after: PyTorch, cuDNN
    n = tanh(W_n x + b_in + R_n (r * h) + b_hn)        reset before: the paper, ONNX's default
    h' = n + z * (h - n)

Cho et al. 2014, arXiv:1406.1078.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "Gru", "GruResetBefore"]


class Gru:
    """GRU whose reset gate acts after the recurrent product; gates in the order r, z, n."""

    info: ClassVar[CellInfo] = CellInfo(
        "gru",
        gates=3,
        separate=1,
        states=1,
        common=True,
        saved=4,
        candidate=2,
        activations="sigmoid sigmoid tanh",
        layer="GRU",
        gate_names=("r", "z", "n"),
        keep=1,
    )

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` = r, z, n_x, n_h (4, B, H) and h (B, H) to h' and what is saved."""
        (h,) = state
        r = p.activate(0, pre[0])
        z = p.activate(1, pre[1])
        n_x, n_h = pre[2], pre[3]
        n = p.activate(2, n_x + r * n_h)
        candidate = p.drop(n)
        return (candidate + z * (h - candidate),), (r, z, n, n_h)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for h except through `pre`."""
        r, z, n, n_h = saved
        (h,), (d_h,) = state, d_following
        d_n = p.drop(d_h * (1.0 - z)) * p.slope(2, n)
        d_r = d_n * n_h * p.slope(0, r)
        d_z = d_h * (h - p.drop(n)) * p.slope(1, z)
        return (d_r, d_z, d_n, d_n * r), (d_h * z,)


class GruResetBefore:
    """GRU whose reset gate acts before the recurrent product, which therefore waits for r."""

    info: ClassVar[CellInfo] = CellInfo(
        "gru_reset_before",
        gates=3,
        separate=0,
        states=1,
        common=True,
        saved=3,
        phases=2,
        candidate=2,
        activations="sigmoid sigmoid tanh",
        gate_names=("r", "z", "n"),
        keep=1,
    )

    @staticmethod
    def operand(pre: Array, state: tuple[Array, ...], p: StepOptions) -> Array:
        """Return r * h (B, H), which n's recurrent product takes; `pre` = r, z (2, B, H)."""
        return p.activate(0, pre[0]) * state[0]

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` = r, z, n (3, B, H) and h (B, H) to h' and what is saved."""
        (h,) = state
        r = p.activate(0, pre[0])
        z = p.activate(1, pre[1])
        n = p.activate(2, pre[2])
        candidate = p.drop(n)
        return (candidate + z * (h - candidate),), (r, z, n)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, r's without the operand's share, and for h directly."""
        r, z, n = saved
        (h,), (d_h,) = state, d_following
        d_n = p.drop(d_h * (1.0 - z)) * p.slope(2, n)
        d_z = d_h * (h - p.drop(n)) * p.slope(1, z)
        return (np.zeros_like(r), d_z, d_n), (d_h * z,)

    @staticmethod
    def operand_backward(
        saved: tuple[Array, ...], state: tuple[Array, ...], d_operand: Array, p: StepOptions
    ) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:
        """Return the operand, and what its gradient adds to those for r, z and for h."""
        r, (h,) = saved[0], state
        d_r = d_operand * h * p.slope(0, r)
        return r * h, (d_r, np.zeros_like(d_r)), (d_operand * r,)


CELLS: tuple[Cell, ...] = (Gru(), GruResetBefore())
