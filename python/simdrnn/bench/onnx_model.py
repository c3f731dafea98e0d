"""Our weights as an ONNX model: one recurrent node per layer."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from simdrnn.bench.cases import CELLS, Case
from simdrnn.bench.problem import Array, Weights

__all__ = ["onnx_model", "onnx_weights"]

# Rows of our gates in ONNX's order: LSTM i,f,g,o -> i,o,f,c; GRU r,z,n -> z,r,h.
_GATE_ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}

# The first opset with today's recurrent nodes, and its file version: every runtime reads them.
_OPSET = 14
_IR_VERSION = 8


def onnx_weights(case: Case, weights: Weights, layer: int) -> tuple[Array, Array, Array]:
    """Stack one layer's parameters as ONNX wants them.

    Returns
    -------
    W : (D, G*H, I).    R : (D, G*H, H).    B : (D, 2*G*H), input biases, then recurrent ones.
    """
    order = list(_GATE_ORDER[case.cell])

    def stacked(kind: str) -> Array:
        suffixes = ("", "_reverse")[: case.directions]
        arrays = [weights[f"{kind}_l{layer}{suffix}"] for suffix in suffixes]
        gates = [a.reshape(CELLS[case.cell], case.H, *a.shape[1:])[order] for a in arrays]
        return np.stack([g.reshape(a.shape) for g, a in zip(gates, arrays, strict=True)])

    biases = np.concatenate([stacked("bias_ih"), stacked("bias_hh")], axis=1)
    return stacked("weight_ih"), stacked("weight_hh"), biases


def onnx_model(case: Case, weights: Weights) -> bytes:
    """Serialise the model of a case: input ``x`` (T, B, I), output ``y`` (T, D, B, H).

    Weights are constants, so that a runtime may pack them once. Final states are not asked for.
    """
    helper: Any = import_module("onnx.helper")
    numpy_helper: Any = import_module("onnx.numpy_helper")
    element = helper.np_dtype_to_tensor_dtype(np.dtype(case.dtype))
    attributes: dict[str, Any] = {"hidden_size": case.H}
    if case.bidirectional:
        attributes["direction"] = "bidirectional"
    if case.cell == "gru":
        attributes["linear_before_reset"] = 1  # the reset gate after the product, as ours

    nodes, constants, source = [], [], "x"
    for layer in range(case.layers):
        if layer > 0:  # (T, D, B, H) -> (T, B, D*H); in Reshape 0 keeps a size
            nodes.append(helper.make_node("Transpose", [source], [f"t{layer}"], perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Reshape", [f"t{layer}", "joined"], [f"x{layer}"]))
            source = f"x{layer}"
        names = [f"W{layer}", f"R{layer}", f"B{layer}"]
        for name, value in zip(names, onnx_weights(case, weights, layer), strict=True):
            constants.append(numpy_helper.from_array(value, name))
        target = "y" if layer == case.layers - 1 else f"y{layer}"
        nodes.append(helper.make_node(case.cell.upper(), [source, *names], [target], **attributes))
        source = target
    if case.layers > 1:
        constants.append(numpy_helper.from_array(np.array([0, 0, -1], dtype=np.int64), "joined"))

    shapes = {"x": (case.T, case.B, case.I), "y": (case.T, case.directions, case.B, case.H)}
    values = {name: helper.make_tensor_value_info(name, element, s) for name, s in shapes.items()}
    graph = helper.make_graph(nodes, case.cell, [values["x"]], [values["y"]], constants)
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    return bytes(model.SerializeToString())
