"""Independently recurrent neural network: every unit sees its own state and no other.

    h' = relu(W x + b_ih + u * h)

u is `weight_u`, a weight for each unit, which begins uniformly in [0, 1); there is no `weight_hh`.
So nothing flows between units but through another layer. Over T steps a gradient is multiplied by
u ** T at most: the paper keeps abs(u) below 2 ** (1 / T), as with
``layer.weight_u_l0 = layer.weight_u_l0.clip(-bound, bound)`` after a step of the optimiser. With
`activation` it may be tanh, too.

Li, Li, Cook, Zhu and Gao 2018, "Independently recurrent neural network (IndRNN): building a longer
and deeper RNN", arXiv:1803.04831.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "IndRnn"]


class IndRnn:
    """IndRNN: one gate, which has no recurrent product."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "ind_rnn",
        ("h", "relu", "input_only"),
        layer="IndRNN",
        parameters="weight_u=0..1",
    )

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = W x + b and u, and h (B, H) to h'."""
        (h,) = state
        return (p.activate(0, pre[0] + pre[1] * h),), ()


CELLS: tuple[Cell, ...] = (IndRnn(),)
