"""Elman network.

    h' = tanh(a), or with relu,   a = W x + b_ih + R h + b_hh

Elman, "Finding structure in time", Cognitive Science 14, 1990; relu: Le et al. 2015,
arXiv:1504.00941.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "Elman", "ElmanRelu"]


class Elman:
    """Elman network with tanh."""

    info: ClassVar[CellInfo] = CellInfo(
        "rnn_tanh",
        gates=1,
        separate=0,
        states=1,
        common=True,
        saved=0,
        activations="tanh",
        layer="RNN",
        gate_names=("h",),
    )

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` (1, B, H) and h (B, H) to h'. Nothing is saved: h' is enough."""
        return (p.activate(0, pre[0]),), ()

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for h: none but through `pre`."""
        (h,), (d_h,) = following, d_following
        # Where hidden_clip was reached d_h is 0, so the clipped h may stand for the activation.
        return (d_h * p.slope(0, h),), (np.zeros_like(d_h),)


class ElmanRelu(Elman):
    """Elman network with relu."""

    info: ClassVar[CellInfo] = CellInfo(
        "rnn_relu",
        gates=1,
        separate=0,
        states=1,
        common=True,
        saved=0,
        activations="relu",
        gate_names=("h",),
    )


CELLS: tuple[Cell, ...] = (Elman(), ElmanRelu())
