"""Trained ONNX models: their recurrent nodes by themselves, and how they grow roundings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
)
from onnx.utils import Extractor

from helpers_models import changed, whole_roundings

RECURRENT = ("LSTM", "GRU", "RNN")


def session(model: ModelProto | Path) -> Any:
    """Return an ONNX Runtime session that keeps silent and to one thread."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from graphs(attribute.g)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    for one in graphs(graph):
        yield from one.initializer
        for node in one.node:
            if node.op_type == "Constant":
                yield from (a.t for a in node.attribute if a.type == AttributeProto.TENSOR)


def _longest_sum(graph: GraphProto) -> int:
    """Return the terms of the longest sum: matrices and kernels by their shapes."""
    shapes = {t.name: tuple(t.dims) for one in graphs(graph) for t in one.initializer}
    longest = 1
    for one in graphs(graph):
        for node in one.node:
            given = [shapes[name] for name in node.input[1:3] if len(shapes.get(name, ())) > 1]
            if node.op_type in RECURRENT:
                longest = max(longest, sum(shape[-1] for shape in given))
            elif node.op_type in ("Conv", "ConvTranspose"):
                longest = max([longest, *(math.prod(shape[1:]) for shape in given)])
            elif node.op_type in ("MatMul", "Gemm"):
                longest = max([longest, *(max(shape) for shape in given)])
    return longest


def _changed_model(model: ModelProto, rng: np.random.Generator) -> ModelProto:
    """Change the weights: all float tensors of two axes or more."""
    made = ModelProto()
    made.CopyFrom(model)
    for tensor in _tensors(made.graph):
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            array = changed(numpy_helper.to_array(tensor), rng)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return made


def graph_roundings(model: ModelProto, fed: Mapping[str, Any]) -> list[float]:
    """Return for each output how far two correct float32 runs of a model may lie apart."""

    def respond(rng: np.random.Generator | None) -> Any:
        given = {  # whole numbers stand for letters
            name: one if np.array_equal(one, np.round(one)) else changed(one, rng)
            for name, one in fed.items()
        }
        return session(model if rng is None else _changed_model(model, rng)).run(None, given)

    return whole_roundings(respond, _longest_sum(model.graph))


def recurrent_nodes(model: ModelProto) -> list[NodeProto]:
    """Return the recurrent nodes of a model, those inside other nodes left out."""
    return [node for node in model.graph.node if node.op_type in RECURRENT]


def values_at(model: ModelProto, fed: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Return what ONNX Runtime computes for values inside a model, by name."""
    made = ModelProto()
    made.CopyFrom(model)
    known = {one.name for one in (*made.graph.output, *made.graph.input)}
    initial = {one.name: numpy_helper.to_array(one) for one in made.graph.initializer}
    wanted = [name for name in names if name not in fed and name not in initial]
    made.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in wanted if name not in known
    )
    found = dict(zip(wanted, session(made).run(wanted, dict(fed)), strict=True))
    return found | {name: fed[name] for name in names if name in fed} | {
        name: initial[name] for name in names if name in initial
    }  # fmt: skip


def between(
    model: ModelProto, values: Mapping[str, Any], start: str, ends: list[str], given: list[str]
) -> ModelProto:
    """Return the part of a model from one value to others, as the exporter wrote it.

    Parameters
    ----------
    values : what these are in some run, for their ranks and last axes; other axes become free.
    given : the model's inputs that this part reads besides.
    """
    marked = ModelProto()
    marked.CopyFrom(model)
    named = {start: "in", **{end: f"out{index}" for index, end in enumerate(ends)}}
    for kept in (marked.graph.value_info, marked.graph.output):
        for one in [one for one in kept if one.name in named]:
            kept.remove(one)
    for name, letters in named.items():
        array = values[name]
        shape = [f"{letters}_{axis}" for axis in range(array.ndim - 1)] + [array.shape[-1]]
        marked.graph.value_info.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        )
    return Extractor(marked).extract_model([start, *given], ends)
