"""Sequences without steps and batches without rows, wherever something is drawn or joined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers import as_tuple, assert_same_bits
from simdrnn.engine.random_words import Feature, happens, normals

H = 4
DRAWN = {
    "dropout": 0.3,
    "input_dropout": 0.2,
    "recurrent_dropout": 0.2,
    "candidate_dropout": 0.1,
    "weight_dropout": 0.2,
    "weight_noise": 0.1,
    "zoneout": 0.1,
}
BOTH = {"bidirectional": True}
LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("LSTM", DRAWN),
    "per gate": ("LSTM", DRAWN | {"recurrent_dropout_per_gate": True}),
    "sum": ("LSTM", DRAWN | BOTH | {"merge": "sum"}),
    "mul": ("GRU", DRAWN | BOTH | {"merge": "mul"}),
    "ave": ("GRU", DRAWN | BOTH | {"merge": "ave"}),
    "none": ("GRU", BOTH | {"merge": "none", "num_layers": 1}),
    "residual": ("GRU", DRAWN | {"residual": True}),
    "reversed": ("GRU", DRAWN | {"reverse": True}),
    "turned": ("GRU", DRAWN | {"reverse": True, "keep_order": False}),
    "learned": ("LSTM", DRAWN | {"learn_initial_state": True}),
    "projection": ("LSTM", DRAWN | {"proj_size": 2}),
    "normalised": ("GRU", DRAWN | {"layer_norm": True}),
    "heads": ("SLSTM", {"dropout": 0.3, "num_heads": 2}),
    "attention": ("AUGRU", DRAWN),
    "batch first": ("GRU", DRAWN | BOTH | {"batch_first": True}),
}
SKIPS = (None, "residual", "highway", "concat")
SHAPES = [(0, 2), (2, 0), (0, 0), (3, 2)]  # of the last all rows are empty


def build(engine, name):
    if name in LAYERS:
        kind, options = LAYERS[name]
        return getattr(engine, kind)(H, H, **({"num_layers": 2} | options), dtype="float64", seed=0)
    skip = None if name == "stack" else name.removeprefix("stack ")
    above = engine.GRU(2 * H if skip == "concat" else H, H, dtype="float64", seed=1)
    below = engine.LSTM(H, H, 2, dropout=0.3, dtype="float64", seed=0)
    return sr.Stack([below, above], skip=skip, dropout=0.3, seed=0)


def calls(T, B, batch_first):
    """Yield the shape of a call's flags and its arguments; no step of it is real."""
    shape = (B, T) if batch_first else (T, B)
    none = {"lengths": np.zeros(B, int)}
    yield shape, {"mask": np.zeros(shape, bool), "reset": np.ones(shape, bool)}
    yield shape, none | {"masked_output": "hold"}
    if T == 0 or B == 0:
        yield shape, {}


@pytest.mark.parametrize("name", [*LAYERS, "stack", *(f"stack {one}" for one in SKIPS[1:])])
def test_nothing_goes_in_and_states_come_back(engine, name):
    network, stack = build(engine, name), name.startswith("stack")
    for T, B in SHAPES:
        for shape, call in calls(T, B, name == "batch first"):
            x = np.ones((*shape, H))
            call |= {"attention": np.ones(shape)} if name == "attention" else {}

            output, state = network(x, **call)
            tape = network.record(x, **call)
            grads = tape.backward(tape.output, tape.state)

            assert output.shape == tape.output.shape
            assert not output.any()  # zeros, or zeros that are held
            assert grads.x.shape == x.shape
            assert not any(value.any() for value in grads.params.values())
            for one in state if stack else (state,):
                assert all(member.shape[1] == B for member in as_tuple(one))
            assert len(as_tuple(tape.all_states)) == len(as_tuple(state))
            if not stack:
                assert_same_bits(as_tuple(tape.state), as_tuple(state))
                tape.backward(d_last_output=tape.last_output)
                less = network.record(x, **call, checkpoint_every=2)
                assert_same_bits(less.backward(less.output).params, grads.params)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("error")
def test_they_are_diagnosed_and_cut_into_chunks(engine, name):
    layer = build(engine, name)
    for T, B in SHAPES:
        shape, call = next(calls(T, B, name == "batch first"))
        x = np.ones((*shape, H))
        call |= {"attention": np.ones(shape)} if name == "attention" else {}
        assert str(sr.diagnose(layer.record(x, **call)))
        if not (layer.bidirectional or layer.structure.reverse):
            for chunk in sr.tbptt(layer, x, 2, **call):
                chunk.tape.backward(chunk.tape.output)


def test_a_diagnosis_of_directions_that_are_kept_apart(engine, rng):
    options = {"bidirectional": True, "dtype": "float64", "seed": 0}
    x, d_output = rng.standard_normal((5, 2, 3)), rng.standard_normal((5, 2, 2, H))
    apart = sr.diagnose(engine.GRU(3, H, merge="none", **options).record(x), d_output, seed=0)
    joined = sr.diagnose(engine.GRU(3, H, **options).record(x), d_output.reshape(5, 2, -1), seed=0)
    merged = sr.diagnose(engine.GRU(3, H, merge="sum", **options).record(x), d_output[:, :, 0])

    for one, other in zip(apart.layers, joined.layers, strict=True):
        assert_same_bits(one.gradient["h"], other.gradient["h"])
        assert one.driven and other.driven  # noqa: PT018
    assert all(one.driven for one in merged.layers)


def test_no_words_are_drawn_for_nothing():
    for shape in [(0, 2, 5), (2, 0, 5), (2, 3, 0), (0, 0, 0)]:
        assert happens(shape, Feature.INPUT, 0, 0.5, 1).shape == shape
        assert normals(shape, Feature.WEIGHT_NOISE, 0, 1).shape == shape


def test_what_is_around_layers():
    linear = sr.Linear(3, 2, seed=0)
    assert linear.record(np.zeros((0, 4, 3), "f4")).backward(np.zeros((0, 4, 2), "f4")).x.size == 0
    embedding = sr.Embedding(3, 2, seed=0).record(np.zeros((0, 4), int))
    assert not embedding.backward(embedding.output).params["weight"].any()
    loss = sr.softmax_cross_entropy(np.zeros((0, 2, 3)), np.zeros((0, 2), int))
    assert loss.value == 0
    assert loss.backward().shape == (0, 2, 3)
    assert sr.mse(np.zeros((3, 0)), np.zeros((3, 0))).backward().shape == (3, 0)
    assert sr.clip_grad_norm_([np.zeros((0, 3))], 1.0, np.inf) == 0
    optimizer = sr.optim.Adam([np.zeros((0, 3), "f4")], lr=0.1)
    assert optimizer.step([np.zeros((0, 3), "f4")], max_norm=1.0) == 0
    for shape in [(0, 2, 3), (3, 0, 3)]:
        assert sr.regularizers.temporal_activation(np.zeros(shape), 1.0).value == 0
