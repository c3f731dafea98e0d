"""What `dialects.convert` and its helpers refuse, and in which words."""

from __future__ import annotations

import re

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from simdrnn.dialects import convert, gate_order, permute_gates


def lstm(**arguments):
    return sr.LSTM(3, 4, seed=0, **arguments).state_dict()


def gru(**arguments):
    return sr.GRU(3, 4, seed=0, **arguments).state_dict()


def without(mapping, *names):
    return {name: value for name, value in mapping.items() if name not in names}


def keras(values, cell, **arguments):
    return convert(values, "simdrnn", "keras", cell=cell, **arguments)


def refused(kind, message, *arguments, **named):
    with pytest.raises(kind, match=re.escape(message)):
        convert(*arguments, **named)


def test_names():
    names = "'simdrnn' or 'torch' or 'keras' or 'onnx' or 'openvino' or 'flax' or 'flax_nnx'"
    refused(ValueError, "cell: expected 'lstm' or 'gru' or 'rnn', got 'LSTM'",
            lstm(), "torch", "keras", cell="LSTM")  # fmt: skip
    refused(ValueError, f"source: expected {names}", lstm(), "mxnet", "keras", cell="lstm")
    refused(ValueError, f"target: expected {names}", lstm(), "keras", "mxnet", cell="lstm")
    refused(ValueError, "cell: expected 'lstm' or 'gru', which haste has, got 'rnn'",
            sr.RNN(3, 4).state_dict(), "torch", "haste", cell="rnn")  # fmt: skip


@every(
    "weights, source, message",
    [
        ([], "torch", "weights: expected a dict, got list"),
        ({}, "torch", "weights of layer 0: expected weight_ih, weight_hh, got nothing"),
        ({3: np.ones(3)}, "torch", "weights: expected names, got 3"),
        ({}, "keras", "weights: expected a list of arrays, got dict"),
        ((), "keras", "weights: expected a list of arrays, got an empty one"),
        ([np.ones((3, 16))], "keras", "weights: expected 3 arrays for each direction (kernel, "
         "recurrent_kernel, bias), or 2 without biases, got 1"),
        (3, "onnx", "weights: expected a dict, or a list of dicts, got int"),
        ([{"W": 0.5}], "onnx", "weights[0]['W']: expected a first axis of 1 or 2 directions, got "
         "shape ()"),
        ({"V": np.ones(3)}, "onnx", "weights: expected names among W, R, B, P, got 'V'"),
        ([4], "haste", "weights[0]: expected a dict, got int"),
        ({"type": "lstm"}, "rtneural", "weights: expected a dict with 'weights', got"),
        ({"type": "gru", "weights": []}, "rtneural", "weights['type']: expected 'lstm', got 'gru'"),
        ({"weights": [[1.0]]}, "rtneural", "weights['weights']: expected a list of kernel, "
         "recurrent_kernel, bias, got [[1.0]]"),
        ({"layers": [{"type": "dense"}]}, "rtneural",
         "weights: expected a layer of type 'lstm' under 'layers', got none"),
        ({"weights": [["a"], [1.0], [1.0]]}, "rtneural",
         "weights['weights'][0]: expected nested lists of numbers"),
    ],
)  # fmt: skip
def test_containers(weights, source, message):
    refused((TypeError, ValueError), message, weights, source, "onnx", cell="lstm")


def test_missing_unknown_and_double_names():
    w = lstm()
    refused(ValueError, "weights of layer 0: expected weight_ih, weight_hh, bias_ih, bias_hh, got "
            "weight_ih, weight_hh, bias_ih",
            without(w, "bias_hh_l0"), "torch", "keras", cell="lstm")  # fmt: skip
    refused(ValueError, "expected names among weight_ih, weight_hh, bias_ih, bias_hh, weight_hr, "
            "got 'bias_l0'", w | {"bias_l0": np.ones(3)}, "torch", "keras",
            cell="lstm")  # fmt: skip
    refused(ValueError, "weights: expected one of 'weight_ih_l0' and 'weight_ih'",
            w | {"weight_ih": np.ones(3)}, "torch", "keras", cell="lstm")  # fmt: skip
    refused(ValueError, "weights: expected the names of one module, got 'weight_ih_l0' and "
            "'a.weight_hh_l0'", w | {"a.weight_hh_l0": np.ones(3)}, "torch", "keras",
            cell="lstm")  # fmt: skip
    refused(ValueError, "weights of layer 1: expected weight_ih, weight_hh, got nothing",
            w | {name.replace("l0", "l2"): one for name, one in w.items()}, "torch", "keras",
            cell="lstm")  # fmt: skip
    refused(ValueError, "weights of layer 0, reverse: expected weight_ih, weight_hh, bias_ih, "
            "bias_hh, got bias_ih", w | {"bias_ih_l0_reverse": w["bias_ih_l0"]}, "torch", "keras",
            cell="lstm")  # fmt: skip
    peepholes = lstm(peephole=True)
    refused(ValueError, "got weight_ih, weight_hh, bias_ih, bias_hh, weight_ci, weight_cf",
            without(peepholes, "weight_co_l0"), "simdrnn", "onnx", cell="lstm")  # fmt: skip


def test_a_name_does_not_make_a_list_of_any_length():
    refused(ValueError, "weights: expected at most 65536 layers, got 10000000000",
            {"weight_ih_l9999999999": np.ones((4, 1))}, "torch", "keras", cell="lstm")  # fmt: skip


@every(
    "name, value, message",
    [
        ("weight_ih_l0", np.ones((15, 3)), "weight_ih_l0: expected 4*H rows, got shape (15, 3)"),
        ("weight_ih_l0", np.ones((0, 3)), "weight_ih_l0: expected 4*H rows, got shape (0, 3)"),
        ("weight_ih_l0", np.ones((16, 0)), "weight_ih_l0: expected I > 0, got 0"),
        ("weight_ih_l0", np.ones(16), "weight_ih_l0: expected 2 axes, got shape (16,)"),
        ("weight_hh_l0", np.ones((16, 5)),
         "weight_hh_l0: expected shape (4*H, H) = (16, 4), got (16, 5)"),
        ("bias_hh_l0", np.ones(15), "bias_hh_l0: expected shape (4*H,) = (16,), got (15,)"),
        ("bias_hh_l0", np.ones(16, "float32"),
         "bias_hh_l0: expected dtype float64 as in weight_ih_l0, got float32"),
        ("bias_hh_l0", np.ones(16, int), "bias_hh_l0: expected a floating-point dtype, got int64"),
        ("bias_hh_l0", np.ma.ones(16), "bias_hh_l0: expected a plain array, got a masked array"),
        ("bias_hh_l0", [[1.0], [1.0, 2.0]], "bias_hh_l0: expected an array, got list"),
    ],
)  # fmt: skip
def test_arrays(name, value, message):
    w = lstm(dtype="float64") | {name: value}

    refused((TypeError, ValueError), message, w, "torch", "keras", cell="lstm")


def test_shapes_of_other_packages():
    kernel, recurrent, bias = keras(gru(), "gru")
    refused(ValueError, "weights[2] (bias): expected shape (2, 3*H) = (2, 12), got (2, 11)",
            [kernel, recurrent, bias[:, 1:]], "keras", "torch", cell="gru")  # fmt: skip
    w = convert(gru(), "torch", "onnx", cell="gru")
    refused(ValueError, "weights['R'][0]: expected shape (3*H, H) = (12, 4), got (12, 3)",
            w | {"R": w["R"][:, :, 1:]}, "onnx", "torch", cell="gru")  # fmt: skip
    refused(ValueError, "weights: expected as many directions in weights['W'] as in weights['R']",
            w | {"R": np.repeat(w["R"], 2, 0)}, "onnx", "torch", cell="gru")  # fmt: skip
    tf1 = convert(lstm(), "torch", "tf1", cell="lstm")
    refused(ValueError, "weights['kernel']: expected I + H > 4, got 4",
            tf1 | {"kernel": tf1["kernel"][:4]}, "tf1", "torch", cell="lstm")  # fmt: skip


def test_what_a_package_lacks():
    after, before = gru(), gru(reset_after=False)
    for target in ("haiku", "tf1"):
        refused(ValueError, "target: expected a dialect whose GRU resets after the recurrent "
                "product, as the weights are for reset_after=True",
                after, "torch", target, cell="gru")  # fmt: skip
    for target in ("torch", "flax", "haste", "rtneural"):
        arguments = {"cell": "gru", "reset_after": False}
        refused(ValueError, "target: expected a dialect whose GRU resets before the recurrent "
                "product", before, "simdrnn", target, **arguments)  # fmt: skip
    # Keras's one bias tells the form.
    refused(ValueError, "the weights are for reset_after=False; PyTorch's does not",
            keras(before, "gru", reset_after=False), "keras", "torch", cell="gru")  # fmt: skip
    refused(ValueError, "source: expected a dialect whose GRU resets before",
            after, "torch", "onnx", cell="gru", reset_after=False)  # fmt: skip
    refused(ValueError, "target: expected a dialect that has peephole weights, as source has",
            lstm(peephole=True), "simdrnn", "torch", cell="lstm")  # fmt: skip
    projected = {
        "weight_ih_l0": np.ones((8, 3)),
        "weight_hh_l0": np.ones((8, 1)),
        "weight_hr_l0": np.ones((1, 2)),
    }
    refused(ValueError, "target: expected a dialect that has projection weights, as source has",
            projected, "torch", "keras", cell="lstm")  # fmt: skip
    refused(ValueError, "target: expected a dialect that has a recurrent bias of n, which is not "
            "zero in source", after, "torch", "flax_nnx", cell="gru")  # fmt: skip


def test_layers_or_directions():
    square = [part for k in range(2) for part in keras(sr.GRU(4, 4, seed=k).state_dict(), "gru")]
    refused(ValueError, "bidirectional: expected True or False, as the weights may be those of 2 "
            "layers or of 1 in both directions", square, "keras", "torch", cell="gru")  # fmt: skip
    assert "weight_ih_l1" in convert(square, "keras", "torch", cell="gru", bidirectional=False)
    both = convert(square, "keras", "torch", cell="gru", bidirectional=True)
    assert "weight_ih_l0_reverse" in both
    found = convert(keras(gru(bidirectional=True), "gru"), "keras", "torch", cell="gru")
    assert "weight_ih_l0_reverse" in found  # 3 inputs twice: no other way to read it
    refused(ValueError, "bidirectional: expected False, as there are weights of 1 directions",
            keras(gru(), "gru"), "keras", "torch", cell="gru", bidirectional=True)  # fmt: skip
    refused(ValueError, "bidirectional: expected True, as the weights show, got False",
            gru(bidirectional=True), "torch", "keras", cell="gru",
            bidirectional=False)  # fmt: skip
    uneven = keras(sr.GRU(3, 4).state_dict(), "gru") + keras(sr.GRU(4, 5).state_dict(), "gru")
    refused(ValueError, "weights: expected one hidden_size for all layers, as PyTorch has, got 4 "
            "and 5", uneven, "keras", "torch", cell="gru")  # fmt: skip
    assert len(convert(uneven, "keras", "onnx", cell="gru")) == 2


def test_other_arguments():
    refused(ValueError, "reset_after: expected None for cell='lstm', got True",
            lstm(), "torch", "keras", cell="lstm", reset_after=True)  # fmt: skip
    refused(TypeError, "reset_after: expected True or False, got 1",
            gru(), "torch", "keras", cell="gru", reset_after=1)  # fmt: skip
    refused(TypeError, "bidirectional: expected True or False, got 'yes'",
            lstm(), "torch", "keras", cell="lstm", bidirectional="yes")  # fmt: skip
    refused(ValueError, "forget_bias: expected a finite number, got nan",
            lstm(), "torch", "tf1", cell="lstm", forget_bias=float("nan"))  # fmt: skip


@every(
    "arguments, message",
    [
        ((np.ones(8), "ifgo", "ifg"), "target: expected the letters ifgo in some order, got 'ifg'"),
        ((np.ones(8), "iigo", "iigo"), "source: expected different letters of gates, got 'iigo'"),
        ((np.ones(8), "", ""), "source: expected different letters of gates, got ''"),
        ((np.ones(7), "ifgo", "iofg"), "array: expected 4*H along axis 0, got shape (7,)"),
        ((np.ones(8), "ifgo", "iofg", 1), "axis: expected one of 1 axes, got 1"),
        ((1.0, "ifgo", "iofg"), "axis: expected one of 0 axes, got 0"),
    ],
)
def test_permute_gates_refuses(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        permute_gates(*arguments)


def test_gate_order_refuses():
    with pytest.raises(ValueError, match="dialect: expected 'simdrnn' or "):
        gate_order("mxnet", "gru")
    with pytest.raises(ValueError, match="reset_after: expected True for PyTorch, got False"):
        gate_order("torch", "gru", reset_after=False)
