"""LSTM with peepholes, with coupled input and forget gates, or with both.

    i, f = sigmoid(a_i + p_i * c), sigmoid(a_f + p_f * c)   a = W x + b_ih + R h + b_hh
    g = tanh(a_g)
    c' = f * c + i * g
    o = sigmoid(a_o + p_o * c')
    h' = o * tanh(c')

Coupled, one gate does both: f = 1 - i (ONNX ``input_forget``), or i = 1 - f (TensorFlow Lite's
CIFG). Without peepholes p is 0. The order of the gates is i, f, g, o; the one that is not there is
left out.

Gers and Schmidhuber 2000, "Recurrent nets that time and count"; Greff et al. 2017, "LSTM: a search
space odyssey", arXiv:1503.04069.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.lstm import Lstm
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "LstmVariant"]


class LstmVariant(Lstm):
    """LSTM with peepholes or coupled gates; `updates` are the gates that update c.

    `pre` is the gates, and behind them the peepholes.
    """

    updates: ClassVar[tuple[str, ...]]
    info: ClassVar[CellInfo]

    @classmethod
    def update(cls, pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Array, Arrays]:
        """Return c before it is clipped, and what is saved of its gates."""
        (_, c), first = state, len(cls.updates)
        updates = tuple(p.activate(u, cls._seeing(pre, u, u, c)) for u in range(first))
        i, f = cls._input_and_forget(updates)
        g = p.activate(first, pre[first])
        return f * c + i * p.drop(g), (*updates, g)

    @classmethod
    def hidden(cls, pre: Arrays, c: Array, p: StepOptions) -> tuple[Array, Arrays]:
        """Return h, made of c, and what is saved of its gate."""
        gate = len(cls.updates) + 1
        o = p.activate(gate, cls._seeing(pre, gate, -1, c))
        return o * p.squash(gate + 1, c), (o,)

    @classmethod
    def _seeing(cls, pre: Arrays, gate: int, peephole: int, c: Array) -> Array:
        """Return the argument of a gate that sees c through a peephole, if there are any."""
        return pre[gate] + pre[cls.info.gates :][peephole] * c if cls.info.params else pre[gate]

    @classmethod
    def _input_and_forget(cls, updates: Arrays) -> tuple[Array, Array]:
        """Return i and f."""
        if cls.updates == ("i",):
            return updates[0], 1.0 - updates[0]
        if cls.updates == ("f",):
            return 1.0 - updates[0], updates[0]
        return updates[0], updates[1]


def _variant(name: str, updates: tuple[str, ...], peephole: bool) -> Cell:
    """Make the cell of that name."""
    traits = {"i": "writes", "f": "keeps"}
    peepholes = " ".join(f"weight_c{gate}" for gate in (*updates, "o")) if peephole else ""
    info = CellInfo.described(
        name,
        *((gate, "sigmoid", traits[gate]) for gate in updates),
        ("g", "tanh", "candidate"),
        ("o", "sigmoid"),
        squash="tanh",
        states=2,
        saved=len(updates) + 3,
        parameters=peepholes,
        normalise=1,
    )
    cell: Cell = type("LstmVariant", (LstmVariant,), {"updates": updates, "info": info})()
    return cell


CELLS: tuple[Cell, ...] = (
    _variant("lstm_peephole", ("i", "f"), True),
    _variant("lstm_coupled_input", ("i",), False),
    _variant("lstm_coupled_forget", ("f",), False),
    _variant("lstm_peephole_coupled_input", ("i",), True),
    _variant("lstm_peephole_coupled_forget", ("f",), True),
)
