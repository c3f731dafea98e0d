"""Stacks of different layers, against the same layers called one by one."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import ENGINES, PATTERNS, assert_close, assert_same_bits, few, make_pattern, tolerance
from helpers_structure import flat, real_steps
from simdrnn import reference
from simdrnn.engine.random_words import multipliers

SKIPS = (None, "residual", "highway", "concat")
I, F = 2, 6  # noqa: E741 (of x; of what every layer makes)
ALLOWED = tolerance("float64", 3 * 6, 4 * F)


def make_layers(engine, skip, dtype="float64", **extra):
    """Make three layers of different kinds and options, whose sizes go with the skip."""
    given = F if skip != "concat" else I + F
    first = engine.LSTM(I, F // 2, bidirectional=True, dtype=dtype, seed=0, **extra)
    second = engine.GRU(given, F, reverse=True, dtype=dtype, seed=1, **extra)
    third = engine.RNN(
        given, F, 2, bidirectional=True, merge="ave", learn_initial_state=True, dtype=dtype,
        seed=2, **extra,
    )  # fmt: skip
    return [first, second, third]


def draw(pattern, rng, dtype="float64", T=6, B=4):
    call = make_pattern(pattern, T, B, rng)
    x = rng.standard_normal((T, B, I)).astype(dtype)
    real = real_steps(call, T, B)
    return np.where(real[..., None], x, np.nan).astype(dtype), call, real[..., None]


def by_hand(stack, x, call, real, scale=lambda index, joined: joined):
    """Run the layers of a stack one by one; return its output and their states."""
    joined, states, outputs = None, [], []
    for index, layer in enumerate(stack.layers):
        given = x if joined is None else scale(index - 1, joined)
        if index and stack.skip == "concat":
            given = np.concatenate([x, given], axis=-1)
        made, state = layer(given, **call)
        joined = made
        if layer.input_size == F and stack.skip == "residual":
            joined = np.where(real, made + given, made)
        elif layer.input_size == F and stack.skip == "highway":
            weight, bias = (stack.parameters()[f"{index}.gate.{n}"] for n in ("weight", "bias"))
            gate = 1 / (1 + np.exp(-(given @ weight.T + bias)))
            joined = np.where(real, gate * made + (1 - gate) * given, made)
        states.append(state)
        outputs.append(joined)
    return np.concatenate(outputs, axis=-1) if stack.skip == "concat" else joined, tuple(states)


@few(engine=ENGINES, skip=SKIPS, pattern=PATTERNS)
def test_stacks_are_their_layers_by_hand(engine, skip, pattern, rng):
    stack = sr.Stack(make_layers(engine, skip), skip, seed=3)
    x, call, real = draw(pattern, rng)

    output, state = stack(x, **call)
    tape = stack.record(x, **call)

    want, want_state = by_hand(stack, x, call, real)
    assert output.shape == (6, 4, stack.output_size)
    assert_close(output, want, ALLOWED)
    assert_close(tuple(flat(state)), tuple(flat(want_state)), ALLOWED)
    assert_same_bits(tape.output, output)
    assert_same_bits(tuple(flat(tape.state)), tuple(flat(state)))


@pytest.mark.parametrize("skip", SKIPS)
def test_dropout_is_between_the_layers(engine, skip, rng):
    stack = sr.Stack(make_layers(engine, skip), skip, 0.5, seed=3)
    x, call, real = draw("lengths", rng)

    tape = stack.record(x, **call)

    def scale(index, joined):  # the key of a first call is the seed
        return joined * multipliers(joined.shape, index, 0.5, 3, np.float64)

    assert_close(tape.output, by_hand(stack, x, call, real, scale)[0], ALLOWED)
    assert not np.array_equal(stack.record(x, **call).output, tape.output)
    assert_same_bits(stack.record(x, training=False, **call).output, stack(x, **call)[0])


@few(skip=SKIPS, masked_output=["zero", "hold"])
def test_gradients(built, skip, masked_output):
    stack = sr.Stack(make_layers(sr, skip), skip, 0.3, seed=3)
    random = {"lengths": "random", "mask": "random", "reset": "random"}

    for state in ("random", None):
        report = sr.gradcheck(
            stack, 4, 3, **random, masked_output=masked_output, entries=1, directions=1,
            state=state,
        )  # fmt: skip

        assert report.ok
        assert report.skipped == 0
        assert set(stack.parameters()) < set(report.tensors)


@pytest.mark.parametrize("reset_state", ["zero", "random"])
def test_gradients_of_states_that_resets_go_to(built, reset_state):
    stack = sr.Stack(make_layers(sr, "highway"), "highway", seed=3)

    report = sr.gradcheck(stack, 4, 3, reset="random", reset_state=reset_state, entries=2)

    assert report.ok
    assert ("reset_state[0][1]" in report.tensors) == (reset_state == "random")


@pytest.mark.parametrize("skip", SKIPS)
def test_compiled_stacks_are_the_reference(skip, rng):
    stacks = [
        sr.Stack(make_layers(engine, skip, "float32"), skip, 0.2, seed=3)
        for engine in (sr, reference)
    ]
    x, call, _ = draw("all", rng, "float32")

    tapes = [stack.record(x, **call) for stack in stacks]
    d_output = rng.standard_normal(tapes[0].output.shape).astype("float32")
    got, want = (tape.backward(d_output, tapes[0].state) for tape in tapes)

    allowed = tolerance("float32", 3 * 6, 4 * F)
    assert_close(tapes[0].output, tapes[1].output, allowed)
    assert_close(got.x, want.x, allowed)
    for name, value in want.params.items():
        assert_close(got.params[name], value, allowed, name)


@pytest.mark.parametrize("skip", SKIPS)
def test_bits_depend_on_neither_batch_nor_threads(built, skip, rng):
    stack = sr.Stack(make_layers(sr, skip, "float32"), skip, seed=3)
    x, call, _ = draw("all", rng, "float32", T=9, B=8)
    tape = stack.record(x, **call, num_threads=1)
    grads = tape.backward(tape.output)

    for rows in ([3], [6, 0, 2]):
        part = {name: value[..., rows] for name, value in call.items()}
        assert_same_bits(stack(x[:, rows], **part)[0], tape.output[:, rows])
    for threads in (2, 3):
        other = stack.record(x, **call, num_threads=threads)
        assert_same_bits(other.output, tape.output)
        got = other.backward(tape.output)
        assert_same_bits(got.params | {"x": got.x}, grads.params | {"x": grads.x})


@pytest.mark.parametrize("skip", SKIPS)
def test_layouts(engine, skip, rng):
    stack = sr.Stack(make_layers(engine, skip), skip, seed=3)
    turned = sr.Stack(make_layers(engine, skip, batch_first=True), skip, seed=3)
    x = rng.standard_normal((5, 3, I))
    tape = stack.record(x)
    d_output = rng.standard_normal(tape.output.shape)
    want = tape.backward(d_output)

    late, single = turned.record(x.swapaxes(0, 1)), turned.record(x[:, 1])

    assert_close(late.output.swapaxes(0, 1), tape.output, ALLOWED)
    got = late.backward(d_output.swapaxes(0, 1), late.state)
    want_too = tape.backward(d_output, tape.state)
    assert_close(got.x.swapaxes(0, 1), want_too.x, ALLOWED)
    assert_close(single.output, tape.output[:, 1], ALLOWED)
    assert_close(single.backward(d_output[:, 1]).x, want.x[:, 1], ALLOWED)


@pytest.mark.parametrize("skip", [None, "concat"])
def test_last_outputs(engine, skip, rng):
    stack = sr.Stack(make_layers(engine, skip), skip, seed=3)
    x, call, _ = draw("lengths", rng)
    tape = stack.record(x, **call)
    d_last = rng.standard_normal(tape.last_output.shape)

    want = [layer.last_output(own) for layer, own in zip(stack.layers, tape.state, strict=True)]

    assert_same_bits(tape.last_output, want[-1] if skip is None else np.concatenate(want, axis=-1))
    assert_same_bits(stack.last_output(tape.state), tape.last_output)
    eps, direction = 1e-6, np.where(np.isnan(x), 0, rng.standard_normal(x.shape))
    ahead, behind = (
        np.sum(stack.record(x + way * eps * direction, **call).last_output * d_last)
        for way in (1, -1)
    )
    got = np.sum(tape.backward(d_last_output=d_last).x * direction)
    assert abs((ahead - behind) / (2 * eps) - got) < 1e-7 * np.abs(d_last).sum()


@pytest.mark.parametrize("skip", SKIPS)
def test_states_over_time(engine, skip, rng):
    stack = sr.Stack(make_layers(engine, skip), skip, seed=3)
    x, call, _ = draw("all", rng)

    output, state, over_time = stack(x, **call, return_all_states=True)

    tape = stack.record(x, **call)
    assert_same_bits(output, tape.output)
    assert_same_bits(tuple(flat(over_time)), tuple(flat(tape.all_states)))
    for one, final in zip(flat(over_time[2]), flat(state[2]), strict=True):
        assert_same_bits(one[-1, ::2], final[::2])  # forward
        assert_same_bits(one[0, 1::2], final[1::2])
