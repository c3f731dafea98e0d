"""Layers of Keras become ours and go back; run by test_keras.py on NumPy."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import keras
import numpy as np
import pytest

import simdrnn as sr
import simdrnn.keras as bridge
from helpers import assert_close
from helpers_cover import cover
from helpers_keras_bridge import KINDS, numbers, tensor
from helpers_peers import allowed

T, B, I, H = 6, 4, 3, 5  # noqa: E741

FACTORS = {
    "kind": tuple(KINDS),
    "structure": ("forward", "backward", "concat", "sum", "mul", "ave", None),
    "bias": (True, False),
    "dtype": ("float32", "float64"),
    "activations": (None, ("softsign", "hard_sigmoid"), ("leaky_relu", "linear")),
    "batch_first": (True, False),
}


def make(row, rng):
    """Make Keras's layer for a row of `FACTORS`."""
    name, arguments = KINDS[row["kind"]]
    if row["activations"] is not None and row["kind"] != "rnn_relu":
        arguments = arguments | {"activation": row["activations"][0]}
        if row["kind"] != "rnn":
            arguments["recurrent_activation"] = row["activations"][1]
    structure, dtype = row["structure"], row["dtype"]
    layer = getattr(keras.layers, name)(
        H, use_bias=row["bias"], dtype=dtype, return_sequences=True, return_state=True,
        go_backwards=structure == "backward", **arguments,
    )  # fmt: skip
    if structure not in ("forward", "backward"):
        layer = keras.layers.Bidirectional(layer, merge_mode=structure, dtype=dtype)
    layer.build((None, None, I))
    layer.set_weights([rng.uniform(-0.4, 0.4, v.shape) for v in layer.get_weights()])
    return layer


def joined(output, state):
    """Return our results as Keras's list: output, or both, and states by direction."""
    state = state if isinstance(state, tuple) else (state,)
    outputs = [output] if output.ndim == 3 else [output[:, :, d] for d in range(2)]
    return [*outputs, *(member[d] for d in range(len(state[0])) for member in state)]


@pytest.mark.parametrize(
    "row", cover(FACTORS, frozenset()), ids=lambda row: "-".join(map(str, row.values()))
)
def test_layers_go_there_and_back(row, rng):
    theirs = make(row, rng)
    x = rng.standard_normal((B, T, I)).astype("float32").astype(row["dtype"])
    want = numbers(theirs(tensor(x)))

    ours = bridge.from_keras(theirs, batch_first=row["batch_first"])
    output, state = ours(x if row["batch_first"] else np.ascontiguousarray(x.swapaxes(0, 1)))
    output = output if row["batch_first"] else output.swapaxes(0, 1)
    back = bridge.to_keras(ours, return_state=True)

    assert ours.dtype == row["dtype"]
    tolerance = max(allowed(ours, T, B), 3e-6)  # Keras computes in float32 there at any dtype
    assert_close(tuple(joined(output, state)), tuple(want), tolerance)
    assert [v.shape for v in back.weights] == [v.shape for v in theirs.weights]
    for one, other in zip(back.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(numbers(back(tensor(x))), want, strict=True):
        np.testing.assert_array_equal(one, other)


def test_stacks_go_there_and_back(rng):
    theirs = keras.Sequential(
        [
            keras.Input((T, I)),
            keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True)),
            keras.layers.LSTM(6, return_sequences=True),
            keras.layers.RNN(keras.layers.SimpleRNNCell(3), return_sequences=True),
        ]
    )
    x = rng.standard_normal((B, T, I)).astype("float32")
    want = numbers(theirs(tensor(x)))[0]

    ours = bridge.from_keras(theirs)
    back = bridge.to_keras(ours)

    assert isinstance(ours, sr.Stack)
    assert_close(ours(x)[0], want, 1e-5)
    np.testing.assert_array_equal(numbers(back(tensor(x)))[0], want)
    assert [type(layer).__name__ for layer in back.layers] == ["Bidirectional", "LSTM", "SimpleRNN"]
    last = bridge.to_keras(ours, return_sequences=False)
    np.testing.assert_array_equal(numbers(last(tensor(x)))[0], want[:, -1])
    assert isinstance(bridge.from_keras([theirs.layers[1]]), sr.LSTM)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_networks_of_several_layers_become_models(kind, rng):
    ours = getattr(sr, kind)(I, H, 2, bidirectional=True, batch_first=True, dropout=0.3, seed=1)
    x = rng.standard_normal((B, T, I)).astype("float32")

    theirs = bridge.to_keras(ours)

    names = [type(layer).__name__ for layer in theirs.layers]
    assert names == ["Bidirectional", "Dropout", "Bidirectional"]
    assert theirs.layers[1].rate == 0.3
    assert_close(numbers(theirs(tensor(x)))[0], ours(x)[0], allowed(ours, T, B))


def test_masks_and_dropouts_carry_over(rng):
    theirs = keras.layers.LSTM(H, return_sequences=True, dropout=0.2, recurrent_dropout=0.3)
    x = rng.standard_normal((B, T, I)).astype("float32")
    mask = rng.random((B, T)) < 0.5
    want = numbers(theirs(tensor(x), mask=tensor(mask)))[0]

    ours = bridge.from_keras(theirs)

    assert ours.options.active() == {
        "input_dropout": 0.2,
        "recurrent_dropout": 0.3,
        "recurrent_dropout_per_gate": True,
    }
    output = ours(x, mask=mask, masked_output="hold")[0]
    assert_close(output, want, allowed(ours, T, B))
    back = bridge.to_keras(ours)
    assert (back.dropout, back.recurrent_dropout) == (0.2, 0.3)


def built(layer):
    layer.build((None, None, I))
    return layer


def mixed(**back):
    """Return a Bidirectional whose second direction has other arguments."""
    both = [keras.layers.GRU(H), keras.layers.GRU(H, go_backwards=True, **back)]
    return built(keras.layers.Bidirectional(both[0], backward_layer=both[1]))


def of_keras_2():
    """Return an object as tf_keras makes them."""
    return type("LSTM", (), {"__module__": "tf_keras.src.layers.rnn.lstm"})()


def gate(x):
    """Return the hard sigmoid of Keras 2."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def test_an_activation_of_ones_own_is_taken_for_what_it_is_said_to_be(rng):
    theirs = built(keras.layers.LSTM(H, recurrent_activation=gate, return_sequences=True))
    x = 3 * rng.standard_normal((B, T, I)).astype("float32")
    want = numbers(theirs(tensor(x)))[0]
    with pytest.raises(ValueError, match=r"got gate; .* activations=\{gate: \('hard_sigmoid'"):
        bridge.from_keras(theirs)

    ours = bridge.from_keras(theirs, activations={gate: ("hard_sigmoid", 0.2, 0.5)})

    assert_close(ours(x)[0], want, allowed(ours, T, B))


@pytest.mark.parametrize(
    ("activations", "error", "words"),
    [
        ({gate: "keras_hard_sigmoid"}, ValueError, "which at -2.975 is 0.00416"),
        ({gate: "nothing"}, ValueError, r"activations\[gate\]: expected one of sigmoid"),
        ({keras.ops.sum: "relu"}, ValueError, "keeps the shape"),
        ({"gate": "relu"}, TypeError, "expected functions as keys, got 'gate'"),
        ([gate], TypeError, "expected a dict from a function to the name .* got list"),
    ],
)
def test_what_is_said_of_activations_is_checked(activations, error, words):
    with pytest.raises(error, match=words):
        bridge.from_keras(built(keras.layers.LSTM(H)), activations=activations)
    with pytest.raises(error, match=words):
        bridge.convert(keras.layers.LSTM(H), activations=activations)


# Calls, the class of what they raise, and its words.
READ = [
    (of_keras_2, TypeError, r"got LSTM of Keras 2 \(tf_keras\), which is another package: .*0.2"),
    (lambda: built(keras.layers.LSTM(H)).get_weights(), TypeError, "pass the model or layer"),
    (lambda: 3, TypeError, "keras_layer: expected an LSTM, GRU or .* got int"),
    (lambda: keras.layers.Dense(3), TypeError, "got Dense"),
    (lambda: keras.layers.RNN([keras.layers.GRUCell(3)] * 2), TypeError, "of a StackedRNNCells"),
    (lambda: keras.layers.LSTM(3), ValueError, "keras_layer: expected a layer that is built"),
    (list, ValueError, "keras_layer: expected at least one layer, got none"),
    (lambda: [built(keras.layers.GRU(I))] * 2, ValueError, r"layer\[0\]: .*return_sequences=True"),
    (lambda: built(keras.layers.GRU(H, activation="gelu")), ValueError, "activation .* got gelu"),
    (lambda: built(keras.layers.GRU(H, dtype="mixed_float16")), ValueError, "got float16"),
    (lambda: mixed(activation="relu"), ValueError, "two directions that differ in go_backwards"),
]  # fmt: skip
WRITTEN = [
    (lambda: 3, TypeError, "layer: expected a recurrent layer of simdrnn, got int"),
    (lambda: sr.MGU(I, H), ValueError, "expected an LSTM, a GRU or an RNN, got cell mgu"),
    (lambda: sr.LSTM(I, H, peephole=True), ValueError, "got cell lstm_peephole"),
    (lambda: sr.LSTM(I, H, cell_clip=1.0), ValueError, "options that Keras has, got cell_clip=1.0"),
    (lambda: sr.GRU(I, H, zoneout=0.1), ValueError, "got zoneout=0.1"),
    (lambda: sr.GRU(H, H, residual=True), ValueError, "got residual=True"),
    (lambda: sr.GRU(I, H, reverse=True), ValueError, "keep_order=False, as Keras's go_backwards"),
    (lambda: sr.RNN(I, H, activation=("elu", 2.0)), ValueError, r"got \('elu', 2.0\)"),
    (lambda: sr.LSTM(I, H, activation="relu"), ValueError, "one activation and one recurrent_act"),
    (lambda: sr.Stack([sr.GRU(H, H), sr.GRU(H, H)], skip="residual"), ValueError, "without skips"),
]  # fmt: skip


@pytest.mark.parametrize(("thing", "error", "words"), READ, ids=range(len(READ)))
def test_what_cannot_be_read_is_refused(thing, error, words):
    with pytest.raises(error, match=words):
        bridge.from_keras(thing())


@pytest.mark.parametrize(("thing", "error", "words"), WRITTEN, ids=range(len(WRITTEN)))
def test_what_cannot_be_written_is_refused(thing, error, words):
    with pytest.raises(error, match=words):
        bridge.to_keras(thing())


def test_flags_are_checked():
    with pytest.raises(TypeError, match="batch_first: expected True or False, got 1"):
        bridge.from_keras(built(keras.layers.GRU(H)), batch_first=1)
    with pytest.raises(TypeError, match="return_sequences: expected True or False"):
        bridge.to_keras(sr.GRU(I, H), return_sequences="no")
    with pytest.raises(ValueError, match="return_state: expected False for several layers"):
        bridge.to_keras(sr.GRU(I, H, 2), return_state=True)


MODULES = ["simdrnn.keras"]
MODULES += [
    found.name
    for found in pkgutil.iter_modules(bridge.__path__, "simdrnn.keras.")
    if not found.name.endswith(("on_jax", "on_torch"))
]


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_described_and_their_examples_run(name):
    module = importlib.import_module(name)

    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)

    assert failed == 0
    assert module.__doc__
    for public in module.__all__:
        assert public == "BACKEND" or getattr(module, public).__doc__ or public.isupper()


def test_public_objects_have_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in set(bridge.__all__) - {"revert"}:  # shown with convert
        assert any(test.examples for test in finder.find(getattr(bridge, name)))
