"""Our layers as Keras's."""

from __future__ import annotations

from typing import Any

import keras

from simdrnn.dialects import convert
from simdrnn.keras.activations import keras_activation
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.stack.container import held
from simdrnn.stack.stack import Stack
from simdrnn.validate import as_bool

__all__ = ["to_keras"]

# Our cell -> Keras's layer, and the cell in the table of dialects.
_KINDS: dict[str, tuple[type[Any], str]] = {
    "lstm": (keras.layers.LSTM, "lstm"),
    "gru": (keras.layers.GRU, "gru"),
    "gru_reset_before": (keras.layers.GRU, "gru"),
    "rnn_tanh": (keras.layers.SimpleRNN, "rnn"),
    "rnn_relu": (keras.layers.SimpleRNN, "rnn"),
}

# What a layer may have switched on.
_OPTIONS = {
    "activation", "recurrent_activation", "output_activation", "input_dropout",
    "recurrent_dropout", "recurrent_dropout_per_gate",
}  # fmt: skip
_STRUCTURE = {"merge", "reverse", "keep_order"}


def to_keras(layer: Any, *, return_sequences: bool = True, return_state: bool = False) -> Any:
    """Make a layer of Keras's that has the weights of one of ours, and gives the same results.

    Parameters
    ----------
    layer : `simdrnn.LSTM`, `simdrnn.GRU` or `simdrnn.RNN`, or a `simdrnn.Stack` of such without
        skips.
    return_sequences, return_state : of the Keras layer; of the last one where there are several.

    Returns
    -------
    Keras's ``LSTM``, ``GRU`` or ``SimpleRNN``, in a ``Bidirectional`` for two directions; for
    several layers a ``Sequential``. Sequences are (B, T, ...) whatever those of `layer` are. It
    is Keras's own class: `simdrnn.keras.convert` puts it on the engine.

    Raises
    ------
    TypeError
        If `layer` is something else.
    ValueError
        If it has what Keras has not: clips, zoneout, peepholes, residuals and so on.

    Notes
    -----
    Weights are the same numbers; only where Keras has one bias and we have two it is their sum.
    Dropout rates are carried over, while masks are drawn by Keras, with ``recurrent_dropout`` for
    each gate. Keras holds the output at masked steps; ``zero_output_for_mask`` is an attribute of
    its layers.

    Examples
    --------
    >>> import simdrnn as sr
    >>> to_keras(sr.LSTM(3, 4, bidirectional=True)).compute_output_shape((2, 5, 3))
    (2, 5, 8)
    """
    sequences = as_bool("return_sequences", return_sequences)
    state = as_bool("return_state", return_state)
    if isinstance(layer, Stack):
        if layer.skip is not None:
            raise ValueError(f"layer: expected a stack without skips, got skip={layer.skip!r}")
        parts = [part for one in layer.layers for part in _parts("layer", one)]
        dropout = layer.dropout
    else:
        parts, dropout = _parts("layer", layer), getattr(layer, "dropout", 0.0)
    if len(parts) > 1 and state:
        raise ValueError(
            f"return_state: expected False for several layers, got True for {len(parts)}"
        )
    members = {str(index): one for index, (one, _) in enumerate(parts)}
    with held(members):  # weights of one version, whoever trains meanwhile
        return _assemble(parts, dropout, sequences, state)


def _parts(name: str, layer: Any) -> list[tuple[RecurrentLayer, int]]:
    """Return the layers of a network, one by one, if Keras has all that they do."""
    if not isinstance(layer, RecurrentLayer):
        raise TypeError(
            f"{name}: expected a recurrent layer of simdrnn, got {type(layer).__name__}"
        )
    cell = bound_layer(layer).info.name
    if cell not in _KINDS:
        raise ValueError(f"{name}: expected an LSTM, a GRU or an RNN, got cell {cell}")
    structure = layer.structure.active()
    for found, known in ((layer.options.active(), _OPTIONS), (structure, _STRUCTURE)):
        unknown = [option for option in found if option not in known]
        if unknown:
            values = ", ".join(f"{option}={found[option]!r}" for option in unknown)
            raise ValueError(f"{name}: expected options that Keras has, got {values}")
    if layer.structure.reverse and (layer.structure.keep_order or layer.num_layers > 1):
        raise ValueError(
            f"{name}: expected reverse=True in one layer with keep_order=False, as Keras's "
            f"go_backwards, got {layer!r}"
        )
    _activations(name, layer)
    return [(layer, index) for index in range(layer.num_layers)]


def _activations(name: str, layer: RecurrentLayer) -> dict[str, str]:
    """Return Keras's arguments for the activations of a cell."""
    gates, chosen = bound_layer(layer).info.gate_names, layer.options.activations
    found = [keras_activation(activation) for activation in chosen]
    for place, activation in enumerate(chosen):
        if found[place] is None:
            shown = activation.argument
            raise ValueError(f"{name}: expected activations that Keras has, got {shown}")
    inner = [one for gate, one in zip(gates, found, strict=False) if gate in ("g", "n", "h")]
    outer = [one for gate, one in zip(gates, found, strict=False) if gate not in ("g", "n", "h")]
    inner += found[len(gates) :]
    if len(set(inner)) > 1 or len(set(outer)) > 1:
        raise ValueError(
            f"{name}: expected one activation and one recurrent_activation, as Keras has, got "
            f"{[a.argument for a in chosen]}"
        )
    arguments = {"activation": str(inner[0])}
    return arguments | ({"recurrent_activation": str(outer[0])} if outer else {})


def _assemble(
    parts: list[tuple[RecurrentLayer, int]], dropout: float, sequences: bool, state: bool
) -> Any:
    """Make Keras's layers and put them together."""
    made = [_make(*part, True, state) for part in parts[:-1]]
    made.append(_make(*parts[-1], sequences, state))
    if len(made) == 1:
        return made[0]
    first = parts[0][0]
    members: list[Any] = [keras.Input((None, first.input_size), dtype=first.dtype.name)]
    for index, one in enumerate(made):
        if index and dropout:
            members.append(keras.layers.Dropout(dropout, dtype=first.dtype.name))
        members.append(one)
    return keras.Sequential(members)


def _make(layer: RecurrentLayer, index: int, sequences: bool, state: bool) -> Any:
    """Make Keras's layer for one layer of a network."""
    info = bound_layer(layer).info
    kind, cell = _KINDS[info.name]
    options, directions = layer.options, 1 + layer.bidirectional
    arguments: dict[str, Any] = {
        "use_bias": layer.bias,
        "dtype": layer.dtype.name,
        "go_backwards": layer.structure.reverse,
        "dropout": options.input_dropout or 0.0,
        "recurrent_dropout": options.recurrent_dropout or 0.0,
        "return_sequences": sequences,
        "return_state": state,
    }
    reset_after = None
    if cell == "gru":
        reset_after = arguments["reset_after"] = info.name == "gru"
    made = kind(layer.hidden_size, **arguments, **_activations("layer", layer))
    if directions == 2:
        merge = None if layer.structure.merge == "none" else layer.structure.merge
        made = keras.layers.Bidirectional(made, merge_mode=merge, dtype=layer.dtype.name)
    weights = convert(layer.state_dict(), "simdrnn", "keras", cell=cell, reset_after=reset_after)
    each = len(weights) // layer.num_layers
    own = weights[index * each : (index + 1) * each]
    made.build((None, None, own[0].shape[0]))
    made.set_weights(own)
    return made
