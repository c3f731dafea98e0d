"""Initialisers of biases: how long a unit remembers before it has learnt anything.

All of them set the sum of the two biases of a gate, as ``bias_ih`` with ``bias_hh`` 0, and leave
the biases of other gates as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simdrnn.init.base import Block, Initializer
from simdrnn.validate import Array, as_bool, as_finite_number, as_positive_number

__all__ = ["chrono", "forget_bias", "power_law_forget_bias", "unit_forget_bias"]


@dataclass(frozen=True)
class _MemoryBias(Initializer):
    """What sets the bias of the gate that keeps the state."""

    kinds: ClassVar[tuple[str, ...]] = ("bias",)

    def _set(self, block: Block, bias: Array | float, mirror: bool = False) -> None:
        """Set the bias of the gate that keeps, and with `mirror` its negative where one writes."""
        cell = block.cell
        if cell.keep < 0:
            raise ValueError(
                f"bias: expected a cell with a gate that keeps its state, got {cell.name}"
            )
        block.set_bias(cell.keep, bias)
        if mirror and cell.write >= 0:
            block.set_bias(cell.write, -bias)


@dataclass(frozen=True)
class forget_bias(_MemoryBias):
    """One bias for every forget gate of an LSTM, or update gate of a GRU.

    Parameters
    ----------
    value : the bias, over both arrays. A unit then keeps ``sigmoid(value)`` of its state.

    References
    ----------
    Gers, Schmidhuber and Cummins 2000, "Learning to forget"; Jozefowicz, Zaremba and Sutskever
    2015, "An empirical exploration of recurrent network architectures".

    Examples
    --------
    >>> import simdrnn as sr
    >>> layer = sr.init.apply(sr.LSTMCell(3, 1), bias=[sr.init.zeros(), forget_bias(2.0)])
    >>> (layer.bias_ih + layer.bias_hh).tolist()
    [0.0, 2.0, 0.0, 0.0]
    """

    value: float

    def __post_init__(self) -> None:
        """Check the value."""
        as_finite_number("value", self.value)

    def fill(self, block: Block, rng: np.random.Generator) -> None:
        """Write the value to `block`; `rng` is not asked."""
        self._set(block, float(self.value))


def unit_forget_bias() -> forget_bias:
    """Return ``forget_bias(1.0)``, Keras's default.

    Examples
    --------
    >>> unit_forget_bias()
    forget_bias(value=1.0)
    """
    return forget_bias(1.0)


@dataclass(frozen=True)
class chrono(_MemoryBias):
    """Memories of 2 to `t_max` steps: forget bias ``log u`` with u uniform in [1, t_max - 1).

    A unit that keeps ``sigmoid(b)`` of its state remembers for about ``1 + exp(b)`` steps. An
    LSTM's input gate gets the negative, so that as much is written as is forgotten; in a GRU the
    update gate does both.

    Parameters
    ----------
    t_max : longest dependency expected, in steps; above 2.
    input_gate : whether an LSTM's input gate is set too.

    References
    ----------
    Tallec and Ollivier 2018, "Can recurrent neural networks warp time?", arXiv:1804.11188.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> gru = sr.init.apply(sr.GRUCell(3, 100), bias=[sr.init.zeros(), chrono(50.0)], seed=0)
    >>> update = np.exp((gru.bias_ih + gru.bias_hh)[100:200])
    >>> bool(update.min() >= 1.0 and update.max() <= 49.0)
    True
    """

    t_max: float
    input_gate: bool = True

    def __post_init__(self) -> None:
        """Check the arguments."""
        if not as_positive_number("t_max", self.t_max) > 2.0:
            raise ValueError(f"t_max: expected a number above 2, got {self.t_max!r}")
        as_bool("input_gate", self.input_gate)

    def fill(self, block: Block, rng: np.random.Generator) -> None:
        """Draw a time scale for every unit of `block` from `rng`."""
        hidden = block.arrays[0].shape[1]
        bias = np.log(rng.uniform(1.0, float(self.t_max) - 1.0, hidden))
        self._set(block, bias, mirror=self.input_gate)


@dataclass(frozen=True)
class power_law_forget_bias(_MemoryBias):
    """Memories whose lengths follow a power law: time scales T from an inverse gamma law.

    The forget bias ``-log(exp(1 / T) - 1)`` makes a unit keep ``exp(-1 / T)`` of its state. T has
    a density that falls as ``T**(-alpha - 1)``: the sum of such exponentials decays as a power of
    time, as information in language does.

    Parameters
    ----------
    alpha : shape of the inverse gamma law; 0.56 is the paper's, fitted to text.
    scale : its scale, in steps.
    input_gate : whether an LSTM's input gate gets the negative.

    References
    ----------
    Mahto, Vo, Turek and Huth 2021, "Multi-timescale representation learning in LSTM language
    models", arXiv:2009.12727.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> law = power_law_forget_bias()
    >>> lstm = sr.init.apply(sr.LSTMCell(3, 1000), bias=law, seed=0)
    >>> kept = 1 / (1 + np.exp(-(lstm.bias_ih + lstm.bias_hh)[1000:2000]))
    >>> [round(t) for t in np.quantile(-1 / np.log(kept), [0.1, 0.5, 0.9])]  # steps
    [1, 3, 50]
    """

    alpha: float = 0.56
    scale: float = 1.0
    input_gate: bool = True

    def __post_init__(self) -> None:
        """Check the arguments."""
        as_positive_number("alpha", self.alpha)
        as_positive_number("scale", self.scale)
        as_bool("input_gate", self.input_gate)

    def fill(self, block: Block, rng: np.random.Generator) -> None:
        """Draw a time scale for every unit of `block` from `rng`."""
        hidden = block.arrays[0].shape[1]
        # 1 / T follows a gamma law; what underflows to 0 is still a finite memory.
        rate = rng.standard_gamma(self.alpha, hidden) / self.scale
        rate = np.maximum(rate, np.finfo(np.float64).tiny)
        bias = -(rate + np.log(-np.expm1(-rate)))  # -log(exp(rate) - 1) without its overflow
        self._set(block, bias, mirror=self.input_gate)
