"""The nodes of one layer of ours: a recurrent node for each network layer, and what is between."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.onnx.activations import write_activations
from simdrnn.onnx.operators import OPERATORS, Operator
from simdrnn.onnx.weights import ends, write_weights
from simdrnn.onnx.writer import GraphWriter
from simdrnn.spec.activations import Activation

__all__ = ["Export", "check_layer", "write_layer"]

# Our cell -> the operator that computes it, and the attributes that make it that.
_CELLS: dict[str, tuple[str, dict[str, int]]] = {
    "rnn_tanh": ("RNN", {}),
    "rnn_relu": ("RNN", {}),
    "gru": ("GRU", {"linear_before_reset": 1}),
    "gru_reset_before": ("GRU", {"linear_before_reset": 0}),
    "lstm": ("LSTM", {}),
    "lstm_peephole": ("LSTM", {}),
    "lstm_coupled_input": ("LSTM", {"input_forget": 1}),
    "lstm_peephole_coupled_input": ("LSTM", {"input_forget": 1}),
}
_WRITTEN = {"gate_clip", "activation", "recurrent_activation", "output_activation"}
# What changes nothing but training, and so nothing of a model that is run.
_TRAINING = {
    "candidate_dropout",
    "input_dropout",
    "recurrent_dropout",
    "recurrent_dropout_per_gate",
    "state_noise",
    "step_grad_clip",
    "step_grad_norm",
    "weight_dropout",
    "weight_noise",
}
_STRUCTURE = {"merge", "residual", "reverse", "keep_order", "learn_initial_state"}
# Directions joined by a node that takes them as an axis.
_REDUCE = {"mul": "ReduceProd", "ave": "ReduceMean"}
_LAST = -(2**63)  # where a Slice that goes backwards ends to have the first element, too


class Export(NamedTuple):
    """One layer on its way into a graph.

    Parameters
    ----------
    writer : of the graph.
    layer : what is written.
    place : of the layer among those written.
    source : name of the model's input, for the size of the batch.
    lengths : name of the lengths as ``sequence_lens`` has them, or "".
    initial : names of the initial states (L*D, B, H), or None.
    """

    writer: GraphWriter
    layer: RecurrentLayer
    place: int
    source: str
    lengths: str
    initial: list[str] | None


def check_layer(layer: RecurrentLayer, lengths: bool) -> None:
    """Raise ValueError if ONNX has no counterpart of a layer or of one of its options.

    Parameters
    ----------
    layer : to be written.
    lengths : whether the model gets lengths.
    """

    def refuse(name: str, got: object, why: str = "since ONNX has nothing like it") -> ValueError:
        return ValueError(f"{name}: expected a layer without it, {why}, got {got!r}")

    if getattr(layer, "proj_size", 0):
        raise refuse("proj_size", layer.proj_size)
    if getattr(layer, "coupled_input_forget", False) == "forget":
        raise refuse("coupled_input_forget", "forget")
    for name, value in layer.options.active().items():
        if name not in _WRITTEN | _TRAINING:
            raise refuse(name, value)
    for name, value in layer.structure.active().items():
        if name not in _STRUCTURE:
            raise refuse(name, value)
    if bound_layer(layer).info.name not in _CELLS:
        raise ValueError(f"layer: expected RNN, LSTM or GRU, got {type(layer).__name__}")
    _node_activations(layer)
    structure = layer.structure
    if lengths and (structure.residual or not structure.keep_order):
        name = "residual" if structure.residual else "keep_order"
        raise refuse(name, getattr(structure, name), "where the model gets lengths")


def _node_activations(layer: RecurrentLayer) -> list[Activation]:
    """Return the activations f, g, h of one direction, as ONNX has slots for them."""
    info = bound_layer(layer).info
    operator = OPERATORS[_CELLS[info.name][0]]
    gates, chosen = info.gate_names, layer.options.activations
    if operator.name == "RNN":
        return list(chosen)
    squashed = [one for gate, one in zip(gates, chosen, strict=False) if gate not in "gn"]
    if len(set(squashed)) > 1:
        names = [one.argument for one in squashed]
        raise ValueError(
            f"recurrent_activation: expected one for all gates, as ONNX has, got {names}"
        )
    others = [one for gate, one in zip(gates, chosen, strict=False) if gate in "gn"]
    return [squashed[0], *others, *chosen[len(gates) :]]


def write_layer(export: Export, value: str) -> tuple[str, list[str]]:
    """Write a layer and return the names of its output (T, B, F) and of its final states.

    Parameters
    ----------
    export : the layer.
    value : name of its input (T, B, I).
    """
    writer, layer = export.writer, export.layer
    finals: list[list[str]] = []
    width, sizes = layer.input_size, bound_layer(layer).sizes
    for k in range(sizes.num_layers):
        Y, *states = _recurrent(export, k, value)
        finals.append(states)
        joined = _joined(writer, layer, Y)
        if layer.structure.residual and width == sizes.output_size:
            (joined,) = writer.node("Add", [joined, value])
        value, width = joined, sizes.output_size
    if not layer.structure.keep_order:
        cut = [writer.integers(number) for number in (-1, _LAST, 0, -1)]
        (value,) = writer.node("Slice", [value, *cut])
    together = [list(names) for names in zip(*finals, strict=True)]
    return value, [
        writer.node("Concat", names, axis=0)[0] if len(names) > 1 else names[0]
        for names in together
    ]


def _recurrent(export: Export, k: int, value: str) -> list[str]:
    """Write the recurrent node of network layer `k`."""
    writer, layer = export.writer, export.layer
    operator, attributes = _operator(layer)
    bound = bound_layer(layer)
    names = ends(bound.sizes.num_directions, k)
    arrays = write_weights(layer.parameters(), operator, bound.info.gate_names, names)
    given = {"X": value, "sequence_lens": export.lengths}
    for name, array in arrays.items():
        given[name] = writer.constant(f"{name}_{export.place}_{k}", array)
    for place, name in enumerate(("initial_h", "initial_c")[: len(operator.states)]):
        given[name] = _initial(export, k, place)
    places = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
    if operator.name == "LSTM":
        places += ["initial_c", "P"]
    inputs = [given.get(place, "") for place in places]
    while not inputs[-1]:
        inputs.pop()
    return writer.node(operator.name, inputs, 1 + len(operator.states), **attributes)


def _operator(layer: RecurrentLayer) -> tuple[Operator, dict[str, Any]]:
    """Return what a layer's nodes run, and their attributes."""
    bound = bound_layer(layer)
    name, special = _CELLS[bound.info.name]
    attributes: dict[str, Any] = {"hidden_size": layer.hidden_size, **special}
    attributes["direction"] = "reverse" if layer.structure.reverse else "forward"
    if layer.bidirectional:
        attributes["direction"] = "bidirectional"
    attributes |= write_activations(_node_activations(layer) * bound.sizes.num_directions)
    if layer.options.gate_clip is not None:
        attributes["clip"] = layer.options.gate_clip
    return OPERATORS[name], attributes


def _initial(export: Export, k: int, place: int) -> str:
    """Write one initial state (D, B, H) of network layer `k`; "" is zeros."""
    writer, layer = export.writer, export.layer
    sizes = bound_layer(layer).sizes
    directions = sizes.num_directions
    if export.initial is not None:
        whole = export.initial[place]
        if sizes.num_layers == 1:
            return whole
        cut = [writer.integers(number) for number in (k * directions, (k + 1) * directions, 0)]
        return writer.node("Slice", [whole, *cut])[0]
    if not layer.structure.learn_initial_state:
        return ""
    name = ("h_0", "c_0")[place]
    values = [layer.parameters()[f"{name}{end}"] for end in ends(directions, k)]
    constant = writer.constant(f"{name}_{export.place}_{k}", np.stack(values)[:, None])
    (shape,) = writer.node("Shape", [export.source])
    batch = writer.integers(0 if layer.batch_first else 1)
    (batch_size,) = writer.node("Gather", [shape, batch], axis=0)
    shape_of_all = [writer.integers(directions), batch_size, writer.integers(layer.hidden_size)]
    (wanted,) = writer.node("Concat", shape_of_all, axis=0)
    return writer.node("Expand", [constant, wanted])[0]


def _joined(writer: GraphWriter, layer: RecurrentLayer, Y: str) -> str:
    """Write what makes one value (T, B, F) of Y (T, D, B, H)."""
    merge = layer.structure.merge
    if not layer.bidirectional:
        return writer.node("Squeeze", [Y, writer.integers(1)])[0]
    if merge == "sum":
        return writer.node("ReduceSum", [Y, writer.integers(1)], keepdims=0)[0]
    if merge in _REDUCE:
        return writer.node(_REDUCE[merge], [Y], axes=[1], keepdims=0)[0]
    (value,) = writer.node("Transpose", [Y], perm=[0, 2, 1, 3])
    if merge == "none":
        return value
    return writer.node("Reshape", [value, writer.integers(0, 0, 2 * layer.hidden_size)])[0]
