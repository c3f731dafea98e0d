"""What is known of values while a program is made: constants, how they come about, types."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto

from simdrnn.onnx.calls import node_label
from simdrnn.onnx.pieces import Piece, Pieces, piece_model
from simdrnn.onnx.reshapes import settle_reshapes
from simdrnn.onnx.subgraphs import DEFAULT_DOMAINS, subgraphs
from simdrnn.onnx.types import tensor_type
from simdrnn.validate import Array

__all__ = ["Scope"]

_DRAWN = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"}
) | {"Dropout", "RandomUniformLike"}
"""Operators that give other values each time, or may."""


class _Source(NamedTuple):
    """A node that makes a constant, and how many such nodes came before it."""

    place: int
    node: NodeProto


class _Known(NamedTuple):
    """What is known by name, in a graph and in those that it is in."""

    tensors: ChainMap[str, TensorProto]
    sources: ChainMap[str, _Source]
    arrays: ChainMap[str, Array]
    types: ChainMap[str, TypeProto]
    places: Iterator[int]

    def inner(self) -> _Known:
        """Return what is known in a graph inside."""
        return _Known(
            self.tensors.new_child(),
            self.sources.new_child(),
            self.arrays.new_child(),
            self.types.new_child(),
            self.places,
        )


class Scope:
    """The names that a graph sees.

    Parameters
    ----------
    model : the whole, for operator sets and functions.
    pieces : what makes pieces ready.
    num_threads : of our kernels.
    given : names of initializers that are inputs, and so no constants.
    known : by name, in the graphs around.
    """

    def __init__(
        self,
        model: ModelProto,
        pieces: Pieces,
        num_threads: int | None = None,
        given: frozenset[str] = frozenset(),
        known: _Known | None = None,
    ) -> None:
        self.model, self.pieces, self.num_threads = model, pieces, num_threads
        self._given = given
        self._known = known or _Known(ChainMap(), ChainMap(), ChainMap(), ChainMap(), count())

    def inner(self) -> Scope:
        """Return the scope of a graph inside this one's."""
        return Scope(self.model, self.pieces, self.num_threads, known=self._known.inner())

    @property
    def constants(self) -> Mapping[str, TensorProto]:
        """Tensors that are constants, by name."""
        return self._known.tensors

    def enter(self, graph: GraphProto) -> list[NodeProto]:
        """Take in what a graph says, and return its nodes; Constant nodes become initializers."""
        tensors, sources = self._known.tensors, self._known.sources
        tensors.update({one.name: one for one in graph.initializer if one.name not in self._given})
        nodes = []
        for node in graph.node:
            tensor = _constant(node)
            if tensor is not None:
                tensors[tensor.name] = tensor
                continue
            nodes.append(node)
            known = node.domain in DEFAULT_DOMAINS and node.op_type not in _DRAWN
            fixed = all(name in tensors or name in sources for name in node.input if name)
            if known and fixed and not any(subgraphs(node)):
                source = _Source(next(self._known.places), node)
                sources.update({name: source for name in node.output if name})
        for value in graph.input:
            if value.name not in tensors and value.HasField("type"):
                self.learn(value.name, value.type)
        return nodes

    def learn(self, name: str, kind: TypeProto) -> None:
        """Keep the type of a value."""
        self._known.types[name] = kind

    def type_of(self, name: str) -> TypeProto:
        """Return the type of a value; an empty one where it is not known."""
        if name in self._known.types:
            return self._known.types[name]
        if name in self._known.tensors:
            one = self._known.tensors[name]
            return tensor_type(one.data_type, list(one.dims))
        return TypeProto()

    def constant(self, name: str) -> Array | None:
        """Return the value of a name that depends on no input, which nobody can change; or None."""
        tensors, sources, arrays = self._known[:3]
        if name in arrays:
            return arrays[name]
        if name in tensors:
            array: Any = onnx.numpy_helper.to_array(tensors[name])
        elif name in sources:
            array = self._run_sources(name)
        else:
            return None
        if not isinstance(array, np.ndarray):
            return None
        array.flags.writeable = False
        arrays[name] = array
        return array

    def _run_sources(self, name: str) -> Any:
        """Run the nodes that a constant is made by."""
        sources = self._known.sources
        needed: dict[int, _Source] = {}
        left = [name]
        while left:
            source = sources.get(left.pop())
            if source is not None and source.place not in needed:
                needed[source.place] = source
                left += [one for one in source.node.input if one]
        nodes = [needed[place].node for place in sorted(needed)]
        values: dict[str, Any] = {}
        self.ready(nodes, {}, [name]).run(values)
        return values[name]

    def ready(
        self, nodes: list[NodeProto], inputs: Mapping[str, TypeProto], outputs: list[str]
    ) -> Piece:
        """Return some nodes of this scope as a piece that is ready to run."""
        if self.pieces.typed:
            for name, kind in inputs.items():
                if kind.WhichOneof("value") is None:
                    readers = [node_label(node) for node in nodes if name in node.input]
                    raise ValueError(
                        f"{', '.join(readers) or 'model'}: expected a value {name!r} whose type is "
                        "known"
                    )
        piece = piece_model(self.model, nodes, inputs, outputs, self.constants)
        settle_reshapes(piece, {one.name for one in self.model.graph.input})
        return self.pieces.ready(piece)


def _constant(node: NodeProto) -> TensorProto | None:
    """Return what a Constant node makes as an initializer; None of another node."""
    if node.op_type != "Constant" or node.domain not in DEFAULT_DOMAINS:
        return None
    attribute = node.attribute[0]
    value: Any = onnx.helper.get_attribute_value(attribute)
    name = node.output[0]
    if attribute.name == "value":
        tensor = TensorProto()
        tensor.CopyFrom(value)
        tensor.name = name
        return tensor
    kinds = {"value_float": "f", "value_floats": "f", "value_int": "q", "value_ints": "q"}
    if attribute.name in kinds:
        return onnx.numpy_helper.from_array(np.array(value, kinds[attribute.name]), name)
    return None
