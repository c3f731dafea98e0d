"""Running a model on random numbers to see what its nodes hand to its recurrent nodes.

Exporters put dozens of patterns of Transpose, Squeeze, Reshape, Slice, Concat and the like around
recurrent nodes. What they amount to is found by running them, on onnx's own implementations: random
numbers go in, recurrent nodes give out fresh ones, and where a number arrives again says how it was
moved. Run on other numbers and other free sizes, what is a constant stays the same.

Only nodes that move or join things are run, and only while what they make stays small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto
from onnx.reference import ReferenceEvaluator

from simdrnn.onnx.attributes import NodeAttributes
from simdrnn.onnx.glue import GLUE, count_made
from simdrnn.onnx.node import NodeCall
from simdrnn.onnx.operators import ARGUMENTS, LEAST_OPSET, OPERATORS
from simdrnn.onnx.weights import NodeWeights
from simdrnn.validate import Array

__all__ = ["Recurrent", "Trace", "constants", "node_label", "trace"]

# How many numbers all nodes together may make, beside a small multiple of what the file brings.
_MOST_NUMBERS = 2**26
_TIMES_FILE = 8

# What free sizes are in a run: different from each other, so that axes cannot be confused.
_SIZES = ((3, 2, 5, 7, 11, 13, 17, 19, 23, 29), (2, 5, 3, 11, 7, 17, 13, 23, 19, 31))


@dataclass(frozen=True)
class Recurrent:
    """A recurrent node as it was met: with the batch behind the time, whatever its layout.

    Parameters
    ----------
    attributes, weights, call : of the node; W, R, B and P as they arrived.
    Y, states : what it gave out: random numbers (T, D, B, H) and (D, B, H) each.
    name, made : of its input X and its output Y in the graph.
    """

    attributes: NodeAttributes
    weights: NodeWeights
    call: NodeCall
    Y: Array
    states: tuple[Array, ...]
    name: str
    made: str


@dataclass
class Trace:
    """One run of a model.

    Parameters
    ----------
    inputs : what was fed, by name.
    values : everything that was made, by name.
    recurrent : the recurrent nodes, in the order of the model.
    """

    inputs: dict[str, Array]
    values: dict[str, Any]
    recurrent: list[Recurrent] = field(default_factory=list)
    left: int = _MOST_NUMBERS

    def take(self, what: str, numbers: int) -> None:
        """Count numbers that are about to be made; raise if they are too many."""
        self.left -= numbers
        if self.left < 0:
            raise ValueError(
                f"{what}: expected a model that makes at most {_MOST_NUMBERS} numbers when its "
                "free sizes are small; export it with free sizes of time and batch"
            )


def node_label(node: NodeProto) -> str:
    """Write a node as messages have it.

    Examples
    --------
    >>> from onnx import helper
    >>> node_label(helper.make_node("Relu", ["x"], ["y"]))
    "node 'y' (Relu)"
    """
    return f"node {node.name or next(iter(node.output), '')!r} ({node.op_type})"


def constants(model: ModelProto) -> dict[str, Array]:
    """Return the initializers of a model by name, which nobody can change."""
    found = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for array in found.values():
        array.flags.writeable = False
    return found


def trace(model: ModelProto, given: Mapping[str, Array], variant: int) -> Trace:
    """Run a model on random numbers.

    Parameters
    ----------
    model : read by `simdrnn.onnx.files.read_model`.
    given : its `constants`.
    variant : 0 or 1: which free sizes and random numbers.

    Raises
    ------
    ValueError : a node is none of those that recurrent nodes are exported with, or cannot be run on
        such numbers, or makes too many.
    """
    graph, opset = model.graph, _opset(model)
    for node in graph.node:
        known = GLUE | OPERATORS.keys() if node.domain in ("", "ai.onnx") else ()
        if node.op_type not in known:
            raise ValueError(
                f"{node_label(node)}: expected recurrent nodes and what moves or joins values "
                "around them; simdrnn.onnx.backend is for other models"
            )
    rng = np.random.default_rng(variant)
    met = Trace({}, {"": None, **given})
    met.left += _TIMES_FILE * sum(array.size for array in given.values())
    for name, shape, dtype in _inputs(graph, _SIZES[variant]):
        met.take(f"input {name!r}", math.prod(shape))
        met.inputs[name] = _draw(rng, shape, dtype)
    met.values |= met.inputs
    for node in graph.node:
        if node.op_type in OPERATORS:
            _meet(node, met, rng)
        else:
            _run(node, met, opset)
    return met


def _opset(model: ModelProto) -> int:
    versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if not versions or versions[0] < LEAST_OPSET:
        raise ValueError(f"model: expected operator set {LEAST_OPSET} or later, got {versions}")
    return int(versions[0])


def _inputs(graph: GraphProto, sizes: Sequence[int]) -> Iterator[tuple[str, tuple[int, ...], Any]]:
    """Yield name, shape and dtype of the inputs that have no value of their own."""
    given = {one.name for one in graph.initializer}
    free: dict[str, int] = {}
    for value in graph.input:
        if value.name in given:
            continue
        kind = value.type.tensor_type
        if not (kind.elem_type and kind.HasField("shape")):
            raise ValueError(f"input {value.name!r}: expected a tensor whose axes are known")
        shape = []
        for axis, dim in enumerate(kind.shape.dim):
            if dim.HasField("dim_value"):
                shape.append(int(dim.dim_value))
                continue
            known = free.setdefault(dim.dim_param or f"{value.name} {axis}", len(free))
            shape.append(sizes[known % len(sizes)])
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if min(shape, default=1) < 0 or dtype.kind not in "fiub":
            raise ValueError(f"input {value.name!r}: expected numbers, got {dtype} {shape}")
        yield value.name, tuple(shape), dtype


def _draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(1, 3, shape).astype(dtype)  # lengths, of which all steps allow 1 and 2


def _argument(node: NodeProto, place: int) -> str:
    return node.input[place] if place < len(node.input) else ""


def _meet(node: NodeProto, met: Trace, rng: np.random.Generator) -> None:
    """Keep what a recurrent node is given, and give out random numbers."""
    given = {name: met.values.get(_argument(node, k)) for k, name in enumerate(ARGUMENTS)}
    label = node_label(node)
    listed = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    attributes = NodeAttributes.parse(label, node.op_type, _decoded(listed))
    X, W, R = (given[name] for name in "XWR")
    shape = getattr(X, "shape", None)
    if X is None or W is None or R is None:
        raise ValueError(f"{label}: expected X, W and R")
    weights = NodeWeights(W, R, given["B"], given["P"])
    D = attributes.directions
    weights.check(label, attributes.operator, D, attributes.hidden_size)
    initial = [given["initial_h"], given["initial_c"]]
    if X.ndim == 3 and attributes.layout:
        X = X.swapaxes(0, 1)
        initial = [None if one is None else one.swapaxes(0, 1) for one in initial]
    if X.ndim != 3 or X.shape[2] != weights.input_size or X.dtype != W.dtype:
        raise ValueError(
            f"{label}: X: expected {W.dtype} with I = {weights.input_size} on the last of three "
            f"axes, as W has, got {X.dtype} of shape {shape}"
        )
    (T, B, _), H = X.shape, weights.hidden_size
    states = len(attributes.operator.states)
    met.take(label, D * B * H * (T + states))
    Y = rng.standard_normal((T, D, B, H), X.dtype)
    finals = tuple(rng.standard_normal((D, B, H), X.dtype) for _ in range(states))
    call = NodeCall(X, given["sequence_lens"], *initial)
    met.recurrent.append(
        Recurrent(attributes, weights, call, Y, finals, node.input[0], node.output[0])
    )
    shown = (Y, *finals)
    if attributes.layout:
        shown = (Y.transpose(2, 0, 1, 3), *(one.swapaxes(0, 1) for one in finals))
    met.values |= {name: one for name, one in zip(node.output, shown, strict=False) if name}


def _decoded(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes with text in place of bytes."""

    def text(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [text(one) for one in value]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    return {name: text(value) for name, value in attributes.items()}


def _run(node: NodeProto, met: Trace, opset: int) -> None:
    """Run one other node, if what it makes is small enough."""
    label = node_label(node)
    inputs = [met.values.get(name) for name in node.input]
    met.take(label, count_made(label, node, inputs))
    names = [name for name in node.output if name]
    graph = onnx.helper.make_graph(
        [node],
        "one",
        [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(node.input) if name],
        [onnx.ValueInfoProto(name=name) for name in names],
    )
    try:
        with np.errstate(all="ignore"):  # what is not recognised may be anything
            made = ReferenceEvaluator(graph, opsets={"": opset, "ai.onnx": opset}).run(
                names, {name: met.values.get(name) for name in node.input if name}
            )
    except Exception as error:  # a wrong model fails as the implementation happens to
        raise ValueError(
            f"{label}: expected a node that runs on inputs of shapes "
            f"{[getattr(one, 'shape', None) for one in inputs]}: {error}"
        ) from error
    met.values |= dict(zip(names, made, strict=True))
