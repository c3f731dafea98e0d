"""Layers from ONNX models."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import overload

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.onnx.attributes import NodeAttributes
from simdrnn.onnx.budget import Budget
from simdrnn.onnx.chain import Chain, Link, recognise
from simdrnn.onnx.files import Source, read_model
from simdrnn.onnx.meeting import Recurrent
from simdrnn.onnx.node import make_layer
from simdrnn.onnx.states import initial_values, lengths_source
from simdrnn.onnx.trace import Trace, trace
from simdrnn.onnx.weights import NodeWeights, ends
from simdrnn.validate import Array, as_bool

__all__ = ["load"]

_TIMES_WEIGHTS = 3  # what a layer keeps: parameters, and packed for the kernels

_Layers = RecurrentLayer | list[RecurrentLayer]
_Named = list[tuple[str, RecurrentLayer]]
_Folder = str | os.PathLike[str] | None


@overload
def load(
    path_or_model: Source,
    node: None = ...,
    *,
    base_dir: _Folder = ...,
    trust_directory: bool = ...,
    memory_limit: int | None = ...,
) -> _Layers: ...
@overload
def load(
    path_or_model: Source,
    node: str,
    *,
    base_dir: _Folder = ...,
    trust_directory: bool = ...,
    memory_limit: int | None = ...,
) -> _Layers | _Named: ...
def load(
    path_or_model: Source,
    node: str | None = None,
    *,
    base_dir: _Folder = None,
    trust_directory: bool = False,
    memory_limit: int | None = None,
) -> _Layers | _Named:
    """Return the recurrent layers that an ONNX model consists of, or single ones out of it.

    Parameters
    ----------
    path_or_model : path of a file, its bytes, or an ``onnx.ModelProto``. Without `node`, what it
        brings besides recurrent nodes may only move or join values around them, for all inputs and
        all free sizes, as PyTorch and tf2onnx export stacked and bidirectional layers.
    node : name of one recurrent node, wherever in the model, or of one of its outputs: its layer
        alone, whatever is around it. ``"*"``: all recurrent nodes.
    base_dir : folder with files that hold the model's tensors; by default that of the path.
    trust_directory : whether these files may be links, as in the cache of a hub of models. Those of
        others could let any file be read that you can read.
    memory_limit : bytes that the model may ask for; by default 8 times the size of its files and
        256 MB.

    Returns
    -------
    layer : of float32 or float64 as the model, if there is one recurrent node or a pair of
        directions; else the list of layers, of which each takes the output of the one before.
        They take batch-first input where the model does. Initial states and lengths that are inputs
        of the model are arguments of a call; constant ones become learned initial states.
        With `node`, the layer of that node, which takes what the node takes: initial states, too,
        that are no constants. With ``"*"`` a list of (name, layer) in the model's order.

    Raises
    ------
    ValueError : the file is no valid ONNX model, or contradicts itself; a node is none of those
        above, or a layer of ours cannot do what it does; the model asks for too much memory. The
        message names the node.
    TypeError, OSError : the path is none, or a file cannot be read.

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
    ...     simdrnn.onnx.load(path), simdrnn.onnx.load(path, node="*")
    ([GRU(3, 4), GRU(4, 4)], [('GRU_0', GRU(3, 4)), ('GRU_2', GRU(4, 4))])
    """
    if node is not None and not isinstance(node, str):
        raise TypeError(f"node: expected a name, '*' or None, got {type(node).__name__}")
    budget = Budget(memory_limit)
    model = read_model(
        path_or_model, base_dir, trust_directory=as_bool("trust_directory", trust_directory),
        label="path_or_model", budget=budget,
    )  # fmt: skip
    met = trace(model, budget, everywhere=node is not None)
    if node is not None:
        return _single(met, node)
    chain = recognise(model.graph, met)
    _count(met, met.recurrent)
    lengths = lengths_source(met)
    layers = [_layer(met, chain, link, lengths) for link in chain.links]
    return layers if len(layers) > 1 else layers[0]


def _single(met: Trace, wanted: str) -> RecurrentLayer | _Named:
    """Return the layer of one node, or of each."""
    named = _named(met)
    if wanted == "*":
        _count(met, met.recurrent)
        return [(name, _alone(met, one)) for name, one in named]
    found = [one for name, one in named if name == wanted]
    if not found:
        found = [one for _, one in named if wanted in (one.node.name, *one.node.output)]
    if len(found) != 1:
        listed = ", ".join(name for name, _ in named) or "none"
        raise ValueError(f"node: expected one of {listed}, got {wanted!r}")
    _count(met, found)
    return _alone(met, found[0])


def _named(met: Trace) -> list[tuple[str, Recurrent]]:
    """Return recurrent nodes with names that no two have: else the name of an output."""
    times = Counter(one.node.name for one in met.recurrent)
    named = []
    for one in met.recurrent:
        outputs = [name for name in one.node.output if name]
        unique = one.node.name and times[one.node.name] == 1
        named.append((one.node.name if unique else next(iter(outputs), ""), one))
    return named


def _alone(met: Trace, node: Recurrent) -> RecurrentLayer:
    """Make the layer of one node; what is around it stays with the caller."""
    attributes = node.attributes
    initial = initial_values(met, [node], judged=False)
    layer = make_layer(
        attributes,
        node.weights,
        reverse=attributes.direction == "reverse",
        batch_first=bool(attributes.layout),
        learn_initial_state=initial is not None,
    )
    return _begun(layer, initial)


def _layer(met: Trace, chain: Chain, link: Link, lengths: str | None) -> RecurrentLayer:
    """Make one of the layers of a chain."""
    nodes = [met.recurrent[index] for index in link.nodes]
    node, weights = _joined(nodes)
    handoff = link.handoff
    structure = handoff._asdict()
    if lengths is not None:
        for name, default in handoff._field_defaults.items():
            if name != "merge" and structure[name] != default:
                raise ValueError(
                    f"{node.label}: expected a layer with {name}={default} where lengths are "
                    f"given, got {structure[name]}: ours mind the lengths there, the model not"
                )
    initial = initial_values(met, nodes, judged=True)
    layer = make_layer(
        node,
        weights,
        reverse=link.directions == ("reverse",),
        batch_first=chain.layout == "batch first",
        learn_initial_state=initial is not None,
        **structure,
    )
    return _begun(layer, initial)


def _count(met: Trace, nodes: Sequence[Recurrent]) -> None:
    """Count what layers take before any is made: nodes may share weights, layers do not."""
    for node in nodes:
        size = sum(array.nbytes for array in node.weights if array is not None)
        met.budget.take(node.attributes.label, _TIMES_WEIGHTS * size)


def _begun(layer: RecurrentLayer, initial: list[Array] | None) -> RecurrentLayer:
    """Give a layer the states that it begins with."""
    for name, state in zip(("h_0", "c_0"), initial or (), strict=False):
        for end, value in zip(ends(len(state)), state, strict=True):
            setattr(layer, f"{name}{end}", value)
    return layer


def _joined(nodes: list[Recurrent]) -> tuple[NodeAttributes, NodeWeights]:
    """Return the node of a layer, two nodes of one direction as one of two."""
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
