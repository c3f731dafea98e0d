"""Nodes whose inputs are all constants, run ahead on onnx's reference implementations.

Only operators whose implementations there are right in all operator sets are run, and only if what
they make is counted before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import NodeProto
from onnx.reference import ReferenceEvaluator

from simdrnn.onnx.calls import Call
from simdrnn.onnx.dequantize import dequantize
from simdrnn.onnx.sizes import Unclear
from simdrnn.validate import Array

__all__ = ["ELEMENTWISE", "fold"]

ELEMENTWISE = frozenset(
    {
        "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "Cast",
        "CastLike", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf",
        "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish",
        "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min",
        "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu",
        "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt",
        "Sub", "Sum", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
    }
)  # fmt: skip
"""Operators that make every element of those in the same place, and broadcast."""

_REDUCE = frozenset(
    {
        "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
        "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
    }
)  # fmt: skip
# Of these the shapes of what they make are told by onnx. Those that are in `moves.py`, too, are
# here for what is asked of constants only.
_OTHERS = frozenset(
    {
        "Concat", "ConstantOfShape", "CumSum", "Einsum", "Expand", "EyeLike", "Flatten",
        "Gather", "GatherElements", "GatherND", "Gemm", "MatMul", "OneHot", "Pad", "QuantizeLinear",
        "Range", "Reshape", "ReverseSequence", "ScatterElements", "ScatterND", "Slice",
        "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze",
    }
)  # fmt: skip
# Operator sets from which on an implementation is right.
_SINCE = {"Softmax": 13, "LogSoftmax": 13}

_SMALL = 2**10  # numbers of an input that may say how large an output is
_NUMBER = 8  # bytes that a number may take meanwhile


def fold(call: Call, arrays: Sequence[Array | None]) -> list[Array]:
    """Return what a node makes of constants.

    Parameters
    ----------
    call : the node.
    arrays : its inputs; None are absent.

    Raises
    ------
    Unclear : the operator is none of those that are run, or does not run on such inputs.
    ValueError : it would make more than the budget allows.
    """
    operator = call.node.op_type
    known = operator in ELEMENTWISE | _REDUCE | _OTHERS | {"DequantizeLinear"}
    if not known and call.opset < _SINCE.get(operator, math.inf):
        raise Unclear("something of constants by an operator that is not run ahead")
    given = [one for one in arrays if one is not None]
    if any(one.dtype.kind not in "fiubV" for one in given) or _makes_text(call.node):
        raise Unclear("something that is no number")
    numbers = _broadcast(given) if operator in ELEMENTWISE else _count(call, arrays)
    if operator in _REDUCE | _SINCE.keys():
        numbers = sum(one.size for one in given)
    call.budget.take(call.label, _NUMBER * numbers)
    if operator == "DequantizeLinear":
        return [dequantize(call, arrays)]
    return _run(call, arrays)


def _run(call: Call, arrays: Sequence[Array | None]) -> list[Array]:
    node, opset = call.node, call.opset
    names = [name for name in node.output if name]
    fed = {name: one for name, one in zip(node.input, arrays, strict=True) if name}
    graph = onnx.helper.make_graph(
        [node],
        "one",
        [onnx.ValueInfoProto(name=name) for name in fed],
        [onnx.ValueInfoProto(name=name) for name in names],
    )
    try:
        with np.errstate(all="ignore"):
            made = ReferenceEvaluator(graph, opsets={"": opset, "ai.onnx": opset}).run(names, fed)
    except MemoryError:
        raise
    except Exception as error:  # a wrong model fails as the implementation happens to
        shapes = [getattr(one, "shape", None) for one in arrays]
        raise Unclear(f"nothing of shapes {shapes}: {error}") from error
    found = dict(zip(names, made, strict=True))
    return [np.asarray(found.get(name)) for name in node.output]


def _makes_text(node: NodeProto) -> bool:
    kinds = [attribute.i for attribute in node.attribute if attribute.name == "to"]
    return node.op_type == "Cast" and onnx.TensorProto.STRING in kinds


def _broadcast(arrays: Sequence[Array]) -> int:
    """Return how many numbers there are when arrays are broadcast."""
    most = max((array.ndim for array in arrays), default=0)
    padded = [(1,) * (most - array.ndim) + array.shape for array in arrays]
    return math.prod(max(sizes) for sizes in zip(*padded, strict=True))


def _count(call: Call, arrays: Sequence[Array | None]) -> int:
    """Return how many numbers a node makes, as onnx infers it."""
    node = call.node
    inputs, known = [], []
    for name, array in zip(node.input, arrays, strict=True):
        if array is None or not name:
            continue
        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        inputs.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
        if array.size <= _SMALL:
            known.append(onnx.numpy_helper.from_array(array, name))
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "one", inputs, outputs, known)
    opset = [onnx.helper.make_opsetid("", call.opset)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # of onnx's own kinds
        raise Unclear(f"nothing: {error}") from error
    numbers = 0
    for output in inferred.graph.output:
        kind = output.type.tensor_type
        if not kind.HasField("shape") or not all(d.HasField("dim_value") for d in kind.shape.dim):
            raise Unclear("something of which it cannot be told how large it is")
        numbers += math.prod(dim.dim_value for dim in kind.shape.dim)
    return numbers
