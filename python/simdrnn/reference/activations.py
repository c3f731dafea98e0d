"""Activations by name: formulas, and derivatives as functions of the value, in float64.

a and b are alpha and beta; see ``docs/engines.md`` for the table. So the slope at a kink is
settled: 0 for relu at 0 and for a hard sigmoid at its bounds. Where the value is NaN, so is the
derivative, except where it is constant.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from simdrnn.reference.autodiff import apply
from simdrnn.spec.activations import Activation as Named
from simdrnn.validate import Array

__all__ = ["LOG_SIGMOID", "SIGMOID", "Activation", "activation_of", "log_sigmoid", "softplus"]


class Activation(NamedTuple):
    """A monotone function and its derivative, the latter as a function of the former's value.

    Examples
    --------
    >>> SIGMOID(np.array([-np.inf, 0.0]))
    array([0. , 0.5])
    """

    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]

    def __call__(self, argument: Array) -> Array:
        """Return the function's value, also of a variable of a tape."""
        return apply(self.function, (lambda d, y, _: d * self.derivative(y),), argument)


def _sigmoid(a: Array) -> Array:
    """Return 1 / (1 + exp(-a)) without overflow, accurate in both tails."""
    small = np.exp(-np.abs(a))
    return np.where(a >= 0, 1.0, small) / (1.0 + small)


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)) without overflow, accurate in both tails."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def log_sigmoid(x: Array) -> Array:
    """Return log(sigmoid(x)) without overflow, accurate in both tails."""
    return -softplus(-x)


SIGMOID = Activation(_sigmoid, lambda y: y * (1.0 - y))
LOG_SIGMOID = Activation(log_sigmoid, lambda y: -np.expm1(y))


def _softsign(x: Array) -> Array:
    """Return x / (1 + |x|); an infinite x has the value of a large one, 1 or -1."""
    x = np.clip(x, -(2.0**64), 2.0**64)
    return x / (1.0 + np.abs(x))


def _positive(y: Array, positive: Array | float, otherwise: Array | float) -> Array:
    """Choose by the sign of `y`; NaN stays NaN."""
    return np.where(np.isnan(y), y, np.where(y > 0, positive, otherwise))


def _leaky_relu(a: float, b: float) -> Activation:
    return Activation(lambda x: np.where(x > 0, x, a * x), lambda y: _positive(y, 1.0, a))


def _thresholded_relu(a: float, b: float) -> Activation:
    return Activation(
        lambda x: np.where(np.isnan(x), x, np.where(x > a, x, 0.0)),
        lambda y: _positive(y, 1.0, 0.0),
    )


def _elu(a: float, b: float) -> Activation:
    return Activation(
        lambda x: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0.0))),
        lambda y: _positive(y, 1.0, y + a),
    )


def _hard_sigmoid(a: float, b: float) -> Activation:
    return Activation(
        lambda x: np.clip(a * x + b, 0.0, 1.0),
        lambda y: _positive(y, np.where(y < 1, a, 0.0), 0.0),
    )


def _scaled_tanh(a: float, b: float) -> Activation:
    # With a = 0 the function is constant, and y / a would not be a number.
    slope = (lambda y: b * (a - y * (y / a))) if a else np.zeros_like
    return Activation(lambda x: a * np.tanh(b * x), slope)


def _affine(a: float, b: float) -> Activation:
    return Activation(lambda x: a * x + b, lambda y: np.full_like(y, a))


_WITH_PARAMETERS = {
    "leaky_relu": _leaky_relu,
    "thresholded_relu": _thresholded_relu,
    "elu": _elu,
    "hard_sigmoid": _hard_sigmoid,
    "scaled_tanh": _scaled_tanh,
    "affine": _affine,
}

_PLAIN = {
    "sigmoid": SIGMOID,
    "tanh": Activation(np.tanh, lambda y: 1.0 - y * y),
    "relu": Activation(lambda x: np.maximum(x, 0.0), lambda y: np.where(np.isnan(y), y, y > 0)),
    "softsign": Activation(_softsign, lambda y: (1.0 - np.abs(y)) ** 2),
    "softplus": Activation(softplus, lambda y: -np.expm1(-y)),
    "identity": Activation(lambda x: x, np.ones_like),
}


@cache
def activation_of(named: Named) -> Activation:
    """Return the function and the derivative of a named activation.

    Examples
    --------
    >>> softsign = activation_of(Named("softsign"))
    >>> softsign.function(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    >>> softsign.derivative(np.array([-0.5, 0.75]))
    array([0.25  , 0.0625])
    """
    if named.name in _PLAIN:
        return _PLAIN[named.name]
    return _WITH_PARAMETERS[named.name](named.alpha, named.beta)
