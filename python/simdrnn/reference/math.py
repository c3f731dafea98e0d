"""Activations, with derivatives written in terms of the output: outputs are what is saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from simdrnn.validate import Array

__all__ = ["RELU", "SIGMOID", "TANH", "Activation"]


class Activation(NamedTuple):
    """A monotone function and its derivative, the latter as a function of the former's value."""

    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


def _sigmoid(a: Array) -> Array:
    """Return 1 / (1 + exp(-a)) without overflow, accurate in both tails."""
    small = np.exp(-np.abs(a))
    return np.where(a >= 0, 1.0, small) / (1.0 + small)


def _relu(a: Array) -> Array:
    """Return max(a, 0); NaN stays NaN."""
    return np.maximum(a, 0.0)


SIGMOID = Activation(_sigmoid, lambda y: y * (1.0 - y))
TANH = Activation(np.tanh, lambda y: 1.0 - y * y)
RELU = Activation(_relu, lambda y: np.where(np.isnan(y), y, y > 0))
