"""Nodes that reckon with numbers, on values that are not there yet.

Of what depends on inputs, only sums, products and means of values beside each other are understood,
and what leaves numbers as they are: two directions are joined so, and residuals added.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce

import numpy as np

from simdrnn.onnx.calls import Call
from simdrnn.onnx.sizes import Unclear, elementwise
from simdrnn.onnx.values import Free, Tensor, add, from_grid, half, multiply, pick, unsqueeze
from simdrnn.validate import Array

__all__ = ["ARITHMETIC", "aligned"]

# What leaves numbers as they are when it stands behind, and in front.
_NEUTRAL = {"Add": (0, 0), "Sub": (0, None), "Mul": (1, 1), "Div": (1, None)}


def _binary(call: Call) -> list[Tensor]:
    """Do what is done to pairs of elements."""
    one, other = call.value(0), call.value(1)
    if one.known and other.known:
        return [_of_lengths(call, one, other)]
    operator = call.node.op_type
    if not one.known and not other.known:
        if operator in ("Add", "Mul"):
            return [add(one, other) if operator == "Add" else multiply(one, other)]
        raise Unclear("")
    behind, in_front = _NEUTRAL.get(operator, (None, None))
    value, number, neutral = (one, other, behind) if other.known else (other, one, in_front)
    given = _number(value, number)
    if given is not None and given == neutral:
        return [value]
    if given is not None and (operator, given) in {("Mul", 0.5), ("Div", 2.0)} and other.known:
        return [half(value)]
    if given == 0.5 and operator == "Mul":
        return [half(value)]
    raise Unclear("")


def _number(value: Tensor, given: Tensor) -> float | None:
    """Return the one number that a constant adds to every element of a value, if it is one."""
    if given.payload.dtype == object or not given.payload.size or value.dtype.kind != "f":
        return None
    if given.ndim > value.ndim or given.dtype != value.dtype or not _spreads(value, given):
        return None
    flat = given.payload.reshape(-1)
    return float(flat[0]) if np.all(flat == flat[0]) else None


def _spreads(value: Tensor, given: Tensor) -> bool:
    """Tell whether a constant's axes leave the shape of the value as it is."""
    behind = value.shape[value.ndim - given.ndim :]
    return all(had == length or had == 1 for length, had in zip(behind, given.shape, strict=True))


def _of_lengths(call: Call, one: Tensor, other: Tensor) -> Tensor:
    """Reckon with numbers and lengths, of which free sizes may be some."""
    function = elementwise(call.node.op_type)
    if function is None or {one.dtype.kind, other.dtype.kind} - {*"iu"}:
        raise Unclear("numbers along axes of free size")
    frees, grids = aligned([one, other])
    made = np.asarray(function(grids[0], grids[1]), object)
    return _settled(call, made, frees, one.dtype)


def _settled(
    call: Call, made: Array, frees: list[Free | None], dtype: np.dtype[np.generic]
) -> Tensor:
    """Return a value of numbers where there is no free size in it, or of bools."""
    call.budget.take(call.label, made.nbytes)
    kinds = {type(one) for one in made.reshape(-1)}
    if kinds <= {bool, np.bool_}:
        made, dtype = made.astype(bool), np.dtype(bool)
    elif all(issubclass(kind, (int, np.integer)) for kind in kinds):
        made = made.astype(dtype)
    return from_grid(made, frees, np.dtype(dtype), known=True)


def aligned(values: list[Tensor]) -> tuple[list[Free | None], list[Array]]:
    """Return free sizes and grids of constants with as many axes each."""
    ndim = max(value.ndim for value in values)
    frees: list[Free | None] = [None] * ndim
    grids = []
    for value in values:
        missing = ndim - value.ndim
        grids.append(value.grid.reshape((1,) * missing + value.grid.shape))
        for axis, free in enumerate(value.frees, missing):
            if free is not None and frees[axis] not in (None, free):
                raise Unclear("something of axes whose free sizes differ")
            frees[axis] = free or frees[axis]
    for axis, free in enumerate(frees):
        if free is not None and any(grid.shape[axis] > 1 for grid in grids):
            raise Unclear(f"something of axes of free size {free.size} and of a number")
    return frees, grids


def _where(call: Call) -> list[Tensor]:
    """Choose between constants by a constant."""
    chosen, one, other = (call.value(place) for place in range(3))
    if not (chosen.known and one.known and other.known) or one.dtype.kind not in "iu":
        raise Unclear("")
    frees, (condition, first, second) = aligned([chosen, one, other])
    made = np.asarray(np.where(condition.astype(bool), first, second), object)
    return [_settled(call, made, frees, one.dtype)]


def _many(call: Call) -> list[Tensor]:
    """Add several values, or take their mean, or the smallest or largest."""
    values = [one for one in call.inputs if one is not None]
    operator = call.node.op_type
    if len(values) == 1:
        return values
    if all(value.known for value in values) and operator in ("Max", "Min"):
        return [reduce(partial(_of_lengths, call), values)]
    if any(value.known for value in values) or operator not in ("Sum", "Mean"):
        raise Unclear("")
    found = reduce(add, values)
    if operator == "Mean" and len(values) != 2:
        raise Unclear("")
    return [half(found) if operator == "Mean" else found]


def _reduced(call: Call) -> list[Tensor]:
    """Join what lies along an axis: both directions."""
    value, operator = call.value(), call.node.op_type
    axes = call.axes(1, value.ndim)
    if not axes and call.attributes.get("noop_with_empty_axes", 0):
        return [value]
    axes = axes or [*range(value.ndim)]
    if value.known:
        return [_lengths_reduced(call, value)]
    if len(axes) > 1:
        raise Unclear("")
    axis, length = axes[0], value.shape[axes[0]]
    joined = pick(value, axis, 0) if length == 1 else None
    if length == 2:
        parts = pick(value, axis, 0), pick(value, axis, 1)
        joined = multiply(*parts) if operator == "ReduceProd" else add(*parts)
        joined = half(joined) if operator == "ReduceMean" else joined
    if joined is None:
        raise Unclear("")
    if call.attributes.get("keepdims", 1):
        joined = unsqueeze(joined, axis)
    return [joined]


def _lengths_reduced(call: Call, value: Tensor) -> Tensor:
    """Multiply or add all lengths of a list."""
    functions = {"ReduceProd": np.multiply, "ReduceSum": np.add}
    function = functions.get(call.node.op_type)
    if function is None or any(value.frees) or value.ndim != 1 or value.dtype.kind not in "iu":
        raise Unclear("numbers along axes of free size")
    found = np.asarray(function.reduce(value.grid.astype(object)), object)
    keep = call.attributes.get("keepdims", 1)
    return _settled(call, found.reshape([1] if keep else []), [None] * keep, value.dtype)


ARITHMETIC: dict[str, Callable[[Call], list[Tensor]]] = {
    **dict.fromkeys(["Add", "Div", "Mul", "Sub"], _binary),
    **dict.fromkeys(["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"], _binary),
    **dict.fromkeys(["Max", "Mean", "Min", "Sum"], _many),
    **dict.fromkeys(["ReduceMean", "ReduceProd", "ReduceSum"], _reduced),
    "Where": _where,
}
"""What each operator does, by its name."""
