"""Models with our Keras layers train, are saved and are switched over like Keras's own.

Run by test_bridge_keras.py on each backend.
"""

from __future__ import annotations

import copy
import pickle

import keras
import numpy as np
import pytest

import simdrnn.keras as bridge
from helpers_keras_bridge import BACKEND, numbers, tensor
from simdrnn.keras.layers import OnEngine

ROWS, STEPS, WORDS, CLASSES = 24, 8, 20, 3


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


def make_model(place):
    """Make a model with a mask, both directions, dropout and all three kinds of layers."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((STEPS,)),
            keras.layers.Embedding(WORDS, 6, mask_zero=True),
            keras.layers.Bidirectional(place.LSTM(5, return_sequences=True, dropout=0.2, seed=4)),
            place.GRU(6, return_sequences=True),
            place.SimpleRNN(7),
            keras.layers.Dense(CLASSES),
        ]
    )


def make_small_model(place):
    """Make a model whose loops Keras compiles in seconds, also on JAX."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((STEPS,)),
            keras.layers.Embedding(WORDS, 6, mask_zero=True),
            place.GRU(6, dropout=0.2, seed=4),
            keras.layers.Dense(CLASSES),
        ]
    )


def draw_data(rng):
    """Draw words, 0 of which is none, and classes."""
    words = rng.integers(1, WORDS, (ROWS, STEPS))
    words[np.arange(STEPS) >= rng.integers(1, STEPS + 1, ROWS)[:, None]] = 0
    words[:, 2] = 0  # a hole
    return words, rng.integers(0, CLASSES, ROWS)


def fitted(model, data, epochs=2):
    """Train a model and return the losses."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    history = model.fit(*data, epochs=epochs, batch_size=8, shuffle=False, verbose=0)
    return history.history["loss"]


@pytest.mark.skipif(BACKEND == "numpy", reason="Keras does not train on NumPy")
def test_training_equals_keras(rng, engine):
    data = draw_data(rng)

    make = make_small_model if BACKEND == "jax" else make_model

    want, got = (fitted(make(place), data) for place in (keras.layers, bridge))

    # Adam divides by the gradient's own size, so that rounding moves a weight with a gradient of
    # almost 0 by up to the learning rate of 1e-2; over all 500 of them hardly anything remains.
    np.testing.assert_allclose(got, want, rtol=1e-4)
    assert got[1] < got[0]
    assert engine


@pytest.mark.skipif(BACKEND == "jax", reason="compiles all of Keras's loops, for a minute")
def test_prediction_equals_keras(rng, engine):
    words, _ = draw_data(rng)
    models = [make_model(place) for place in (keras.layers, bridge)]

    want, got = (model.predict(words, verbose=0) for model in models)

    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())
    assert len(engine) >= 4


def test_models_are_saved_copied_and_described(rng, tmp_path):
    words, _ = draw_data(rng)
    model = make_model(bridge)
    want = numbers(model(tensor(words)))[0]
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")

    copies = [
        keras.saving.load_model(tmp_path / "model.keras"),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ]
    fresh = [keras.models.clone_model(model)]
    fresh += [make_model(keras.layers)] if BACKEND != "jax" else []
    for one in fresh:
        one.load_weights(tmp_path / "model.weights.h5")

    for one in (*copies, *fresh):
        np.testing.assert_allclose(numbers(one(tensor(words)))[0], want, rtol=0, atol=1e-6)
    for one in (*copies, fresh[0]):
        inner = one.layers[1]
        assert isinstance(inner.forward_layer, bridge.LSTM)
        assert isinstance(inner.backward_layer, bridge.LSTM)
        assert [type(layer) for layer in one.layers[2:4]] == [bridge.GRU, bridge.SimpleRNN]
    lines = []
    model.summary(print_fn=lines.append)
    for name in ("bidirectional", "(GRU)", "(SimpleRNN)"):
        assert name in "".join(lines)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_configuration_is_that_of_keras(name):
    arguments = {"dropout": 0.1, "go_backwards": True, "name": "one", "kernel_regularizer": "l2"}
    theirs, ours = (getattr(place, name)(4, **arguments) for place in (keras.layers, bridge))

    config = ours.get_config()
    again = type(ours).from_config(config)

    assert config == theirs.get_config()
    assert again.get_config() == config
    described = keras.saving.serialize_keras_object(ours)
    assert described["registered_name"] == f"simdrnn>{name}"
    assert type(keras.saving.deserialize_keras_object(described)) is type(ours)


def test_a_model_is_switched_over_and_back(rng, engine):
    words, classes = draw_data(rng)
    model = make_small_model(keras.layers)
    variables = [id(variable) for variable in model.weights]
    want = model.predict(words, verbose=0)
    assert engine == []
    assert bridge.report(model) == f"{model.layers[1].name}: Keras, until converted"

    assert bridge.convert(model) is model

    assert bridge.report(model) == f"{model.layers[1].name}: engine"
    got = model.predict(words, verbose=0)  # compiled anew
    assert engine
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())
    assert [id(variable) for variable in model.weights] == variables
    if BACKEND != "numpy":
        assert np.isfinite(fitted(model, (words, classes), epochs=1)).all()
        want = model.predict(words, verbose=0)

    assert bridge.revert(model) is model
    engine.clear()
    got = model.predict(words, verbose=0)
    assert engine == []
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())
    assert type(model.layers[1]) is keras.layers.GRU


def test_layers_within_layers_are_switched_over():
    model = keras.Sequential([make_model(keras.layers)])

    bridge.convert(model)

    assert bridge.report(model).count(": engine") == 4
    assert isinstance(model.layers[0].layers[1].backward_layer, bridge.LSTM)


def test_what_is_not_swapped_is_reported():
    class Special(keras.layers.LSTM):
        pass

    model = keras.Sequential([Special(3, name="special"), keras.layers.Dense(1)])

    with pytest.warns(UserWarning, match="changed nothing: special: Keras, because it is a Spec"):
        bridge.convert(model)
    with pytest.warns(UserWarning, match="changed nothing: no recurrent layers"):
        bridge.convert(keras.layers.Dense(3))

    assert bridge.report(model) == "special: Keras, because it is a Special"
    assert bridge.report(bridge.LSTM(3, recurrent_dropout=0.1, name="one")) == (
        "one: engine; in training Keras, because recurrent_dropout is drawn by Keras"
    )
    for function in (bridge.convert, bridge.revert, bridge.report):
        with pytest.raises(TypeError, match=r"^model: expected a Keras model or layer, got int$"):
            function(3)
        with pytest.raises(TypeError, match=r"got list of weights: pass the model or layer itself"):
            function([np.zeros((3, 4))])


def test_an_activation_that_is_said_to_be_ours_runs_on_the_engine(rng, engine):
    def gate(x):
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    layer = keras.layers.GRU(4, recurrent_activation=gate, name="gru")
    x = tensor(3 * rng.standard_normal((2, 5, 3)).astype("float32"))
    want = numbers(layer(x))[0]
    assert "gate is not one" in bridge.report(bridge.GRU(4, recurrent_activation=gate))

    bridge.convert(layer, activations={gate: ("hard_sigmoid", 0.2, 0.5)})

    assert bridge.report(layer) == "gru: engine"
    np.testing.assert_allclose(numbers(layer(x))[0], want, rtol=0, atol=1e-6)
    assert engine
