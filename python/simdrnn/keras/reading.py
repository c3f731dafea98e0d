"""Keras's layers as ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

import simdrnn as sr
from simdrnn.dialects import convert
from simdrnn.keras.activations import checked_activations, engine_activation
from simdrnn.keras.foreign import what_it_is
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.spec.activations import Activation
from simdrnn.stack.stack import Stack
from simdrnn.validate import as_bool

__all__ = ["from_keras"]

# Keras's cell -> our layer, its cell in the table of dialects, and our names for its activations.
_KINDS: dict[type[Any], tuple[type[Any], str, dict[str, str]]] = {
    keras.layers.LSTMCell: (
        sr.LSTM,
        "lstm",
        {
            "activation": "activation",
            "recurrent_activation": "recurrent_activation",
            "output_activation": "activation",
        },
    ),
    keras.layers.GRUCell: (
        sr.GRU,
        "gru",
        {"activation": "activation", "recurrent_activation": "recurrent_activation"},
    ),
    keras.layers.SimpleRNNCell: (sr.RNN, "rnn", {"activation": "activation"}),
}

_Said = Mapping[Callable[..., Any], Activation]

_EXPECTED = "expected an LSTM, GRU or SimpleRNN layer of Keras, or a Bidirectional one"


def from_keras(
    keras_layer: Any, *, batch_first: bool = True, activations: Any = None
) -> RecurrentLayer | Stack:
    """Make a layer of ours that has the weights of one of Keras's, and gives the same results.

    Parameters
    ----------
    keras_layer : a built ``LSTM``, ``GRU`` or ``SimpleRNN``, or an ``RNN`` of one such cell; a
        ``Bidirectional`` of two alike; a list of these, or a ``Sequential`` of nothing else, each
        but the last with ``return_sequences=True``.
    batch_first : whether sequences are (B, T, ...), as in Keras.
    activations : dict from a function of yours to the activation of ours that it is, such as
        ``{my_gate: ("hard_sigmoid", 0.2, 0.5)}``, which is the hard sigmoid of Keras 2; Keras 3's
        is ``"keras_hard_sigmoid"``, x / 6 + 0.5. The two are compared.

    Returns
    -------
    `simdrnn.LSTM`, `simdrnn.GRU` or `simdrnn.RNN`; for several a `simdrnn.Stack`. Every call puts
    out the whole sequence and the final state, for which `return_sequences` and `return_state` are
    not needed; where Keras's ``zero_output_for_mask`` is not set, call it with
    ``masked_output="hold"``.

    Raises
    ------
    TypeError
        If `keras_layer` is something else, or `activations` no dict.
    ValueError
        If the layer is not built, or asks for what our layers do not have: another activation, half
        precision, two directions that differ; or if a function is not the activation that it is
        said to be.

    Notes
    -----
    ``go_backwards=True`` becomes ``reverse=True, keep_order=False``; ``dropout`` and
    ``recurrent_dropout`` become ``input_dropout`` and ``recurrent_dropout``, which draw masks of
    their own. With ``recurrent_dropout`` Keras's LSTM and GRU draw one of either for each gate;
    ours do so for the recurrent one. ``stateful`` has no counterpart: hand the state over.

    Examples
    --------
    >>> import keras, numpy as np
    >>> theirs = keras.layers.GRU(4, return_sequences=True)
    >>> x = np.ones((2, 5, 3), "float32")
    >>> want = keras.ops.convert_to_numpy(theirs(x))
    >>> output, h = from_keras(theirs)(x)
    >>> np.allclose(output, want, atol=1e-6)
    True
    """
    first, said = as_bool("batch_first", batch_first), checked_activations(activations)
    if isinstance(keras_layer, keras.Sequential):
        keras_layer = keras_layer.layers
    layers = isinstance(keras_layer, (list, tuple))
    if not layers or (keras_layer and isinstance(keras_layer[0], np.ndarray)):
        return _layer("keras_layer", keras_layer, first, said)
    if not keras_layer:
        raise ValueError("keras_layer: expected at least one layer, got none")
    made = [_layer(f"keras_layer[{i}]", one, first, said) for i, one in enumerate(keras_layer)]
    for index, one in enumerate(keras_layer[:-1]):
        if not one.return_sequences:
            raise ValueError(
                f"keras_layer[{index}]: expected return_sequences=True below another layer, "
                "got False"
            )
    return Stack(made) if len(made) > 1 else made[0]


def _layer(name: str, layer: Any, batch_first: bool, said: _Said) -> RecurrentLayer:
    """Turn one layer over; `name` is what messages call it."""
    if isinstance(layer, keras.layers.Bidirectional):
        both = [layer.forward_layer, layer.backward_layer]
        for one in both:
            _check(name, one)
        arguments, back = (_arguments(name, one, said) for one in both)
        if arguments | {"reverse": True, "keep_order": False} != back or "reverse" in arguments:
            raise ValueError(
                f"{name}: expected two directions that differ in go_backwards alone, which is "
                f"False in the first, got {arguments} and {back}"
            )
        merge = layer.merge_mode or "none"
        arguments |= {"bidirectional": True} | ({} if merge == "concat" else {"merge": merge})
    else:
        _check(name, layer)
        both, arguments = [layer], _arguments(name, layer, said)
    kind, cell, _ = _KINDS[type(both[0].cell)]
    weights = [value for one in both for value in _values(one.cell)]
    made: RecurrentLayer = kind(batch_first=batch_first, seed=0, **arguments)
    reset_after = arguments.get("reset_after", True) if cell == "gru" else None
    made.load_state_dict(
        convert(
            weights, "keras", "simdrnn", cell=cell, reset_after=reset_after,
            bidirectional=len(both) == 2,
        )
    )  # fmt: skip
    return made


def _check(name: str, layer: Any) -> None:
    """Raise unless a layer is one that can be turned over."""
    if not isinstance(layer, keras.layers.RNN) or type(layer.cell) not in _KINDS:
        found = what_it_is(layer)
        if isinstance(layer, keras.layers.RNN):
            found += f" of a {type(layer.cell).__name__}"
        raise TypeError(f"{name}: {_EXPECTED}, got {found}")
    if not layer.cell.built:
        raise ValueError(
            f"{name}: expected a layer that is built, got {layer.name!r}, which is not"
        )
    if layer.compute_dtype not in ("float32", "float64"):
        raise ValueError(
            f"{name}: expected a layer that computes in float32 or float64, "
            f"got {layer.compute_dtype}"
        )


def _arguments(name: str, layer: Any, said: _Said) -> dict[str, Any]:
    """Return the arguments of our layer, those that are not the default."""
    cell = layer.cell
    kind, _, activations = _KINDS[type(cell)]
    arguments: dict[str, Any] = {
        "input_size": cell.kernel.shape[0],
        "hidden_size": cell.units,
        "bias": cell.bias is not None,
        "dtype": layer.compute_dtype,
    }
    if kind is sr.GRU:
        arguments["reset_after"] = bool(cell.reset_after)
    for option, attribute in activations.items():
        function = getattr(cell, attribute)
        found = engine_activation(function, said)
        if found is None:
            shown = getattr(function, "__name__", type(function).__name__)
            raise ValueError(
                f"{name}: expected {attribute} to be one that we have, got {shown}; if it is one "
                f"by another name, say so: activations={{{shown}: ('hard_sigmoid', 0.2, 0.5)}}"
            )
        if found.argument != ("sigmoid" if option == "recurrent_activation" else "tanh"):
            arguments[option] = found.argument
    if kind is sr.RNN and arguments.get("activation") == "relu":
        arguments["nonlinearity"] = arguments.pop("activation")
    if cell.dropout:
        arguments["input_dropout"] = cell.dropout
    if cell.recurrent_dropout:
        arguments["recurrent_dropout"] = cell.recurrent_dropout
        if kind is not sr.RNN:
            arguments["recurrent_dropout_per_gate"] = True
    if layer.go_backwards:
        arguments |= {"reverse": True, "keep_order": False}
    return arguments


def _values(cell: Any) -> list[np.ndarray[Any, Any]]:
    """Return the weights of a cell in the order of ``get_weights``."""
    variables = [cell.kernel, cell.recurrent_kernel]
    variables += [] if cell.bias is None else [cell.bias]
    dtype = cell.compute_dtype
    return [np.asarray(keras.ops.convert_to_numpy(v.value), dtype) for v in variables]
