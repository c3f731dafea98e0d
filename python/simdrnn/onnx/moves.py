"""Nodes that move, join and cut values, on values that are not there yet.

Each function does what one operator does for all inputs and all free sizes, or raises `Unclear`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from simdrnn.onnx.calls import Call, axis_of
from simdrnn.onnx.regroup import reshape, uniform_factors
from simdrnn.onnx.sizes import Length, Size, Unclear, product, same_length
from simdrnn.onnx.values import Free, Tensor, constant, from_grid, pick, transpose, turn, unsqueeze
from simdrnn.validate import Array

__all__ = ["MOVES"]

_ENDLESS = 2**31 - 1  # what exporters write for "to the end"; no axis is longer


def _identity(call: Call) -> list[Tensor]:
    return [call.value()]


def _dropout(call: Call) -> list[Tensor]:
    """Do nothing, as in inference; the mask is not known."""
    training = call.inputs[2] if len(call.inputs) > 2 else None
    if training is not None and not (training.known and not np.any(training.payload)):
        raise Unclear("random numbers, in training")
    if len(call.node.output) > 1 and call.node.output[1]:
        raise Unclear("a mask, too")
    return [call.value()]


def _cast(call: Call) -> list[Tensor]:
    """Keep values whose type stays, or that are whole before and after."""
    value = call.value()
    to = call.attributes.get("to", 0)
    wanted = call.value(1).dtype if call.node.op_type == "CastLike" else _dtype_of(to)
    if value.dtype == wanted:
        return [value]
    if value.dtype.kind not in "iu" or wanted.kind not in "iu" or wanted.itemsize < 4:
        raise Unclear(f"{wanted} of {value.dtype}")
    if value.known and value.payload.dtype != object:
        return [replace(value, payload=value.payload.astype(wanted), dtype=wanted)]
    return [replace(value, dtype=wanted)]


def _dtype_of(number: int) -> np.dtype[Any]:
    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number))
    except KeyError as error:
        raise Unclear(f"a type of number {number}") from error


def _constant(call: Call) -> list[Tensor]:
    attributes = call.attributes
    for name, dtype in {"value_float": np.float32, "value_int": np.int64}.items():
        for key in (name, f"{name}s"):
            if key in attributes:
                return [constant(np.array(attributes[key], dtype))]
    if "value" not in attributes:
        raise Unclear("no numbers")
    return [constant(call.made(onnx.numpy_helper.to_array(attributes["value"])))]


def _constant_of_shape(call: Call) -> list[Tensor]:
    """Write a number along axes of which nothing is known but their lengths."""
    filled = np.zeros(1, np.float32)
    if "value" in call.attributes:
        filled = onnx.numpy_helper.to_array(call.attributes["value"])
    if filled.size != 1:
        raise Unclear("something of more than one value")
    scalar = from_grid(filled.reshape(()), [], filled.dtype, known=True)
    return [_filled(call, scalar, call.lengths("shape", 0) or [])]


def _filled(call: Call, scalar: Tensor, lengths: list[Length]) -> Tensor:
    """Return one value along all axes."""
    axes: list[tuple[int | Free, ...]] = []
    for length in lengths:
        axes.append(uniform_factors(length))
    numbers = [one for factors in axes for one in factors if isinstance(one, int)]
    call.budget.take(call.label, product([scalar.dtype.itemsize, *numbers]))  # type: ignore[arg-type]
    payload = np.broadcast_to(scalar.payload, numbers)
    return Tensor(tuple(axes), payload, scalar.dtype, scalar.known)


def _shape(call: Call) -> list[Tensor]:
    value = call.value()
    cut = slice(call.attributes.get("start", 0), call.attributes.get("end"))
    return [constant(_lengths_array(list(value.shape)[cut]))]


def _size(call: Call) -> list[Tensor]:
    found = product(call.value().shape)
    array = np.array(found, object if isinstance(found, Size) else np.int64)
    return [constant(array)]


def _lengths_array(lengths: list[Length]) -> Array:
    if not any(isinstance(one, Size) for one in lengths):
        return np.array(lengths, np.int64)
    found = np.empty(len(lengths), object)
    found[:] = lengths
    return found


def _reshape(call: Call) -> list[Tensor]:
    wanted = call.lengths("shape", 1)
    if wanted is None:
        raise Unclear("nothing without a shape")
    return [reshape(call.value(), wanted, bool(call.attributes.get("allowzero", 0)))]


def _flatten(call: Call) -> list[Tensor]:
    value = call.value()
    axis = call.attributes.get("axis", 1)
    if not -value.ndim <= axis <= value.ndim:
        raise Unclear(f"something of axis {axis} of {value.ndim}")
    before, behind = value.shape[:axis], value.shape[axis:]
    return [reshape(value, [product(before), product(behind)], allow_zero=True)]


def _squeeze(call: Call) -> list[Tensor]:
    value = call.value()
    axes = call.axes(1, value.ndim)
    if axes is None:
        if any(isinstance(length, Size) for length in value.shape):
            raise Unclear("something of all axes of length 1, while sizes are free")
        axes = [axis for axis, length in enumerate(value.shape) if same_length(length, 1)]
    for axis in axes:
        if value.axes[axis]:
            raise Unclear(f"nothing: axis {axis} of {value} has not length 1")
    left = tuple(factors for axis, factors in enumerate(value.axes) if axis not in axes)
    return [replace(value, axes=left)]


def _unsqueeze(call: Call) -> list[Tensor]:
    value = call.value()
    given = call.lengths("axes", 1)
    if given is None:
        raise Unclear("nothing without axes")
    ndim = value.ndim + len(given)
    axes = {axis_of(axis, ndim) for axis in given}
    if len(axes) != len(given):
        raise Unclear("an axis twice")
    kept = iter(value.axes)
    made = tuple(() if axis in axes else next(kept) for axis in range(ndim))
    return [replace(value, axes=made)]


def _transpose(call: Call) -> list[Tensor]:
    value = call.value()
    order = call.attributes.get("perm", [*range(value.ndim)][::-1])
    if sorted(order) != [*range(value.ndim)]:
        raise Unclear(f"something by the order {order}")
    return [transpose(value, order)]


def _slice(call: Call) -> list[Tensor]:
    value = call.value()
    starts, ends = call.lengths("starts", 1), call.lengths("ends", 2)
    if starts is None or ends is None or len(starts) != len(ends):
        raise Unclear("something between places that are not there")
    axes = call.axes(3, value.ndim)
    axes = [*range(len(starts))] if axes is None else axes
    steps = call.lengths("steps", 4) or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        value = _cut(value, axis_of(axis, value.ndim), start, end, step)
    return [value]


def _cut(value: Tensor, axis: int, start: Length, end: Length, step: Length) -> Tensor:
    """Return a part of one axis; of a free one all, or the first or last element."""
    length = value.shape[axis]
    if isinstance(length, int):
        if isinstance(start, Size) or isinstance(end, Size) or isinstance(step, Size) or not step:
            raise Unclear(f"a part that depends on free sizes, from {start} to {end}")
        frees = value.frees
        grid = value.grid[(slice(None),) * axis + (slice(start, end, step),)]
        return from_grid(grid, frees, value.dtype, value.known)
    first = _is_start(start, length)
    last = same_length(start, length - 1) or same_length(start, -1)
    whole = _is_end(end, length)
    if step == 1 and first and whole:
        return value
    if step == 1 and ((first and end == 1) or (last and whole)):
        picked = pick(value, axis, 0 if first else -1)
        return unsqueeze(picked, axis)
    backwards = isinstance(end, int) and end <= -_ENDLESS
    if step == -1 and (last or _is_end(start, length)) and backwards:
        return turn(value, axis)
    raise Unclear(f"a part of an axis of free size {length}, from {start} to {end} by {step}")


def _is_start(place: Length, length: Length) -> bool:
    return same_length(place, 0) or (isinstance(place, int) and place <= -_ENDLESS)


def _is_end(place: Length, length: Length) -> bool:
    return same_length(place, length) or (isinstance(place, int) and place >= _ENDLESS)


def _split(call: Call) -> list[Tensor]:
    value, outputs = call.value(), len(call.node.output)
    axis = call.axis(0, value.ndim)
    length = value.shape[axis]
    sizes = call.lengths("split", 1)
    if isinstance(length, Size):
        if outputs == 1:
            return [value]
        raise Unclear(f"parts of an axis of free size {length}")
    if sizes is None:
        each = -(-length // outputs)
        sizes = [max(0, min(each, length - each * k)) for k in range(outputs)]
    if len(sizes) != outputs or sum(map(int, sizes)) != length:  # type: ignore[arg-type]
        raise Unclear(f"{outputs} parts of {length}")
    frees, grid = value.frees, value.grid
    parts = np.split(grid, np.cumsum([int(one) for one in sizes])[:-1], axis)  # type: ignore[arg-type]
    return [from_grid(part, frees, value.dtype, value.known) for part in parts]


def _concat(call: Call) -> list[Tensor]:
    values = [one for one in call.inputs if one is not None]
    axis = call.axis(0, values[0].ndim if values else 0)
    if len(values) == 1:
        return values
    frees = [value.frees for value in values]
    if len({(one.known, one.dtype) for one in values}) > 1:
        raise Unclear("something of constants and of what depends on inputs")
    if any(one != frees[0] for one in frees) or frees[0][axis] is not None:
        raise Unclear(f"something of {' and '.join(map(str, values[:3]))}")
    grids = [value.grid for value in values]
    if len({(*one.shape[:axis], *one.shape[axis + 1 :]) for one in grids}) > 1:
        raise Unclear(f"nothing of {' and '.join(map(str, values[:3]))}")
    call.budget.take(call.label, sum(grid.nbytes for grid in grids))
    joined = np.concatenate(grids, axis)
    return [from_grid(joined, frees[0], values[0].dtype, values[0].known)]


def _gather(call: Call) -> list[Tensor]:
    value = call.value()
    axis = call.axis(0, value.ndim)
    places = call.value(1)
    if not places.known or any(places.frees):
        raise Unclear("something at places that depend on inputs")
    grid, length = places.grid, value.shape[axis]
    frees = value.frees
    if isinstance(length, Size):
        place = grid.reshape(-1)[0] if grid.size == 1 else None
        if place is not None and (same_length(place, 0) or _is_last(place, length)):
            picked = pick(value, axis, 0 if same_length(place, 0) else -1)
            ones = ((),) * grid.ndim
            return [replace(picked, axes=(*picked.axes[:axis], *ones, *picked.axes[axis:]))]
        raise Unclear(f"elements of an axis of free size {length}")
    if grid.dtype == object:
        raise Unclear("elements at places that depend on free sizes")
    if grid.size and not (-length <= grid.min() and grid.max() < length):
        raise Unclear(f"nothing: places beyond {length}")
    rows = value.grid.size // max(length, 1)
    call.budget.take(call.label, rows * grid.size * value.payload.itemsize)
    taken = np.asarray(value.grid.take(grid, axis), value.payload.dtype)
    frees[axis : axis + 1] = [None] * grid.ndim
    return [from_grid(taken, frees, value.dtype, value.known)]


def _is_last(place: Length, length: Length) -> bool:
    return same_length(place, -1) or same_length(place, length - 1)


def _expand(call: Call) -> list[Tensor]:
    wanted = call.lengths("shape", 1)
    if wanted is None:
        raise Unclear("nothing without a shape")
    value = call.value()
    if value.known and value.payload.size == 1 and not any(value.axes):
        missing: list[Length] = [1] * (value.ndim - len(wanted))
        return [_filled(call, replace(value, payload=value.payload.reshape(())), missing + wanted)]
    return [_repeated(call, value, wanted)]


def _repeated(call: Call, value: Tensor, wanted: list[Length]) -> Tensor:
    """Repeat what lies along axes of length 1."""
    ndim = max(len(wanted), value.ndim)
    wanted = [*(1 for _ in range(ndim - len(wanted))), *wanted]
    frees = [*(None for _ in range(ndim - value.ndim)), *value.frees]
    grid = value.grid.reshape((1,) * (ndim - value.ndim) + value.grid.shape)
    shape = list(grid.shape)
    for axis, length in enumerate(wanted):
        had: Length = shape[axis] if frees[axis] is None else value.shape[axis - ndim]
        if same_length(length, 1) or same_length(length, had):
            continue
        factors = uniform_factors(length)
        if not same_length(had, 1) or len(factors) > 1:
            raise Unclear(f"something of {value} by the shape ({', '.join(map(str, wanted))})")
        if isinstance(factors[0], Free):
            frees[axis] = factors[0]
        else:
            shape[axis] = factors[0]
    call.budget.take(call.label, int(product([grid.itemsize, *shape])))  # type: ignore[arg-type]
    return from_grid(np.broadcast_to(grid, shape), frees, value.dtype, value.known)


def _tile(call: Call) -> list[Tensor]:
    value, times = call.value(), call.lengths("repeats", 1)
    if times is None or len(times) != value.ndim:
        raise Unclear("nothing without a number for each axis")
    wanted: list[Length] = []
    for length, repeats in zip(value.shape, times, strict=True):
        if not same_length(repeats, 1) and not same_length(length, 1):
            raise Unclear(f"{repeats} times what {value} has")
        wanted.append(length * repeats)
    return [_repeated(call, value, wanted)]


def _pad(call: Call) -> list[Tensor]:
    pads = call.lengths("pads", 1)
    if pads is None or not all(same_length(one, 0) for one in pads):
        raise Unclear("something longer or shorter")
    return [call.value()]


def _reverse_sequence(call: Call) -> list[Tensor]:
    """Turn an axis where every row is as long as it."""
    value, lengths = call.value(), call.value(1)
    batch = axis_of(call.attributes.get("batch_axis", 1), value.ndim)
    time = axis_of(call.attributes.get("time_axis", 0), value.ndim)
    steps = value.shape[time]
    full = lengths.known and lengths.payload.size > 0
    if batch == time or not full or not _all_are(lengths.payload, steps):
        raise Unclear(f"rows turned around that need not be {steps} long")
    return [turn(value, time)]


def _all_are(array: Array, length: Length) -> bool:
    return all(same_length(one, length) for one in array.reshape(-1))


MOVES: dict[str, Callable[[Call], list[Tensor]]] = {
    "Cast": _cast,
    "CastLike": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _identity,
    "Pad": _pad,
    "Reshape": _reshape,
    "ReverseSequence": _reverse_sequence,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""What each operator does, by its name."""
