"""A model cut into steps: recurrent nodes on our kernels, the pieces between them on others'.

Nodes that are not ours and need nothing of a recurrent node that is still to run are one piece, so
that there are as few pieces as the recurrent nodes allow. If, Loop and Scan with recurrent nodes
inside are steps of ours, their graphs programs of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto, TypeProto

from simdrnn.onnx.block import Block, Step
from simdrnn.onnx.calls import node_label
from simdrnn.onnx.control import control_step
from simdrnn.onnx.operators import ARGUMENTS, LEAST_OPSET
from simdrnn.onnx.pieces import (
    MissingOperatorError,
    OnnxPieces,
    Pieces,
    RuntimePieces,
    runtime_installed,
)
from simdrnn.onnx.recurrence import RecurrentStep
from simdrnn.onnx.scope import Scope
from simdrnn.onnx.subgraphs import (
    every_node,
    holds_recurrent,
    inline_recurrent,
    is_recurrent,
    names_read,
    needed_nodes,
    operator_set,
)
from simdrnn.onnx.types import element_dtype, tensor_type
from simdrnn.onnx.whole import whole_graph

__all__ = ["Program", "compile_graph"]


def compile_graph(graph: GraphProto, scope: Scope, inputs: Sequence[str]) -> Block:
    """Return a graph ready to run.

    Parameters
    ----------
    graph : of a model, or of a node.
    scope : of the graph: a new one, in which types of inputs may be known.
    inputs : names of the inputs that a call gives.
    """
    outputs = [one.name for one in graph.output]
    nodes = needed_nodes(scope.enter(graph), outputs, lambda node: _needs(node, scope))
    made = {name for node in nodes for name in node.output}
    steps: list[Step] = []
    for plain, ours in _levels(nodes, scope):
        if plain:
            steps.append(_piece(plain, nodes, outputs, scope))
        steps += [_own_step(node, scope) for node in ours]
    found = {name: scope.constant(name) for name in outputs if name in scope.constants}
    constants = {name: one for name, one in found.items() if one is not None}
    read = set(outputs).union(*(_needs(node, scope) for node in nodes))
    captured = sorted(read - made - {*inputs} - constants.keys())
    types = [_copied(scope.type_of(name)) for name in outputs]
    return Block(list(inputs), outputs, constants, steps, captured, types)


def _copied(kind: TypeProto) -> TypeProto:
    """Return a type that does not hold the model that it is of."""
    alone = TypeProto()
    alone.CopyFrom(kind)
    return alone


def _needs(node: NodeProto, scope: Scope) -> set[str]:
    """Return the values that a node must be given when it runs."""
    if is_recurrent(node):
        return {name for name in node.input if name and scope.constant(name) is None}
    return {name for name in names_read(node) if name not in scope.constants}


def _levels(
    nodes: Sequence[NodeProto], scope: Scope
) -> list[tuple[list[NodeProto], list[NodeProto]]]:
    """Return the nodes of each level: those of a piece, then those of ours that may follow it."""
    levels: list[tuple[list[NodeProto], list[NodeProto]]] = []
    made: dict[str, tuple[int, bool]] = {}
    for node in nodes:
        ours, level = holds_recurrent(node), 0
        for name in _needs(node, scope):
            before, by_ours = made.get(name, (0, False))
            level = max(level, before + (by_ours and not ours))
        while len(levels) <= level:
            levels.append(([], []))
        levels[level][ours].append(node)
        made |= {name: (level, ours) for name in node.output if name}
    return levels


def _piece(
    plain: list[NodeProto], nodes: Sequence[NodeProto], outputs: Sequence[str], scope: Scope
) -> Step:
    """Return a piece of some of a graph's nodes."""
    inside = {id(node) for node in plain}
    made = {name: None for node in plain for name in node.output if name}
    needed = set().union(*(_needs(node, scope) for node in plain)) - made.keys()
    wanted = set(outputs).union(*(_needs(node, scope) for node in nodes if id(node) not in inside))
    inputs = {name: scope.type_of(name) for name in sorted(needed)}
    piece = scope.ready(plain, inputs, [name for name in made if name in wanted])
    for name, kind in piece.types.items():
        scope.learn(name, kind)
    return piece


def _own_step(node: NodeProto, scope: Scope) -> Step:
    """Return a recurrent node, or one with recurrent nodes inside, as a step."""
    if not is_recurrent(node):
        return control_step(node, scope, compile_graph)
    arrays = zip(ARGUMENTS, map(scope.constant, node.input), strict=False)
    step = RecurrentStep(
        node, {place: one for place, one in arrays if one is not None}, scope.num_threads
    )
    elements = [scope.type_of(node.input[place]) for place in range(3)]
    for place, kind in reversed([*enumerate(elements)]):
        dtype = element_dtype(kind)
        if dtype is not None and dtype.name not in ("float32", "float64"):
            raise ValueError(
                f"{node_label(node)}: {ARGUMENTS[place]}: expected float32 or float64, got {dtype}"
            )
    known = [kind.tensor_type.elem_type for kind in elements if element_dtype(kind) is not None]
    for name, shape in zip(node.output, step.shapes(), strict=False):
        if known:
            scope.learn(name, tensor_type(known[0], shape))
    return step


class Program:
    """A model that is ready to run.

    Parameters
    ----------
    model : read by `simdrnn.onnx.files.read_model`.
    num_threads : for our kernels and ONNX Runtime's; None leaves the choice to both.
    options : ONNX Runtime's ``SessionOptions`` for what runs there.
    open : whether initializers that are inputs, too, must be given.

    Attributes
    ----------
    other_nodes : the package that runs the nodes that are not ours: ``"onnxruntime"``, or
        ``"onnx"`` where that is not installed or has not all of the operators.

    Raises
    ------
    ValueError : the model is too old, or a node not valid.
    NotImplementedError : a node has no implementation that is known to be right.
    """

    def __init__(
        self, model: ModelProto, num_threads: int | None = None, options: Any = None, *,
        open: bool = False,
    ) -> None:  # fmt: skip
        model = inline_recurrent(model)
        for node in every_node(model.graph.node):
            if is_recurrent(node) and operator_set(model) < LEAST_OPSET:
                raise ValueError(
                    f"{node_label(node)}: expected operator set {LEAST_OPSET} or later, "
                    f"got {operator_set(model)}"
                )
        defaults = {one.name for one in model.graph.initializer}
        names = [one.name for one in model.graph.input]
        given = frozenset(defaults if open else ()) & {*names}
        self._inputs = [name for name in names if name in given or name not in defaults]
        self._block, self.other_nodes = self._compile(model, num_threads, options, given)

    def _compile(
        self, model: ModelProto, num_threads: int | None, options: Any, given: frozenset[str]
    ) -> tuple[Block, str]:
        """Return the model ready to run on the first that has all of its other nodes."""
        ways: list[Pieces] = [OnnxPieces()]
        if runtime_installed():
            ways.insert(0, RuntimePieces(num_threads, options))
        reasons = []
        for pieces in ways:
            scope = Scope(model, pieces, num_threads, given)
            try:
                if isinstance(pieces, RuntimePieces):
                    whole = whole_graph(model, pieces, scope, self._inputs)
                    if whole is not None:
                        return whole, pieces.name
                    scope = Scope(model, pieces, num_threads, given)
                return compile_graph(model.graph, scope, self._inputs), pieces.name
            except MissingOperatorError as error:
                reasons.append(str(error))
            except (MemoryError, NotImplementedError, ValueError):
                raise
            except Exception as error:  # as others' implementations happen to fail
                raise ValueError(f"model: {error}") from error
        raise NotImplementedError("; ".join(reasons))

    def run(self, fed: Mapping[str, Any]) -> list[Any]:
        """Return all outputs, in the order of the graph.

        Parameters
        ----------
        fed : values of the inputs that have no value of their own; of an open program, of all.

        Raises
        ------
        TypeError, ValueError : values do not fit a node, which the message names.
        """
        try:
            return self._block.run([fed[name] for name in self._inputs], {})
        except (MemoryError, TypeError, ValueError):
            raise
        except Exception as error:  # others' implementations have classes of their own
            raise ValueError(f"model: {error}") from error
