"""Elman network.

    h' = clip(tanh(a)), or with relu,   a = W x + b_ih + R h + b_hh

Elman, "Finding structure in time", Cognitive Science 14, 1990.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simdrnn.cells import CellInfo
from simdrnn.options import Options
from simdrnn.reference.gates import H_ITSELF, Gate
from simdrnn.reference.math import RELU, TANH, Activation
from simdrnn.reference.options import activate, clip, clip_backward, d_activate
from simdrnn.validate import Array

__all__ = ["Elman", "ElmanRelu"]


class Elman:
    """Elman network with tanh."""

    info: ClassVar[CellInfo] = CellInfo("rnn_tanh", gates=1, separate=0, states=1, saved=0)
    activation: ClassVar[Activation] = TANH
    gates: ClassVar[tuple[Gate, ...]] = (Gate("h", TANH, H_ITSELF),)

    @classmethod
    def forward(
        cls, pre: Array, state: tuple[Array, ...], options: Options
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` (1, B, H) and h (B, H) to h'. Nothing is saved: h' is enough."""
        (a,) = pre
        h = clip(activate(cls.activation, a, options.gate_clip), options.hidden_clip)
        return (h,), ()

    @classmethod
    def backward(
        cls,
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        options: Options,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for h: none but through `pre`."""
        (h,), (d_h,) = following, d_following
        # Where hidden_clip was reached this is 0, so h may stand for the activation hereafter.
        d_h = clip_backward(h, d_h, options.hidden_clip)
        return (d_h * d_activate(cls.activation, h, options.gate_clip),), (np.zeros_like(d_h),)


class ElmanRelu(Elman):
    """Elman network with relu."""

    info: ClassVar[CellInfo] = CellInfo("rnn_relu", gates=1, separate=0, states=1, saved=0)
    activation = RELU
    gates = (Gate("h", RELU, H_ITSELF),)
