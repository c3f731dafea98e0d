"""JANET, "just another network": an LSTM that has kept only its forget gate.

    f = sigmoid(a_f)                               a = W x + b_ih + R h + b_hh
    w = 1 - sigmoid(a_f - 1)
    n = tanh(a_n)
    h' = f * h + w * n

More is written than is forgotten, as w > 1 - f; the 1 is the paper's beta. A `gate_clip` acts on
the arguments of both sigmoids.

van der Westhuizen and Lasenby 2018, "The unreasonable effectiveness of the forget gate",
arXiv:1804.04849.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "Janet"]

_BETA = 1.0


class Janet:
    """JANET with gates in the order f, n."""

    info: ClassVar[CellInfo] = CellInfo(
        "janet", gates=2, separate=0, states=1, saved=3, layer="JANET", gate_names=("f", "n"),
        candidate=1, activations="sigmoid tanh",
        keep=0,
    )  # fmt: skip

    gate_places: ClassVar[tuple[int, ...]] = (0, 2)  # the shifted sigmoid lies between

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` = f, n (2, B, H) and h (B, H) to h' and what is saved."""
        (h,) = state
        f = p.activate(0, pre[0])
        shifted = p.activate(0, pre[0] - _BETA)
        n = p.activate(1, pre[1])
        return (f * h + (1.0 - shifted) * p.drop(n),), (f, shifted, n)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for h except through `pre`."""
        f, shifted, n = saved
        (h,), (d_h,) = state, d_following
        d_f = d_h * h * p.slope(0, f)
        d_shifted = -d_h * p.drop(n) * p.slope(0, shifted)
        d_n = p.drop(d_h * (1.0 - shifted)) * p.slope(1, n)
        return (d_f + d_shifted, d_n), (d_h * f,)


CELLS: tuple[Cell, ...] = (Janet(),)
