"""Objects that packages keep weights in, as containers of arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simdrnn.dialects.arrays import as_weights

__all__ = ["of_coreml", "of_guitarml", "of_madmom"]

# The fields of Core ML's messages that hold weights.
_GATES = {
    "lstm": ("inputGate", "forgetGate", "blockInput", "outputGate"),
    "gru": ("updateGate", "resetGate", "outputGate"),
}
_FIELDS = [
    *(
        f"{gate}{kind}"
        for gate in dict.fromkeys((*_GATES["lstm"], *_GATES["gru"]))
        for kind in ("WeightMatrix", "RecursionMatrix", "BiasVector", "PeepholeVector")
    ),
    "weightMatrix",
    "recursionMatrix",
    "biasVector",
]


def of_coreml(weights: object) -> object:
    """Return Core ML's messages as dicts, and flat matrices with two axes.

    Parameters
    ----------
    weights : a dict of arrays, or a message ``LSTMWeightParams``, ``GRULayerParams`` or
        ``SimpleRecurrentLayerParams``, or a list of such. Matrices may be flat, row by row.
    """
    if isinstance(weights, Mapping):
        return _with_axes(weights)
    if any(hasattr(weights, name) for name in _FIELDS):
        return _with_axes(_read_message(weights))
    if hasattr(weights, "weightParams"):
        raise TypeError(
            f"weights: pass its weightParams, got a whole {type(weights).__name__}; where its "
            "params say forgetBias, forget_bias=1.0"
        )
    if isinstance(weights, str) or not isinstance(weights, Sequence):
        return weights
    return [of_coreml(one) for one in weights]  # of both directions: a repeated field


def _read_message(message: object) -> dict[str, Any]:
    """Return the arrays of a message that are there."""
    found = {}
    for name in _FIELDS:
        field = getattr(message, name, None)
        if field is None:
            continue
        values = np.asarray(field.floatValue, np.float32)
        half = getattr(field, "float16Value", b"")
        if half:
            values = np.frombuffer(half, np.float16)
        elif getattr(field, "rawValue", b""):
            raise ValueError(f"{name}: expected floatValue or float16Value, got quantised values")
        if values.size:
            found[name] = values
    return found


def _with_axes(weights: Mapping[Any, Any]) -> dict[Any, Any]:
    """Give flat matrices their two axes; H is read off a square one."""
    made = dict(weights)
    for name, value in weights.items():
        if not (isinstance(name, str) and name.endswith(("ightMatrix", "ecursionMatrix"))):
            continue
        array = as_weights(f"weights[{name!r}]", value)
        square = weights.get(
            name.replace("WeightMatrix", "RecursionMatrix").replace(
                "weightMatrix", "recursionMatrix"
            )
        )
        size = 0 if square is None else np.size(square)
        hidden = math.isqrt(size)
        if array.ndim == 1 and hidden and hidden * hidden == size and array.size % hidden == 0:
            array = array.reshape(hidden, -1)
        made[name] = array
    return made


def of_guitarml(weights: object) -> object:
    """Return the recurrent weights of a parsed file: those under ``rec.`` in its ``state_dict``."""
    if isinstance(weights, Mapping) and "state_dict" in weights:
        weights = weights["state_dict"]
    if not isinstance(weights, Mapping):
        return weights
    return {name: one for name, one in weights.items() if str(name).partition(".")[0] != "lin"}


def of_madmom(weights: object) -> object:
    """Return madmom's layers as dicts of dicts: the arguments of their constructors.

    Raises
    ------
    ValueError
        If a layer computes something else than its kind does elsewhere.
    """
    if isinstance(weights, (list, tuple)):
        units = [of_madmom(one) for one in weights]
        return [one for unit in units for one in (unit if isinstance(unit, list) else [unit])]
    if hasattr(weights, "fwd_layer"):
        return [of_madmom(weights.fwd_layer), of_madmom(getattr(weights, "bwd_layer", None))]
    for names in (
        ("input_gate", "forget_gate", "cell", "output_gate"),
        ("reset_gate", "update_gate", "cell"),
    ):
        if all(hasattr(weights, name) for name in names):
            _check_madmom(weights, names)
            return {name: _gate(getattr(weights, name)) for name in names}
    return _gate(weights) if hasattr(weights, "recurrent_weights") else weights


def _gate(gate: object) -> dict[str, Any]:
    """Return the arrays of one gate; one number is the bias of all units."""
    names = ("weights", "bias", "recurrent_weights", "peephole_weights")
    found = {name: getattr(gate, name, None) for name in names}
    made = {name: value for name, value in found.items() if value is not None}
    width = np.shape(made["weights"])[-1:]
    if np.ndim(made.get("bias", 0.0)) == 0:
        made["bias"] = np.full(width, made.get("bias", 0.0), np.asarray(made["weights"]).dtype)
    return made


def _check_madmom(layer: object, names: tuple[str, ...]) -> None:
    """Raise where a layer has activations or an initial state of its own."""
    expected = {name: ("tanh",) if name == "cell" else ("sigmoid", "expit") for name in names}
    parts = {name: getattr(layer, name) for name in names}
    if hasattr(layer, "activation_fn"):
        parts["the layer"], expected["the layer"] = layer, ("tanh",)
    for name, part in parts.items():
        function = getattr(part, "activation_fn", None)
        shown = getattr(function, "__name__", None)
        if shown is not None and shown not in expected[name]:
            raise ValueError(
                f"weights: expected {' or '.join(expected[name])} in {name}, got {shown}: "
                "activations are no weights"
            )
    start = getattr(layer, "hid_init", None)
    if start is not None and np.any(start):
        raise ValueError(
            "weights: expected a layer that starts from zeros, got one with hid_init: hand its "
            "gates over as a dict, and hid_init as the state of a call"
        )
