"""``simdrnn convert``, and NAM's files: models of other programs in C."""

from __future__ import annotations

import json

import numpy as np
import pytest

import simdrnn as sr
from helpers_c_api import CModel
from simdrnn.cli import main
from simdrnn.dialects import load_nam, load_rtneural


def numbers(rng, *shape):
    return rng.standard_normal(shape).astype("float32").tolist()


def rtneural(rng):
    def layer(kind, size, *shapes, activation=""):
        weights = [numbers(rng, *shape) for shape in shapes]
        return {
            "type": kind,
            "activation": activation,
            "shape": [None, None, size],
            "weights": weights,
        }

    return {
        "in_shape": [None, None, 1],
        "layers": [
            layer("dense", 3, (1, 3), (3,), activation="tanh"),
            layer("gru", 4, (3, 12), (4, 12), (2, 12), activation="tanh"),
            layer("lstm", 5, (4, 20), (5, 20), (20,), activation="tanh"),
            layer("dense", 1, (5, 1), (1,)),
        ],
    }


def nam(rng, hidden=5, layers=2):
    sizes = [1] + [hidden] * (layers - 1)
    count = sum(4 * hidden * (size + hidden + 1) + 2 * hidden for size in sizes) + hidden + 1
    config = {"input_size": 1, "hidden_size": hidden, "num_layers": layers}
    return {"version": "0.5.4", "architecture": "LSTM", "config": config, "sample_rate": 48000,
            "weights": numbers(rng, count)}  # fmt: skip


@pytest.mark.parametrize(("make", "load"), [(rtneural, load_rtneural), (nam, load_nam)])
def test_json_models_in_c_are_what_they_are_in_python(make, load, tmp_path, capsys):
    rng = np.random.default_rng(0)
    source, target = tmp_path / "model.json", tmp_path / "model.simdrnn"
    source.write_text(json.dumps(make(rng)))
    x = rng.standard_normal((200, 1, 1)).astype("float32")
    expected, _ = load(source)(x)

    assert main(["convert", str(source), str(target)]) == 0

    assert "Chain([" in capsys.readouterr().out
    stream = CModel(target).stream()
    made = [stream.step(x[0])[None], stream.feed(x[1:150]), stream.feed(x[150:])]
    assert np.concatenate(made).tobytes() == expected.tobytes()


def nam_by_hand(model, x):
    """Run NAM's LSTM as its own code does: W and R side by side, gates i, f, g, o."""
    weights, at = np.array(model["weights"], "float64"), 0
    hidden, layers = model["config"]["hidden_size"], model["config"]["num_layers"]

    def take(*shape):
        nonlocal at
        at += int(np.prod(shape))
        return weights[at - int(np.prod(shape)) : at].reshape(shape)

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    sizes = [1] + [hidden] * (layers - 1)
    cells = [
        [take(4 * hidden, size + hidden), take(4 * hidden), take(hidden), take(hidden)]
        for size in sizes
    ]
    head, bias, made = take(hidden), take(1), []
    for sample in x:
        given = sample
        for cell in cells:
            both, add, h, c = cell
            i, f, g, o = (both @ np.concatenate([given, h]) + add).reshape(4, hidden)
            cell[3] = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            given = cell[2] = sigmoid(o) * np.tanh(cell[3])
        made.append(given @ head + bias)
    return np.array(made)


def test_nam_computes_what_its_own_code_does():
    model, x = nam(np.random.default_rng(1)), np.random.default_rng(2).standard_normal((50, 1))

    found, _ = load_nam(model, "float64")(x)

    np.testing.assert_allclose(found, nam_by_hand(model, x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "WaveNet"}, "architecture: expected LSTM"),
        ({"config": {"hidden_size": 3}}, "config: expected hidden_size, input_size, num_layers"),
        ({"weights": [1.0, 2.0]}, "weights: expected 386 numbers"),
        ({"config": {"input_size": 1, "hidden_size": 5, "num_layers": 10**9}}, "weights: expected"),
    ],
)
def test_nam_files_that_are_none(change, words):
    with pytest.raises(ValueError, match=words):
        load_nam(nam(np.random.default_rng(0)) | change)


def test_files_of_ours_are_converted_too(tmp_path):
    layer, x = sr.LSTM(2, 3, seed=0), np.ones((4, 1, 2), "float32")
    layer.save(tmp_path / "a.npz")

    assert main(["convert", str(tmp_path / "a.npz"), str(tmp_path / "a.simdrnn")]) == 0

    assert CModel(tmp_path / "a.simdrnn").stream().feed(x).tobytes() == layer(x)[0].tobytes()


@pytest.mark.parametrize(
    ("text", "target", "words"),
    [
        ("{", "a.simdrnn", "expected JSON"),
        ('{"a": 1}', "a.simdrnn", "expected the 'layers'"),
        ("[]", "a.simdrnn", "got list"),
        (None, "a.npz", "expected a name that ends with .simdrnn for a chain"),
        (None, "a.txt", "expected a name that ends with"),
    ],
)
def test_what_cannot_be_converted_exits_with_2_and_a_sentence(
    text, target, words, tmp_path, capsys
):
    source = tmp_path / "source.json"
    source.write_text(json.dumps(rtneural(np.random.default_rng(0))) if text is None else text)

    assert main(["convert", str(source), str(tmp_path / target)]) == 2

    error = capsys.readouterr().err
    assert error.startswith("simdrnn convert: ")
    assert words in error
    assert not (tmp_path / target).exists()
