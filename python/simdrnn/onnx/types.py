"""Types of values, as ONNX Runtime writes them: ``tensor(float)``, ``seq(tensor(int64))``."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, TypeProto, ValueInfoProto

__all__ = ["Argument", "argument", "element_dtype", "read_type", "tensor_type", "write_type"]

_WRAPPED = re.compile(r"(seq|optional|tensor|sparse_tensor)\((.*)\)")
_MAP = re.compile(r"map\(([^,]+),(.*)\)")


class Argument(NamedTuple):
    """An input or output of a model.

    Parameters
    ----------
    name : in the graph.
    shape : sizes; of those that are free their names, or None. Empty where nothing is known, too.
    type : ``"tensor(float)"`` and the like.
    """

    name: str
    shape: list[int | str | None]
    type: str


def argument(value: ValueInfoProto) -> Argument:
    """Return a value of a graph as ONNX Runtime shows it.

    Examples
    --------
    >>> argument(onnx.helper.make_tensor_value_info("x", 1, ["T", -1, 3]))
    Argument(name='x', shape=['T', None, 3], type='tensor(float)')
    """
    return Argument(value.name, _sizes(value.type), write_type(value.type))


def _sizes(kind: TypeProto) -> list[int | str | None]:
    if not kind.HasField("tensor_type"):
        return []
    found: list[int | str | None] = []
    for dim in kind.tensor_type.shape.dim:
        if dim.HasField("dim_value"):  # files of old exporters have -1 for any size
            found.append(int(dim.dim_value) if dim.dim_value >= 0 else None)
        else:
            found.append(dim.dim_param or None)
    return found


def write_type(kind: TypeProto) -> str:
    """Return a type as text; an empty one where it is not known.

    Examples
    --------
    >>> write_type(tensor_type(onnx.TensorProto.FLOAT))
    'tensor(float)'
    """
    if kind.HasField("tensor_type"):
        number = kind.tensor_type.elem_type
        return f"tensor({_element_name(number)})" if number else ""
    if kind.HasField("sequence_type"):
        return f"seq({write_type(kind.sequence_type.elem_type)})"
    if kind.HasField("optional_type"):
        return f"optional({write_type(kind.optional_type.elem_type)})"
    if kind.HasField("map_type"):
        key = _element_name(kind.map_type.key_type)
        return f"map({key},{write_type(kind.map_type.value_type)})"
    if kind.HasField("sparse_tensor_type"):
        return f"sparse_tensor({_element_name(kind.sparse_tensor_type.elem_type)})"
    return ""


def _element_name(number: int) -> str:
    names = {value: name for name, value in TensorProto.DataType.items()}
    return str(names.get(number, number)).lower()


def read_type(text: str) -> TypeProto | None:
    """Return the type that `write_type` would write so, without a shape; None if there is none.

    Examples
    --------
    >>> write_type(read_type("seq(map(int64,tensor(float)))"))
    'seq(map(int64,tensor(float)))'
    """
    kind = TypeProto()
    found = _WRAPPED.fullmatch(text)
    if found is None:
        pair = _MAP.fullmatch(text)
        value = None if pair is None else read_type(pair[2])
        if pair is None or value is None:
            return None
        kind.map_type.key_type = TensorProto.DataType.Value(pair[1].upper())
        kind.map_type.value_type.CopyFrom(value)
        return kind
    word, rest = found[1], found[2]
    if word in ("tensor", "sparse_tensor"):
        if rest.upper() not in [name for name, _ in TensorProto.DataType.items()]:
            return None
        inner: Any = kind.tensor_type if word == "tensor" else kind.sparse_tensor_type
        inner.elem_type = TensorProto.DataType.Value(rest.upper())
        return kind
    element = read_type(rest)
    if element is None:
        return None
    (kind.sequence_type if word == "seq" else kind.optional_type).elem_type.CopyFrom(element)
    return kind


def tensor_type(element: int, shape: list[int | None] | None = None) -> TypeProto:
    """Return the type of a tensor; None is a free size, and no shape one of any rank."""
    return onnx.helper.make_tensor_type_proto(element, shape)


def element_dtype(kind: TypeProto) -> np.dtype[Any] | None:
    """Return the dtype of a tensor type's values; None where it is no tensor or not known."""
    number = kind.tensor_type.elem_type if kind.HasField("tensor_type") else 0
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number)) if number else None
