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

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "Ran"]


class Ran:
    """RAN with gates in the order i, f, n."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "ran",
        ("i", "sigmoid", "writes"),
        ("f", "sigmoid", "keeps"),
        ("n", "identity", "candidate", "input_only"),
        squash="tanh",
        states=2,
        saved=4,
        layer="RAN",
    )

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = i, f, n and (h, c) to (h', c') and what is saved."""
        _, c = state
        i, f, n = p.activate(0, pre[0]), p.activate(1, pre[1]), p.activate(2, pre[2])
        c = p.clip_cell(f * c + i * p.drop(n))
        return (p.squash(3, c), c), (i, f, n, c)


CELLS: tuple[Cell, ...] = (Ran(),)
