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

from simdrnn.cells import CellInfo
from simdrnn.reference.options import StepOptions
from simdrnn.reference.sequence import Cell
from simdrnn.validate import Array

__all__ = ["CELLS", "LiGru"]


class LiGru:
    """Li-GRU with gates in the order z, n."""

    info: ClassVar[CellInfo] = CellInfo(
        "li_gru", gates=2, separate=0, states=1, saved=2, layer="LiGRU", gate_names=("z", "n"),
        candidate=1, activations="sigmoid relu",
        keep=0,
    )  # fmt: skip

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` = z, n (2, B, H) and h (B, H) to h' and what is saved."""
        (h,) = state
        z = p.activate(0, pre[0])
        n = p.activate(1, pre[1])
        candidate = p.drop(n)
        return (candidate + z * (h - candidate),), (z, n)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for h except through `pre`."""
        z, n = saved
        (h,), (d_h,) = state, d_following
        d_n = p.drop(d_h * (1.0 - z)) * p.slope(1, n)
        d_z = d_h * (h - p.drop(n)) * p.slope(0, z)
        return (d_z, d_n), (d_h * z,)


CELLS: tuple[Cell, ...] = (LiGru(),)
