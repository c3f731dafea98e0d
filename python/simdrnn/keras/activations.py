"""Keras's activations by the engine's names, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from simdrnn.spec.activations import Activation, parse_activation

__all__ = ["engine_activation", "keras_activation"]

# Keras's leaky_relu has a slope of 0.2, ONNX's of 0.01; for its hard sigmoid see there.
_NAMES: dict[str, Any] = {
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "leaky_relu": ("leaky_relu", 0.2),
    "elu": "elu",
    "hard_sigmoid": "keras_hard_sigmoid",
    "softsign": "softsign",
    "softplus": "softplus",
    "linear": "identity",
}

_BY_FUNCTION: dict[Callable[..., Any], Activation] = {
    getattr(keras.activations, name): parse_activation("activation", ours)
    for name, ours in _NAMES.items()
}

_BY_ACTIVATION = {parse_activation("activation", ours): name for name, ours in _NAMES.items()}


def engine_activation(function: object) -> Activation | None:
    """Return what the engine calls an activation; None if it does not know it.

    Parameters
    ----------
    function : as Keras's cells keep it.
    """
    try:
        return _BY_FUNCTION.get(function)  # type: ignore[call-overload, no-any-return]
    except TypeError:  # something that cannot be hashed, such as a callable object
        return None


def keras_activation(activation: Activation) -> str | None:
    """Return what Keras calls an activation; None if it has none like it."""
    return _BY_ACTIVATION.get(activation)
