"""Whole files of RTNeural become layers that compute the same."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest

import simdrnn as sr
from helpers_dialects import rtneural_gru, rtneural_lstm, sigmoid
from helpers_loops import every
from simdrnn.dialects import load_rtneural

T, B = 6, 2


def numbers(rng, *shape):
    return rng.standard_normal(shape).astype("float32").tolist()


def dense(rng, inputs, outputs, activation="", kind="dense"):
    weights = [numbers(rng, inputs, outputs), numbers(rng, outputs)]
    return {"type": kind, "activation": activation, "shape": [None, None, outputs]} | {
        "weights": weights
    }


def recurrent(rng, kind, inputs, hidden):
    gates = {"lstm": 4, "gru": 3}[kind]
    bias = (gates * hidden,) if kind == "lstm" else (2, gates * hidden)
    shapes = [(inputs, gates * hidden), (hidden, gates * hidden), bias]
    return {
        "type": kind, "activation": "tanh", "shape": [None, None, hidden],
        "weights": [numbers(rng, *shape) for shape in shapes],
    }  # fmt: skip


def model(rng):
    """Return a file with one of everything."""
    return {
        "in_shape": [None, None, 2],
        "layers": [
            dense(rng, 2, 3, "tanh"),
            recurrent(rng, "gru", 3, 4),
            recurrent(rng, "lstm", 4, 5),
            dense(rng, 5, 3, "elu", "time-distributed-dense"),
            {"type": "activation", "activation": "sigmoid", "shape": [None, None, 3]},
            dense(rng, 3, 3, "softmax"),
            dense(rng, 3, 2, "relu"),
        ],
    }


def product(x, layer):
    kernel, bias = map(np.array, layer["weights"])
    return x @ kernel + bias


def by_formula(layers, x):
    """Run the model of `model` in float64."""
    y = np.tanh(product(x, layers[0]))
    y, _ = rtneural_gru(layers[1], y, np.zeros((B, 4)))
    y, _ = rtneural_lstm(layers[2], y, np.zeros((B, 5)), np.zeros((B, 5)))
    y = product(y, layers[3])
    y = sigmoid(np.where(y > 0, y, np.exp(y) - 1))
    y = np.exp(product(y, layers[5]))
    return np.maximum(product(y / y.sum(-1, keepdims=True), layers[6]), 0)


def test_a_whole_file_computes_what_its_formulas_say(rng, tmp_path):
    file, x = model(rng), rng.standard_normal((T, B, 2))
    want = by_formula(file["layers"], x)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(file), encoding="utf-8")

    exact = load_rtneural(file, "float64")
    narrow = load_rtneural(path)

    np.testing.assert_allclose(exact(x)[0], want, rtol=0, atol=1e-13)
    np.testing.assert_allclose(narrow(x.astype("float32"))[0], want, rtol=0, atol=1e-5)
    assert [str(one) for one in narrow.layers] == [
        "Linear(2, 3)", "tanh", "GRU(3, 4)", "LSTM(4, 5)", "Linear(5, 3)", "elu", "sigmoid",
        "Linear(3, 3)", "softmax", "Linear(3, 2)", "relu",
    ]  # fmt: skip
    assert narrow(x.astype("float32"))[0].dtype == np.float32
    assert str(load_rtneural(file)) == str(narrow)


def test_a_signal_in_pieces_is_the_whole_signal(rng):
    chain, x = load_rtneural(model(rng)), rng.standard_normal((T, B, 2)).astype("float32")
    whole, final = chain(x)

    first, state = chain(x[:2])
    second, state = chain(x[2:], state)

    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    np.testing.assert_array_equal(state[1][1], final[1][1])
    assert isinstance(chain.layers[2], sr.GRU)
    with pytest.raises(ValueError, match="state: expected one for each of 2 recurrent layers, got"):
        chain(x, [None])


def changed(file, path, value):
    """Return a file with another value at a path."""
    file = copy.deepcopy(file)
    place = file
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return file


@every(
    "path, value, message",
    [
        (("layers",), [], "layers: expected a list of layers in a file of RTNeural, got none"),
        (("in_shape",), None, "in_shape: expected a shape that ends in a number, got None"),
        (("in_shape",), [None, 7], "layers[0]['weights'][0]: expected shape (I, O) = (7, 3)"),
        (("layers", 0), 3, "layers[0]: expected a dict, got int"),
        (("layers", 0, "type"), "conv1d", "layers[0]['type']: expected dense, "
         "time-distributed-dense, lstm, gru, activation, got 'conv1d'"),
        (("layers", 0, "activation"), "gelu", "layers[0]['activation']: expected tanh, relu, "
         "sigmoid, softmax, elu, got 'gelu'"),
        (("layers", 1, "activation"), "relu", "layers[1]['activation']: expected tanh, which "
         "RTNeural's gru has, got 'relu'"),
        (("layers", 1, "shape"), [None, 3], "layers[1]['weights'][0]: expected shape (I, 3*H) = "
         "(3, 9), got (3, 12)"),
        (("layers", 0, "weights"), [], "layers[0]['weights']: expected a list of kernel and bias"),
        (("layers", 0, "weights", 1), [0.5], "layers[0]['weights'][1]: expected shape (O,) = (3,)"),
    ],
)  # fmt: skip
def test_what_is_no_such_model_is_refused(path, value, message):
    file = changed(model(np.random.default_rng(0)), path, value)

    with pytest.raises(ValueError, match=re.escape(message)):
        load_rtneural(file)


def test_files_that_are_no_json(tmp_path):
    path = tmp_path / "model.json"
    for text, words in (("[" * 100_000, "expected JSON"), ("{", "expected JSON"), ("[]", "a dict")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=words):
            load_rtneural(path)
