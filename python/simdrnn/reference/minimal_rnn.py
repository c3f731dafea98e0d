"""Minimal recurrent network: the input becomes a latent state, which one gate mixes with the old.

    z = tanh(W x + b_ih)
    u = sigmoid(R_h h + R_z z + b_hh)
    h' = z + u * (h - z)

z is made of the input alone, u of h and z: `weight_ih` and `bias_ih` have rows for z only,
`bias_hh` for u only, and the rows of `weight_hh` are R_h and below it R_z.

Chen 2017, "MinimalRNN: toward more interpretable and trainable recurrent neural networks",
arXiv:1711.06788.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "MinimalRnn"]


class MinimalRnn:
    """Minimal RNN with gates in the order z, u; u waits for z."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "minimal_rnn",
        ("z", "tanh", "candidate", "input_only"),
        ("u", "sigmoid", "keeps", "second_phase", "sees_h"),
        saved=2,
        layer="MinimalRNN",
    )

    @staticmethod
    def operand(pre: Arrays, state: Arrays, p: StepOptions) -> Array:
        """Return z (B, H), of `pre`."""
        return p.activate(0, pre[0])

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = z, u and h (B, H) to h' and what is saved."""
        (h,) = state
        z, u = p.activate(0, pre[0]), p.activate(1, pre[1])
        candidate = p.drop(z)
        return (candidate + u * (h - candidate),), (z, u)


CELLS: tuple[Cell, ...] = (MinimalRnn(),)
