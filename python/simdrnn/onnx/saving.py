"""ONNX models from layers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise

import onnx
from onnx import ModelProto, helper

from simdrnn._version import __version__
from simdrnn.files.atomic import replacing
from simdrnn.files.paths import as_path
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.onnx.export import Export, check_layer, write_layer
from simdrnn.onnx.writer import GraphWriter
from simdrnn.stack.container import held
from simdrnn.validate import as_bool

__all__ = ["save"]

# What readers old and new know: operator set 14 is the first in which the recurrent operators have
# a layout, 7 the version of files that came with it.
_OPSET, _IR_VERSION = 14, 7

# Bytes that a protobuf message may have, less what a graph of the most layers needs for itself.
_LARGEST = 2**31 - 2**24


def save(
    layer: RecurrentLayer | Sequence[RecurrentLayer],
    path: str | os.PathLike[str],
    *,
    states: bool = False,
    lengths: bool = False,
) -> None:
    """Write a layer, or several of which each takes the output of the one before, as ONNX.

    The model has operator set 14, recurrent nodes for every network layer, and around them what
    joins and moves their values; ONNX Runtime runs it. Attributes of ONNX are float32: so will
    clips and numbers of activations be.

    Parameters
    ----------
    layer : ``RNN``, ``LSTM`` or ``GRU``, or a list of such, of one dtype and layout.
    path : of the file.
    states : whether initial states are inputs of the model: ``h_0`` (L*D, B, H) and for LSTM
        ``c_0``; of several layers ``h_0_0``, ``h_0_1`` and so on. If not, they are zeros or what
        the layer has learned.
    lengths : whether lengths are an input ``lengths`` (B,) of int64.

    The model's input is ``x`` (T, B, I), or (B, T, I) with ``batch_first``; its outputs are
    ``output``, laid out like it, and the final states ``h_n`` and ``c_n``, named as initial ones.

    Raises
    ------
    TypeError : the argument is no layer, or `path` no path.
    ValueError : an option changes what the layer computes and has no counterpart in ONNX; the
        message names it. What acts in training only is left out.
    OSError : the file cannot be written.

    Examples
    --------
    >>> import simdrnn as sr, simdrnn.onnx
    >>> simdrnn.onnx.save(sr.LSTM(3, 4, hidden_clip=1.0), "model.onnx")
    Traceback (most recent call last):
    ValueError: hidden_clip: expected a layer without it, since ONNX has nothing like it, got 1.0
    """
    layers, target = _as_layers(layer), as_path(path)
    as_bool("states", states)
    as_bool("lengths", lengths)
    for one in layers:
        check_layer(one, lengths)
    size = sum(one.num_parameters * one.dtype.itemsize for one in layers)
    if size > _LARGEST:
        raise ValueError(f"layer: expected at most {_LARGEST} bytes of parameters, got {size}")
    data = _model(layers, states, lengths).SerializeToString()
    with replacing(target) as temporary, temporary.open("wb") as stream:
        stream.write(data)


def _as_layers(layer: object) -> list[RecurrentLayer]:
    """Return the layers, checked to fit on each other."""
    layers: list[RecurrentLayer] = []
    for one in layer if isinstance(layer, (list, tuple)) else [layer]:
        if not isinstance(one, RecurrentLayer):
            raise TypeError(f"layer: expected RNN, LSTM or GRU, got {type(one).__name__}")
        layers.append(one)
    if not layers:
        raise ValueError("layer: expected a layer or a list of them, got an empty list")
    for below, above in pairwise(layers):
        if below.structure.merge == "none":
            raise ValueError("layer: expected merge='none' in the last layer only")
        fits = [
            (bound_layer(below).width, above.input_size),
            (below.dtype, above.dtype),
            (below.batch_first, above.batch_first),
        ]
        for name, (had, wants) in zip(("inputs", "dtype", "batch_first"), fits, strict=True):
            if had != wants:
                raise ValueError(
                    f"layer: expected layers that fit on each other: {name} {had}, got {wants}"
                )
    return layers


def _model(layers: list[RecurrentLayer], states: bool, lengths: bool) -> ModelProto:
    """Write the model, its weights of one version, whoever trains meanwhile."""
    with held({str(index): layer for index, layer in enumerate(layers)}):
        return _checked_model(layers, states, lengths)


def _checked_model(layers: list[RecurrentLayer], states: bool, lengths: bool) -> ModelProto:
    """Write the model and have it checked."""
    first, last = layers[0], layers[-1]
    writer = GraphWriter(first.dtype)

    def laid_out(*last_axes: str | int) -> tuple[str | int, ...]:
        return (*("BT" if first.batch_first else "TB"), *last_axes)

    value = source = writer.input("x", laid_out(first.input_size))
    if first.batch_first:
        (value,) = writer.node("Transpose", [value], perm=[1, 0, 2])
    sequence_lens = ""
    if lengths:
        given = writer.input("lengths", ["B"], onnx.TensorProto.INT64)
        (sequence_lens,) = writer.node("Cast", [given], to=onnx.TensorProto.INT32)
    finals: dict[str, tuple[str, tuple[str | int, ...]]] = {}
    for index, layer in enumerate(layers):
        end = f"_{index}" if len(layers) > 1 else ""
        bound = bound_layer(layer)
        shape: tuple[str | int, ...] = (len(bound.passes), "B", layer.hidden_size)
        names = ("h", "c")[: bound.info.states]
        initial = [writer.input(f"{name}_0{end}", shape) for name in names] if states else None
        export = Export(writer, layer, index, source, sequence_lens, initial)
        value, made = write_layer(export, value)
        for name, final in zip(names, made, strict=True):
            finals[f"{name}_n{end}"] = final, shape
    apart = last.structure.merge == "none"
    width = [2, last.hidden_size] if apart else [bound_layer(last).width]
    if first.batch_first:
        (value,) = writer.node("Transpose", [value], perm=[1, 0, *range(2, 2 + len(width))])
    writer.output("output", value, laid_out(*width))
    for name, (final, shape) in finals.items():
        writer.output(name, final, shape)
    model = helper.make_model(
        writer.graph("simdrnn"),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="simdrnn",
        producer_version=__version__,
    )
    onnx.checker.check_model(model, full_check=True)
    return model
