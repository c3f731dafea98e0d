"""Light gated recurrent unit: a GRU without reset gate, with relu for the candidate.

    z = sigmoid(a_z)                               a = W x + b_ih + R h + b_hh
    n = relu(a_n)
    h' = n + z * (h - n)

The paper normalises W x over the batch, which couples its rows; that is left out, and there are
biases instead.

Ravanelli, Brakel, Omologo and Bengio 2018, "Light gated recurrent units for speech recognition",
arXiv:1803.10225.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.ugrnn import Ugrnn
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "LiGru"]


class LiGru(Ugrnn):
    """Li-GRU with gates in the order z, n: UGRNN's equations with another candidate."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "li_gru",
        ("z", "sigmoid", "keeps"),
        ("n", "relu", "candidate"),
        saved=2,
        layer="LiGRU",
    )


CELLS: tuple[Cell, ...] = (LiGru(),)
