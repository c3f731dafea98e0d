"""Activations equal PyTorch's, with its gradients, and those that ONNX Runtime applies in RNN."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from simdrnn.reference.activations import activation_of, log_sigmoid
from simdrnn.spec.activations import parse_activation

pytestmark = pytest.mark.peers

# Values in units of the last place of the larger of them and 1. PyTorch's functions are good to a
# few units, softplus besides drops what is under exp(-threshold).
PLACES = 8


TORCH = {
    "sigmoid": lambda F, x: x.sigmoid(),
    "tanh": lambda F, x: x.tanh(),
    "relu": lambda F, x: F.relu(x),
    "leaky_relu": lambda F, x: F.leaky_relu(x, 0.01),
    ("leaky_relu", 0.3): lambda F, x: F.leaky_relu(x, 0.3),
    "thresholded_relu": lambda F, x: F.threshold(x, 1.0, 0.0),
    ("thresholded_relu", 0.25): lambda F, x: F.threshold(x, 0.25, 0.0),
    "elu": lambda F, x: F.elu(x),
    ("elu", 1.75): lambda F, x: F.elu(x, 1.75),
    "hard_sigmoid": lambda F, x: (0.2 * x + 0.5).clamp(0, 1),
    # As Keras writes it: the gradient of PyTorch's own has 1/6 in float32, whatever the dtype.
    "keras_hard_sigmoid": lambda F, x: F.relu6(x + 3) / 6,
    "softsign": lambda F, x: F.softsign(x),
    "softplus": lambda F, x: F.softplus(x, threshold=40.0),
    ("scaled_tanh", 1.7159, 0.625): lambda F, x: 1.7159 * (0.625 * x).tanh(),
    ("affine", -2.0, 0.5): lambda F, x: -2.0 * x + 0.5,
    "identity": lambda F, x: x * 1,
}


@every("argument", TORCH, ids=str)
@every("dtype")
def test_values_and_gradients_equal_pytorch(torch, argument, dtype):
    parsed = parse_activation("activation", argument)
    x = np.concatenate([np.linspace(-30, 30, 5003), np.linspace(-4, 4, 5003), [0, 1, 0.25]])
    x = x.astype(dtype)
    # At 2.5 and 3 the hard sigmoids meet their bounds, where clamp's gradient is 1 and relu6's 0.
    x = x[(np.abs(np.abs(x) - 2.5) > 1e-5) & (np.abs(np.abs(x) - 3) > 1e-5)]
    tensor = torch.tensor(x, requires_grad=True)
    value = TORCH[argument](torch.nn.functional, tensor)
    value.sum().backward()
    want, slope = value.detach().numpy(), tensor.grad.numpy()

    got = [sr._core.testing.activation(parsed.name, parsed.alpha, parsed.beta, x, slope=False)]
    got += [sr._core.testing.activation(parsed.name, parsed.alpha, parsed.beta, got[0], slope=True)]
    ours = activation_of(parsed)
    reference = ours.function(x.astype(np.float64))
    got += [reference, ours.derivative(reference)]

    unit = PLACES * np.finfo(dtype).eps
    for result, expected in zip(got, (want, slope, want, slope), strict=True):
        assert (np.abs(result - expected) <= unit * np.maximum(1, np.abs(expected))).all()


def test_log_sigmoid_equals_pytorch(torch):
    x = np.linspace(-50, 50, 10_001)

    want = torch.nn.functional.logsigmoid(torch.from_numpy(x)).numpy()

    np.testing.assert_allclose(log_sigmoid(x), want, rtol=PLACES * np.finfo(float).eps)


@pytest.fixture
def onnx_rnn():
    """Function of (name, parameters, x): h after one step of ONNX Runtime's RNN, W = 1, R = 0."""
    onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs the [test] extra: onnxruntime")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT

    def run(name, parameters, x):
        extra = {
            f"activation_{k}": [v] for k, v in zip(("alpha", "beta"), parameters, strict=False)
        }
        node = helper.make_node(
            "RNN", ["x", "w", "r"], ["", "h"], hidden_size=1, activations=[name], **extra
        )
        shapes = {"x": [1, x.size, 1], "w": [1, 1, 1], "r": [1, 1, 1], "h": [1, x.size, 1]}
        info = {k: helper.make_tensor_value_info(k, number, shape) for k, shape in shapes.items()}
        graph = helper.make_graph([node], "rnn", [info["x"], info["w"], info["r"]], [info["h"]])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        session = runtime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        one = np.ones((1, 1, 1), np.float32)
        return session.run(None, {"x": x.reshape(1, -1, 1), "w": one, "r": 0 * one})[0].ravel()

    return run


@every(
    "value",
    [
        ("Sigmoid",),
        ("Tanh",),
        ("Relu",),
        ("LeakyRelu",),
        ("LeakyRelu", 0.3),
        ("ThresholdedRelu", 1.0),
        ("ThresholdedRelu", 0.25),
        ("Elu",),
        ("Elu", 1.75),
        ("HardSigmoid",),
        ("HardSigmoid", 0.3, 0.4),
        ("Softsign",),
        ("Softplus",),
        ("ScaledTanh", 1.7159, 0.625),
        ("Affine", -2.0, 0.5),
    ],
    ids=str,
)
def test_values_equal_those_in_onnx_rnn(onnx_rnn, value):
    parsed = parse_activation("activation", value)
    x = np.linspace(-30, 30, 5003, dtype=np.float32)

    want = onnx_rnn(value[0], value[1:], x)

    got = sr._core.testing.activation(parsed.name, parsed.alpha, parsed.beta, x, slope=False)
    # Its polynomials for sigmoid, tanh and exp are good to a few units of the last place of 1.
    unit = PLACES * np.finfo(np.float32).eps
    assert (np.abs(got - want) <= unit * np.maximum(1, np.abs(want))).all()
