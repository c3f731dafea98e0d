"""What a tape refers to: arrays of the caller that are written to since, and those it hands out."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import simdrnn as sr
from helpers import as_tuple, assert_same_bits
from simdrnn import reference
from simdrnn.engine.borrowed import Borrowed

T, B, H = 6, 4, 3  # as many inputs as units

NETWORKS = {
    "lstm": lambda engine: engine.LSTM(H, H, 2, dtype="float64", seed=0),
    "mul": lambda engine: engine.GRU(
        H, H, 2, bidirectional=True, merge="mul", dtype="float64", seed=0
    ),
    "residual": lambda engine: engine.GRU(H, H, 2, residual=True, dtype="float64", seed=0),
    "reversed": lambda engine: engine.LSTM(H, H, reverse=True, dtype="float64", seed=0),
    "attention": lambda engine: engine.AUGRU(H, H, dtype="float64", seed=0),
    "stack": lambda engine: sr.Stack(
        [engine.LSTM(H, H, dtype="float64", seed=0), engine.GRU(H, H, dtype="float64", seed=1)],
        skip="highway", seed=0,
    ),
}  # fmt: skip


def arguments(name, network, rng):
    """Draw a call: keyword arguments, and the arrays among them by the names of messages."""
    state = network(np.zeros((0, B, H)), **extra(name, np.zeros((0, B))))[1]
    each = lambda one: rng.standard_normal(one.shape)  # noqa: E731
    if name == "stack":
        state, other = [tuple(map(each, state[0])), each(state[1])], (tuple(state[0]), state[1])
        other = (tuple(map(each, other[0])), each(other[1]))
        arrays = {"state[1]": state[0][1], "reset_state": other[1]}
    elif isinstance(state, tuple):
        state, other = tuple(map(each, state)), tuple(map(each, state))
        arrays = {"state[0]": state[0], "state[1]": state[1], "reset_state[1]": other[1]}
    else:
        state, other = each(state), each(state)
        arrays = {"state": state, "reset_state": other}
    call = {
        "x": rng.standard_normal((T, B, H)),
        "state": state,
        "mask": rng.random((T, B)) < 0.8,
        "reset": rng.random((T, B)) < 0.3,
        "reset_state": other,
    } | extra(name, rng.random((T, B)))
    arrays |= {name: one for name, one in call.items() if isinstance(one, np.ndarray)}
    return call, arrays


def extra(name, attention):
    return {"attention": attention} if name == "attention" else {}


@pytest.mark.parametrize("name", NETWORKS)
def test_arguments_that_were_written_to_are_noticed(engine, name, rng):
    network = NETWORKS[name](engine)
    call, arrays = arguments(name, network, rng)

    for argument, array in arrays.items():
        tape = network.record(**call)
        grads = tape.backward(tape.output)  # also a second time
        before = array.copy()
        array[...] = array[::-1].copy()  # the same numbers in other places
        if np.array_equal(array, before):
            array.flat[0] = ~array.flat[0] if array.dtype == bool else 7.0
        with pytest.raises(ValueError, match="expected what was recorded") as found:
            tape.backward(tape.output)
        assert str(found.value).startswith(f"{argument}: ")
        array[...] = before
        assert_same_bits(tape.backward(tape.output).params, grads.params)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_tape_of_copies_does_not_look_at_them(engine, name, rng):
    network = NETWORKS[name](engine)
    call, arrays = arguments(name, network, rng)
    want = network.record(**call).backward(np.ones((T, B, H)))

    tape = network.record(**call, copy=True)
    for array in arrays.values():
        array[...] = 0

    grads = tape.backward(np.ones((T, B, H)))
    assert_same_bits(grads.x, want.x)
    assert_same_bits(grads.params, want.params)


def test_one_element_of_many_and_signs_are_noticed(rng):
    for shape in [(1,), (5, 3), (7, 2, 9), (40, 3, 65)]:
        for dtype in ("float32", "float64", "bool"):
            array = rng.standard_normal(shape).astype(dtype)
            borrowed = Borrowed({"a": array})
            place = tuple(rng.integers(0, size) for size in shape)
            array[place] = ~array[place] if dtype == "bool" else -array[place]
            with pytest.raises(ValueError, match="a: expected what was recorded"):
                borrowed.check()


def test_copies_of_tapes_have_arrays_of_their_own(rng):
    layer, x = sr.GRU(H, H, dtype="float64", seed=0), rng.standard_normal((T, B, H))
    tape = layer.record(x)
    want = tape.backward(tape.output)

    others = [copy.deepcopy(tape), pickle.loads(pickle.dumps(tape))]
    x[:] = 0

    for other in others:
        assert_same_bits(other.backward(tape.output).x, want.x)


def test_copies_of_tapes_know_what_had_changed(engine, rng):
    layer, x = engine.GRU(H, H, dtype="float64", seed=0), rng.standard_normal((T, B, H))
    tape = layer.record(x)
    before = x.copy()
    x[0] = 0

    others = [copy.deepcopy(tape), pickle.loads(pickle.dumps(tape))]
    others += [copy.deepcopy(others[0])]
    x[:] = before

    for other in others:
        with pytest.raises(ValueError, match="x: expected what was recorded"):
            other.backward(tape.output)
    tape.backward(tape.output)


def test_copies_of_tapes_notice_what_changes_later(engine, rng):
    layer, x = engine.GRU(H, H, dtype="float64", seed=0), rng.standard_normal((T, B, H))
    other = copy.deepcopy(layer.record(x))

    other._recording.run.x[0] = 0

    with pytest.raises(ValueError, match="x: expected what was recorded"):
        other.backward(other.output)


def test_states_over_time_read_arguments_too(engine, rng):
    layer, state = engine.GRU(H, H, dtype="float64", seed=0), rng.standard_normal((1, B, H))
    tape = layer.record(rng.standard_normal((T, B, H)), state, lengths=[0, 1, 2, 3])

    state[:] = 0

    with pytest.raises(ValueError, match="state: expected what was recorded"):
        _ = tape.all_states


def test_a_chunk_notices_too(engine, rng):
    layer, x = engine.GRU(H, H, dtype="float64", seed=0), rng.standard_normal((T, B, H))
    chunk = next(sr.tbptt(layer, x, 2))

    x[1] = 0

    with pytest.raises(ValueError, match="x: expected what was recorded"):
        chunk.tape.backward(chunk.tape.output)


def test_linear_notices_too(rng):
    linear, x = sr.Linear(3, 2, seed=0), rng.standard_normal((4, 3)).astype("float32")
    tape = linear.record(x)
    tape.backward(tape.output)

    x[0] = 0

    with pytest.raises(ValueError, match="x: expected what was recorded"):
        tape.backward(tape.output)


def test_losses_keep_what_they_read_again(rng):
    logits, targets = rng.standard_normal((4, 3, 5)), rng.integers(0, 5, (4, 3))
    mask = rng.random((4, 3)) < 0.7
    losses = [
        sr.softmax_cross_entropy(logits, targets, mask=mask),
        sr.mse(logits, logits[::-1].copy(), mask=mask),
    ]
    want = [loss.backward() for loss in losses]

    logits[:], targets[:], mask[:] = 0, 0, ~mask

    for loss, gradient in zip(losses, want, strict=True):
        assert_same_bits(loss.backward(), gradient)


# -- what tapes hand out ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_state_that_was_written_to_changes_nothing(engine, name, rng):
    network = NETWORKS[name](engine)
    call, _ = arguments(name, network, rng)
    tape = network.record(**call)
    states = as_tuple(tape.state) if name != "stack" else (*tape.state[0], tape.state[1])

    for state in states:
        with pytest.raises(ValueError, match="read-only"):
            state[:, 0] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            state.flags.writeable = True


@pytest.mark.parametrize("kind", ["mul", "lstm"])
def test_what_is_computed_anew_is_the_callers(engine, kind, rng):
    layer, x = NETWORKS[kind](engine), rng.standard_normal((T, B, H))
    tape = layer.record(x)
    want = tape.backward(d_last_output=np.ones_like(tape.last_output)), tape.last_output

    for array in (tape.last_output, *as_tuple(tape.all_states), want[0].x):
        array[...] = 9.0

    again = tape.backward(d_last_output=np.ones_like(tape.last_output))
    assert_same_bits(tape.last_output, want[1])
    assert_same_bits(again.params, want[0].params)


def test_a_state_is_carried_on(engine, rng):
    layer, x = NETWORKS["lstm"](engine), rng.standard_normal((T, B, H))
    tape = layer.record(x)
    own = tuple(state.copy() for state in tape.state)

    output, state = layer(x, tape.state)

    assert_same_bits(output, layer(x, own)[0])
    assert all(one.flags.writeable for one in state)  # a call's results are the caller's
    assert_same_bits(layer.record(x, tape.state).output, output)


def test_chunks_of_both_engines_hand_out_states_that_cannot_be_changed(rng):
    for engine in (sr, reference):
        layer = engine.GRU(H, H, dtype="float64", seed=0)
        for chunk in sr.tbptt(layer, rng.standard_normal((T, B, H)), 4):
            assert not chunk.tape.state.flags.writeable
