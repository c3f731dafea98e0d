"""One node on the way through a graph: what it is given, and its attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto

from simdrnn.onnx.budget import Budget
from simdrnn.onnx.sizes import Length, Size, Unclear
from simdrnn.onnx.values import Tensor
from simdrnn.validate import Array

__all__ = ["Call", "attributes_of", "node_label"]


def node_label(node: NodeProto) -> str:
    """Write a node as messages have it.

    Examples
    --------
    >>> from onnx import helper
    >>> node_label(helper.make_node("Relu", ["x"], ["y"]))
    "node 'y' (Relu)"
    """
    return f"node {node.name or next(iter(node.output), '')!r} ({node.op_type})"


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """Return attributes by name, with text in place of bytes."""

    def text(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [text(one) for one in value]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    return {one.name: text(onnx.helper.get_attribute_value(one)) for one in node.attribute}


@dataclass(frozen=True)
class Call:
    """A node and its inputs.

    Parameters
    ----------
    node : what is to be done.
    inputs : of it; None are absent.
    opset : version of the operators.
    budget : what may be made.
    """

    node: NodeProto
    inputs: Sequence[Tensor | None]
    opset: int
    budget: Budget

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes by name."""
        return attributes_of(self.node)

    @property
    def label(self) -> str:
        """The node as messages have it."""
        return node_label(self.node)

    def value(self, place: int = 0) -> Tensor:
        """Return an input that has to be there."""
        found = self.inputs[place] if place < len(self.inputs) else None
        if found is None:
            raise Unclear(f"nothing without its input {place}")
        return found

    def lengths(self, name: str, place: int) -> list[Length] | None:
        """Return whole numbers that are an attribute, or in later operator sets an input."""
        found = self.inputs[place] if 0 <= place < len(self.inputs) else None
        if found is None:
            given = self.attributes.get(name)
            return None if given is None else [int(one) for one in given]
        if not found.known or found.dtype.kind not in "iu" or any(found.frees):
            raise Unclear(f"something by its input {place}, which depends on inputs")
        return [one if isinstance(one, Size) else int(one) for one in found.grid.reshape(-1)]

    def axes(self, place: int, ndim: int) -> list[int] | None:
        """Return the attribute or input ``axes``, counted from the front."""
        found = self.lengths("axes", place)
        return None if found is None else [axis_of(one, ndim) for one in found]

    def axis(self, default: int, ndim: int) -> int:
        """Return the attribute ``axis``, counted from the front."""
        return axis_of(self.attributes.get("axis", default), ndim)

    def made(self, array: Array) -> Array:
        """Count an array that was made out of smaller ones."""
        self.budget.take(self.label, array.nbytes)
        return array


def axis_of(axis: Length, ndim: int) -> int:
    """Return the number of an axis."""
    if isinstance(axis, Size) or not -ndim <= axis < max(ndim, 1):
        raise Unclear(f"something of axis {axis} of {ndim}")
    return int(np.mod(axis, max(ndim, 1)))
