"""Nodes and constants of a graph that is being written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, TensorProto, helper

from simdrnn.validate import Array

__all__ = ["GraphWriter"]


class GraphWriter:
    """Collects nodes and constants, and names what they make.

    Parameters
    ----------
    dtype : of the model's values.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._type = helper.np_dtype_to_tensor_dtype(dtype)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[str | int], kind: int | None = None) -> str:
        """Declare an input; letters are free sizes."""
        info = helper.make_tensor_value_info(name, kind or self._type, list(shape))
        self._inputs.append(info)
        return name

    def constant(self, name: str, value: Array | Sequence[int]) -> str:
        """Keep an array under a name, or integers, which one constant serves as often as asked."""
        array = value if isinstance(value, np.ndarray) else np.array(value, np.int64)
        self._constants[name] = onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def integers(self, *values: int) -> str:
        """Keep a list of integers."""
        return self.constant("_".join(["integers", *map(str, values)]), values)

    def node(
        self, operator: str, inputs: Sequence[str], outputs: int = 1, /, **attributes: Any
    ) -> list[str]:
        """Add a node and return the names of its outputs."""
        name = f"{operator}_{len(self._nodes)}"
        made = [f"{name}_{index}" if outputs > 1 else f"{name}_out" for index in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, made, name, **attributes))
        return made

    def output(self, name: str, value: str, shape: Sequence[str | int]) -> None:
        """Declare an output, made of the value of a name."""
        self._nodes.append(helper.make_node("Identity", [value], [name], f"Identity_{name}"))
        self._outputs.append(helper.make_tensor_value_info(name, self._type, list(shape)))

    def graph(self, name: str) -> GraphProto:
        """Return the graph."""
        constants = list(self._constants.values())
        return helper.make_graph(self._nodes, name, self._inputs, self._outputs, constants)
