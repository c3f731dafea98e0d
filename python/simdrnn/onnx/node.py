"""One recurrent node as layers of ours: making them, and running them as the node would run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from simdrnn.layers.bound import bound_layer
from simdrnn.layers.compiled import GRU, LSTM, RNN
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.onnx.attributes import NodeAttributes
from simdrnn.onnx.weights import NodeWeights, read_weights
from simdrnn.validate import Array

__all__ = ["NodeCall", "make_layer", "make_layers", "run_layers"]

_LAYERS: dict[str, Callable[..., RecurrentLayer]] = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}


class NodeCall(NamedTuple):
    """What a node is run on: its inputs beside the weights, as it gets them."""

    X: Array
    sequence_lens: Array | None = None
    initial_h: Array | None = None
    initial_c: Array | None = None


def make_layer(node: NodeAttributes, weights: NodeWeights, **structure: Any) -> RecurrentLayer:
    """Return one layer that computes what the node does.

    Parameters
    ----------
    node, weights : of the node, checked.
    structure : more arguments of the layer's constructor.

    Raises
    ------
    ValueError : there is no such layer: its directions have different activations, or numbers that
        ours do not take.
    """
    options = node.options() | structure
    if node.activations[0] != node.activations[-1]:
        names = [[one.argument for one in chosen] for chosen in node.activations]
        raise ValueError(
            f"{node.label}: activations: expected the same in both directions of a layer, got "
            f"{names[0]} and {names[1]}"
        )
    if node.operator.name == "LSTM":
        options |= {"peephole": weights.P is not None, "coupled_input_forget": node.coupled}
    if node.operator.name == "GRU":
        options["reset_after"] = node.reset_after
    try:
        layer = _LAYERS[node.operator.name](
            weights.input_size,
            weights.hidden_size,
            bias=weights.B is not None,
            bidirectional=node.directions == 2,
            dtype=weights.R.dtype,
            seed=0,  # of initial weights, which are replaced
            **options,
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{node.label}: {error}") from error
    values = read_weights(weights, node.operator, bound_layer(layer).info.gate_names)
    learned = {name: layer.parameters()[name] for name in layer.parameters() if name[1:4] == "_0_"}
    layer.load_state_dict(values | learned)
    return layer


def make_layers(node: NodeAttributes, weights: NodeWeights) -> list[RecurrentLayer]:
    """Return what runs the node: one layer, or two if its directions have other activations."""
    if node.activations[0] == node.activations[-1]:
        return [make_layer(node, weights, reverse=node.direction == "reverse")]
    return [make_layer(node.part(d), weights.part(d), reverse=d == 1) for d in range(2)]


def run_layers(
    layers: list[RecurrentLayer],
    node: NodeAttributes,
    call: NodeCall,
    num_threads: int | None = None,
) -> tuple[Array, ...]:
    """Run a node's layers and return Y, Y_h and, of an LSTM, Y_c, as the node's layout has them.

    Parameters
    ----------
    layers : what `make_layers` made.
    node, call : the node, and what it is run on.
    num_threads : as a layer's call has it.

    Raises
    ------
    ValueError : an input does not fit; the sentence begins with the node's label.
    """
    x, initial = _time_first(node, call)
    (T, B), H, D = x.shape[:2], layers[0].hidden_size, node.directions
    zeros = np.zeros((D, B, H), x.dtype)
    begin = [zeros if state is None else state for state in initial]
    outputs, finals = [], []
    for index, layer in enumerate(layers):
        part = slice(index, index + 1) if len(layers) > 1 else slice(None)
        states = tuple(state[part] for state in begin)
        state = None if all(one is None for one in initial) else states
        try:
            output, final = layer(
                x,
                states[0] if state and len(states) == 1 else state,
                lengths=call.sequence_lens,
                num_threads=num_threads,
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"{node.label}: {error}") from error
        outputs.append(output.reshape(T, B, D // len(layers), H))
        finals.append(final if isinstance(final, tuple) else (final,))
    Y = np.concatenate(outputs, axis=2) if len(layers) > 1 else outputs[0]
    together = [np.concatenate(one) for one in zip(*finals, strict=True)]
    if node.layout:
        return (Y.swapaxes(0, 1), *(state.swapaxes(0, 1) for state in together))
    return (Y.swapaxes(1, 2), *together)


def _time_first(node: NodeAttributes, call: NodeCall) -> tuple[Array, list[Array | None]]:
    """Return X (T, B, I) and the initial states (D, B, H) of a call."""
    given = {"X": call.X, "initial_h": call.initial_h, "initial_c": call.initial_c}
    for name, array in given.items():
        if array is not None and array.ndim != 3:
            raise ValueError(f"{node.label}: {name}: expected three axes, got shape {array.shape}")
    states = [call.initial_h, call.initial_c][: len(node.operator.states)]
    if not node.layout:
        return call.X, states
    return call.X.swapaxes(0, 1), [s if s is None else s.swapaxes(0, 1) for s in states]
