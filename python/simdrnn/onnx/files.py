"""Reading ONNX files that nobody vouches for: everything is checked before it is believed.

A tensor must bring exactly the bytes that its shape asks for, so that nothing is ever allocated
that is much larger than the file. Tensors kept in other files (`external.py`) are read from the
folder of the model only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import onnx
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto

from simdrnn.onnx.budget import Budget
from simdrnn.onnx.element_types import known_type, numbers_in_field, raw_bytes
from simdrnn.onnx.external import ExternalFiles, is_external, numbers_of
from simdrnn.onnx.wire import estimated_bytes

__all__ = ["Source", "read_model", "tensors"]

Source: TypeAlias = "str | os.PathLike[str] | bytes | ModelProto"

_LARGEST = 2**31 - 1  # bytes that a protobuf message may have


def read_model(
    source: Source,
    base_dir: str | os.PathLike[str] | None = None,
    *,
    trust_directory: bool = False,
    label: str = "model",
    budget: Budget | None = None,
) -> ModelProto:
    """Return a model whose tensors are all in it and as large as they say.

    Parameters
    ----------
    source : path, bytes of a file, or a model, which is not changed.
    base_dir : folder with the files that tensors may be in; by default that of the path.
    trust_directory : whether those files may be links.
    label : how messages call `source`.
    budget : of the memory that it may take.

    Raises
    ------
    TypeError : `source` is of another type.
    OSError : a file cannot be read.
    ValueError : it is no ONNX model, or not a valid one; a tensor is in a file outside of the
        folder, or has not the bytes that its shape asks for; it takes too much memory.
    """
    where, budget = label, budget or Budget()
    if isinstance(source, ModelProto):
        model = source
        budget.brought(model.ByteSize())
    elif isinstance(source, (bytes, str, os.PathLike)):
        if not isinstance(source, bytes):
            path = Path(source)
            where, base_dir = str(path), path.parent if base_dir is None else base_dir
            source = _read(path)
        model = _parse(where, source, budget)
    else:
        raise TypeError(
            f"{label}: expected a path, bytes or an onnx.ModelProto, got {type(source).__name__}"
        )
    try:
        return _complete(where, model, source, ExternalFiles(base_dir, trust_directory, budget))
    except RecursionError as error:
        raise ValueError(f"{where}: expected graphs that are nested less deeply") from error


def _complete(where: str, model: ModelProto, source: Source, files: ExternalFiles) -> ModelProto:
    """Return a model with all tensors in it, checked."""
    external = [tensor for tensor in tensors(model.graph) if is_external(tensor)]
    if external and isinstance(source, ModelProto):
        model = ModelProto()
        model.CopyFrom(source)
        external = [tensor for tensor in tensors(model.graph) if is_external(tensor)]
    if external:
        files.read(external)
    for function in model.functions:
        _check_all(_of_nodes(function.node))
    _check_all(tensors(model.graph))
    # What was parsed needs no writing again.
    _check_model(where, model, source if isinstance(source, bytes) and not external else None)
    return model


def _check_model(where: str, model: ModelProto, data: bytes | None) -> None:
    """Have onnx check a model; it asks for shapes that nothing needs: those are filled in."""
    checked: ModelProto | bytes = model if data is None else data
    if any(_without_shape(info) for info in (*model.graph.input, *model.graph.output)):
        checked = ModelProto()
        checked.CopyFrom(model)
        for info in filter(_without_shape, (*checked.graph.input, *checked.graph.output)):
            kind = info.type.tensor_type
            kind.elem_type = kind.elem_type or TensorProto.FLOAT
            kind.shape.SetInParent()
    try:
        onnx.checker.check_model(checked)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ValueError(f"{where}: expected a valid ONNX model: {error}") from error


def _without_shape(info: ValueInfoProto) -> bool:
    """Tell whether a value's type is not said, or is a tensor's whose axes are not."""
    kind = info.type.WhichOneof("value")
    tensor = info.type.tensor_type
    return kind is None or (
        kind == "tensor_type" and not (tensor.elem_type and tensor.HasField("shape"))
    )


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > _LARGEST:
            raise ValueError(f"{path}: expected at most {_LARGEST} bytes, got {size}")
        return file.read(size)


def _parse(where: str, data: bytes, budget: Budget) -> ModelProto:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # of onnx

    if len(data) > _LARGEST:
        raise ValueError(f"{where}: expected at most {_LARGEST} bytes")
    budget.brought(len(data))
    most = budget.limit - budget.taken
    budget.take(where, estimated_bytes(data, ModelProto.DESCRIPTOR, most))
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


def _check_all(found: Iterator[TensorProto]) -> None:
    for tensor in found:
        _check(tensor)


def _check(tensor: TensorProto) -> None:
    """Raise unless a tensor has the values that its shape asks for."""
    if is_external(tensor):  # in a function
        raise ValueError(f"tensor {tensor.name!r}: expected its values in the model")
    known_type(tensor)
    numbers = numbers_of(tensor)
    if tensor.HasField("raw_data"):
        wanted, got, unit = raw_bytes(tensor, numbers), len(tensor.raw_data), "bytes"
    else:
        field, wanted = numbers_in_field(tensor, numbers)
        got, unit = len(field), "values"
    if got != wanted:
        raise ValueError(
            f"tensor {tensor.name!r}: expected {wanted} {unit} for shape {list(tensor.dims)}, "
            f"got {got}"
        )
