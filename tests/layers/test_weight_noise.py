"""Weights changed once per recorded call: DropConnect on recurrent ones, Gaussian noise on all."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import simdrnn as sr
from helpers import CELLS, DTYPES, ENGINES, as_tuple, assert_same_bits, few, make_layer, suited
from helpers_structure import draw
from simdrnn.engine.random_words import Feature, call_key, happens, normals
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.parametrised import parameters_of

OPTIONS = {
    "dropped": {"weight_dropout": 0.4},
    "noisy": {"weight_noise": 0.3},
    "both": {"weight_dropout": 0.4, "weight_noise": 0.3},
}
SOME = ("lstm", "gru_reset_before", "rnn_relu", "lstm_peephole", "ctrnn")
SHAPES = {
    "one": {},
    "deep": {"num_layers": 2, "bidirectional": True, "dropout": 0.3},
    "composed": {"num_layers": 2, "bidirectional": True, "merge": "mul", "residual": True},
    "learned": {"learn_initial_state": True, "bias": False},
}


def masks(layer, call=0):
    """Return by name what recurrent weights are multiplied by, and what is added to all weights."""
    key, chance = call_key(layer.seed, call), layer.options.weight_dropout
    scales, noise = {}, {}
    for stream, group in enumerate(bound_layer(layer).spec.passes()):
        for number, spec in enumerate(group):
            shape = (1, *spec.shape) if len(spec.shape) == 2 else (1, 1, *spec.shape)
            if chance and spec.name.startswith("weight_hh"):
                dropped = happens(shape, Feature.WEIGHT_DROPOUT, stream, chance, key)
                scale = layer.dtype.type(1 / (1 - chance))
                scales[spec.name] = np.where(dropped[0], layer.dtype.type(0), scale)
            if layer.options.weight_noise and not spec.name.startswith("leak"):
                drawn = normals(shape, Feature.WEIGHT_NOISE, stream, key, first=number)
                value = layer.options.weight_noise * drawn.reshape(spec.shape)
                noise[spec.name] = value.astype(layer.dtype)
    return scales, noise


def changed(layer, plain, call=0):
    """Give a plain layer the weights that a recorded call of `layer` has."""
    scales, noise = masks(layer, call)
    for name, value in layer.state_dict().items():
        setattr(plain, name, (value + noise.get(name, 0)) * scales.get(name, 1))
    plain._recorded = call  # what else is random is the same
    return plain


def pair(engine, cell, options, shape, dtype="float64"):
    """Return a layer with the options and one without, of equal weights."""
    shape = SHAPES[shape]
    return tuple(
        make_layer(engine, cell, 3, 5, dtype=dtype, seed=3, **shape, **extra)
        for extra in (suited(cell, OPTIONS[options]), {})
    )


def outcome(layer, x, state, **call):
    tape = layer.record(x, state, **call)
    grads = tape.backward(tape.output, tape.state)
    found = {"output": tape.output, "state": as_tuple(tape.state), "x": grads.x}
    return found | {"d_state": as_tuple(grads.state)}, grads.params


@few(engine=ENGINES, dtype=DTYPES, cell=SOME, options=OPTIONS, shape=[*SHAPES] * 3)
def test_a_call_is_that_of_a_layer_with_these_weights(engine, cell, options, shape, dtype, rng):
    layer, plain = pair(engine, cell, options, shape, dtype)
    x, state, pattern = draw(layer, "all-hold", rng)
    layer._recorded = 2

    got, params = outcome(layer, x, state, **pattern)

    want, d_changed = outcome(changed(layer, plain, 2), x, state, **pattern)
    assert_same_bits(got, want)
    scales, _ = masks(layer, 2)
    for name, value in d_changed.items():
        scale = scales.get(name, np.ones_like(value))
        assert_same_bits(params[name], np.where(scale > 0, value * scale, 0 * scale), name)


@few(engine=ENGINES, cell=CELLS, shape=SHAPES)
def test_nothing_is_changed_where_not_training(engine, cell, shape, rng):
    layer, plain = pair(engine, cell, "both", shape)
    x, state, pattern = draw(layer, "lengths", rng)

    assert_same_bits(
        as_tuple(layer(x, state, **pattern)[0]), as_tuple(plain(x, state, **pattern)[0])
    )
    got, want = (outcome(one, x, state, training=False, **pattern) for one in (layer, plain))
    assert_same_bits(got, want)


def test_a_recorded_call_leaves_the_layer_as_it_is(engine, rng):
    layer, plain = pair(engine, "lstm", "both", "deep")
    x, state, _ = draw(layer, "plain", rng)
    before, weights, version = layer(x, state), layer.state_dict(), parameters_of(layer).version

    first, second = layer.record(x, state), layer.record(x, state)

    assert_same_bits(layer(x, state), before)
    assert_same_bits(layer.state_dict(), weights)
    assert parameters_of(layer).version == version
    # Each tape goes back through its own weights, in any order.
    for tape, call in ((second, 1), (first, 0)):
        twin = changed(layer, plain, call).record(x, state)
        assert_same_bits(tape.output, twin.output)
        assert_same_bits(tape.backward(x[..., :1] + 0 * tape.output).x,
                         twin.backward(x[..., :1] + 0 * twin.output).x)  # fmt: skip
    assert not np.array_equal(first.output, second.output)


@pytest.mark.parametrize("options", OPTIONS)
def test_draws_follow_from_seed_and_number_of_the_call(engine, options, rng):
    layer, _ = pair(engine, "gru", options, "one")
    twin = pickle.loads(pickle.dumps(layer))
    other = engine.GRU(3, 5, dtype="float64", seed=4, **OPTIONS[options])
    other.load_state_dict(layer.state_dict())
    x = rng.standard_normal((4, 2, 3))
    layer(x)
    layer.record(x, training=False)

    got = [layer.record(x).output for _ in range(2)]

    assert_same_bits(got[0], twin.record(x).output)
    assert_same_bits(got[1], twin.record(x).output)
    assert not np.array_equal(*got)
    assert not np.array_equal(got[0], other.record(x).output)


@pytest.mark.usefixtures("built")
@few(threads=[2, 3, 7], options=OPTIONS)
def test_threads_checkpoints_and_rows_change_no_bit(options, threads, rng):
    layer, _ = pair(sr, "lstm", options, "deep", "float32")
    x = rng.standard_normal((9, 8, 3)).astype("float32")
    want = outcome(copy.copy(layer), x, None)

    several = outcome(copy.copy(layer), x, None, num_threads=threads)
    spaced = outcome(copy.copy(layer), x, None, checkpoint_every=2)

    assert_same_bits(several, want)
    assert_same_bits(spaced, want)
    # Weights are the same for all rows. (Between layers masks are those of a row's place.)
    layer, _ = pair(sr, "lstm", options, "one", "float32")
    whole, part = copy.copy(layer).record(x), layer.record(x[:, 3:5])
    assert_same_bits(part.output, whole.output[:, 3:5])


@pytest.mark.usefixtures("built")
def test_backward_on_another_instruction_set_has_the_same_weights(rng):
    layer, _ = pair(sr, "lstm", "both", "deep")
    x, active = rng.standard_normal((4, 2, 3)), sr.isa.active()
    tape = layer.record(x)
    want = tape.backward(tape.output)

    try:
        for name in sr.isa.available():
            sr.isa.use(name)
            assert_same_bits(tape.backward(tape.output).params, want.params)
    finally:
        sr.isa.use(active)


def test_changed_parameters_are_noticed(engine, rng):
    layer, _ = pair(engine, "gru", "dropped", "one")
    tape = layer.record(rng.standard_normal((4, 2, 3)))
    grads = tape.backward(tape.output)

    assert (grads.params["weight_hh_l0"] == 0).sum() == (masks(layer)[0]["weight_hh_l0"] == 0).sum()
    sr.optim.SGD(layer, lr=0.1).step(grads)
    with pytest.raises(ValueError, match="backward: expected the parameters that were recorded"):
        tape.backward(tape.output)


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("cell", [*SOME, "ind_rnn", "fast_rnn", "minimal_rnn", "slstm"])
def test_gradients_are_derivatives(cell):
    layer, _ = pair(sr, cell, "both", "one")

    assert sr.gradcheck(layer, 3, 2, entries=3, directions=1).ok


@few(engine=ENGINES, shape=SHAPES)
def test_gradients_are_derivatives_where_layers_are_put_together(engine, shape):
    layer, _ = pair(engine, "lstm", "both", shape)

    assert sr.gradcheck(layer, 3, 2, lengths="random", entries=1, directions=1).ok


@pytest.mark.usefixtures("built")
def test_stacks_and_truncated_training_draw_for_each_layer_and_chunk(rng):
    first, second = (sr.GRU(3, 3, dtype="float64", seed=s, weight_dropout=0.5) for s in (1, 2))
    x = rng.standard_normal((6, 2, 3))
    twins = copy.deepcopy(first), copy.deepcopy(second)

    stacked = sr.Stack([first, second]).record(x)

    below = twins[0].record(x)
    above = twins[1].record(below.output)
    assert_same_bits(stacked.output, above.output)
    grads = stacked.backward(above.output)
    assert_same_bits(
        grads.params["1.weight_hh_l0"], above.backward(above.output).params["weight_hh_l0"]
    )
    chunks = [chunk.tape for chunk in sr.tbptt(first, x, 3)]  # calls 1 and 2
    plain = sr.GRU(3, 3, dtype="float64", seed=1)
    assert_same_bits(chunks[0].output, changed(first, plain, 1).record(x[:3]).output)
    later = changed(first, plain, 2).record(x[3:], chunks[0].state)
    assert_same_bits(chunks[1].output, later.output)


@pytest.mark.usefixtures("built")
def test_diagnosis_is_of_the_weights_that_were_used(rng):
    layer, plain = pair(sr, "lstm", "both", "one")
    x = rng.standard_normal((12, 2, 3))
    tape = layer.record(x)

    got = str(sr.diagnose(tape))

    assert got == str(sr.diagnose(changed(layer, plain).record(x)))
    assert got != str(sr.diagnose(layer.record(x, training=False)))
