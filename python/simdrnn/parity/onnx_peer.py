"""ONNX models as what a layer is compared with, run by ONNX Runtime."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from simdrnn.parity.peers import Peer
from simdrnn.validate import Array

__all__ = ["OnnxPeer"]

_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}


class OnnxPeer(Peer):
    """A model or session whose first input is x; others may be initial states and lengths."""

    why_no_gradients = "gradients: ONNX Runtime has none"

    def __init__(self, thing: Any, is_model: bool) -> None:
        super().__init__(thing)
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

    def run(self, x: Array, states: tuple[Array, ...]) -> list[Array]:
        """Run the model; where it asks for lengths, all steps are real."""
        if len(states) != len(self._states):
            raise ValueError(
                f"theirs: expected a model with inputs for x and {len(states)} initial states, got "
                f"{', '.join([self._x, *self._states])}"
            )
        fed: dict[str, Any] = {self._x: x, **dict(zip(self._states, states, strict=True))}
        for one in self._lengths:
            kind = np.int64 if one.type == "tensor(int64)" else np.int32
            fed[one.name] = np.full(x.shape[1], x.shape[0], kind)
        return [np.asarray(one) for one in self._session.run(None, fed)]
