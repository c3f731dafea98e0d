"""States over time against calls of one step, and the last output against the outputs."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    CELLS,
    ENGINES,
    PATTERNS,
    as_tuple,
    assert_close,
    assert_same_bits,
    few,
    tolerance,
)
from helpers_structure import (
    ALL,
    STRUCTURES,
    H,
    build,
    draw,
    draw_state,
    real_steps,
)

ALLOWED = tolerance("float64", 12, 4 * H)

# All but those whose directions end at steps with different inputs to add.
ENDING = [name for name in ALL if not name.startswith("residual-") or name == "residual-3"]


def step_by_step(layer, x, state, call, goal):
    """Return what the state is after each step, by calling a layer of one direction step by step.

    Each row is a call of its own: what is not real is not called for.
    """
    T, B = x.shape[:2]
    real = real_steps(call, T, B)
    within = np.arange(T)[:, None] < call.get("lengths", np.full(B, T))
    reset = call.get("reset", np.zeros((T, B), bool)) & within
    found = [np.empty((T, *one.shape)) for one in as_tuple(state)]
    for b in range(B):
        carried = pick(state, b)
        for t in range(T):
            carried = pick(goal, b) if reset[t, b] else carried
            if real[t, b]:
                _, carried = layer(x[t : t + 1, b], carried)
            for target, value in zip(found, as_tuple(carried), strict=True):
                target[t, :, b] = value
    return tuple(found)


def zeros_like(state):
    """Return a state of zeros in the form of another."""
    if isinstance(state, tuple):
        return tuple(map(np.zeros_like, state))
    return np.zeros_like(state)


def pick(state, b):
    """Return the state of one row."""
    rows = tuple(one[:, b] for one in as_tuple(state))
    return rows if isinstance(state, tuple) else rows[0]


@few(engine=ENGINES, cell=CELLS, pattern=PATTERNS)
def test_entry_t_is_the_state_after_step_t(engine, cell, pattern, rng):
    layer = build(engine, cell, "residual-3", dropout=0.0)
    x, state, call = draw(layer, pattern, rng)

    output, after, over_time = layer(x, state, **call, return_all_states=True)

    want = step_by_step(layer, x, state, call, zeros_like(state))
    assert_close(as_tuple(over_time), want, ALLOWED)
    assert isinstance(over_time, tuple) == isinstance(after, tuple)
    plain, plain_after = layer(x, state, **call)
    assert_same_bits(output, plain)
    assert_same_bits(as_tuple(after), as_tuple(plain_after))
    # The last entry is the final state, also where rows ended before.
    assert_same_bits(tuple(one[-1] for one in as_tuple(over_time)), as_tuple(after))
    assert_same_bits(as_tuple(layer.record(x, state, **call).all_states), as_tuple(over_time))


@few(engine=ENGINES, name=["sum", "reverse", "learned-2"], pattern=PATTERNS)
def test_the_reverse_direction_has_its_own_time(engine, name, pattern, rng):
    layer = build(engine, "lstm", name)
    x, state, call = draw(layer, pattern, rng)

    _, after, over_time = layer(x, state, **call, return_all_states=True)

    reverse = slice(None) if name == "reverse" else slice(1, None, 2)
    for one, final in zip(over_time, after, strict=True):
        assert_same_bits(one[0, reverse], final[reverse])  # its last step is step 0
        if name != "reverse":
            assert_same_bits(one[-1, ::2], final[::2])
    lengths = call.get("lengths", np.full(x.shape[1], len(x)))
    for b, n in enumerate(lengths):  # it has not begun in the padding
        for one, initial in zip(over_time, state, strict=True):
            beyond = one[n:, reverse, b]
            assert_same_bits(beyond, np.broadcast_to(initial[reverse, b], beyond.shape).copy())


@few(engine=ENGINES, pattern=PATTERNS)
def test_reversed_states_are_those_of_the_turned_sequence(engine, pattern, rng):
    layer, forward = build(engine, "gru", "reverse"), engine.GRU(2, H, dtype="float64")
    forward.load_state_dict(layer.state_dict())
    x, state, call = draw(layer, pattern, rng)
    T, B = x.shape[:2]
    real = real_steps(call, T, B)
    cuts = np.zeros((T, B), bool)
    within = np.arange(T)[:, None] < call.get("lengths", np.full(B, T))
    if "reset" in call:
        cuts[1:] = (call["reset"] & within)[1:][::-1]
    turned = {"mask": real[::-1], "reset": cuts}

    _, _, got = layer(x, state, **call, return_all_states=True)
    late = build(engine, "gru", "reverse", keep_order=False)
    _, _, ordered = late(x, state, **call, return_all_states=True)

    want = step_by_step(forward, x[::-1], state, turned, zeros_like(state))[0][::-1]
    assert_close(got, want, ALLOWED)
    for b, n in enumerate(call.get("lengths", np.full(B, T))):
        assert_same_bits(ordered[:n, :, b], got[:n, :, b][::-1])
        assert_same_bits(ordered[n:, :, b], got[n:, :, b])


def test_resets_to_another_state_are_seen(engine, rng):
    layer = engine.LSTM(2, H, 2, dtype="float64", seed=0)
    x, state, call = draw(layer, "all", rng)
    goal = draw_state(layer, x.shape[1], rng)
    call["mask"][2, 0], call["reset"][2, 0] = False, True  # carried from the reset

    _, _, over_time = layer(x, state, **call, reset_state=goal, return_all_states=True)

    assert_close(over_time, step_by_step(layer, x, state, call, goal), ALLOWED)


def test_layouts_and_empty_calls(engine, rng):
    layer = engine.LSTM(2, H, 2, batch_first=True, bidirectional=True, dtype="float64", seed=0)
    x = rng.standard_normal((4, 5, 2))

    _, _, (h, c) = layer(x, return_all_states=True)
    _, _, (single, _) = layer(x[1], return_all_states=True)
    _, _, empty = layer(x[:, :0], return_all_states=True)

    assert h.shape == c.shape == (5, 4, 4, H)
    assert_close(single, h[:, :, 1], ALLOWED)
    assert empty[0].shape == (0, 4, 4, H)
    with pytest.raises(TypeError, match="return_all_states: expected True or False, got 1"):
        layer(x, return_all_states=1)


# The last output


@few(engine=ENGINES, name=ENDING, pattern=["plain", "lengths", "mask", "all-hold"])
def test_last_outputs_are_the_outputs_of_the_last_steps(engine, name, pattern, rng):
    layer = build(engine, "gru", name)
    x, state, call = draw(layer, pattern, rng)
    call.pop("reset", None)
    real = real_steps(call, *x.shape[:2])
    tape = layer.record(x, state, training=False, **call)
    merge, lengths = layer.structure.merge, call.get("lengths", [len(x)] * x.shape[1])

    last = tape.last_output

    for b in np.flatnonzero(real.any(axis=0)):
        times = np.flatnonzero(real[:, b])
        end, begin = tape.output[times[-1], b], tape.output[times[0], b]
        if merge == "none":
            want = np.stack([end[0], begin[1]])
        elif merge == "concat" and layer.bidirectional:
            want = np.concatenate([end[:H], begin[H:]])
        elif merge == "concat":
            place = times[0] if layer.structure.reverse else times[-1]
            place = place if layer.structure.keep_order else lengths[b] - 1 - place
            want = tape.output[place, b]
        else:  # merged outputs no longer show their parts: those of the final state do
            forward, reverse = tape.state[-2:, b]
            want = {"sum": forward + reverse, "mul": forward * reverse}.get(
                merge, (forward + reverse) / 2
            )
        assert_same_bits(last[b], want)
    if not layer.structure.residual:
        assert_same_bits(layer.last_output(tape.state), last)


@few(engine=ENGINES, name=ENDING, pattern=["plain", "all", "all-hold"])
def test_gradients_of_the_last_output(engine, name, pattern, rng):
    layer = build(engine, "lstm", name)
    x, state, call = draw(layer, pattern, rng)
    call["training"] = False
    d_last = rng.standard_normal(layer.record(x, state, **call).last_output.shape)
    direction = rng.standard_normal(x.shape)
    direction[~real_steps(call, *x.shape[:2])] = 0

    grads = layer.record(x, state, **call).backward(d_last_output=d_last)

    def loss(distance):
        tape = layer.record(x + distance * direction, state, **call)
        return float(np.sum(tape.last_output * d_last))

    # Richardson, as in gradcheck: truncation eps^4; rounding eps^-1 times that of some 50 terms.
    eps = 1e-4
    near, wide = ((loss(n * eps) - loss(-n * eps)) / (2 * n * eps) for n in (1, 2))
    scale = np.abs(grads.x * direction).sum()
    allowed = 50 * np.finfo("float64").eps / eps * max(scale, 1)
    assert abs((4 * near - wide) / 3 - np.sum(grads.x * direction)) < allowed


def test_last_gradients_add_to_the_others(engine, rng):
    layer = build(engine, "lstm", "sum")
    x, state, call = draw(layer, "all", rng)
    tape = layer.record(x, state, **call)
    d_output = rng.standard_normal(tape.output.shape)
    d_last = rng.standard_normal((x.shape[1], H))

    together = tape.backward(d_output, state, d_last)

    apart = tape.backward(d_output, state), tape.backward(d_last_output=d_last)
    assert_close(together.x, apart[0].x + apart[1].x, ALLOWED)


@few(engine=ENGINES, name=[name for name in ENDING if name in STRUCTURES])
def test_unbatched_and_empty_last_outputs(engine, name, rng):
    layer = build(engine, "gru", name)
    x, state, _ = draw(layer, "plain", rng)
    want = layer.record(x, state).last_output[1]

    tape = layer.record(x[:, 1], state[:, 1])
    none = layer.record(x[:, :0])

    assert_close(tape.last_output, want, ALLOWED)
    tape.backward(d_last_output=want)
    assert none.last_output.shape == (0, *want.shape)
    assert none.backward(d_last_output=none.last_output).x.size == 0


def test_what_has_no_last_output():
    both = sr.GRU(6, 3, bidirectional=True, residual=True, dtype="float64")
    tape = both.record(np.zeros((4, 2, 6)))
    one = sr.GRU(3, 3, residual=True, dtype="float64")
    plain = sr.GRU(2, 3, dtype="float64")

    with pytest.raises(ValueError, match="last_output: expected one direction with residual=True"):
        _ = tape.last_output
    with pytest.raises(ValueError, match="last_output: expected a layer whose output is its state"):
        one.last_output(np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match=r"state: expected shape \(L\*D, B, H\)"):
        plain.last_output(np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match=r"d_last_output: expected shape \(B, D\*H\) = \(2, 3\)"):
        plain.record(np.zeros((4, 2, 2))).backward(d_last_output=np.zeros((2, 4)))
