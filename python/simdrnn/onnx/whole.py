"""A whole graph in one session of ONNX Runtime, whose recurrent nodes are calls of ours.

ONNX Runtime runs operators of others. Ours, in the compiled engine, gives the inputs of a node to a
function of Python's and takes its results, so that nothing of the graph is cut, and what lies
between two recurrent nodes is optimised, planned and run as if they were ONNX Runtime's own.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from itertools import count
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto, TypeProto, helper

from simdrnn import _core
from simdrnn.onnx.block import Block
from simdrnn.onnx.operators import ARGUMENTS
from simdrnn.onnx.pieces import MissingOperatorError, Piece, RuntimePieces, fit_version
from simdrnn.onnx.recurrence import RecurrentStep
from simdrnn.onnx.reshapes import settle_reshapes
from simdrnn.onnx.scope import Scope
from simdrnn.onnx.subgraphs import is_recurrent, names_read, needed_nodes, subgraphs
from simdrnn.validate import Array

__all__ = ["whole_graph"]

_DTYPES = ("float32", "float64")
_NUMBERS = count()
"""By which nodes name their functions: no two of a process have the same."""


class _Failed(threading.local):
    """Why the last call of ours on this thread failed, which ONNX Runtime would only write down."""

    error: BaseException | None = None


_FAILED = _Failed()


class _NotWhole(Exception):
    """The weights of a node are computed or given, or their type is not one of ours."""


class _Caller:
    """What ONNX Runtime calls for a node."""

    def __init__(self, step: RecurrentStep) -> None:
        self._step = step

    def __call__(
        self, x: Array, W: Array | None, R: Array | None, B: Array | None,
        lengths: Array | None, h: Array | None, c: Array | None, P: Array | None,
    ) -> tuple[Array, ...] | None:  # fmt: skip
        """Return Y, Y_h and Y_c; None after an error, which is kept."""
        try:
            made = self._step.at_once(x, h, c) if lengths is None else None
            if made is not None:
                return made
            inputs = zip(ARGUMENTS, (x, W, R, B, lengths, h, c, P), strict=True)
            return self._step.made({name: one for name, one in inputs if one is not None})
        except BaseException as error:
            # The frames that it came through have arrays whose memory is ONNX Runtime's.
            cause: BaseException | None = error
            while cause is not None:
                cause.__traceback__ = None
                cause = cause.__cause__ or cause.__context__
            _FAILED.error = error
            return None


class _Whole:
    """A whole graph as one step of a program."""

    def __init__(self, piece: Piece, numbers: list[int]) -> None:
        self._piece = piece
        weakref.finalize(self, _forget, numbers)

    def run(self, values: dict[str, Any]) -> None:
        """Run the graph on values by name, and put its outputs among them."""
        try:
            self._piece.run(values)
        except Exception:
            error, _FAILED.error = _FAILED.error, None
            if error is None:
                raise
            raise error from error.__cause__


def _forget(numbers: list[int]) -> None:
    for number in numbers:
        _core.runtime_steps.pop(number, None)


def whole_graph(
    model: ModelProto, pieces: RuntimePieces, scope: Scope, inputs: Sequence[str]
) -> Block | None:
    """Return a model ready to run in one session; None where it has to be cut.

    Parameters
    ----------
    model : the whole, checked.
    pieces : what makes sessions.
    scope : of its graph, a new one.
    inputs : names of the inputs that a call gives.
    """
    whole = ModelProto()
    whole.CopyFrom(model)
    numbers: list[int] = []
    try:
        _initialise(whole.graph, scope)
        settle_reshapes(whole, {one.name for one in model.graph.input})
        _replace(whole.graph, scope, numbers)
        _strip(whole, inputs)
        piece = pieces.ready(whole)
    except (_NotWhole, MissingOperatorError, NotImplementedError, ValueError):
        _forget(numbers)  # the graph is cut then, and what is wrong with it said there
        return None
    outputs = [one.name for one in model.graph.output]
    step = _Whole(piece, numbers)
    return Block(list(inputs), outputs, {}, [step], [], [TypeProto() for _ in outputs])


def _initialise(graph: GraphProto, scope: Scope) -> None:
    """Take a graph into its scope, with Constant nodes as initializers."""
    known = {one.name for one in graph.initializer}
    nodes = scope.enter(graph)
    graph.initializer.extend(
        tensor for name, tensor in scope.constants.items() if name not in known
    )
    _keep(graph, nodes)


def _keep(graph: GraphProto, nodes: Sequence[NodeProto]) -> None:
    """Leave some of its nodes in a graph: of these what its outputs need, and nothing else runs."""
    kept = needed_nodes(nodes, [one.name for one in graph.output])
    del graph.node[:]
    graph.node.extend(kept)


def _replace(graph: GraphProto, scope: Scope, numbers: list[int]) -> None:
    """Put nodes that call us in place of recurrent ones, in a graph and in those inside it.

    Parameters
    ----------
    graph, scope : what is changed, and what it sees.
    numbers : of the nodes, to which those of these are added.
    """
    for node in graph.node:
        if is_recurrent(node):
            numbers.append(next(_NUMBERS))
            node.CopyFrom(_calling(node, scope, numbers[-1]))
            continue
        for inside in subgraphs(node):
            inner = scope.inner()
            inner.enter(inside)
            _keep(inside, inside.node[:])
            _replace(inside, inner, numbers)


def _calling(node: NodeProto, scope: Scope, number: int) -> NodeProto:
    """Return a node that calls us in place of a recurrent one."""
    found = zip(ARGUMENTS, map(scope.constant, node.input), strict=False)
    constants = {place: one for place, one in found if one is not None}
    if not {"W", "R"} <= constants.keys() or constants["R"].dtype.name not in _DTYPES:
        raise _NotWhole
    step = RecurrentStep(node, constants, scope.num_threads)
    _core.runtime_steps[number] = _Caller(step)
    return helper.make_node(
        f"Recurrent_{constants['R'].dtype.name}",
        [step.places.get(place, "") for place in ARGUMENTS],
        node.output,
        node.name,
        domain=_core.runtime_domain,
        step=number,
    )


def _strip(model: ModelProto, inputs: Sequence[str]) -> None:
    """Take from a model what nobody reads now, and what the file says of types without need."""
    graph = model.graph
    model.opset_import.append(helper.make_opsetid(_core.runtime_domain, 1))
    read = {one.name for one in graph.output}.union(*map(names_read, graph.node))
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in read:
            del graph.initializer[place]
    for place in reversed(range(len(graph.input))):
        if graph.input[place].name not in inputs:
            del graph.input[place]
    ours = (node.input for node in graph.node if node.domain == _core.runtime_domain)
    checked = set().union(*ours)  # by us, who say it better
    for value in graph.input:
        if value.name in checked:
            value.type.tensor_type.ClearField("shape")
    for output in graph.output:
        output.ClearField("type")
    fit_version(model)
