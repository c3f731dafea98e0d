"""Elman network.

    h' = tanh(a), or with relu,   a = W x + b_ih + R h + b_hh

Elman, "Finding structure in time", Cognitive Science 14, 1990; relu: Le et al. 2015,
arXiv:1504.00941.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "Elman", "ElmanRelu"]


class Elman:
    """Elman network with tanh."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "rnn_tanh",
        ("h", "tanh"),
        common=True,
        layer="RNN",
        noisy=True,
    )

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` and h (B, H) to h'. Nothing is saved: h' is enough."""
        return (p.activate(0, p.noisy(pre[0])),), ()


class ElmanRelu(Elman):
    """Elman network with relu."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "rnn_relu",
        ("h", "relu"),
        common=True,
        noisy=True,
    )


CELLS: tuple[Cell, ...] = (Elman(), ElmanRelu())
