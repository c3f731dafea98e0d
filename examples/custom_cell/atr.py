"""Addition-subtraction twin-gated recurrent network: two gates made of one product with x.

    p = W x + b_ih                                 q = R h + b_hh
    i = sigmoid(p + q)
    f = sigmoid(p - q)
    h' = i * p + f * h

Zhang, Xiong, Su, Lin and Zhang 2018, "Simplifying neural machine translation with
addition-subtraction twin-gated recurrent networks", arXiv:1810.12546.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "Atr"]


class Atr:
    """ATR with one gate, p, whose input part and recurrent part arrive apart."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "atr", ("p", "sigmoid", "apart"), saved=3, layer="ATR"
    )

    @staticmethod
    def forward(pre: Arrays, state: Arrays, options: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = p, q and h (B, H) to h' and what is saved."""
        (h,) = state
        p, q = pre
        i = options.activate(0, p + q)
        f = options.activate(0, p - q)
        return (i * p + f * h,), (i, f, p)


CELLS: tuple[Cell, ...] = (Atr(),)
