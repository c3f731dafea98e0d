"""One recurrent ONNX node with the parameters of one of our layers, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

# Gates in the order of ONNX's rows, by our names: the LSTM's i, o, f, c and the GRU's z, r, h.
GATES = {"RNN": "h", "LSTM": "iofg", "GRU": "zrn"}
STATES = {"RNN": ("h",), "LSTM": ("h", "c"), "GRU": ("h",)}

# Direction -> the options of our layer that runs so, and the ends of its parameters' names.
DIRECTIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "forward": ({}, ("",)),
    "reverse": ({"reverse": True}, ("",)),
    "bidirectional": ({"bidirectional": True}, ("", "_reverse")),
}

# What a node's activations may be: our argument -> name, and alpha and beta as far as it is given
# them. Slopes are of at most 1, as tolerances take for granted.
ACTIVATIONS: dict[str | tuple[Any, ...], tuple[Any, ...]] = {
    "sigmoid": ("Sigmoid",),
    "tanh": ("Tanh",),
    "relu": ("Relu",),
    "leaky_relu": ("LeakyRelu",),
    ("leaky_relu", 0.3): ("LeakyRelu", 0.3),
    ("thresholded_relu", 0.25): ("ThresholdedRelu", 0.25),
    "elu": ("Elu",),
    ("elu", 0.5): ("Elu", 0.5),
    "hard_sigmoid": ("HardSigmoid",),
    ("hard_sigmoid", 0.3, 0.4): ("HardSigmoid", 0.3, 0.4),
    "softsign": ("Softsign",),
    "softplus": ("Softplus",),
    ("scaled_tanh", 1.25, 0.75): ("ScaledTanh", 1.25, 0.75),
    ("affine", -0.5, 0.25): ("Affine", -0.5, 0.25),
}

# The operators' present version, and the file version that came with it.
_OPSET, _IR_VERSION = 22, 10


def peers() -> tuple[Any, Any]:
    """Return the modules onnx and onnxruntime, or skip the test."""
    onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
    return onnx, pytest.importorskip("onnxruntime", reason="needs the [test] extra: onnxruntime")


def onnx_parameters(layer: Any, operator: str, gates: str, direction: str) -> dict[str, Any]:
    """Return W, R, and B and P where there are any, as ONNX stacks them.

    Parameters
    ----------
    gates : of our rows, in order. For one that ONNX has and we do not, with coupled input and
        forget gates, there are rows of ones: nothing may come of them.
    """
    values, ends = layer.state_dict(), DIRECTIONS[direction][1]

    def reorder(array: Any) -> Any:
        blocks = dict(zip(gates, np.split(array, len(gates)), strict=True))
        missing = np.ones_like(blocks[gates[0]])
        return np.concatenate([blocks.get(gate, missing) for gate in GATES[operator]])

    def stack(*kinds: str) -> Any:
        return np.stack(
            [np.concatenate([reorder(values[f"{kind}_l0{end}"]) for kind in kinds]) for end in ends]
        )

    found = {"W": stack("weight_ih"), "R": stack("weight_hh")}
    if layer.bias:
        found["B"] = stack("bias_ih", "bias_hh")
    if "weight_co_l0" in values:
        ones = np.ones(layer.hidden_size, layer.dtype)
        found["P"] = np.stack(
            [
                np.concatenate([values.get(f"weight_c{gate}_l0{end}", ones) for gate in "iof"])
                for end in ends
            ]
        )
    return found


def activation_attributes(names: Sequence[tuple[Any, ...]], directions: int) -> dict[str, Any]:
    """Return the attributes of a node for the activations of one direction, in ONNX's order."""
    every = list(names) * directions
    attributes: dict[str, Any] = {"activations": [name for name, *_ in every]}
    for place, key in ((1, "activation_alpha"), (2, "activation_beta")):
        numbers = [float(one[place]) for one in every if len(one) > place]
        if numbers:
            attributes[key] = numbers
    return attributes


def onnx_results(
    operator: str, fed: Mapping[str, Any], attributes: Mapping[str, Any]
) -> tuple[Any, tuple[Any, ...]]:
    """Run one node.

    Parameters
    ----------
    operator : RNN, GRU or LSTM.
    fed : float32 arrays by the names of the operator's inputs; ``sequence_lens`` of int32.
    attributes : of the node.

    Returns
    -------
    output (T, B, D*H), and the tuple of final states (D, B, H).
    """
    onnx, runtime = peers()
    helper, types = onnx.helper, onnx.TensorProto
    places = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    assert set(fed) <= set(places)
    names = [name if name in fed else "" for name in places]
    finals = [f"Y_{state}" for state in STATES[operator]]
    inputs = [
        helper.make_tensor_value_info(
            name, types.INT32 if name == "sequence_lens" else types.FLOAT, list(fed[name].shape)
        )
        for name in names
        if name
    ]
    (T, B, _), (D, _, H) = fed["X"].shape, fed["R"].shape
    shapes = {"Y": [T, D, B, H]} | {name: [D, B, H] for name in finals}
    outputs = [helper.make_tensor_value_info(n, types.FLOAT, size) for n, size in shapes.items()]
    while not names[-1]:
        names.pop()
    node = helper.make_node(operator, names, ["Y", *finals], hidden_size=H, **attributes)
    graph = helper.make_graph([node], "one", inputs, outputs)
    opset = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    output, *states = session.run(None, dict(fed))
    return output.swapaxes(1, 2).reshape(T, B, D * H), tuple(states)
