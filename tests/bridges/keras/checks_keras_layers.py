"""Our Keras layers give what Keras's own give; run by test_keras.py on each backend."""

from __future__ import annotations

import sys
import threading
import zlib

import numpy as np
import pytest

import simdrnn.keras as bridge
from helpers import assert_close
from helpers_cover import cover
from helpers_keras_bridge import (
    BACKEND,
    KINDS,
    bound,
    by_our_names,
    numbers,
    run,
    run_ours,
    states,
    tensor,
    twins,
)
from simdrnn.keras import obstacles
from simdrnn.keras.kernel import Call, Kernel, Settings
from simdrnn.keras.layers import OnEngine

T, B, I, H = 6, 5, 3, 9  # noqa: E741
SHAPE = (B, T, I)

FACTORS = {
    "kind": tuple(KINDS),
    "mask": ("none", "holes", "padding"),
    "backwards": (False, True),
    "zero": (False, True),
    "sequences": (True, False),
    "state": (True, False),
    "bias": (True, False),
    "activations": (None, ("softsign", "hard_sigmoid"), ("elu", "sigmoid")),
}


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    """Count the calls that the engine ran."""
    ran = []
    original = OnEngine._run

    def counted(self, *arguments):
        ran.append(self.name)
        return original(self, *arguments)

    monkeypatch.setattr(OnEngine, "_run", counted)
    return ran


def draw_mask(mask, rng):
    """Draw a mask with a row of no real steps, and one of nothing else."""
    if mask == "none":
        return None
    if mask == "padding":
        return np.arange(T) < np.array([T, 0, 1, 3, T - 1])[:, None]
    drawn = rng.random((B, T)) < 0.5
    drawn[1] = False
    drawn[2] = True
    return drawn


def draw_loss(kind, sequences, rng):
    """Draw what the output and every state are multiplied by in the loss."""
    shapes = [(B, T, H) if sequences else (B, H), *[(B, H)] * (2 if kind == "lstm" else 1)]
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def assert_twins_agree(both, x, mask, state, loss, *, training=False):
    want, want_gradients = run(both[0], x, mask, state, loss, training=training)
    got, gradients = run(both[1], x, mask, state, loss, training=training)
    assert_close(tuple(got), tuple(want), bound(both[0], x.shape), "outputs")
    allowed = bound(both[0], x.shape, backward=True)
    assert_close(tuple(gradients), tuple(want_gradients), allowed, "gradients")


def assert_equals_our_layer(layer, x, mask, state, loss):
    got, gradients = run(layer, x, mask, state, loss)
    want, want_gradients = run_ours(layer, x, mask, state, loss)
    assert_close(tuple(got), tuple(want), bound(layer, x.shape), "outputs")
    allowed = bound(layer, x.shape, backward=True)
    assert_close(by_our_names(layer, gradients, state), want_gradients, allowed, "gradients")


@pytest.mark.parametrize(
    "row", cover(FACTORS, frozenset()), ids=lambda row: "-".join(map(str, row.values()))
)
def test_every_pair_of_arguments_equals_keras(row, engine):
    rng = np.random.default_rng(zlib.crc32(str(row).encode()))
    kind = row["kind"]
    arguments = {}
    if row["activations"] is not None and kind != "rnn_relu":
        arguments["activation"] = row["activations"][0]
        if kind != "rnn":
            arguments["recurrent_activation"] = row["activations"][1]
    both = twins(
        kind, SHAPE, H, rng, return_sequences=row["sequences"], go_backwards=row["backwards"],
        zero_output_for_mask=row["zero"], use_bias=row["bias"], return_state=True, **arguments,
    )  # fmt: skip
    x = rng.standard_normal(SHAPE).astype("float32")
    state = states(kind, B, H, rng) if row["state"] else None

    mask, loss = draw_mask(row["mask"], rng), draw_loss(kind, row["sequences"], rng)

    if BACKEND == "jax":  # where compiling Keras's loop takes seconds
        assert_equals_our_layer(both[1], x, mask, state, loss)
    else:
        assert_twins_agree(both, x, mask, state, loss)

    assert engine == [both[1].name]


# What stands for the other cases on JAX.
FEW = [("lstm", "holes", True, True, True), ("gru", "padding", False, False, False)]


@pytest.mark.parametrize(("kind", "mask", "backwards", "zero", "sequences"), FEW, ids=str)
def test_a_few_cases_equal_keras_on_every_backend(
    kind, mask, backwards, zero, sequences, rng, engine
):
    both = twins(
        kind, SHAPE, H, rng, return_sequences=sequences, go_backwards=backwards,
        zero_output_for_mask=zero, return_state=True,
    )  # fmt: skip
    x = rng.standard_normal(SHAPE).astype("float32")
    state, loss = states(kind, B, H, rng), draw_loss(kind, sequences, rng)

    assert_twins_agree(both, x, draw_mask(mask, rng), state, loss)

    assert engine == [both[1].name]


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_a_stateful_layer_goes_on_where_it_stopped(kind, rng, engine):
    both = twins(kind, SHAPE, H, rng, stateful=True, return_sequences=True)
    allowed = 3 * bound(both[0], SHAPE)
    batches = [tensor(rng.standard_normal(SHAPE).astype("float32")) for _ in range(3)]

    for x in batches:
        want, got = (numbers(layer(x))[0] for layer in both)
        assert_close(got, want, allowed)

    both[1].reset_state()
    fresh = numbers(both[1](batches[-1]))[0]
    assert np.abs(fresh - got).max() > 1e-3
    both[0].reset_state()
    assert_close(fresh, numbers(both[0](batches[-1]))[0], allowed)
    assert len(engine) == 4


DROPPED = [("lstm", "none"), ("gru", "holes"), ("rnn", "none")]


@pytest.mark.parametrize(("kind", "mask"), DROPPED[: 1 if BACKEND == "jax" else None], ids=str)
def test_dropout_of_the_input_is_drawn_as_keras_draws_it(kind, mask, rng, engine):
    both = twins(kind, SHAPE, H, rng, dropout=0.4, seed=3, return_state=True)
    x = rng.standard_normal(SHAPE).astype("float32")
    loss = draw_loss(kind, False, rng)

    assert_twins_agree(both, x, draw_mask(mask, rng), None, loss, training=True)

    assert engine == [both[1].name]
    plain = numbers(both[1](tensor(x)))[0]
    dropped = numbers(both[1](tensor(x), training=True))[0]
    assert np.abs(plain - dropped).max() > 1e-3


# What Keras does itself: arguments, whether only in training, and what the report says.
OWN = [
    ({"activation": "gelu"}, False, "activation gelu is not one that the engine has"),
    ({"recurrent_activation": "silu"}, False, "recurrent_activation silu is not one"),
    ({"recurrent_dropout": 0.3}, True, "recurrent_dropout is drawn by Keras"),
    ({"dtype": "mixed_float16"}, False, "it computes in float16"),
]


# On JAX, where compiling Keras's loops takes seconds, two of them.
@pytest.mark.parametrize(
    ("arguments", "only_training", "words"), OWN[:: 2 if BACKEND == "jax" else 1], ids=str
)
def test_what_the_engine_does_not_do_keras_does(arguments, only_training, words, rng, engine):
    both = twins("gru", SHAPE, H, rng, seed=3, **arguments)
    x = tensor(rng.standard_normal(SHAPE).astype("float32"))

    want, got = (numbers(layer(x, training=True))[0] for layer in both)

    np.testing.assert_array_equal(got, want)
    assert engine == []
    assert words in bridge.report(both[1])
    both[1](x)
    assert engine == ([both[1].name] if only_training else [])


def test_arguments_that_do_not_fit_get_keras_messages(rng, engine):
    both = twins("lstm", SHAPE, H, rng)
    for wrong in (np.ones((B, T, I + 1)), np.ones((B, I))):
        texts = []
        for layer in both:
            with pytest.raises(Exception) as caught:  # noqa: PT011 (Keras's, of any class)
                layer(tensor(wrong.astype("float32")))
            texts.append((type(caught.value), str(caught.value).replace(layer.name, "")))
        assert texts[0] == texts[1]
    if BACKEND != "torch":  # where Keras takes it for a wish
        both[1].use_cudnn = True
        with pytest.raises(ValueError, match="use_cudnn=True was specified"):
            both[1](tensor(np.ones(SHAPE, "float32")))
    assert engine == []


@pytest.mark.skipif(BACKEND == "jax", reason="Keras's own loop refuses it there")
def test_a_state_of_one_row_is_broadcast_by_keras(rng, engine):
    both = twins("rnn", SHAPE, H, rng)
    x = tensor(rng.standard_normal(SHAPE).astype("float32"))
    state = [tensor(rng.standard_normal((1, H)).astype("float32"))]

    want, got = (numbers(layer(x, initial_state=state))[0] for layer in both)

    np.testing.assert_array_equal(got, want)
    assert engine == []


def test_unknown_backends_are_left_to_keras(rng, engine, monkeypatch):
    both = twins("gru", SHAPE, H, rng)
    x = tensor(rng.standard_normal(SHAPE).astype("float32"))
    monkeypatch.setattr(obstacles, "BACKEND", None)

    np.testing.assert_array_equal(numbers(both[1](x))[0], numbers(both[0](x))[0])

    assert engine == []
    assert f"Keras runs on {BACKEND}" in bridge.report(both[1])


def test_changed_weights_are_noticed(rng, engine):
    layer, twin = twins("gru", SHAPE, H, rng)
    x = tensor(rng.standard_normal(SHAPE).astype("float32"))
    allowed = bound(layer, SHAPE)
    for change in range(3):
        if change == 1:
            layer.set_weights([value * 0.5 for value in layer.get_weights()])
            twin.set_weights(layer.get_weights())
        if change == 2:  # one number, the last that is looked at
            value = layer.cell.recurrent_kernel.numpy().copy()
            value[-1, -1] += 0.5
            layer.cell.recurrent_kernel.assign(value)
            twin.cell.recurrent_kernel.assign(value)
        assert_close(numbers(twin(x))[0], numbers(layer(x))[0], allowed)
    assert len(engine) == 3


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has no float64 unless it is told to")
def test_float64_is_computed_in_float64(rng, engine):
    layer = bridge.LSTM(H, dtype="float64", return_sequences=True)
    layer.build(SHAPE)
    layer.set_weights(layer.get_weights())  # what NumPy's initialisers left is float32
    x = rng.standard_normal(SHAPE).astype("float32").astype("float64")  # Keras rounds arguments
    got = numbers(layer(tensor(x)))[0]

    ours = bridge.from_keras(layer)

    assert ours.dtype == got.dtype == np.float64
    np.testing.assert_array_equal(got, ours(x)[0])
    assert engine == [layer.name]


def test_threads_with_different_weights_do_not_mix(rng):
    kernel = Kernel(Settings("gru", "float32", I, H, True))
    call = Call(kernel, False, True, True)
    x = rng.standard_normal(SHAPE).astype("float32")
    state = [np.zeros((B, H), "float32")]
    sets = [
        [rng.standard_normal(shape).astype("float32") for shape in ((I, 3 * H), (H, 3 * H))]
        + [rng.standard_normal((2, 3 * H)).astype("float32")]
        for _ in range(4)
    ]
    want = [kernel.forward(call, x, None, weights, state)[0] for weights in sets]
    wrong = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads meet everywhere

    def work(index):
        for _ in range(200):
            if not np.array_equal(
                kernel.forward(call, x, None, sets[index], state)[0], want[index]
            ):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(sets))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)

    assert wrong == []
