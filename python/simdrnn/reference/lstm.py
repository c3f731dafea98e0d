"""Long short-term memory.

    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)     a = W x + b_ih + R h + b_hh
    g = tanh(a_g)
    c' = f * c + i * g
    h' = o * tanh(c')

Hochreiter and Schmidhuber, Neural Computation 9, 1997; forget gate of Gers et al. 2000.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "Lstm"]


class Lstm:
    """LSTM with gates in the order i, f, g, o."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "lstm",
        ("i", "sigmoid", "writes"),
        ("f", "sigmoid", "keeps"),
        ("g", "tanh", "candidate"),
        ("o", "sigmoid"),
        squash="tanh",
        states=2,
        saved=5,
        common=True,
        layer="LSTM",
        normalise=1,
    )

    @classmethod
    def forward(cls, pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = i, f, g, o and (h, c), (B, H) each, to (h', c')."""
        c, first = cls.update(pre, state, p)
        c = p.clip_cell(c)
        h, second = cls.hidden(pre, c, p)
        return (h, c), (*first, *second, c)

    @classmethod
    def update(cls, pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Array, Arrays]:
        """Return c before it is clipped, and what is saved of its gates."""
        _, c = state
        i, f, g = (p.activate(gate, pre[gate]) for gate in range(3))
        return f * c + i * p.drop(g), (i, f, g)

    @classmethod
    def hidden(cls, pre: Arrays, c: Array, p: StepOptions) -> tuple[Array, Arrays]:
        """Return h, made of c, and what is saved of its gate."""
        o = p.activate(3, pre[3])
        return o * p.squash(4, c), (o,)


CELLS: tuple[Cell, ...] = (Lstm(),)
