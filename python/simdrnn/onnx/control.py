"""If, Loop and Scan with recurrent nodes inside: their graphs are programs that we run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TypeProto

from simdrnn.onnx.block import Block, Step
from simdrnn.onnx.calls import node_label
from simdrnn.onnx.scope import Scope
from simdrnn.onnx.subgraphs import DEFAULT_DOMAINS, operator_set
from simdrnn.onnx.types import element_dtype
from simdrnn.validate import Array

__all__ = ["control_step"]

_Compile: TypeAlias = "Callable[[GraphProto, Scope, Sequence[str]], Block]"

_SCAN_OPSET = 9
"""Before it a Scan had a batch of its own."""


def control_step(node: NodeProto, scope: Scope, compile_graph: _Compile) -> Step:
    """Return a node with graphs inside as a step.

    Parameters
    ----------
    node : with recurrent nodes inside.
    scope : that the node is in.
    compile_graph : what makes a graph ready to run: `simdrnn.onnx.program.compile_graph`.

    Raises
    ------
    ValueError : it is none of If, Loop and Scan, or a Scan of operator set 8.
    """
    kinds: dict[str, Any] = {"If": _If, "Loop": _Loop, "Scan": _Scan}
    if node.domain not in DEFAULT_DOMAINS or node.op_type not in kinds:
        raise ValueError(
            f"{node_label(node)}: expected If, Loop or Scan around recurrent nodes, "
            f"got {node.domain}.{node.op_type}"
        )
    step: Step = kinds[node.op_type](node, scope, compile_graph)
    return step


def _graph(node: NodeProto, name: str) -> GraphProto:
    graph: GraphProto = next(one.g for one in node.attribute if one.name == name)
    return graph


class _Body:
    """The graph of a node, ready to run.

    Parameters
    ----------
    kinds : types of its inputs, where the graph does not say them.
    """

    def __init__(
        self, node: NodeProto, name: str, scope: Scope, compile_graph: _Compile,
        kinds: Sequence[TypeProto] = (),
    ) -> None:  # fmt: skip
        graph, inner = _graph(node, name), scope.inner()
        stripped = GraphProto()
        stripped.CopyFrom(graph)
        for value, kind in zip(stripped.input, kinds, strict=True):
            # Sizes may change from one turn to the next.
            value.type.CopyFrom(_without_shape(value.type if value.HasField("type") else kind))
        names = [one.name for one in stripped.input]
        self.block: Block = compile_graph(stripped, inner, names)
        self.label = node_label(node)
        self._declared = [_copied(one.type) for one in graph.output]

    def empty(self, place: int) -> Array:
        """Return what there is of an output, put together along a first axis, after no turn."""
        declared = self._declared[place]
        dtype = element_dtype(declared) or element_dtype(self.block.types[place])
        if dtype is None or not declared.tensor_type.HasField("shape"):
            raise ValueError(
                f"{self.label}: {self.block.outputs[place]}: expected a type and shape where there "
                "may be no turn"
            )
        sizes = [max(dim.dim_value, 0) for dim in declared.tensor_type.shape.dim]
        return np.empty((0, *sizes), dtype)


def _copied(kind: TypeProto) -> TypeProto:
    alone = TypeProto()
    alone.CopyFrom(kind)
    return alone


def _without_shape(kind: TypeProto) -> TypeProto:
    bare = _copied(kind)
    if bare.HasField("tensor_type"):
        bare.tensor_type.ClearField("shape")
    return bare


def _learn(node: NodeProto, scope: Scope, kinds: Sequence[TypeProto]) -> None:
    for name, kind in zip(node.output, kinds, strict=False):
        if name:
            scope.learn(name, _without_shape(kind))


def _dense(array: Any) -> Array:
    return np.asarray(array, order="C")


def _value(values: dict[str, Any], names: Sequence[str], place: int) -> Any:
    return values[names[place]] if place < len(names) and names[place] else None


def _one(label: str, value: Any) -> Any:
    """Return the only value of an array."""
    array = np.asarray(value)
    if array.size != 1:
        raise ValueError(f"{label}: expected a condition or count of one value, got {array.shape}")
    return array.reshape(-1)[0]


class _If:
    def __init__(self, node: NodeProto, scope: Scope, compile_graph: _Compile) -> None:
        self._label = node_label(node)
        self._reads, self._writes = tuple(node.input), tuple(node.output)
        self._then, self._else = (
            _Body(node, name, scope, compile_graph).block for name in ("then_branch", "else_branch")
        )
        kinds = zip(self._then.types, self._else.types, strict=True)
        _learn(node, scope, [one if one.WhichOneof("value") else two for one, two in kinds])

    def run(self, values: dict[str, Any]) -> None:
        """Run the branch that the condition chooses."""
        condition = _one(self._label, values[self._reads[0]])
        made = (self._then if condition else self._else).run([], values)
        values |= {name: one for name, one in zip(self._writes, made, strict=False) if name}


class _Loop:
    def __init__(self, node: NodeProto, scope: Scope, compile_graph: _Compile) -> None:
        self._label = node_label(node)
        self._reads, self._writes = tuple(node.input), tuple(node.output)
        states = [scope.type_of(name) for name in node.input[2:]]
        counter = onnx.helper.make_tensor_type_proto(onnx.TensorProto.INT64, [])
        going = onnx.helper.make_tensor_type_proto(onnx.TensorProto.BOOL, [])
        self._body = _Body(node, "body", scope, compile_graph, [counter, going, *states])
        self._states = len(states)
        _learn(node, scope, self._body.block.types[1:])

    def run(self, values: dict[str, Any]) -> None:
        """Run the body until it says so, or as often as it may."""
        names = self._reads
        most, going = _value(values, names, 0), _value(values, names, 1)
        states = [values[name] for name in names[2:]]
        turns = count() if most is None else range(int(_one(self._label, most)))
        going = going is None or bool(_one(self._label, going))
        kept: list[list[Any]] = [[] for _ in self._body.block.outputs[1 + self._states :]]
        for turn in turns:
            if not going:
                break
            given = [np.array(turn, np.int64), np.array(going), *states]
            condition, *made = self._body.block.run(given, values)
            going = bool(_one(self._label, condition))
            states = made[: self._states]
            for one, array in zip(kept, made[self._states :], strict=True):
                one.append(array)
        together = [
            np.stack(one) if one else self._body.empty(1 + self._states + place)
            for place, one in enumerate(kept)
        ]
        made = [*states, *together]
        values |= {name: one for name, one in zip(self._writes, made, strict=False) if name}


class _Scan:
    def __init__(self, node: NodeProto, scope: Scope, compile_graph: _Compile) -> None:
        self._label = node_label(node)
        self._reads, self._writes = tuple(node.input), tuple(node.output)
        if operator_set(scope.model) < _SCAN_OPSET:
            raise ValueError(
                f"{self._label}: expected operator set {_SCAN_OPSET} or later around recurrent "
                f"nodes, got {operator_set(scope.model)}"
            )
        listed = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        scanned = int(listed["num_scan_inputs"])
        self._states = len(node.input) - scanned
        self._body = _Body(
            node, "body", scope, compile_graph, [scope.type_of(name) for name in node.input]
        )
        made = len(node.output) - self._states
        zeros = {"input": [0] * scanned, "output": [0] * made}
        self._axes, self._backwards = (
            {way: listed.get(f"scan_{way}_{what}", zero) for way, zero in zeros.items()}
            for what in ("axes", "directions")
        )
        _learn(node, scope, self._body.block.types)

    def run(self, values: dict[str, Any]) -> None:
        """Run the body on each slice."""
        states = [values[name] for name in self._reads[: self._states]]
        scanned = [values[name] for name in self._reads[self._states :]]
        moved = [
            np.moveaxis(array, axis, 0)[:: -1 if back else 1]
            for array, axis, back in zip(
                scanned, self._axes["input"], self._backwards["input"], strict=True
            )
        ]
        turns = {len(array) for array in moved}
        if len(turns) != 1:
            raise ValueError(f"{self._label}: expected as many slices of all, got {sorted(turns)}")
        kept: list[list[Any]] = [[] for _ in self._body.block.outputs[self._states :]]
        for slices in zip(*moved, strict=True):
            made = self._body.block.run([*states, *map(_dense, slices)], values)
            states = made[: self._states]
            for one, array in zip(kept, made[self._states :], strict=True):
                one.append(array)
        together = [
            np.stack(one) if one else self._body.empty(self._states + place)
            for place, one in enumerate(kept)
        ]
        ways = zip(together, self._axes["output"], self._backwards["output"], strict=True)
        laid = [np.moveaxis(array[:: -1 if back else 1], 0, axis) for array, axis, back in ways]
        made = [*states, *map(_dense, laid)]
        values |= {name: one for name, one in zip(self._writes, made, strict=False) if name}
