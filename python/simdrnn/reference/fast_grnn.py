"""FastGRNN: a gate and a candidate that share their weights.

    z = sigmoid(a + bias_z)                        a = W x + R h
    n = tanh(a + bias_h)
    h' = (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * n + z * h

zeta and nu are one number each for all units; they begin at 1 and -4, as in the authors' code.
There are no `bias_ih` and `bias_hh`: the gate's bias is `bias_z`, the candidate's `bias_h`.

Kusupati, Singh, Bhatia, Kumar, Jain and Varma 2018, "FastGRNN: a fast, accurate, stable and tiny
kilobyte sized gated recurrent neural network", arXiv:1901.02358, section 3.2.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.activations import SIGMOID
from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "FastGrnn"]


class FastGrnn:
    """FastGRNN: one block of weights, then zeta, nu and the two biases."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "fast_grnn",
        ("a", "sigmoid", "candidate"),
        second_activation="tanh",
        saved=2,
        layer="FastGRNN",
        biases=False,
        parameters="zeta:1=1 nu:1=-4 bias_z bias_h",
    )
    activation_names = ("z", "n")

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = a, zeta, nu, bias_z, bias_h and h (B, H) to h'."""
        (h,), (a, zeta, nu, bias_z, bias_h) = state, pre
        z = p.activate(0, a + bias_z)
        n = p.activate(1, a + bias_h)
        share = SIGMOID(zeta) * (1.0 - z) + SIGMOID(nu)
        return (share * p.drop(n) + z * h,), (z, n)


CELLS: tuple[Cell, ...] = (FastGrnn(),)
