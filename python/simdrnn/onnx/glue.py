"""The nodes that exporters write around recurrent ones, and how many numbers they would make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto

from simdrnn.validate import Array

__all__ = ["GLUE", "count_made"]

_VIEWS = frozenset(
    {"Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)  # of what they are given
_MOVES = frozenset({"Concat", "Flatten", "Gather", "Identity", "Reshape", "ReverseSequence"})
_SHAPES = frozenset(
    {"Cast", "CastLike", "Constant", "ConstantOfShape", "Expand", "Shape", "Size", "Tile"}
)
_BROADCAST = frozenset({"Add", "Div", "Equal", "Max", "Mean", "Min", "Mul", "Sub", "Sum", "Where"})
_REDUCE = frozenset({"ReduceMean", "ReduceProd", "ReduceSum"})

GLUE = _VIEWS | _MOVES | _SHAPES | _BROADCAST | _REDUCE
"""Operators that move, join and select values, reckon with shapes, or join two directions."""

_MOST_AXES = 64  # of a NumPy array


def count_made(label: str, node: NodeProto, inputs: Sequence[Any]) -> int:
    """Return how many numbers a node would make, before it is run.

    Parameters
    ----------
    label : of the node, for messages.
    node : of one of the operators `GLUE`.
    inputs : arrays, or None.

    Raises
    ------
    ValueError : an input is no number, or none that could be a shape where one is asked for.

    Examples
    --------
    >>> from onnx import helper
    >>> node = helper.make_node("Expand", ["x", "shape"], ["y"])
    >>> count_made("node", node, [np.ones((3, 1)), np.array([2, 1, 10**9])])
    6000000000
    """
    arrays = [one for one in inputs if isinstance(one, np.ndarray)]
    if any(array.dtype.kind not in "fiub" for array in arrays) or _makes_text(node):
        raise ValueError(f"{label}: expected numbers or bools, got something else")
    if node.op_type in _VIEWS:
        return 0
    if node.op_type in _BROADCAST:
        return _broadcast([array.shape for array in arrays])
    if node.op_type == "ConstantOfShape" and arrays:
        return math.prod(_shape(label, arrays[0]))
    if node.op_type == "Expand" and len(arrays) == 2:
        return _broadcast([arrays[0].shape, _shape(label, arrays[1])])
    if node.op_type == "Tile" and len(arrays) == 2:
        return arrays[0].size * math.prod(_shape(label, arrays[1]))
    if node.op_type == "Gather" and len(arrays) == 2:
        axes = [a.i for a in node.attribute if a.name == "axis"] or [0]
        rows = arrays[0].shape[axes[0]] if -arrays[0].ndim <= axes[0] < arrays[0].ndim else 1
        return arrays[0].size // max(rows, 1) * arrays[1].size
    return sum(array.size for array in arrays)


def _makes_text(node: NodeProto) -> bool:
    kinds = [attribute.i for attribute in node.attribute if attribute.name == "to"]
    return node.op_type == "Cast" and TensorProto.STRING in kinds


def _shape(label: str, array: Array) -> tuple[int, ...]:
    """Return the values of an array that is a shape."""
    whole = array.dtype.kind in "iu" and array.size <= _MOST_AXES
    if not whole or (array.size and array.min() < 0):
        raise ValueError(f"{label}: expected a shape, got {array.dtype} of shape {array.shape}")
    return tuple(int(size) for size in array.reshape(-1))


def _broadcast(shapes: Sequence[tuple[int, ...]]) -> int:
    """Return how many numbers there are when arrays of these shapes are broadcast."""
    most = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (most - len(shape)) + shape for shape in shapes]
    return math.prod(max(sizes) for sizes in zip(*padded, strict=True))
