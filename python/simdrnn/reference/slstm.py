"""Scalar-memory LSTM (sLSTM): an LSTM with exponential gates, and with heads.

    z = tanh(a_z), o = sigmoid(a_o)                        a = W x + b_ih + R h + b_hh
    m' = max(log sigmoid(a_f) + m, a_i)
    i' = exp(a_i - m'), f' = exp(log sigmoid(a_f) + m - m')
    c' = f' * c + i' * z
    n' = f' * n + i'
    h' = o * c' / n'

Where n is 0 (or below) nothing is remembered yet: m' = a_i and f' = 0. One of i' and f' is always
1, so that nothing overflows. Given states need n > 0 or n = 0, with which c and m do not count.

``num_heads`` cuts every gate's R into that many blocks along its diagonal: a unit sees the h of its
own head only, and ``weight_hh`` is (4*H, H/num_heads). It is 1 unless told otherwise, since it has
to divide H; the paper has 4.

The normaliser is not kept above 1, as FlashRNN does: max(n', 1). Gradients are the true ones, also
through m; the paper's code takes m for a constant, which gives the same for every loss of h, since
h does not depend on m, and something else for one of c', n' or m'. At a kink of the maximum m' is
taken for its first argument. ``gate_clip`` bounds the arguments a. Only with ``cell_clip`` does h
depend on m. Zoneout of c, n and m means little, as they belong together: ``zoneout=(p, 0, 0, 0)``
keeps h alone.

The paper starts R at zero and spreads the forget biases by a power law, as `simdrnn.init.zeros` and
`simdrnn.init.power_law_forget_bias` do (the latter by another law). Of states that are learned,
c, n and m get no gradient as long as n is 0.

Beck et al. 2024, "xLSTM: extended long short-term memory", arXiv:2405.04517.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simdrnn.reference.activations import LOG_SIGMOID
from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "Slstm"]


class Slstm:
    """sLSTM with gates in the order i, f, z, o."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "slstm",
        ("i", "identity", "fixed"),
        ("f", "identity", "fixed", "keeps"),
        ("z", "tanh", "candidate"),
        ("o", "sigmoid"),
        states=4,
        saved=8,
        layer="SLSTM",
        state_names="h c n>0 m",
        heads=True,
    )

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = i, f, z, o, (h, c, n, m) to what follows them."""
        _, c, n, m = state
        log_i, a_f = p.activate(0, pre[0]), p.activate(1, pre[1])  # clipped, no more
        z, o = p.activate(2, pre[2]), p.activate(3, pre[3])
        log_f = np.where(n <= 0.0, -np.inf, LOG_SIGMOID(a_f) + m)
        m = np.maximum(log_f, log_i)
        i, f = np.exp(log_i - m), np.exp(log_f - m)
        c = p.clip_cell(f * c + i * p.drop(z))
        n = f * n + i
        return (o * (c / n), c, n, m), (log_i, a_f, z, o, f, c, n, m)


CELLS: tuple[Cell, ...] = (Slstm(),)
