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
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "IndRnn"]


class IndRnn:
    """IndRNN: one gate, which has no recurrent product."""

    info: ClassVar[CellInfo] = CellInfo(
        "ind_rnn", gates=1, separate=0, states=1, saved=0, layer="IndRNN", gate_names=("h",),
        activations="relu", input_only=1, parameters="weight_u=0..1",
    )  # fmt: skip

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` = W x + b and u (2, B, H), and h (B, H) to h'."""
        (h,) = state
        return (p.activate(0, pre[0] + pre[1] * h),), ()

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, u among it, and for h."""
        (u,), (h,) = saved, state
        d_new = d_following[0] * p.slope(0, following[0])
        return (d_new, d_new * h), (d_new * u,)


CELLS: tuple[Cell, ...] = (IndRnn(),)
