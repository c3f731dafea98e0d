"""JANET, "just another network": an LSTM that has kept only its forget gate.

    f = sigmoid(a_f)                               a = W x + b_ih + R h + b_hh
    w = 1 - sigmoid(a_f - 1)
    n = tanh(a_n)
    h' = f * h + w * n

More is written than is forgotten, as w > 1 - f; the 1 is the paper's beta. A `gate_clip` acts on
the arguments of both sigmoids.

van der Westhuizen and Lasenby 2018, "The unreasonable effectiveness of the forget gate",
arXiv:1804.04849.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "Janet"]

_BETA = 1.0


class Janet:
    """JANET with gates in the order f, n."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "janet",
        ("f", "sigmoid", "keeps"),
        ("n", "tanh", "candidate"),
        saved=3,
        layer="JANET",
    )

    gate_places: ClassVar[tuple[int, ...]] = (0, 2)  # the shifted sigmoid lies between

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = f, n and h (B, H) to h' and what is saved."""
        (h,) = state
        f = p.activate(0, pre[0])
        shifted = p.activate(0, pre[0] - _BETA)
        n = p.activate(1, pre[1])
        return (f * h + (1.0 - shifted) * p.drop(n),), (f, shifted, n)


CELLS: tuple[Cell, ...] = (Janet(),)
