"""What a model declares of its values: inputs, of which each element is another."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import ModelProto, ValueInfoProto

from simdrnn.onnx.budget import Budget
from simdrnn.onnx.values import Free, Unknown, Value, from_grid

__all__ = ["declared", "inferred", "labels"]

_SMALL = 2**10  # numbers of a constant by which shapes may be told

_RANDOM = np.random.default_rng()


def labels(shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """Return labels that nothing else has."""
    return np.asarray(_RANDOM.integers(2**64, size=shape, dtype=np.uint64))


def declared(info: ValueInfoProto, budget: Budget, bound: Mapping[tuple[str, int], int]) -> Value:
    """Return a value of which the model says how long its axes are, or that they are free.

    Parameters
    ----------
    info : of the value.
    budget : of what may be made.
    bound : sizes that free axes have to have, by the value's name and the axis.
    """
    label, kind = f"input {info.name!r}", info.type.tensor_type
    if not (kind.elem_type and kind.HasField("shape")):
        return Unknown(label, "no tensor whose axes are known")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    if dtype.kind not in "fiubV":
        return Unknown(label, f"no numbers, but {dtype}")
    names = [dim.dim_param for dim in kind.shape.dim]
    frees: list[Free | None] = []
    shape = []
    for axis, dim in enumerate(kind.shape.dim):
        length = bound.get((info.name, axis), dim.dim_value if dim.HasField("dim_value") else -1)
        if length == 0:
            return Unknown(label, "an axis of length 0, which says nothing")
        # A name that comes twice is one of exporters that call all axes the same.
        known = dim.dim_param and names.count(dim.dim_param) == 1
        size = str(dim.dim_param) if known else f"{info.name}[{axis}]"
        frees.append(Free((info.name, axis), size) if length < 0 else None)
        shape.append(1 if length < 0 else length)
    budget.take(label, 8 * math.prod(shape))
    return from_grid(labels(tuple(shape)), frees, dtype, known=False)


def inferred(model: ModelProto, budget: Budget) -> ModelProto:
    """Return the model with the shapes of its values, as far as onnx can tell them."""
    budget.take("path_or_model", model.ByteSize())
    bare = ModelProto()
    bare.CopyFrom(model)
    kept = []
    for tensor in bare.graph.initializer:
        if math.prod(tensor.dims) <= _SMALL:
            kept.append(tensor)
        elif tensor.name not in {one.name for one in bare.graph.input}:
            bare.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    del bare.graph.initializer[:]
    bare.graph.initializer.extend(kept)
    try:
        told = onnx.shape_inference.infer_shapes(bare)
    except Exception:  # of onnx's own kinds: then nothing is told
        return model
    bare.CopyFrom(model)
    bare.graph.value_info.extend(told.graph.value_info)
    return bare
