"""LSTM with peepholes, with coupled input and forget gates, or with both.

    i, f = sigmoid(a_i + p_i * c), sigmoid(a_f + p_f * c)   a = W x + b_ih + R h + b_hh
    g = tanh(a_g)
    c' = f * c + i * g
    o = sigmoid(a_o + p_o * c')
    h' = o * tanh(c')

Coupled, one gate does both: f = 1 - i (ONNX ``input_forget``), or i = 1 - f (TensorFlow Lite's
CIFG). Without peepholes p is 0. The order of the gates is i, f, g, o; the one that is not there is
left out.

Gers and Schmidhuber 2000, "Recurrent nets that time and count"; Greff et al. 2017, "LSTM: a search
space odyssey", arXiv:1503.04069.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.options import StepOptions
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["CELLS", "LstmVariant"]


class LstmVariant:
    """LSTM with peepholes or coupled gates; `updates` are the gates that update c."""

    updates: ClassVar[tuple[str, ...]]
    info: ClassVar[CellInfo]

    @classmethod
    def forward(
        cls, pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Take one step: `pre` (gates, B, H) and behind it the peepholes, (h, c) to (h', c')."""
        c, first = cls.update(pre, state, p)
        c = p.clip_cell(c)
        h, second = cls.hidden(pre, c, p)
        return (h, c), (*first, *second, c)

    @classmethod
    def update(
        cls, pre: Array, state: tuple[Array, ...], p: StepOptions
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return c before it is clipped, and what is saved of its gates."""
        c, first = state[1], len(cls.updates)
        peepholes = cls._peepholes(tuple(pre))
        updates = tuple(p.activate(u, pre[u] + peepholes[u] * c) for u in range(first))
        i, f = cls._input_and_forget(updates)
        g = p.activate(first, pre[first])
        return f * c + i * p.drop(g), (*updates, g)

    @classmethod
    def hidden(cls, pre: Array, c: Array, p: StepOptions) -> tuple[Array, tuple[Array, ...]]:
        """Return h, made of c, and what is saved of its gate."""
        gate = len(cls.updates) + 1
        o = p.activate(gate, pre[gate] + cls._peepholes(tuple(pre))[-1] * c)
        return o * p.squash(gate + 1, c), (o,)

    @classmethod
    def backward(
        cls,
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        following: tuple[Array, ...],
        d_following: tuple[Array, ...],
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the gradients for `pre` and the peepholes, and for (h, c) except through them."""
        c, (d_h, d_c) = saved[len(cls.updates) + 2], d_following
        d_c, d_o = cls.through_hidden(saved, c, d_h, d_c, p)
        return cls.through_update(saved, state, c, p.through_cell_clip(c, d_c), d_o, p)

    @classmethod
    def through_hidden(
        cls, saved: tuple[Array, ...], c: Array, d_h: Array, d_c: Array | float, p: StepOptions
    ) -> tuple[Array, Array]:
        """Return the gradients for c as `hidden` took it, `d_c` being from elsewhere, and for o."""
        gate = len(cls.updates) + 1
        o, squashed = saved[gate], p.squash(gate + 1, c)
        d_o = d_h * squashed * p.slope(gate, o)
        peephole = cls._peepholes(saved[1:])[-1]  # there is one value more than gates
        return d_c + d_h * o * p.squash_slope(gate + 1, squashed) + peephole * d_o, d_o

    @classmethod
    def through_update(
        cls,
        saved: tuple[Array, ...],
        state: tuple[Array, ...],
        seen_c: Array,
        d_c: Array,
        d_o: Array,
        p: StepOptions,
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return what `backward` does, from the gradients for what `update` returned and for o.

        `seen_c` is what `hidden` took.
        """
        (h, c), first = state, len(cls.updates)
        updates, g = saved[:first], saved[first]
        i, f = cls._input_and_forget(updates)
        d_updates = tuple(
            d * p.slope(u, updates[u]) for u, d in enumerate(cls._through(d_c * p.drop(g), d_c * c))
        )
        d_g = p.drop(d_c * i) * p.slope(first, g)
        d_state = d_c * f
        for d_update, peephole in zip(d_updates, cls._peepholes(saved[1:]), strict=False):
            d_state = d_state + peephole * d_update
        d_peepholes = (*(d * c for d in d_updates), d_o * seen_c) if cls.info.params else ()
        return (*d_updates, d_g, d_o, *d_peepholes), (np.zeros_like(h), d_state)

    @classmethod
    def output(cls, saved: tuple[Array, ...], p: StepOptions) -> Array:
        """Return h' of what a step saved."""
        first = len(cls.updates)
        return saved[first + 1] * p.squash(first + 2, saved[first + 2])

    @classmethod
    def _peepholes(cls, values: tuple[Array, ...]) -> tuple[Array | float, ...]:
        """Take the peepholes from behind the gates: those of the updates, then o's."""
        return values[cls.info.gates :] if cls.info.params else (0.0,) * (len(cls.updates) + 1)

    @classmethod
    def _input_and_forget(cls, updates: tuple[Array, ...]) -> tuple[Array, Array]:
        """Return i and f."""
        if cls.updates == ("i",):
            return updates[0], 1.0 - updates[0]
        if cls.updates == ("f",):
            return 1.0 - updates[0], updates[0]
        return updates[0], updates[1]

    @classmethod
    def _through(cls, d_i: Array, d_f: Array) -> tuple[Array, ...]:
        """Turn the gradients of i and f into those of the gates that update c."""
        if cls.updates == ("i",):
            return (d_i - d_f,)
        if cls.updates == ("f",):
            return (d_f - d_i,)
        return d_i, d_f


def _variant(name: str, updates: tuple[str, ...], peephole: bool) -> Cell:
    """Make the cell of that name."""
    gates = (*updates, "g", "o")
    peepholes = " ".join(f"weight_c{gate}" for gate in (*updates, "o")) if peephole else ""
    info = CellInfo(
        name,
        gates=len(gates),
        separate=0,
        states=2,
        saved=len(gates) + 1,
        gate_names=gates,
        keep=gates.index("f") if "f" in gates else -1,
        write=gates.index("i") if "i" in gates else -1,
        candidate=gates.index("g"),
        parameters=peepholes,
        normalise=1,
        activations=f"{'sigmoid ' * len(updates)}tanh sigmoid / tanh",
    )
    cell: Cell = type("LstmVariant", (LstmVariant,), {"updates": updates, "info": info})()
    return cell


CELLS: tuple[Cell, ...] = (
    _variant("lstm_peephole", ("i", "f"), True),
    _variant("lstm_coupled_input", ("i",), False),
    _variant("lstm_coupled_forget", ("f",), False),
    _variant("lstm_peephole_coupled_input", ("i",), True),
    _variant("lstm_peephole_coupled_forget", ("f",), True),
)
