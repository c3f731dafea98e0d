"""Gated recurrent unit, with the reset gate after or before the recurrent product.

    r, z = sigmoid(a_r), sigmoid(a_z)          a = W x + b_ih + R h + b_hh
    n = tanh(W_n x + b_in + r * (R_n h + b_hn))        reset after: PyTorch, cuDNN
    n = tanh(W_n x + b_in + R_n (r * h) + b_hn)        reset before: the paper, ONNX's default
    h' = n + z * (h - n)

Cho et al. 2014, arXiv:1406.1078.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "Gru", "GruResetBefore"]


class Gru:
    """GRU whose reset gate acts after the recurrent product; gates in the order r, z, n."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "gru",
        ("r", "sigmoid"),
        ("z", "sigmoid", "keeps"),
        ("n", "tanh", "candidate", "apart"),
        saved=4,
        common=True,
        layer="GRU",
    )

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = r, z, n_x, n_h and h (B, H) to h' and what is saved."""
        (h,) = state
        r = p.activate(0, pre[0])
        z = p.activate(1, pre[1])
        n_x, n_h = pre[2], pre[3]
        n = p.activate(2, n_x + r * n_h)
        candidate = p.drop(n)
        return (candidate + z * (h - candidate),), (r, z, n, n_h)


class GruResetBefore:
    """GRU whose reset gate acts before the recurrent product, which therefore waits for r."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "gru_reset_before",
        ("r", "sigmoid"),
        ("z", "sigmoid", "keeps"),
        ("n", "tanh", "candidate", "second_phase"),
        saved=3,
        common=True,
    )

    @staticmethod
    def operand(pre: Arrays, state: Arrays, p: StepOptions) -> Array:
        """Return r * h (B, H), which n's recurrent product takes; `pre` = r, z."""
        return p.activate(0, pre[0]) * state[0]

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = r, z, n and h (B, H) to h' and what is saved."""
        (h,) = state
        r = p.activate(0, pre[0])
        z = p.activate(1, pre[1])
        n = p.activate(2, pre[2])
        candidate = p.drop(n)
        return (candidate + z * (h - candidate),), (r, z, n)


CELLS: tuple[Cell, ...] = (Gru(), GruResetBefore())
