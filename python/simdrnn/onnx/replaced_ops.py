"""Operators in NumPy, in place of onnx's own where these are wrong or lack: see `REPLACED`.

onnx's reference implementations follow the newest operator sets. Those of older sets that have
another meaning, and some forms that onnx has no test for, give wrong numbers or none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import NodeProto
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_conv_transpose import ConvTranspose as _OnnxConvTranspose

from simdrnn.onnx.calls import node_label
from simdrnn.validate import Array

__all__ = ["REPLACED", "replacements"]

_NEVER = 10**6


class _Flattened(OpRun):
    """Softmax and its likes before set 13: over all axes from one on, together."""

    def _run(self, x: Array, axis: int = 1) -> tuple[Array]:
        rows = math.prod(x.shape[: axis % x.ndim if axis < 0 else axis])
        flat = x.reshape(rows, x.size // rows if rows else 0)
        made = np.empty_like(flat) if not x.size else self._of_rows(flat)
        return (made.astype(x.dtype).reshape(x.shape),)

    @staticmethod
    def _of_rows(x: Array) -> Array:
        raise NotImplementedError


class _Softmax(_Flattened):
    @staticmethod
    def _of_rows(x: Array) -> Array:
        powers = np.exp(x - x.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


class _LogSoftmax(_Flattened):
    @staticmethod
    def _of_rows(x: Array) -> Array:
        shifted = x - x.max(axis=1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


class _LogSoftmax13(OpRun):
    """onnx's takes the logarithm of a softmax, which is -inf where that is 0."""

    def _run(self, x: Array, axis: int = -1) -> tuple[Array]:
        if not x.size:
            return (x,)
        shifted = x - x.max(axis=axis, keepdims=True)
        return (shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)),)


class _MeanVariance(OpRun):
    """onnx's takes the mean of squares less the square of the mean, of which little may be left."""

    def _run(self, x: Array, axes: Sequence[int] = (0, 2, 3)) -> tuple[Array]:
        apart = x - x.mean(axis=tuple(axes), keepdims=True)
        deviation = np.sqrt((apart * apart).mean(axis=tuple(axes), keepdims=True))
        return ((apart / (deviation + 1e-9)).astype(x.dtype),)


class _Hardmax(_Flattened):
    @staticmethod
    def _of_rows(x: Array) -> Array:
        made = np.zeros_like(x)
        made[np.arange(len(x)), x.argmax(axis=1)] = 1
        return made


class _BatchNormalization(OpRun):
    """For inference; sets before 14 say so by having one output."""

    def _run(
        self, x: Array, scale: Array, bias: Array, mean: Array, var: Array, epsilon: float = 1e-5,
        **unused: Any,
    ) -> tuple[Array]:  # fmt: skip
        scale, bias, mean, var = (
            one.reshape(-1, *(1,) * (x.ndim - 2)) for one in (scale, bias, mean, var)
        )
        made = (x - mean) * (scale / np.sqrt(var + epsilon)) + bias
        return (made.astype(x.dtype),)


class _ConvTranspose(_OnnxConvTranspose):
    """Group by group: onnx's takes all groups for one."""

    def _run(self, *inputs: Any, **how: Any) -> tuple[Array]:
        x, w, b = (*inputs, None)[:3]
        groups = how.pop("group", None) or 1
        one_group: Any = super()._run
        if not len(x):  # of no rows onnx makes nothing
            return (
                self._run(np.zeros((1, *x.shape[1:]), x.dtype), w, b, group=groups, **how)[0][:0],
            )
        parts = zip(
            np.split(x, groups, axis=1),
            np.split(w, groups, axis=0),
            [None] * groups if b is None else np.split(b, groups),
            strict=True,
        )
        made = [one_group(*part, group=1, **how)[0] for part in parts]
        return (np.concatenate(made, axis=1),)


class _DequantizeLinear(OpRun):
    def _run(
        self, x: Array, scale: Array, zero: Array | None = None, axis: int = 1
    ) -> tuple[Array]:
        if scale.ndim == 1 and scale.size > 1:
            shape = [1] * x.ndim
            shape[axis] = -1
            scale, zero = scale.reshape(shape), None if zero is None else zero.reshape(shape)
        whole = x.astype(np.int64)
        if zero is not None:
            whole = whole - zero.astype(np.int64)
        return (np.asarray(whole.astype(scale.dtype) * scale),)


class _GlobalMaxPool(OpRun):
    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class _GlobalAveragePool(OpRun):
    def _run(self, x: Array) -> tuple[Array]:
        return (x.mean(axis=tuple(range(2, x.ndim)), keepdims=True).astype(x.dtype),)


class _LRN(OpRun):
    def _run(
        self, x: Array, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int = 1
    ) -> tuple[Array]:
        channels = x.shape[1]
        before, after = (size - 1) // 2, size // 2
        squares = np.zeros_like(x)
        for c in range(channels):
            near = x[:, max(0, c - before) : min(channels, c + after + 1)]
            squares[:, c] = (near * near).sum(axis=1)
        return ((x / (bias + alpha / size * squares) ** beta).astype(x.dtype),)


class _LpNormalization(OpRun):
    def _run(self, x: Array, axis: int = -1, p: int = 2) -> tuple[Array]:
        norm = (np.abs(x) ** p).sum(axis=axis, keepdims=True) ** (1 / p)
        made = np.divide(x, norm, out=np.zeros_like(x), where=norm != 0)
        return (made.astype(x.dtype),)


class _MaxPool(OpRun):
    def _run(self, x: Array, storage_order: int = 0, **how: Any) -> tuple[Array, ...]:
        least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        windows = _windows(self.onnx_node, x, least, how)
        if len(self.onnx_node.output) < 2:
            return (windows.max(axis=-1),)
        sizes = x.shape[2:]
        inside = np.arange(math.prod(sizes)).reshape(sizes, order="F" if storage_order else "C")
        images = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * len(sizes))
        places = _windows(self.onnx_node, images * inside.size + inside, 0, how)
        first = windows.argmax(axis=-1)[..., None]
        return tuple(np.take_along_axis(one, first, -1)[..., 0] for one in (windows, places))


class _LpPool(OpRun):
    def _run(self, x: Array, p: int = 2, **how: Any) -> tuple[Array]:
        powers = np.abs(_windows(self.onnx_node, x, 0, how)) ** p
        return ((powers.sum(axis=-1) ** (1 / p)).astype(x.dtype),)


def _windows(node: NodeProto, x: Array, fill: Any, how: dict[str, Any]) -> Array:
    """Return (N, C, ..., K): what a pool sees at each place, in the order of its kernel."""
    kernel, axes = how["kernel_shape"], x.ndim - 2
    ones = [1] * axes
    strides, dilations = how.get("strides") or ones, how.get("dilations") or ones
    around = [(0, 0), (0, 0)]
    counts = []
    for axis, size in enumerate(x.shape[2:]):
        step, reach = strides[axis], (kernel[axis] - 1) * dilations[axis] + 1
        pads = how.get("pads") or [0] * (2 * axes)
        begin, end = pads[axis], pads[axes + axis]
        if how.get("auto_pad", "NOTSET") != "NOTSET":
            begin = end = 0
        if how.get("auto_pad") in ("SAME_LOWER", "SAME_UPPER"):
            missing = max((-(-size // step) - 1) * step + reach - size, 0)
            begin = -(-missing // 2) if how["auto_pad"] == "SAME_LOWER" else missing // 2
            end = missing - begin
        room = size + begin + end - reach
        if room < 0:
            raise ValueError(
                f"{node_label(node)}: expected at least {reach - begin - end} on axis {axis + 2} "
                f"of its input, got {size}"
            )
        count = (-(-room // step) if how.get("ceil_mode") else room // step) + 1
        if how.get("ceil_mode") and (count - 1) * step >= size + begin:
            count -= 1  # such a window would begin behind everything
        counts.append(count)
        around.append((begin, max((count - 1) * step + reach - size - begin, 0)))
    seen = np.pad(x, around, constant_values=fill)
    for axis in range(axes):
        taps = np.arange(kernel[axis]) * dilations[axis]
        seen = seen.take(np.arange(counts[axis])[:, None] * strides[axis] + taps, axis=2 + 2 * axis)
    order = [0, 1, *range(2, 2 + 2 * axes, 2), *range(3, 3 + 2 * axes, 2)]
    return seen.transpose(order).reshape(*x.shape[:2], *counts, math.prod(kernel))


class _Pad(OpRun):
    """onnx's does not take anything away."""

    def _run(
        self, x: Array, *inputs: Any, mode: str = "constant", pads: Any = None, value: float = 0.0
    ) -> tuple[Array]:
        if inputs:
            pads = inputs[0].tolist()
        if len(inputs) > 1 and inputs[1] is not None:
            value = inputs[1].reshape(-1)[0]
        axes = inputs[2].tolist() if len(inputs) > 2 and inputs[2] is not None else range(x.ndim)
        around = [(0, 0)] * x.ndim
        for place, axis in enumerate(axes):
            around[axis] = (pads[place], pads[len(pads) // 2 + place])
        if min(map(min, around), default=0) < 0:
            if mode != "constant":
                raise ValueError(
                    f"{node_label(self.onnx_node)}: pads: expected at least 0 with mode={mode!r}, "
                    f"got {pads}"
                )
            kept = [
                slice(max(-low, 0), size + min(high, 0))
                for size, (low, high) in zip(x.shape, around, strict=True)
            ]
            x, around = x[tuple(kept)], [(max(low, 0), max(high, 0)) for low, high in around]
        how = {"constant_values": value} if mode == "constant" else {}
        return (np.pad(x, around, mode, **how),)  # type: ignore[call-overload]


def _resized(x: Array, scales: Sequence[float], mode: str) -> Array:
    """Return an array whose axes are longer or shorter by factors, as Resize of set 10 does."""
    made = x.astype(np.float64) if mode == "linear" else x
    for axis, scale in enumerate(scales):
        if scale == 1:
            continue
        size = x.shape[axis]
        places = np.arange(math.floor(size * np.float32(scale))) / np.float32(scale)
        if mode == "nearest":
            near = np.ceil(places) if scale < 1 else np.floor(places)
            made = made.take(np.minimum(near, size - 1).astype(int), axis=axis)
            continue
        low = np.minimum(np.floor(places), size - 1).astype(int)
        high = np.minimum(low + 1, size - 1)
        shape = [1] * x.ndim
        shape[axis] = -1
        part = np.clip(places - low, 0, 1).reshape(shape)
        made = made.take(low, axis=axis) * (1 - part) + made.take(high, axis=axis) * part
    return made.astype(x.dtype)


class _Upsample7(OpRun):
    def _run(self, x: Array, mode: str = "nearest", scales: Any = ()) -> tuple[Array]:
        return (_resized(x, list(scales), mode),)


class _Resize10(OpRun):
    def _run(self, x: Array, scales: Array, mode: str = "nearest") -> tuple[Array]:
        return (_resized(x, scales.tolist(), mode),)


class _Replaced(NamedTuple):
    """In place of onnx's own, in operator sets from `since` on and before `until`."""

    name: str
    since: int
    until: int
    implementation: type[OpRun]


REPLACED = (
    _Replaced("Softmax", 1, 13, _Softmax),
    _Replaced("LogSoftmax", 1, 13, _LogSoftmax),
    _Replaced("LogSoftmax", 13, _NEVER, _LogSoftmax13),
    _Replaced("Hardmax", 1, 13, _Hardmax),
    _Replaced("BatchNormalization", 7, 14, _BatchNormalization),
    _Replaced("ConvTranspose", 1, _NEVER, _ConvTranspose),
    _Replaced("DequantizeLinear", 10, 19, _DequantizeLinear),
    _Replaced("GlobalAveragePool", 1, _NEVER, _GlobalAveragePool),
    _Replaced("GlobalMaxPool", 1, _NEVER, _GlobalMaxPool),
    _Replaced("LRN", 1, _NEVER, _LRN),
    _Replaced("LpNormalization", 1, _NEVER, _LpNormalization),
    _Replaced("LpPool", 2, _NEVER, _LpPool),
    _Replaced("MeanVarianceNormalization", 9, _NEVER, _MeanVariance),
    _Replaced("MaxPool", 1, _NEVER, _MaxPool),
    _Replaced("Pad", 2, _NEVER, _Pad),
    _Replaced("Upsample", 7, 9, _Upsample7),
    _Replaced("Upsample", 9, 10, _Resize10),
    _Replaced("Resize", 10, 11, _Resize10),
)
"""Operators of ours, each held against ONNX Runtime by the suite, in every set."""


@cache
def replacements(opset: int) -> tuple[type[OpRun], ...]:
    """Return the implementations for an operator set, as `onnx.reference` takes them.

    Examples
    --------
    >>> "Softmax" in {one.__name__ for one in replacements(12)}
    True
    >>> "Softmax" in {one.__name__ for one in replacements(13)}
    False
    """
    found = []
    for one in REPLACED:
        if one.since <= opset < one.until:
            # onnx looks for the name, and for defaults in the schema: by itself the newest.
            schema = onnx.defs.get_schema(one.name, max_inclusive_version=opset)
            members = {"op_domain": "", "op_schema": schema}
            found.append(type(one.name, (one.implementation,), members))
    return tuple(found)
