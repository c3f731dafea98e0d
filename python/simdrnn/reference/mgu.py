"""Minimal gated unit: one gate that forgets and resets.

    f = sigmoid(a_f)                               a = W x + b_ih + R h + b_hh
    n = tanh(W_n x + b_in + f * (R_n h + b_hn))
    h' = n + f * (h - n)

With the reset after the recurrent product and f as the gate that keeps, as Flax has it. In the
paper the reset comes before the product, R_n (f * h), and f writes: h' = h + f * (n - h).

Zhou, Wu, Zhang and Zhou 2016, "Minimal gated unit for recurrent neural networks",
arXiv:1603.09420.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "Mgu"]


class Mgu:
    """Minimal gated unit with gates in the order f, n."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "mgu",
        ("f", "sigmoid", "keeps"),
        ("n", "tanh", "candidate", "apart"),
        saved=3,
        layer="MGU",
    )

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = f, n_x, n_h and h (B, H) to h' and what is saved."""
        (h,) = state
        n_x, n_h = pre[1], pre[2]
        f = p.activate(0, pre[0])
        n = p.activate(1, n_x + f * n_h)
        candidate = p.drop(n)
        return (candidate + f * (h - candidate),), (f, n, n_h)


CELLS: tuple[Cell, ...] = (Mgu(),)
