"""Going through a graph without running it, to see what it hands to its recurrent nodes.

Exporters put dozens of patterns of Transpose, Squeeze, Reshape, Slice, Concat and the like around
recurrent nodes. What each of them does is known (`moves.py`, `arithmetic.py`), so that every value
is known by where its elements come from. Constants are folded (`fold.py`). Any other node makes
something `Unknown`, and only where that reaches a recurrent node or an output does it matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from simdrnn.onnx.arithmetic import ARITHMETIC, aligned
from simdrnn.onnx.budget import Budget, BudgetError
from simdrnn.onnx.calls import Call, node_label
from simdrnn.onnx.fold import ELEMENTWISE, fold
from simdrnn.onnx.inputs import declared, inferred
from simdrnn.onnx.meeting import BoundError, Recurrent, meet
from simdrnn.onnx.moves import MOVES
from simdrnn.onnx.operators import LEAST_OPSET, OPERATORS
from simdrnn.onnx.sizes import Unclear
from simdrnn.onnx.values import Tensor, Unknown, Value, constant, from_grid, plain

__all__ = ["Trace", "trace"]

_SIMPLE = {"", "ai.onnx"}
_OBJECTS = 512  # bytes that are kept of a node and of each of its outputs, whatever their size


@dataclass
class Trace:
    """What is known of a model.

    Parameters
    ----------
    budget : of what may be made.
    opset : of the default domain.
    everywhere : whether recurrent nodes in subgraphs are met, too, and whatever they are given.
    bound : sizes of axes that are declared free, and cannot be.
    inputs : what the model is given, by name.
    recurrent : the recurrent nodes, in the order of the model.
    values : all of the model's own graph, by name.
    makers : of values, the nodes as messages have them.
    """

    budget: Budget
    opset: int
    everywhere: bool
    bound: Mapping[tuple[str, int], int]
    inputs: dict[str, Value] = field(default_factory=dict)
    recurrent: list[Recurrent] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)

    def source(self, name: str) -> str:
        """Say what came in place of what was expected, of a value that is known."""
        return f"what {self.makers[name]} makes" if name in self.makers else f"{name!r}"


def trace(model: ModelProto, budget: Budget, everywhere: bool = False) -> Trace:
    """Go through a model.

    Parameters
    ----------
    model : read by `simdrnn.onnx.files.read_model`.
    budget : of what may be made.
    everywhere : whether recurrent nodes are looked for in subgraphs, too, and whatever they are
        given.

    Raises
    ------
    ValueError : a recurrent node has no constant weights, or contradicts itself; or there would be
        too much to keep.
    """
    if everywhere:
        model = inferred(model, budget)
    bound: dict[tuple[str, int], int] = {}
    while True:
        met = Trace(budget, _opset(model), everywhere, bound)
        try:
            _go_through(model.graph, met, None)
        except BoundError as found:  # an axis that is called free can have one size only
            if found.axis in bound:
                raise
            bound[found.axis] = found.size
        else:
            return met


def _opset(model: ModelProto) -> int:
    versions = [one.version for one in model.opset_import if one.domain in _SIMPLE]
    if not versions or versions[0] < LEAST_OPSET:
        raise ValueError(
            f"path_or_model: expected operator set {LEAST_OPSET} or later, got {versions}"
        )
    return int(versions[0])


def _go_through(graph: GraphProto, met: Trace, outer: Mapping[str, Value] | None) -> None:
    """Meet all nodes of a graph; `outer` are the values of the one around it, if there is one."""
    values: dict[str, Value] = {**(outer or {}), "": None}
    for tensor in graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        array.flags.writeable = False
        values[tensor.name] = constant(array)
    given = {one.name for one in graph.initializer}
    for info in graph.input:
        if info.name not in given:
            values[info.name] = declared(info, met.budget, met.bound)
            if outer is None:
                met.inputs[info.name] = values[info.name]
    infos = (*graph.value_info, *graph.output) if met.everywhere else ()
    told = {info.name: info for info in infos}
    for node in graph.node:
        met.budget.take(node_label(node), _OBJECTS * (1 + len(node.output)))
        made = _made(node, met, values)
        for name, value in zip(node.output, made, strict=False):
            if isinstance(value, Unknown) and name in told:
                value = declared(told[name], met.budget, met.bound)
            if name:
                values[name] = value
                met.makers[name] = node_label(node)
    if outer is None:
        met.values = values


def _made(node: NodeProto, met: Trace, values: Mapping[str, Value]) -> Sequence[Value]:
    """Return what a node makes."""
    label = node_label(node)
    ours = node.domain in _SIMPLE
    inputs = [values.get(name) for name in node.input]
    if ours and node.op_type in OPERATORS:
        found = meet(node, inputs, met.budget, judged=not met.everywhere)
        met.recurrent.append(found)
        return found.shown
    if met.everywhere:
        for attribute in node.attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                _go_through(graph, met, values)
    missing = [name for name, one in zip(node.input, inputs, strict=True) if name and one is None]
    if missing:
        return [Unknown(label, f"it of {missing[0]!r}, which is not there")] * len(node.output)
    for one in inputs:
        if isinstance(one, Unknown):
            return [one] * len(node.output)
    tensors = [one for one in inputs if not isinstance(one, Unknown)]
    call = Call(node, tensors, met.opset, met.budget)
    try:
        return _understood(call) if ours else [Unknown(label, other=True)] * len(node.output)
    except Unclear as error:
        known = node.op_type in MOVES.keys() | ARITHMETIC.keys()
        return [Unknown(label, str(error), other=not known)] * len(node.output)
    except BudgetError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # of a wrong node
        return [Unknown(label, f"nothing that is clear: {error}")] * len(node.output)


def _understood(call: Call) -> list[Tensor]:
    """Return what a node makes of values that are known in part."""
    operator, given = call.node.op_type, [one for one in call.inputs if one is not None]
    if operator in MOVES:
        try:
            return MOVES[operator](call)
        except Unclear:
            if not given or any(plain(one) is None for one in given):
                raise
    numbers = [one.known and one.payload.dtype != object for one in given]
    if given and all(plain(one) is not None for one in given):
        arrays = [None if one is None else plain(one) for one in call.inputs]
        return [constant(array) for array in fold(call, arrays)]
    if given and all(numbers) and operator in ELEMENTWISE:
        frees, grids = aligned(given)
        made = fold(call, [None if one is None else grids.pop(0) for one in call.inputs])
        return [from_grid(array, frees, array.dtype, known=True) for array in made]
    if operator not in ARITHMETIC:
        raise Unclear("")
    return ARITHMETIC[operator](call)
