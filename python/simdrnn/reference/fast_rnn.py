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

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.math import SIGMOID
from simdrnn.reference.options import StepOptions
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "FastRnn"]


class FastRnn:
    """FastRNN: one gate n, then alpha and beta."""

    info: ClassVar[CellInfo] = CellInfo(
        "fast_rnn", gates=1, separate=0, states=1, saved=1, layer="FastRNN", gate_names=("n",),
        candidate=0, activations="tanh", parameters="alpha:1=-3 beta:1=3",
    )  # fmt: skip

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` = n, alpha, beta (3, B, H) and h (B, H) to h' and what is saved."""
        (h,) = state
        n = p.activate(0, pre[0])
        return (SIGMOID.function(pre[1]) * p.drop(n) + SIGMOID.function(pre[2]) * h,), (n,)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for h except through `pre`."""
        n, alpha, beta = saved[0], SIGMOID.function(saved[1]), SIGMOID.function(saved[2])
        (h,), (d_h,) = state, d_following
        d_n = p.drop(d_h * alpha) * p.slope(0, n)
        d_alpha = d_h * p.drop(n) * alpha * (1.0 - alpha)
        d_beta = d_h * h * beta * (1.0 - beta)
        return (d_n, d_alpha, d_beta), (d_h * beta,)


CELLS: tuple[Cell, ...] = (FastRnn(),)
