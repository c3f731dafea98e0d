"""Continuous-time network of rates, whose leak is on the current.

    d = W x + b_ih + R h + b_hh
    v' = (1 - a) * v + a * d
    h' = tanh(v')

h are the rates, which are put out and which R sees; v are the currents, the second state. This is
Euler's step of ``tau dv/dt = -v + W x + R f(v) + b``, with a = dt / tau in (0, 1]. a is `leak`, a
number for each unit, which begins at 0.2 (dt = 20 ms, tau = 100 ms): ``layer.leak_l0 =
np.full(hidden_size, dt / tau, layer.dtype)``. It is trained like any parameter; what holds it, or
keeps it in its bounds, are `simdrnn.regularizers.Fixed` and `Bounded`. With a = 1 it is an `RNN`.

`activation` makes the rates with another function than tanh, such as ``"relu"`` or ``"softplus"``;
`gate_clip` bounds its argument, `cell_clip` v itself. ``state_noise=s`` adds
``sqrt(2 a) * s * N(0, 1)`` to v' at every step, in training. Both states begin at 0, h too where
f(0) is not 0. In `FastRNN` the leak is on the rate: h' = (1 - a) * h + a * tanh(d).

Song, Yang and Wang 2016, "Training excitatory-inhibitory recurrent neural networks for cognitive
tasks: a simple and flexible framework", PLoS Computational Biology 12(2); Beer 1995, "On the
dynamics of small continuous-time recurrent neural networks", Adaptive Behavior 3.
"""

from __future__ import annotations

from typing import ClassVar

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo

__all__ = ["CELLS", "Ctrnn"]


class Ctrnn:
    """CTRNN: one gate, whose activation makes the rate of the current."""

    info: ClassVar[CellInfo] = CellInfo.described(
        "ctrnn",
        ("r", "tanh"),
        states=2,
        saved=2,
        layer="CTRNN",
        parameters="leak>0=0.2",
        state_names="h v",
        noisy=True,
    )

    @staticmethod
    def forward(pre: Arrays, state: Arrays, p: StepOptions) -> tuple[Arrays, Arrays]:
        """Take one step: `pre` = the drive and the leak, and (h, v) to (h', v')."""
        (_, v), (drive, leak) = state, pre
        v = p.clip_cell(p.noisy((1.0 - leak) * v + leak * drive, leak))
        return (p.activate(0, v), v), (drive, v)


CELLS: tuple[Cell, ...] = (Ctrnn(),)
