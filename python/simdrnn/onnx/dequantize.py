"""DequantizeLinear on constants: quantised weights of files become floats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from simdrnn.onnx.calls import Call, axis_of
from simdrnn.onnx.sizes import Unclear
from simdrnn.validate import Array

__all__ = ["dequantize"]


def dequantize(call: Call, arrays: Sequence[Array | None]) -> Array:
    """Return (x - zero point) * scale.

    ONNX, "Operators": DequantizeLinear, versions 10, 13, 19, 21, 23: one scale for all, one for
    each place along an axis, or one for each block along it.

    Parameters
    ----------
    call : the node.
    arrays : x, scale, and maybe the zero point.
    """
    x, scale, zero = (*arrays, None)[:3]
    if x is None or scale is None:
        raise Unclear("nothing without a scale")
    axis, block = call.attributes.get("axis", 1), call.attributes.get("block_size", 0)
    wanted = call.attributes.get("output_dtype", 0)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(wanted) if wanted else scale.dtype
    factors = _spread(scale, x, axis, block).astype(np.float32)
    whole = x.dtype.kind in "iu" or "int" in x.dtype.name
    numbers = x.astype(np.int64 if whole else np.float32)
    if zero is not None:
        numbers = numbers - _spread(zero, x, axis, block).astype(numbers.dtype)
    return (numbers.astype(np.float32) * factors).astype(dtype)


def _spread(values: Array, x: Array, axis: int, block: int) -> Array:
    """Return values that can be broadcast to x."""
    if values.size == 1 and not block:
        return values.reshape(())
    place = axis_of(axis, x.ndim)
    if block:
        if values.ndim != x.ndim:
            raise Unclear(f"nothing of blocks of shape {values.shape} for {x.shape}")
        repeated = values.repeat(block, place)[(slice(None),) * place + (slice(x.shape[place]),)]
        if repeated.shape != x.shape:
            raise Unclear(f"nothing of blocks of shape {values.shape} for {x.shape}")
        return repeated
    if values.shape != x.shape[place : place + 1]:
        raise Unclear(f"nothing of scales of shape {values.shape} for {x.shape}")
    return values.reshape([-1 if k == place else 1 for k in range(x.ndim)])
