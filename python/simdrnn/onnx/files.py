"""Reading ONNX files that nobody vouches for: everything is checked before it is believed.

A tensor must bring exactly the bytes that its shape asks for, so that nothing is ever allocated
that is much larger than the file. Tensors kept in other files are read from the folder of the model
only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import onnx
from onnx import GraphProto, ModelProto, TensorProto
from onnx.external_data_helper import load_external_data_for_tensor

__all__ = ["Source", "read_model", "tensors"]

Source: TypeAlias = "str | os.PathLike[str] | bytes | ModelProto"

_LARGEST = 2**31 - 1  # bytes that a protobuf message may have

# Type -> field with the values of a tensor that has no raw_data, bytes of a value in raw_data.
# Others (strings, complex numbers, types of less than a byte) can be no part of what is read.
_FIELDS: dict[int, tuple[str, int]] = {
    TensorProto.FLOAT: ("float_data", 4),
    TensorProto.DOUBLE: ("double_data", 8),
    TensorProto.INT8: ("int32_data", 1),
    TensorProto.INT16: ("int32_data", 2),
    TensorProto.INT32: ("int32_data", 4),
    TensorProto.INT64: ("int64_data", 8),
    TensorProto.UINT8: ("int32_data", 1),
    TensorProto.UINT16: ("int32_data", 2),
    TensorProto.UINT32: ("uint64_data", 4),
    TensorProto.UINT64: ("uint64_data", 8),
    TensorProto.BOOL: ("int32_data", 1),
    TensorProto.FLOAT16: ("int32_data", 2),
    TensorProto.BFLOAT16: ("int32_data", 2),
    TensorProto.STRING: ("string_data", 1),
}


def read_model(source: Source, base_dir: str | os.PathLike[str] | None = None) -> ModelProto:
    """Return a model whose tensors are all in it and as large as they say.

    Parameters
    ----------
    source : path, bytes of a file, or a model, which is not changed.
    base_dir : folder with the files that tensors may be in; by default that of the path.

    Raises
    ------
    TypeError : `source` is of another type.
    OSError : the file cannot be read.
    ValueError : it is no ONNX model, or not a valid one; a tensor is in a file outside of the
        folder, or has not the bytes that its shape asks for.
    """
    where = "model"
    if isinstance(source, ModelProto):
        model = source
    elif isinstance(source, (bytes, str, os.PathLike)):
        if not isinstance(source, bytes):
            path = Path(source)
            where, base_dir = str(path), path.parent if base_dir is None else base_dir
            source = _read(path)
        model = _parse(where, source)
    else:
        raise TypeError(
            f"model: expected a path, bytes or an onnx.ModelProto, got {type(source).__name__}"
        )
    external = [tensor for tensor in tensors(model.graph) if _is_external(tensor)]
    if external and isinstance(source, ModelProto):
        model = ModelProto()
        model.CopyFrom(source)
        external = [tensor for tensor in tensors(model.graph) if _is_external(tensor)]
    for tensor in external:
        _read_external(tensor, base_dir)
    for function in model.functions:
        _check_all(_of_nodes(function.node))
    _check_all(tensors(model.graph))
    try:
        # What was parsed needs no writing again.
        onnx.checker.check_model(source if isinstance(source, bytes) and not external else model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ValueError(f"{where}: expected a valid ONNX model: {error}") from error
    return model


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > _LARGEST:
            raise ValueError(f"{path}: expected at most {_LARGEST} bytes, got {size}")
        return file.read(size)


def _parse(where: str, data: bytes) -> ModelProto:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # of onnx

    if len(data) > _LARGEST:
        raise ValueError(f"{where}: expected at most {_LARGEST} bytes")
    try:
        return onnx.load_model_from_string(data)
    except (DecodeError, RuntimeError, ValueError) as error:
        raise ValueError(f"{where}: expected an ONNX model: {error}") from error


def tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Yield every tensor of a graph, in its subgraphs and attributes, too.

    Raises
    ------
    ValueError : one is sparse.
    """
    yield from graph.initializer
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise ValueError(f"tensor {name!r}: expected a dense tensor, got a sparse one")
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise ValueError(
                    f"node {node.name!r} ({node.op_type}): {attribute.name}: expected a dense "
                    "tensor, got a sparse one"
                )
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                yield from tensors(graph)


def _is_external(tensor: TensorProto) -> bool:
    return bool(tensor.data_location == TensorProto.EXTERNAL or tensor.external_data)


def _numbers(tensor: TensorProto) -> int:
    """Return how many values the shape of a tensor asks for."""
    if any(size < 0 for size in tensor.dims):
        raise ValueError(
            f"tensor {tensor.name!r}: expected sizes of at least 0, got {list(tensor.dims)}"
        )
    return math.prod(tensor.dims)


def _check_all(found: Iterator[TensorProto]) -> None:
    for tensor in found:
        _check(tensor)


def _check(tensor: TensorProto) -> None:
    """Raise unless a tensor has the values that its shape asks for."""
    if _is_external(tensor):  # in a function
        raise ValueError(f"tensor {tensor.name!r}: expected its values in the model")
    if tensor.data_type not in _FIELDS:
        known = TensorProto.DataType.items()
        kind = {number: name for name, number in known}.get(tensor.data_type, tensor.data_type)
        raise ValueError(f"tensor {tensor.name!r}: expected floats, integers or bools, got {kind}")
    field, size = _FIELDS[tensor.data_type]
    wanted = _numbers(tensor)
    if tensor.HasField("raw_data"):
        wanted, got, unit = wanted * size, len(tensor.raw_data), "bytes"
    else:
        got, unit = len(getattr(tensor, field)), "values"
    if got != wanted:
        raise ValueError(
            f"tensor {tensor.name!r}: expected {wanted} {unit} for shape {list(tensor.dims)}, "
            f"got {got}"
        )


def _read_external(tensor: TensorProto, base_dir: str | os.PathLike[str] | None) -> None:
    """Read the values of a tensor from a file in `base_dir`, having checked where and how many."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if base_dir is None:
        raise ValueError(
            f"tensor {tensor.name!r}: its values are in another file, {location!r}: expected "
            "base_dir=, the folder with that file"
        )
    folder = Path(base_dir).resolve()
    path = folder / location
    if not _is_within(path, folder):
        raise ValueError(
            f"tensor {tensor.name!r}: expected its values in a file in {str(folder)!r}, not "
            f"behind a link, got {location!r}"
        )
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", path.stat().st_size - offset))
    except ValueError as error:
        raise ValueError(f"tensor {tensor.name!r}: {error}") from error
    if tensor.data_type not in _FIELDS:
        raise ValueError(f"tensor {tensor.name!r}: expected floats, integers or bools")
    wanted = _numbers(tensor) * _FIELDS[tensor.data_type][1]
    if offset < 0 or length != wanted or offset + length > path.stat().st_size:
        raise ValueError(
            f"tensor {tensor.name!r}: expected {wanted} bytes for shape {list(tensor.dims)}, got "
            f"{length} from {offset} in {location!r} of {path.stat().st_size} bytes"
        )
    load_external_data_for_tensor(tensor, str(folder))


def _is_within(path: Path, folder: Path) -> bool:
    """Tell whether a path is that of a regular file below a folder, with no link on the way."""
    try:
        return path.is_file() and path.resolve() == path and folder in path.parents
    except (OSError, ValueError):  # no name that a file could have
        return False
