"""ONNX models as what a layer is compared with, run by ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from simdrnn.parity.peers import Peer
from simdrnn.parity.probes import Constants
from simdrnn.validate import Array

__all__ = ["OnnxPeer"]

_FEW = 16  # numbers of a constant that elements may be compared with

_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}


class OnnxPeer(Peer):
    """A model or session whose first input is x; others may be initial states and lengths."""

    why_no_gradients = "gradients: ONNX Runtime has none"

    def __init__(self, thing: Any, is_model: bool) -> None:
        super().__init__(thing)
        self._constants = Constants.among(_numbers(thing.graph)) if is_model else Constants()
        if is_model:
            try:
                runtime = import_module("onnxruntime")
            except ImportError as error:
                raise ImportError(
                    "theirs: running an ONNX model needs ONNX Runtime: pip install onnxruntime"
                ) from error
            thing = runtime.InferenceSession(
                thing.SerializeToString(), providers=["CPUExecutionProvider"]
            )
        self.name = "the ONNX model"
        self._session = thing
        first, *others = thing.get_inputs()
        if first.type not in _DTYPES:
            raise TypeError(f"theirs: expected a model of floating-point x, got {first.type}")
        self._x = first.name
        self.dtype = np.dtype(_DTYPES[first.type])
        self._states = [one.name for one in others if one.type == first.type]
        self._lengths = [one for one in others if one.type != first.type]
        self.takes_state = bool(self._states)
        self.takes_lengths = bool(self._lengths)

    def constants(self) -> Constants:
        """Return the constants of the graph."""
        return self._constants

    def run(self, x: Array, states: tuple[Array, ...]) -> list[Array]:
        """Run a model that asks for no lengths."""
        return self.run_lengths(x, states, np.zeros(0, np.int64))

    def run_lengths(self, x: Array, states: tuple[Array, ...], lengths: Array) -> list[Array]:
        """Run the model, with lengths where it asks for them."""
        if len(states) != len(self._states):
            raise ValueError(
                f"theirs: expected a model with inputs for x and {len(states)} initial states, got "
                f"{', '.join([self._x, *self._states])}"
            )
        fed: dict[str, Any] = {self._x: x, **dict(zip(self._states, states, strict=True))}
        for one in self._lengths:
            kind = np.int64 if one.type == "tensor(int64)" else np.int32
            fed[one.name] = lengths.astype(kind)
        return [np.asarray(one) for one in self._session.run(None, fed)]


def _numbers(graph: Any) -> Iterator[float]:
    """Yield the numbers of small constants, and of attributes, in subgraphs, too."""
    to_array = import_module("onnx").numpy_helper.to_array
    for tensor in graph.initializer:
        if math.prod(tensor.dims) <= _FEW:
            yield from _of_tensor(tensor, to_array)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.f, *attribute.floats[:_FEW])
            if attribute.HasField("t") and math.prod(attribute.t.dims) <= _FEW:
                yield from _of_tensor(attribute.t, to_array)
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                yield from _numbers(inner)


def _of_tensor(tensor: Any, to_array: Any) -> Iterator[float]:
    try:
        array = np.asarray(to_array(tensor))
    except (TypeError, ValueError):  # in another file, or of a type that NumPy lacks
        return
    if array.dtype.kind in "fiu":
        yield from (float(one) for one in array.reshape(-1))
