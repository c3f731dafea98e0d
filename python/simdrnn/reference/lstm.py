"""Long short-term memory.

    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)     a = W x + b_ih + R h + b_hh
    g = tanh(a_g)
    c' = clip(f * c + i * g)
    h' = clip(o * tanh(c'))

Hochreiter and Schmidhuber, Neural Computation 9, 1997; forget gate of Gers et al. 2000.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simdrnn.cells import CellInfo
from simdrnn.options import Options
from simdrnn.reference.gates import Gate
from simdrnn.reference.math import SIGMOID, TANH
from simdrnn.reference.options import activate, clip, clip_backward, d_activate
from simdrnn.validate import Array

__all__ = ["Lstm"]


class Lstm:
    """LSTM with gates in the order i, f, g, o."""

    info: ClassVar[CellInfo] = CellInfo("lstm", gates=4, separate=0, states=2, saved=5)
    gates: ClassVar[tuple[Gate, ...]] = (
        Gate("i", SIGMOID, 0),
        Gate("f", SIGMOID, 1),
        Gate("g", TANH, 2),
        Gate("o", SIGMOID, 3),
    )

    @staticmethod
    def forward(
        pre: Array, state: tuple[Array, ...], options: Options
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` (4, B, H) and (h, c), (B, H) each, to (h', c') and what is saved."""
        _, c = state
        i = activate(SIGMOID, pre[0], options.gate_clip)
        f = activate(SIGMOID, pre[1], options.gate_clip)
        g = activate(TANH, pre[2], options.gate_clip)
        o = activate(SIGMOID, pre[3], options.gate_clip)
        c = clip(f * c + i * g, options.cell_clip)
        h = clip(o * np.tanh(c), options.hidden_clip)
        return (h, c), (i, f, g, o, c)

    @staticmethod
    def backward(
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        options: Options,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre`, and for (h, c) except through `pre`."""
        i, f, g, o, c_next = saved
        _, c = state
        h_next, _ = following
        d_h, d_c = d_following
        squashed = np.tanh(c_next)
        d_h = clip_backward(h_next, d_h, options.hidden_clip)
        d_c = d_c + d_h * o * (1.0 - squashed * squashed)
        d_c = clip_backward(c_next, d_c, options.cell_clip)
        d_pre = (
            d_c * g * d_activate(SIGMOID, i, options.gate_clip),
            d_c * c * d_activate(SIGMOID, f, options.gate_clip),
            d_c * i * d_activate(TANH, g, options.gate_clip),
            d_h * squashed * d_activate(SIGMOID, o, options.gate_clip),
        )
        return d_pre, (np.zeros_like(d_h), d_c * f)
