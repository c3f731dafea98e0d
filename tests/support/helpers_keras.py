"""Keras layers with the parameters of ours, what they compute, and its gradients, by our names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

# Gates in the order of Keras's columns, by our names: the LSTM's i, f, c, o and the GRU's z, r, h.
GATES = {"SimpleRNN": "h", "LSTM": "ifgo", "GRU": "zrn"}

# Keras's activation -> ours.
ACTIVATIONS: dict[str, str | tuple[Any, ...]] = {
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


@contextmanager
def imported_keras(home: str) -> Iterator[Any]:
    """Import Keras on PyTorch, whose autograd gives gradients, or skip.

    Parameters
    ----------
    home : folder for the settings that importing Keras writes; else it is in the user's home.
    """
    torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # waking more takes longer than work this small
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KERAS_BACKEND", "torch")
            patch.setenv("KERAS_HOME", home)
            keras = pytest.importorskip("keras", reason="needs the [peers] extra: keras")
        assert keras.backend.backend() == "torch"
        yield keras
    finally:
        torch.set_num_threads(threads)


def to_columns(array: Any, gates: str, kind: str) -> Any:
    """Turn our rows (G*H, ...) into Keras's columns (..., G*H)."""
    blocks = dict(zip(gates, np.split(array, len(gates)), strict=True))
    return np.concatenate([blocks[gate] for gate in GATES[kind]]).T


def to_rows(array: Any, gates: str, kind: str) -> Any:
    """Turn Keras's columns (..., G*H) into our rows (G*H, ...)."""
    blocks = dict(zip(GATES[kind], np.split(array, len(gates), axis=-1), strict=True))
    return np.concatenate([blocks[gate].T for gate in gates])


def keras_weights(layer: Any, kind: str, gates: str, two_biases: bool) -> list[Any]:
    """Return kernel, recurrent kernel and bias of every direction, as ``set_weights`` takes them.

    Parameters
    ----------
    two_biases : whether Keras keeps both, in rows; else its one is the sum of ours.
    """
    values, found = layer.state_dict(), []
    for end in ("", "_reverse") if layer.bidirectional else ("",):
        found += [
            to_columns(values[f"weight_{part}_l0{end}"], gates, kind) for part in ("ih", "hh")
        ]
        if layer.bias:
            both = [
                to_columns(values[f"bias_{part}_l0{end}"], gates, kind) for part in ("ih", "hh")
            ]
            found.append(np.stack(both) if two_biases else both[0] + both[1])
    return found


def our_gradients(gradients: list[Any], layer: Any, kind: str, gates: str) -> dict[str, Any]:
    """Return the gradients for Keras's weights by the names of our parameters."""
    found = {}
    each = 3 if layer.bias else 2
    for direction, end in enumerate(("", "_reverse") if layer.bidirectional else ("",)):
        own = gradients[direction * each : (direction + 1) * each]
        for part, gradient in zip(("ih", "hh"), own, strict=False):
            found[f"weight_{part}_l0{end}"] = to_rows(gradient, gates, kind)
        if layer.bias:  # both of ours have the gradient of their sum
            bias = np.broadcast_to(own[2], (2, own[2].shape[-1]))
            for part, gradient in zip(("ih", "hh"), bias, strict=True):
                found[f"bias_{part}_l0{end}"] = to_rows(gradient, gates, kind)
    return {name: found[name] for name in layer.parameters()}


def make_keras(
    keras: Any, kind: str, layer: Any, gates: str, structure: str | None, **arguments: Any
) -> Any:
    """Make a Keras layer that has the weights of ours.

    Parameters
    ----------
    structure : ``"forward"``, ``"backward"``, or the merge mode of both directions.
    arguments : of the layer's constructor.
    """
    made = getattr(keras.layers, kind)(
        layer.hidden_size, use_bias=layer.bias, dtype=layer.dtype.name, return_state=True,
        go_backwards=structure == "backward", **arguments,
    )  # fmt: skip
    if structure not in ("forward", "backward"):
        made = keras.layers.Bidirectional(made, merge_mode=structure, dtype=layer.dtype.name)
    made.build((None, None, layer.input_size))
    two_biases = kind == "GRU" and arguments.get("reset_after", True)
    made.set_weights(keras_weights(layer, kind, gates, two_biases))
    return made
