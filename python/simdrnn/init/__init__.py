"""Initialisers of recurrent layers: values that say how parameters begin, and `apply`.

>>> import simdrnn as sr
>>> layer = sr.init.apply(
...     sr.LSTM(8, 16),
...     weight_ih=glorot_uniform(),
...     weight_hh=orthogonal(),
...     bias=[zeros(), chrono(t_max=200)],
...     seed=0,
... )

A recipe that is not here is a subclass of `Initializer` with a method `fill`.
"""

from __future__ import annotations

from simdrnn.init.base import Block, Initializer, apply
from simdrnn.init.biases import chrono, forget_bias, power_law_forget_bias, unit_forget_bias
from simdrnn.init.weights import (
    glorot_normal,
    glorot_uniform,
    identity,
    orthogonal,
    spectral_radius,
    uniform,
    zeros,
)

__all__ = [
    "Block",
    "Initializer",
    "apply",
    "chrono",
    "forget_bias",
    "glorot_normal",
    "glorot_uniform",
    "identity",
    "orthogonal",
    "power_law_forget_bias",
    "spectral_radius",
    "uniform",
    "unit_forget_bias",
    "zeros",
]
