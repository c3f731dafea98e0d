"""Truncated back-propagation over stacks, and over what offers its recurrent parts as models do."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import simdrnn as sr
from helpers import ENGINES, PATTERNS, assert_close, assert_same_bits, few, make_pattern, tolerance
from helpers_structure import flat
from simdrnn.training.recurrent_parts import Truncatable, layer_tapes

SKIPS = (None, "residual", "highway", "concat")
T, B, I, F = 11, 4, 2, 5  # noqa: E741 (of x; of what every layer makes)
GOALS = [None, "zero", "given", "own", "mixed"]  # what resets go to
ALLOWED = 2 * tolerance("float64", 2 * T, 5 * T)


def make_stack(engine, skip, dropout=0.0, **extra):
    """Make three levels of different cells, one of which has learned where it begins."""
    given = F if skip != "concat" else I + F
    layers = [
        engine.LSTM(I, F, dtype="float64", seed=0, **extra),
        engine.GRU(given, F, learn_initial_state=True, dtype="float64", seed=1, **extra),
        engine.RNN(given, F, 2, dtype="float64", seed=2, **extra),
    ]
    rng = np.random.default_rng(7)
    layers[1].h_0_l0 = rng.standard_normal(F)
    return sr.Stack(layers, skip, dropout, seed=3)


def make_states(rng, scale=1.0):
    """Draw a state for each level of such a stack; its second begins with what it has learned."""
    lstm = tuple(scale * rng.standard_normal((1, B, F)) for _ in range(2))
    return (lstm, None, scale * rng.standard_normal((2, B, F)))


def make_call(pattern, goal, rng):
    """Draw lengths, mask and resets, and what these go to."""
    call = make_pattern(pattern, T, B, rng)
    if "reset" in call and goal is not None:
        own = make_states(rng)
        mixed = ("given", "given", own[2])
        call["reset_state"] = {"own": own, "mixed": mixed}.get(goal, goal)
    return call


def each_sum(one, other):
    """Add gradients of one form."""
    if one is None or other is None:
        return one if other is None else other
    if isinstance(one, dict):
        return {name: each_sum(one[name], other[name]) for name in one}
    if isinstance(one, tuple):
        return tuple(each_sum(a, b) for a, b in zip(one, other, strict=True))
    return one + other


def arrays(state):
    """Return the arrays of states of any form; what is None is left out."""
    return tuple(flat(tuple(own for own in state if own is not None)))


@few(engine=ENGINES, skip=SKIPS, k=[1, 4, T, 20], goal=GOALS, pattern=[*PATTERNS, "reset-hold"])
def test_chunks_of_a_stack_are_one_call(engine, skip, k, goal, pattern, rng):
    stack, state = make_stack(engine, skip), make_states(rng)
    x, call = rng.standard_normal((T, B, I)), make_call(pattern, goal, rng)
    d_output = rng.standard_normal((T, B, stack.output_size))
    tape = copy.deepcopy(stack).record(x, state, **call)
    want, d_state = tape.backward(d_output, tape.state), tape.state

    chunks = list(sr.tbptt(stack, x, k, state, **call))

    assert [(own.start, own.stop) for own in chunks] == [
        (start, min(start + k, T)) for start in range(0, T, k)
    ]
    # Bits of outputs and states; and what a chunk leaves out goes through the state it was handed.
    assert_same_bits(np.concatenate([own.tape.output for own in chunks]), tape.output)
    assert_same_bits(arrays(chunks[-1].tape.state), arrays(tape.state))
    d_x, params, initial, resets = [], None, None, None
    for chunk in reversed(chunks):
        grads = chunk.tape.backward(d_output[chunk.start : chunk.stop], d_state)
        d_x.insert(0, grads.x)
        params, initial = each_sum(params, grads.params), each_sum(initial, grads.initial)
        resets = each_sum(resets, grads.reset_state)
        d_state = grads.state
    assert_close(np.concatenate(d_x), want.x, ALLOWED)
    assert_close(params, want.params, ALLOWED)
    given = [resets[i] if resets and resets[i] is not None else None for i in range(3)]
    if want.reset_state is None:
        assert resets is None
        assert_close(arrays(initial), arrays(want.state), ALLOWED)
    elif goal == "own":
        assert_close(arrays(initial), arrays(want.state), ALLOWED)
        assert_close(arrays(resets), arrays(want.reset_state), ALLOWED)
    else:  # of a mixed goal: what goes back belongs to the initial state
        assert given[:2] == [None, None]
        assert_close(resets[2], want.reset_state[2], ALLOWED)
        assert_close(arrays(initial), arrays(want.state), ALLOWED)


def loss_of_chunks(stack, x, k, state, weights, params=None):
    """Return the loss of all chunks, each from the carried states that `params` do not move."""
    total, moved, carried = 0.0, copy.deepcopy(stack), state
    if params is not None:
        moved.load_state_dict(params)
    for chunk in sr.tbptt(stack, x, k, state, training=False):
        part = slice(chunk.start, chunk.stop)
        total += float((moved(x[part], carried)[0] * weights[part]).sum())
        carried = chunk.tape.state
    return total


@pytest.mark.parametrize("skip", ["highway", "concat"])
def test_truncated_gradients_by_finite_differences(skip, engine, rng):
    stack, state = make_stack(engine, skip, dropout=0.5), make_states(rng)
    x = rng.standard_normal((T, B, I))
    weights = rng.standard_normal((T, B, stack.output_size))
    grads = None
    for chunk in sr.tbptt(stack, x, 4, state, training=False):
        own = chunk.tape.backward(weights[chunk.start : chunk.stop])
        grads = each_sum(grads, own.params)

    direction = {name: rng.standard_normal(value.shape) for name, value in grads.items()}
    values, small = stack.state_dict(), 1e-5
    ends = [
        loss_of_chunks(
            stack, x, 4, state, weights,
            {name: value + sign * small * direction[name] for name, value in values.items()},
        )
        for sign in (1, -1)
    ]  # fmt: skip
    slope = (ends[0] - ends[1]) / (2 * small)
    found = sum(float((grads[name] * direction[name]).sum()) for name in grads)
    assert found == pytest.approx(slope, rel=1e-6)


def test_dropout_between_the_levels_is_drawn_anew_for_each_chunk(engine, rng):
    stack, state = make_stack(engine, None, dropout=0.5, zoneout=0.2), make_states(rng)
    twin, x = copy.deepcopy(stack), rng.standard_normal((T, B, I))
    carried, outputs = state, []

    for chunk in sr.tbptt(stack, x, 4, state):
        own = twin.record(x[chunk.start : chunk.stop], carried)
        assert_same_bits(chunk.tape.output, own.output)
        assert_same_bits(chunk.tape.backward(own.output).params, own.backward(own.output).params)
        carried = own.state
        outputs.append(chunk.tape.output)

    assert not np.array_equal(np.concatenate(outputs), stack(x, state)[0])


def test_what_a_level_has_learned_gets_its_gradient_once(engine, rng):
    stack, x = make_stack(engine, "residual"), rng.standard_normal((6, B, I))
    reset = np.zeros((6, B), bool)
    reset[4, 1] = True
    call = {"reset": reset, "reset_state": ("zero", "given", None)}
    first, second, third = (
        chunk.tape.backward(np.ones((2, B, F))) for chunk in sr.tbptt(stack, x, 2, **call)
    )

    sums = [own.initial[1].sum(axis=(0, 1)) for own in (first, second, third)]
    for own, want in zip((first, second, third), sums, strict=True):
        np.testing.assert_allclose(own.params["1.h_0_l0"], want, rtol=1e-12)
    assert [bool(own.any()) for own in sums] == [True, False, True]
    assert third.reset_state is None


@few(engine=ENGINES, skip=SKIPS)
def test_checkpoints_leave_the_bits_as_they_are(engine, skip, rng):
    stack, x = make_stack(engine, skip, 0.3), rng.standard_normal((40, B, I))
    twin = copy.deepcopy(stack)

    plain = list(sr.tbptt(stack, x, 16))
    less = list(sr.tbptt(twin, x, 16, checkpoint_every=5))

    for one, other in zip(plain, less, strict=True):
        assert_same_bits(one.tape.output, other.tape.output)
        d_output = one.tape.output
        assert_same_bits(one.tape.backward(d_output).params, other.tape.backward(d_output).params)
        assert (one.tape.checkpoint_every, other.tape.checkpoint_every) == (None, 5)
        assert other.tape.nbytes < one.tape.nbytes
    layer = engine.GRU(I, F, dtype="float64", seed=0)
    chunk = next(sr.tbptt(layer, x, 16, checkpoint_every=5))
    assert chunk.tape.checkpoint_every == 5
    assert chunk.tape.nbytes == layer.record(x[:16], checkpoint_every=5).nbytes


def test_bytes_of_a_stack_are_those_of_its_tapes_and_of_what_goes_between(rng):
    x = rng.standard_normal((40, B, I))
    plain, dropped, joined = (
        make_stack(sr, skip, dropout).record(x)
        for skip, dropout in ((None, 0.0), (None, 0.5), ("concat", 0.0))
    )
    own = sum(tape.nbytes for tape in plain.tapes)

    assert plain.nbytes == own
    assert dropped.nbytes == own + 2 * 8 * 40 * B * F  # two levels are given what dropout left
    assert joined.nbytes == own + 2 * 8 * 40 * B * (I + F)  # and here x and what is below, joined


def test_batch_first_and_unbatched_stacks(engine, rng):
    layers = [engine.GRU(I, F, batch_first=True, dtype="float64", seed=1) for _ in range(2)]
    layers[1] = engine.LSTM(F, F, batch_first=True, dtype="float64", seed=2)
    stack, x = sr.Stack(layers, seed=0), rng.standard_normal((B, T, I))
    call = {"lengths": [T, 0, 3, 7], "reset": rng.random((B, T)) < 0.3}
    want = stack(x, **call)[0]

    whole = np.concatenate([own.tape.output for own in sr.tbptt(stack, x, 4, **call)], axis=1)
    assert_same_bits(whole, want)
    call = {"lengths": 3, "reset": call["reset"][2]}
    alone = np.concatenate([own.tape.output for own in sr.tbptt(stack, x[2], 4, **call)])
    assert_same_bits(alone, stack(x[2], **call)[0])


# Models: whatever offers its parts


class Chain:
    """An embedding or nothing, recurrent parts, and a head: as little as `tbptt` asks for."""

    def __init__(self, embedding, recurrent, head):
        self.embedding, self.recurrent, self.head = embedding, recurrent, head
        parts = {} if embedding is None else {"embedding": embedding}
        self.parts = parts | recurrent | {"head": head}

    def record(self, x, state=None, **call):
        tapes = {} if self.embedding is None else {"embedding": self.embedding.record(x)}
        given = x if self.embedding is None else tapes["embedding"].output
        alone, goals = len(self.recurrent) == 1, call.pop("reset_state", None)
        for index, (name, part) in enumerate(self.recurrent.items()):
            own = state if alone or state is None else state[index]
            goal = goals if alone or not isinstance(goals, tuple) else goals[index]
            goal = {} if goal is None else {"reset_state": goal}
            tapes[name] = part.record(given, own, **call, **goal)
            given = tapes[name].output
        return ChainTape(self, tapes, self.head.record(given))


class ChainTape:
    def __init__(self, chain, tapes, head):
        self.chain, self.tapes, self.output = chain, tapes | {"head": head}, head.output
        states = tuple(tapes[name].state for name in chain.recurrent)
        self.state = states if len(states) > 1 else states[0]

    def backward(self, d_output=None, d_state=None):
        parts, params = list(self.chain.recurrent), {}
        d_below = self.tapes["head"].backward(d_output).x
        states, resets, grads = [], [], None
        for index, name in reversed(list(enumerate(parts))):
            own = d_state if len(parts) == 1 or d_state is None else d_state[index]
            grads = self.tapes[name].backward(d_below, own)
            d_below = grads.x
            states.insert(0, grads.state)
            resets.insert(0, grads.reset_state)
            params |= {f"{name}.{key}": value for key, value in grads.params.items()}
        if "embedding" in self.tapes:
            self.tapes["embedding"].backward(d_below)
        alone = len(parts) == 1
        none = all(own is None for own in resets)
        reset_state = None if none else resets[0] if alone else tuple(resets)
        return sr.Gradients(
            d_below, states[0] if alone else tuple(states), params, reset_state=reset_state
        )


def make_chain(kind):
    """Make a model of one recurrent part or two, of integers or of vectors."""
    embedding = None if kind == "vectors" else sr.Embedding(9, I, dtype="float64", seed=0)
    stack = make_stack(sr, "residual")
    parts = {"rnn": stack} if kind != "two" else {
        "below": stack, "above": sr.LSTM(F, F, dtype="float64", seed=5),
    }  # fmt: skip
    return Chain(embedding, parts, sr.Linear(F, 3, dtype="float64", seed=1))


@few(kind=["integers", "vectors", "two"], goal=[None, "given"], k=[3, T])
def test_models_are_one_call(kind, goal, k, rng):
    model = make_chain(kind)
    x = rng.integers(0, 9, (T, B)) if kind != "vectors" else rng.standard_normal((T, B, I))
    call = {"reset": rng.random((T, B)) < 0.3, "lengths": [T, 5, 0, 8], "reset_state": goal}
    call = {name: value for name, value in call.items() if value is not None}
    tape = model.record(x, **copy.deepcopy(call))
    d_output = rng.standard_normal(tape.output.shape)
    want = tape.backward(d_output)

    chunks = list(sr.tbptt(model, x, k, **call))

    assert isinstance(model, Truncatable)
    assert_same_bits(np.concatenate([own.tape.output for own in chunks]), tape.output)
    params, initial, d_state = None, None, None
    for chunk in reversed(chunks):
        grads = chunk.tape.backward(d_output[chunk.start : chunk.stop], d_state)
        params, d_state = each_sum(params, grads.params), grads.state
        initial = each_sum(initial, grads.initial)
        assert grads.reset_state is None
    assert_close(params, want.params, ALLOWED)
    assert_close(arrays(initial), arrays(want.state), ALLOWED)
    names = ["below.0", "below.1", "below.2", "above"]
    assert list(layer_tapes(tape)) == (names if kind == "two" else ["rnn.0", "rnn.1", "rnn.2"])


STACK = sr.Stack([sr.GRU(2, 3, seed=0), sr.LSTM(3, 3, seed=1)])
X = np.zeros((5, 4, 2), "float32")


def of(*layers):
    return sr.Stack([sr.GRU(2, 3, seed=0), *layers])


HEAD = sr.Linear(3, 2)
BOTH = sr.GRU(3, 3, bidirectional=True)
REFUSED = {
    "both directions": (
        lambda: sr.tbptt(of(BOTH), X, 2), ValueError,
        r"layers\[1\]: expected one direction, got bidirectional=True",
    ),
    "reverse": (
        lambda: sr.tbptt(of(sr.GRU(3, 3, reverse=True)), X, 2), ValueError,
        r"layers\[1\]: expected the first step first, got reverse=True",
    ),
    "a model's": (
        lambda: sr.tbptt(Chain(None, {"rnn": of(BOTH)}, HEAD), X, 2), ValueError,
        r"rnn\.layers\[1\]: expected one direction",
    ),
    "nothing recurrent": (
        lambda: sr.tbptt(Chain(None, {}, HEAD), X, 2), ValueError,
        r"layer: expected a model with a layer or stack, got \['head'\]",
    ),
    "x": (lambda: sr.tbptt(STACK, X[..., :1], 2), ValueError, "x: expected shape"),
    "x of a model": (
        lambda: sr.tbptt(Chain(None, {"rnn": STACK}, HEAD), X[None], 2), ValueError,
        r"x: expected shape \(T, B, I\) or unbatched",
    ),
    "integers of a model": (
        lambda: sr.tbptt(Chain(None, {"rnn": STACK}, HEAD), np.zeros((2, 3, 4), int), 2),
        ValueError, r"x: expected integers \(T, B\) or \(T,\), got \(2, 3, 4\)",
    ),
    "state": (
        lambda: sr.tbptt(STACK, X, 2, (None,) * 3), TypeError, "state: expected a tuple of 2",
    ),
    "a level's state": (
        lambda: sr.tbptt(STACK, X, 2, (X, None)), ValueError, r"state\[0\]: expected shape",
    ),
    "states of parts": (
        lambda: sr.tbptt(Chain(None, {"a": STACK, "b": STACK}, HEAD), X, 2, {"a": None}),
        TypeError, "state: expected a tuple of 2, one for each of a, b, got dict",
    ),
    "what pools": (
        lambda: sr.tbptt(Chain(None, {"rnn": STACK}, sr.softmax_cross_entropy), X, 2), TypeError,
        "head: expected parts that put something out at each step, got function",
    ),
    "a model in a model": (
        lambda: sr.tbptt(Chain(None, {"rnn": STACK}, Chain(None, {}, HEAD)), X, 2), TypeError,
        "head: expected a layer, stack or module, got a model in a model",
    ),
    "attention": (
        lambda: sr.tbptt(STACK, X, 2, attention=X[..., 0]), ValueError,
        "attention: expected None, as a stack takes no attention, got ndarray",
    ),
    "reset_state": (
        lambda: sr.tbptt(STACK, X, 2, reset_state="zero"), ValueError,
        "reset_state: expected reset= with it",
    ),
    "checkpoint_every": (
        lambda: sr.tbptt(STACK, X, 2, checkpoint_every=0), ValueError,
        "checkpoint_every: expected a positive integer, got 0",
    ),
    "checkpoint_every of a stack": (
        lambda: STACK.record(X, checkpoint_every=1.5), TypeError,
        r"checkpoint_every: expected a positive integer, got 1\.5",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_at_once(case):
    call, error, message = REFUSED[case]

    with pytest.raises(error, match=message):
        call()  # without asking for a chunk
