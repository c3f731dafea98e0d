"""Initial states that are parameters, and states that resets go to."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    CELLS,
    ENGINES,
    INFOS,
    PATTERNS,
    as_tuple,
    assert_close,
    assert_same_bits,
    few,
    make_layer,
    tolerance,
)
from helpers_structure import H, build, draw, draw_state, flat
from simdrnn.layers.bound import bound_layer

ALLOWED = tolerance("float64", 12, 4 * H)


def as_state(layer, B):
    """Return the learned state in the form of a given one, put together from its names."""
    ends = [
        f"_l{depth}{end}"
        for depth in range(layer.num_layers)
        for end in ("", "_reverse")[: 1 + layer.bidirectional]
    ]
    members = []
    for name in layer.parameters():
        if name[1:] == "_0_l0":
            rows = np.stack([getattr(layer, name[:3] + end) for end in ends])
            members.append(np.repeat(rows[:, None], B, axis=1))
    return tuple(members) if len(members) > 1 else members[0]


@few(engine=ENGINES, cell=CELLS)
def test_names_shapes_and_first_values(engine, cell):
    layer = make_layer(engine, cell, 2, H, 2, bidirectional=True, learn_initial_state=True, seed=0)
    plain = make_layer(engine, cell, 2, H, 2, bidirectional=True, seed=0)

    names = [f"{state.name}_0" for state in INFOS[cell].carried]
    ends = ["_l0", "_l0_reverse", "_l1", "_l1_reverse"]
    learned = [name + end for name in names for end in ends]
    assert list(layer.parameters()) == [*plain.parameters(), *learned]
    assert layer.num_parameters == plain.num_parameters + H * len(learned)
    for name in learned:
        assert getattr(layer, name).shape == (H,)
        assert not getattr(layer, name).any()
    for name, value in plain.parameters().items():
        assert_same_bits(getattr(layer, name), value)  # other parameters are drawn as before


@few(engine=ENGINES, cell=CELLS, name=["learned-2", "learned-sum"], pattern=PATTERNS)
def test_they_are_what_a_call_without_state_begins_with(engine, cell, name, pattern, rng):
    layer = build(engine, cell, name)
    x, _, call = draw(layer, pattern, rng)
    given = as_state(layer, x.shape[1])

    output, after = layer(x, **call)
    tape = layer.record(x, **call)
    grads = tape.backward(tape.output, tape.state)

    want, want_after = layer(x, given, **call)
    assert_same_bits(output, want)
    assert_same_bits(as_tuple(after), as_tuple(want_after))
    passed = layer.record(x, given, **call).backward(tape.output, tape.state)
    assert_same_bits(as_tuple(grads.state), as_tuple(passed.state))
    learned = [parameter for parameter in layer.parameters() if parameter[1:3] == "_0"]
    sums = [row.sum(axis=0) for member in as_tuple(passed.state) for row in member]
    for parameter, value in zip(learned, sums, strict=True):
        by_resets = passed.params[parameter]
        assert_close(grads.params[parameter], value + by_resets, ALLOWED, parameter)
        assert "reset" in call or not by_resets.any()  # it was not used


def test_unbatched_and_single_steps(engine, rng):
    layer = build(engine, "lstm", "learned-2")
    x = rng.standard_normal((1, 2))

    output, _ = layer(x)

    assert_same_bits(output, layer(x[:, None])[0][:, 0])
    assert not np.array_equal(output, layer(x, tuple(np.zeros((4, H)) for _ in range(2)))[0])


def test_training_moves_them(engine, rng):
    layer = build(engine, "gru", "learned-sum")
    optimizer = sr.optim.SGD(layer, lr=0.1)
    x, before = rng.standard_normal((3, 2, 2)), layer.state_dict()
    first = layer(x)[0]

    tape = layer.record(x)
    grads = tape.backward(tape.output)
    optimizer.step(grads)

    step = before["h_0_l0"] - 0.1 * grads.params["h_0_l0"]
    assert_close(layer.h_0_l0, step, np.finfo("float64").eps)
    assert not np.array_equal(layer(x)[0], first)


def test_copies_and_pickles_follow_their_own_parameters(engine, rng):
    layer = build(engine, "gru", "learned-sum")
    x = rng.standard_normal((3, 2, 2))
    want = layer(x)[0]
    twins = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), copy.copy(layer)]

    layer.h_0_l0 = np.ones(H)

    for twin in twins:
        assert_same_bits(twin(x)[0], want)
        twin.h_0_l0 = np.ones(H)
        assert_same_bits(twin(x)[0], layer(x)[0])
    assert "learn_initial_state=True" in repr(layer)


def test_layers_without_them_refuse_to_be_given_some(engine):
    with pytest.raises(AttributeError, match="h_0_l0: unknown parameter"):
        engine.GRU(2, 3).h_0_l0 = np.zeros(3)
    with pytest.raises(TypeError, match="learn_initial_state: unknown option"):
        engine.GRUCell(2, 3, learn_initial_state=True)


@pytest.mark.parametrize("pattern", ["plain", "reset"])
def test_truncated_training_reaches_them(pattern, rng):
    layer = build(sr, "gru", "learned-2", bidirectional=False)
    x, _, call = draw(layer, pattern, rng, T=9)
    layer.h_0_l0 = np.ones(H)
    whole = layer.record(x, **call, training=False)
    want = whole.backward(whole.output).params

    chunks = list(sr.tbptt(layer, x, 4, **call, training=False))
    got = {name: np.zeros_like(value) for name, value in want.items()}
    carried = None
    for chunk in reversed(chunks):
        grads = chunk.tape.backward(chunk.tape.output, carried)
        carried = grads.state
        for name, value in grads.params.items():
            got[name] += value

    for name, value in want.items():
        assert_close(got[name], value, 2 * ALLOWED, name)


# States that resets go to


def pieces(layer, x, state, goal, reset):
    """Run one row piece by piece between its resets."""
    output, part = np.empty((len(x), bound_layer(layer).width)), state
    for t in range(len(x)):
        part = goal if reset[t] else part
        output[t : t + 1], part = layer(x[t : t + 1], part)
    return output, part


GOALS = [None, "zero", "given", "learned", "own"]


@few(engine=ENGINES, cell=CELLS, goal=GOALS, kind=["learned-2", "plain"])
def test_resets_go_to_the_state_that_is_named(engine, cell, goal, kind, rng):
    if kind == "plain":
        layer = make_layer(engine, cell, 2, H, 2, dtype="float64", seed=0)
    else:
        layer = build(engine, cell, kind, bidirectional=False)
    x, state, call = draw(layer, "reset", rng)
    other = draw_state(layer, x.shape[1], rng)
    zeros = tuple(np.zeros_like(one) for one in as_tuple(other))
    zeros = zeros if isinstance(other, tuple) else zeros[0]
    learned = as_state(layer, x.shape[1]) if kind == "learned-2" else zeros
    target = {"zero": zeros, "own": other, "given": state}.get(goal, learned)
    goal = None if kind == "plain" and goal == "learned" else goal

    output, after = layer(x, state, **call, reset_state=other if goal == "own" else goal)

    def row(value, b):
        rows = tuple(one[:, b] for one in as_tuple(value))
        return rows if isinstance(value, tuple) else rows[0]

    for b in range(x.shape[1]):
        want, final = pieces(layer, x[:, b], row(state, b), row(target, b), call["reset"][:, b])
        assert_close(output[:, b], want, ALLOWED)
        assert_close(as_tuple(row(after, b)), as_tuple(final), ALLOWED)


def test_gradients_are_sorted_by_the_state_they_are_for(engine, rng):
    layer = engine.GRU(2, H, dtype="float64", seed=0)
    x, state, call = draw(layer, "all", rng)
    together = layer.record(x, state, **call, reset_state="given").backward(np.ones((6, 4, H)))

    apart = layer.record(x, state, **call, reset_state=state).backward(np.ones((6, 4, H)))
    zero = layer.record(x, 0 * state, **call).backward(np.ones((6, 4, H)))
    none = layer.record(x, **call).backward(np.ones((6, 4, H)))
    first = np.where(np.arange(6)[:, None] < _first(call["reset"]), 1.0, 0.0)[..., None]
    begin = layer.record(x, 0 * state, **call).backward(np.ones((6, 4, H)) * first)

    assert together.reset_state is None
    assert zero.reset_state is None
    assert_same_bits(none.state, zero.state)
    assert_close(zero.state, begin.state, ALLOWED)  # nothing of it goes through a reset
    assert_close(apart.state + apart.reset_state, together.state, ALLOWED)
    assert apart.reset_state.any()
    assert_close(apart.x, together.x, ALLOWED)


def _first(reset):
    """Return at which step each row is reset first; T where it is not."""
    return np.where(reset.any(axis=0), reset.argmax(axis=0), len(reset))


def test_learned_from_the_start_and_at_resets_is_one_thing(engine, rng):
    layer = build(engine, "lstm", "learned-2")
    x, _, call = draw(layer, "reset", rng)

    named = layer.record(x, **call, reset_state="learned")
    plain = layer.record(x, **call)

    assert_same_bits(named.output, plain.output)
    grads, want = (tape.backward(plain.output) for tape in (named, plain))
    assert_same_bits(grads.params, want.params)
    assert flat(grads.state)[0].any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"reset_state": "zero"}, ValueError, "reset_state: expected reset= with it, got None"),
        ({"reset_state": "last"}, ValueError, "reset_state: expected 'zero' or 'learned' or"),
        (
            {"reset_state": "learned"}, ValueError,
            "reset_state: expected a layer with learn_initial_state=True for 'learned'",
        ),
        ({"reset_state": np.zeros((1, 2, 4))}, ValueError, r"reset_state: expected shape \(L\*D"),
        ({"reset_state": (np.zeros((1, 2, 3)),)}, TypeError, "reset_state: expected one array"),
    ],
)  # fmt: skip
def test_what_resets_cannot_go_to(engine, call, error, message):
    layer = engine.GRU(2, 3, dtype="float64")
    reset = {} if "with it" in message else {"reset": np.zeros((4, 2), bool)}

    for run in (layer, layer.record):
        with pytest.raises(error, match=message):
            run(np.zeros((4, 2, 2)), **reset, **call)


def test_memory_of_the_result_is_not_what_resets_read():
    layer = sr.reference.GRU(3, 3)
    goal = np.zeros((1, 2, 3))

    with pytest.raises(ValueError, match="out: expected memory of its own, got memory shared with"):
        layer(
            np.zeros((1, 2, 3)), reset=np.zeros((1, 2), bool), reset_state=goal, out=goal
        )  # fmt: skip


@pytest.mark.parametrize("name", ["learned-2", "sum-2", "turned"])
def test_the_initial_state_itself_is_what_given_means(engine, name, rng):
    layer = build(engine, "lstm", name, dropout=0.0)
    x, state, call = draw(layer, "all", rng)
    tapes = [layer.record(x, state, **call, reset_state=goal) for goal in (state, "given")]

    apart, together = (tape.backward(np.cos(tape.output), state) for tape in tapes)

    assert_same_bits(tapes[0].output, tapes[1].output)
    sums = tuple(a + b for a, b in zip(apart.state, apart.reset_state, strict=True))
    assert_close(sums, together.state, ALLOWED)
    assert_close(apart.params, together.params, ALLOWED)
