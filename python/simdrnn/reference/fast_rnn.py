"""FastRNN: a simple recurrent network with a weighted residual connection over time.

    n = tanh(a)                                    a = W x + b_ih + R h + b_hh
    h' = sigmoid(alpha) * n + sigmoid(beta) * h

alpha and beta are one number each for all units; they begin at -3 and 3, so that a step changes
little at first. `activation` makes n with another function than tanh.

Kusupati, Singh, Bhatia, Kumar, Jain and Varma 2018, "FastGRNN: a fast, accurate, stable and tiny
kilobyte sized gated recurrent neural network", arXiv:1901.02358, section 3.1.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.activations import SIGMOID
from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "FastRnn"]


class FastRnn:
    """FastRNN: one gate n, then alpha and beta."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "fast_rnn",
        ("n", "tanh", "candidate"),
        saved=1,
        layer="FastRNN",
        parameters="alpha:1=-3 beta:1=3",
    )

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = n, alpha, beta and h (B, H) to h' and what is saved."""
        (h,) = state
        n = p.activate(0, pre[0])
        return (SIGMOID(pre[1]) * p.drop(n) + SIGMOID(pre[2]) * h,), (n,)


CELLS: tuple[Cell, ...] = (FastRnn(),)
