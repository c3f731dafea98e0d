"""Update gate recurrent network: the simplest gate there is, between old state and new.

    z = sigmoid(a_z)                               a = W x + b_ih + R h + b_hh
    n = tanh(a_n)
    h' = n + z * (h - n)

Collins, Sohl-Dickstein and Sussillo 2017, "Capacity and trainability in recurrent neural
networks", arXiv:1611.09913.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "Ugrnn"]


class Ugrnn:
    """UGRNN with gates in the order z, n."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "ugrnn",
        ("z", "sigmoid", "keeps"),
        ("n", "tanh", "candidate"),
        saved=2,
        layer="UGRNN",
    )

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = z, n and h (B, H) to h' and what is saved."""
        (h,) = state
        z = p.activate(0, pre[0])
        n = p.activate(1, pre[1])
        candidate = p.drop(n)
        return (candidate + z * (h - candidate),), (z, n)


CELLS: tuple[Cell, ...] = (Ugrnn(),)
