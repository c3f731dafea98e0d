"""What a layer asks for that the engine does not do as Keras does it, in words."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import keras

from simdrnn.keras.activations import engine_activation
from simdrnn.keras.kernel import Settings

__all__ = ["BACKEND", "in_layer", "in_training", "settings_of"]


def _backend() -> ModuleType | None:
    """Return what knows the tensors of Keras's backend; None where nothing does."""
    name = keras.backend.backend()
    if name == "numpy":
        from simdrnn.keras import on_numpy

        return on_numpy
    if name == "torch":
        from simdrnn.keras import on_torch

        return on_torch
    if name == "jax":
        from simdrnn.keras import on_jax

        return on_jax
    return None


BACKEND = _backend()

# Keras's cells, and the engine's name for each.
_CELLS = {
    keras.layers.LSTMCell: "lstm",
    keras.layers.GRUCell: "gru",
    keras.layers.SimpleRNNCell: "rnn_tanh",
}


def in_layer(layer: Any) -> str | None:
    """Say why the engine cannot run a layer at all; None if it can.

    Parameters
    ----------
    layer : one of Keras's recurrent layers, or of ours.
    """
    cell = layer.cell
    if BACKEND is None:
        return f"Keras runs on {keras.backend.backend()}"
    if type(cell) not in _CELLS:
        return f"its cell is a {type(cell).__name__}"
    if layer.compute_dtype not in ("float32", "float64"):
        return f"it computes in {layer.compute_dtype}"
    if layer.variable_dtype != layer.compute_dtype:
        return f"its weights are {layer.variable_dtype} and it computes in {layer.compute_dtype}"
    if getattr(layer, "use_cudnn", "auto") is True:
        return "use_cudnn=True"
    for name in ("activation", "recurrent_activation"):
        function = getattr(cell, name, None)
        if function is not None and engine_activation(function) is None:
            shown = getattr(function, "__name__", type(function).__name__)
            return f"{name} {shown} is not one that the engine has"
    return None


def in_training(layer: Any) -> str | None:
    """Say why the engine cannot train a layer that it can run; None if it can."""
    cell = layer.cell
    if cell.recurrent_dropout > 0:
        return "recurrent_dropout is drawn by Keras"
    if cell.dropout > 0 and getattr(cell, "implementation", 2) == 1:
        return "dropout with implementation=1 draws a mask for each gate"
    if cell.dropout == 1:
        return "dropout is 1"
    return None


def settings_of(cell: Any, dtype: str, input_size: int) -> Settings:
    """Return what a network for a cell is made for; the engine must have its activations."""
    name = _CELLS[type(cell)]
    if name == "gru" and not cell.reset_after:
        name = "gru_reset_before"
    activation = engine_activation(cell.activation)
    options: dict[str, Any] = {"activation": activation}
    if name == "rnn_tanh" and activation is not None and activation.name == "relu":
        name = "rnn_relu"  # compiled without options, too
    if not name.startswith("rnn"):
        options["recurrent_activation"] = engine_activation(cell.recurrent_activation)
    if name == "lstm":  # Keras has one activation for both places
        options["output_activation"] = activation
    return Settings(
        name, dtype, input_size, cell.units, cell.bias is not None, tuple(options.items())
    )
