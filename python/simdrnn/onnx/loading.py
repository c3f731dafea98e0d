"""Layers from ONNX models."""

from __future__ import annotations

import os

import numpy as np

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.onnx.attributes import NodeAttributes
from simdrnn.onnx.chain import Chain, Link, recognise
from simdrnn.onnx.files import Source, read_model
from simdrnn.onnx.node import make_layer
from simdrnn.onnx.states import initial_values, lengths_source
from simdrnn.onnx.trace import Trace, constants, trace
from simdrnn.onnx.weights import NodeWeights, ends

__all__ = ["load"]


def load(
    path_or_model: Source, *, base_dir: str | os.PathLike[str] | None = None
) -> RecurrentLayer | list[RecurrentLayer]:
    """Return the recurrent layers that an ONNX model consists of.

    Parameters
    ----------
    path_or_model : path of a file, its bytes, or an ``onnx.ModelProto``. What it brings besides
        recurrent nodes may only move or join values around them, as PyTorch and tf2onnx export
        stacked and bidirectional layers.
    base_dir : folder with files that hold the model's tensors; by default that of the path.

    Returns
    -------
    layer : of float32 or float64 as the model, if there is one recurrent node or a pair of
        directions; else the list of layers, of which each takes the output of the one before.
        They take batch-first input where the model does. Initial states and lengths that are inputs
        of the model are arguments of a call; constant ones become learned initial states.

    Raises
    ------
    ValueError : the file is no valid ONNX model, or contradicts itself; a node is none of those
        above, or a layer of ours cannot do what it does. The message names the node.
    TypeError, OSError : the path is none, or the file cannot be read.

    Notes
    -----
    A row of length 0 keeps its initial state in our layers, as in Keras; ONNX Runtime gives zeros.

    Examples
    --------
    >>> import simdrnn as sr, simdrnn.onnx
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.onnx")
    ...     simdrnn.onnx.save(sr.GRU(3, 4, num_layers=2, seed=0), path)
    ...     simdrnn.onnx.load(path)
    [GRU(3, 4), GRU(4, 4)]
    """
    model = read_model(path_or_model, base_dir)
    given = constants(model)
    runs = trace(model, given, 0), trace(model, given, 1)
    chains = recognise(model.graph, runs[0]), recognise(model.graph, runs[1])
    if chains[0].form() != chains[1].form():
        raise ValueError("model: expected layers that do not depend on the sizes of its inputs")
    lengths = lengths_source(runs)
    layers = [_layer(runs, chains, index, lengths) for index in range(len(chains[0].links))]
    return layers if len(layers) > 1 else layers[0]


def _layer(
    runs: tuple[Trace, Trace], chains: tuple[Chain, Chain], index: int, lengths: str | None
) -> RecurrentLayer:
    """Make one of the layers."""
    links = chains[0].links[index], chains[1].links[index]
    link = links[0]
    node, weights = _joined(runs[0], link)
    _check_constant(node.label, weights, _joined(runs[1], links[1])[1])
    handoff = link.handoff
    structure = handoff._asdict()
    if lengths is not None:
        for name, default in handoff._field_defaults.items():
            if name != "merge" and structure[name] != default:
                raise ValueError(
                    f"{node.label}: expected a layer with {name}={default} where lengths are "
                    f"given, got {structure[name]}: ours mind the lengths there, the model not"
                )
    initial = initial_values(runs, links)
    layer = make_layer(
        node,
        weights,
        reverse=link.directions == ("reverse",),
        batch_first=chains[0].layout == "batch first",
        learn_initial_state=initial is not None,
        **structure,
    )
    if initial is not None:
        for name, state in zip(("h_0", "c_0"), initial, strict=False):
            for end, value in zip(ends(len(state)), state, strict=True):
                setattr(layer, f"{name}{end}", value)
    return layer


def _joined(run: Trace, link: Link) -> tuple[NodeAttributes, NodeWeights]:
    """Return the node of a layer, two nodes of one direction as one of two."""
    nodes = [run.recurrent[index] for index in link.nodes]
    first, second = nodes[0], nodes[-1]
    if first is second:
        return first.attributes, first.weights
    node, other = first.attributes, second.attributes
    kinds = [(one.clip, one.coupled, one.reset_after) for one in (node, other)]
    absent = [[array is None for array in one.weights] for one in nodes]
    if kinds[0] != kinds[1] or absent[0] != absent[1]:
        raise ValueError(
            f"{other.label}: expected the attributes and inputs of {node.label}, whose other "
            "direction it is"
        )
    return node.beside(other), first.weights.beside(second.weights)


def _check_constant(label: str, weights: NodeWeights, again: NodeWeights) -> None:
    """Raise unless weights are the same in both runs."""
    for name, one, other in zip(weights._fields, weights, again, strict=True):
        if one is None or other is None or one is other:
            continue  # what is absent is absent in both: it is the same node
        if not np.array_equal(one, other, equal_nan=True):
            raise ValueError(f"{label}: {name}: expected a constant, got what depends on inputs")
