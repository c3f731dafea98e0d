"""A recurrent node as it is met in a graph: its weights, and what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from simdrnn.onnx.attributes import NodeAttributes
from simdrnn.onnx.budget import Budget
from simdrnn.onnx.calls import attributes_of, node_label
from simdrnn.onnx.inputs import labels
from simdrnn.onnx.operators import ARGUMENTS
from simdrnn.onnx.sizes import Unclear
from simdrnn.onnx.values import Free, Tensor, Unknown, Value, from_grid, plain, transpose
from simdrnn.onnx.weights import NodeWeights
from simdrnn.validate import Array

__all__ = ["BoundError", "Recurrent", "meet"]


class BoundError(ValueError):
    """An axis that is declared free can have one size only.

    Parameters
    ----------
    message : for the case that it has another.
    axis : name of the value, and which axis of it.
    size : that it has to have.
    """

    def __init__(self, message: str, axis: tuple[str, int], size: int) -> None:
        super().__init__(message)
        self.axis, self.size = axis, size


@dataclass(frozen=True)
class Recurrent:
    """A recurrent node as it was met: with the batch behind the time, whatever its layout.

    Parameters
    ----------
    attributes, weights : of the node.
    X, sequence_lens, initial : what it is given; `initial` one for each state.
    Y, states : what it gives out, (T, D, B, H) and (D, B, H) each.
    shown : the same as the node's layout has it.
    node : of the graph.
    """

    attributes: NodeAttributes
    weights: NodeWeights
    X: Value
    sequence_lens: Value
    initial: tuple[Value, ...]
    Y: Value
    states: tuple[Value, ...]
    shown: tuple[Value, ...]
    node: NodeProto


def meet(node: NodeProto, inputs: Sequence[Value], budget: Budget, judged: bool) -> Recurrent:
    """Return a recurrent node with labels for what it gives out.

    Parameters
    ----------
    node : of one of our operators.
    inputs : of it.
    budget : of what may be made.
    judged : whether X has to be known.

    Raises
    ------
    ValueError : weights are no constants, or do not fit; or X does not.
    BoundError : X, or an initial state, is given by an input with an axis of free size that cannot
        be.
    """
    given = dict(zip(ARGUMENTS, inputs, strict=False))
    label = node_label(node)
    attributes = NodeAttributes.parse(label, node.op_type, attributes_of(node))
    weights = NodeWeights(*(_weight(label, name, given.get(name)) for name in "WRBP"))  # type: ignore[arg-type]
    weights.check(label, attributes.operator, attributes.directions, attributes.hidden_size)
    count = len(attributes.operator.states)
    initial = [given.get(name) for name in ("initial_h", "initial_c")[:count]]
    X = given.get("X")
    if attributes.layout:
        X, *initial = (_batch_second(one) for one in (X, *initial))
    _check_given(label, attributes, weights, X, initial, judged)
    Y, states = _given_out(label, attributes, weights, X, budget)
    shown: tuple[Value, ...] = (Y, *states)
    if attributes.layout and isinstance(Y, Tensor):
        shown = (transpose(Y, (2, 0, 1, 3)), *(_batch_second(one) for one in states))
    return Recurrent(
        attributes, weights, X, given.get("sequence_lens"), tuple(initial), Y, states, shown, node
    )


def _weight(label: str, name: str, value: Value) -> Array | None:
    """Return an array of weights, which have to be a constant."""
    if value is None and name in "WR":
        raise ValueError(f"{label}: expected X, W and R")
    if value is None:
        return None
    array = plain(value) if isinstance(value, Tensor) else None
    if array is None:
        got = value if isinstance(value, Unknown) else "what depends on inputs"
        raise ValueError(f"{label}: {name}: expected a constant, got {got}")
    return array


def _batch_second(value: Value) -> Value:
    """Exchange the first two axes of three."""
    if not isinstance(value, Tensor) or value.ndim != 3:
        return value
    return transpose(value, (1, 0, 2))


def _check_given(
    label: str,
    attributes: NodeAttributes,
    weights: NodeWeights,
    X: Value,
    initial: Sequence[Value],
    judged: bool,
) -> None:
    """Raise if what a node is given does not fit its weights."""
    I, dtype = weights.input_size, weights.W.dtype  # noqa: E741
    wrong = f"{label}: X: expected {dtype} with I = {I} on the last of three axes, as W has"
    if isinstance(X, Tensor) and X.ndim == 3:
        _bind(f"{wrong}, got {X}", X, 2, I)
    if judged and isinstance(X, Tensor) and (X.ndim, X.dtype) != (3, dtype):
        raise ValueError(f"{wrong}, got {X.dtype} of {X}")
    if judged and isinstance(X, Tensor) and X.shape[2] != I:
        raise ValueError(f"{wrong}, got {X.dtype} of {X}")
    for name, state in zip(("initial_h", "initial_c"), initial, strict=False):
        if not isinstance(state, Tensor) or state.ndim != 3 or state.known:
            continue
        for axis, size in ((0, attributes.directions), (2, weights.hidden_size)):
            _bind(
                f"{label}: {name}: expected {size} on axis {axis}, got {state}", state, axis, size
            )


def _bind(message: str, value: Tensor, axis: int, size: int) -> None:
    """Raise if an axis is free and has to have one size."""
    factors = value.axes[axis]
    if len(factors) == 1 and isinstance(factors[0], Free) and factors[0].of is not None:
        raise BoundError(message, factors[0].of, size)


def _given_out(
    label: str, attributes: NodeAttributes, weights: NodeWeights, X: Value, budget: Budget
) -> tuple[Value, tuple[Value, ...]]:
    """Return Y (T, D, B, H) and final states (D, B, H), along the axes of X."""
    count, D, H = len(attributes.operator.states), attributes.directions, weights.hidden_size
    try:
        if not isinstance(X, Tensor) or X.ndim != 3:
            raise Unclear("")
        (time, batch, _), (T, B, _) = X.frees, X.grid.shape
    except Unclear:
        unknown = X if isinstance(X, Unknown) else Unknown(label, "something of an unclear X")
        return unknown, (unknown,) * count
    budget.take(label, 8 * D * B * H * (T + count))
    dtype = weights.W.dtype
    Y = from_grid(labels((T, D, B, H)), [time, None, batch, None], dtype, known=False)
    states = tuple(
        from_grid(labels((D, B, H)), [None, batch, None], np.dtype(dtype), known=False)
        for _ in range(count)
    )
    return Y, states
