"""GRU with attentional update gate: a score of every step weakens the gate that keeps the state.

    r, z = sigmoid(a_r), sigmoid(a_z)                      a = W x + b_ih + R h + b_hh
    k = (1 - s) * z                                        s: the score, `attention`
    n = tanh(W_n x + b_in + r * (R_n h + b_hn))
    h' = n + k * (h - n)

The layer is called with ``attention=s``, one number for every step and row of x, (T, B) laid out
like x, of any size; its gradient is ``grads.attention``. With s = 0 it is a GRU, with s = 1 the old
state is gone but for what R sees of it. All layers and directions see the same scores, and their
gradients add up. (oneDNN has one layer in one direction.) There is no way to put it into a
`simdrnn.Stack`, which hands on x alone.

This is the rule of oneDNN and OpenVINO, which score the gate that keeps; the paper scores the one
that writes, h' = h + s * u * (n - h), so that there s = 0 keeps the state. The reset gate comes
after the recurrent product, as in `GRU` and in oneDNN's linear-before-reset form.

Zhou et al. 2018, "Deep interest evolution network for click-through rate prediction",
arXiv:1809.03672.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "Augru"]


class Augru:
    """AUGRU with gates in the order r, z, n."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "augru",
        ("r", "sigmoid"),
        ("z", "sigmoid", "keeps"),
        ("n", "tanh", "candidate", "apart"),
        saved=4,
        layer="AUGRU",
        step_inputs=1,
    )

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = r, z, n_x, n_h, s and h (B, H) to h'."""
        (h,) = state
        r = p.activate(0, pre[0])
        z = p.activate(1, pre[1])
        n_x, n_h, score = pre[2], pre[3], pre[4]
        n = p.activate(2, n_x + r * n_h)
        candidate = p.drop(n)
        return (candidate + (1.0 - score) * z * (h - candidate),), (r, z, n, n_h)


CELLS: tuple[Cell, ...] = (Augru(),)
