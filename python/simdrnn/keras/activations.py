"""Keras's activations by the engine's names, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from simdrnn.reference.activations import activation_of
from simdrnn.spec.activations import Activation, parse_activation

__all__ = ["checked_activations", "engine_activation", "keras_activation", "know"]

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


# What users said of functions of their own.
_SAID: dict[Callable[..., Any], Activation] = {}

# Where a function is held to what is said of it, and how far both may lie apart in float32.
_POINTS = np.linspace(-30, 30, 2401, dtype="float32")
_NEAR = 1e-5


def checked_activations(value: object) -> dict[Callable[..., Any], Activation]:
    """Return what a user says of functions: each by the name that the engine has for it.

    Parameters
    ----------
    value : dict function -> name, ``(name, alpha)`` or ``(name, alpha, beta)``; None for none.

    Raises
    ------
    TypeError
        If it is no dict, or a key no function.
    ValueError
        If the engine has no such activation, or the function is another one.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(
            "activations: expected a dict from a function to the name of an activation, such as "
            f"{{function: ('hard_sigmoid', 0.2, 0.5)}}, got {type(value).__name__}"
        )
    found = {}
    for function, said in value.items():
        if not callable(function):
            raise TypeError(f"activations: expected functions as keys, got {function!r}")
        shown = getattr(function, "__name__", type(function).__name__)
        activation = parse_activation(f"activations[{shown}]", said)
        want = activation_of(activation).function(_POINTS.astype("float64"))
        made = function(keras.ops.convert_to_tensor(_POINTS))
        got = np.asarray(keras.ops.convert_to_numpy(made), "float64")
        if got.shape != want.shape:
            raise ValueError(
                f"activations[{shown}]: expected a function of numbers one by one, which keeps the "
                f"shape {want.shape}, got {got.shape}"
            )
        off = ~(np.abs(got - want) <= _NEAR * (1 + np.abs(want)))
        if off.any():
            at = int(np.argmax(off))
            raise ValueError(
                f"activations[{shown}]: expected a function that is {activation.argument!r}, "
                f"which at {_POINTS[at]:.6g} is {want[at]:.6g}, got {got[at]:.6g}"
            )
        found[function] = activation
    return found


def know(activations: Mapping[Callable[..., Any], Activation]) -> None:
    """Take functions for what has been said of them from now on."""
    _SAID.update(activations)


def engine_activation(
    function: object, said: Mapping[Callable[..., Any], Activation] | None = None
) -> Activation | None:
    """Return what the engine calls an activation; None if it does not know it.

    Parameters
    ----------
    function : as Keras's cells keep it.
    said : what functions are, beside those that are known to everybody.
    """
    try:
        for known in (said or {}, _SAID, _BY_FUNCTION):
            if function in known:
                return known[function]  # type: ignore[index]
        return None
    except TypeError:  # something that cannot be hashed, such as a callable object
        return None


def keras_activation(activation: Activation) -> str | None:
    """Return what Keras calls an activation; None if it has none like it."""
    return _BY_ACTIVATION.get(activation)
