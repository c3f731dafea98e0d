"""Truncated back-propagation: chunks give the bits of one call, and gradients end with them."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    DTYPES,
    ENGINES,
    KINDS,
    PATTERNS,
    Problem,
    as_tuple,
    assert_close,
    assert_same_bits,
    few,
    make_layer,
    make_problem,
    tolerance,
)
from simdrnn import reference

T = 11
CHUNKS = [1, 3, 4, T, 20]


GOALS = [None, "zero", "given", "own"]  # what resets go to


def sequence(problem, k):
    """Return all chunks of a problem."""
    return list(sr.tbptt(problem.layer, problem.x, k, problem.state, **problem.call))


def make_goal(problem, goal):
    """Let resets go to one of GOALS, where there are some."""
    own = tuple(-member for member in as_tuple(problem.state))
    own = own if isinstance(problem.state, tuple) else own[0]
    if "reset" in problem.call and goal is not None:
        problem.call["reset_state"] = own if goal == "own" else goal


@few(engine=ENGINES, cell=KINDS, k=CHUNKS, pattern=[*PATTERNS, "reset-hold"], goal=GOALS)
def test_chunks_are_the_bits_of_one_call(engine, cell, pattern, k, goal, rng):
    problem = make_problem(engine, cell, rng=rng, T=T, B=5, pattern=pattern, num_layers=2)
    make_goal(problem, goal)
    output, state = problem.layer(problem.x, problem.state, **problem.call)

    chunks = sequence(problem, k)

    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert [(chunk.start, chunk.stop) for chunk in chunks] == [
        (start, min(start + k, T)) for start in range(0, T, k)
    ]
    assert isinstance(chunks[-1].tape.state, tuple) == isinstance(state, tuple)
    got = {
        "output": np.concatenate([chunk.tape.output for chunk in chunks]),
        "state": as_tuple(chunks[-1].tape.state),
    }
    want = {"output": output, "state": as_tuple(state)}
    assert_same_bits(got, want)


@few(engine=ENGINES, dtype=DTYPES, pattern=["all", "reset"], k=[3, 4])
def test_batch_first_is_transposed(engine, dtype, pattern, k, rng):
    problem = make_problem(engine, "lstm", rng=rng, T=T, dtype=dtype, pattern=pattern)
    want = sequence(problem, k)
    layer = make_layer(engine, "lstm", 2, 3, batch_first=True, dtype=dtype)
    layer.load_state_dict(problem.layer.state_dict())
    flags = {name: problem.call[name].T for name in ("mask", "reset") if name in problem.call}

    chunks = sr.tbptt(layer, problem.x.swapaxes(0, 1), k, problem.state, **(problem.call | flags))

    for chunk, other in zip(chunks, want, strict=True):
        d_output = problem.d_output[other.start : other.stop]
        got = chunk.tape.backward(d_output.swapaxes(0, 1), problem.d_state)
        wanted = other.tape.backward(d_output, problem.d_state)
        np.testing.assert_array_equal(chunk.tape.output.swapaxes(0, 1), other.tape.output)
        np.testing.assert_array_equal(got.x.swapaxes(0, 1), wanted.x)
        assert_same_bits(got.params, wanted.params)
        for name in ("state", "initial"):
            pairs = zip(getattr(got, name), getattr(wanted, name), strict=True)
            assert all(np.array_equal(one, two) for one, two in pairs)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_unbatched_is_a_batch_of_one(engine, cell, rng):
    problem = make_problem(engine, cell, rng=rng, T=T, B=1)
    mask, reset = rng.random(T) < 0.7, np.zeros(T, bool)
    reset[[2, 4, 8]] = True  # at the beginning of a chunk, inside one, and both
    problem.call = {"lengths": [T - 1], "mask": mask[:, None], "reset": reset[:, None]}
    want = sequence(problem, 4)
    state = tuple(member[:, 0] for member in as_tuple(problem.state))
    state = state if cell == "lstm" else state[0]

    chunks = sr.tbptt(
        problem.layer, problem.x[:, 0], 4, state, lengths=T - 1, mask=mask, reset=reset
    )

    for chunk, other in zip(chunks, want, strict=True):
        d_output = problem.d_output[other.start : other.stop]
        got, wanted = chunk.tape.backward(d_output[:, 0]), other.tape.backward(d_output)
        np.testing.assert_array_equal(chunk.tape.output, other.tape.output[:, 0])
        np.testing.assert_array_equal(got.x, wanted.x[:, 0])
        assert_same_bits(got.params, wanted.params)
        for name in ("state", "initial"):
            pairs = zip(as_tuple(getattr(got, name)), as_tuple(getattr(wanted, name)), strict=True)
            assert all(np.array_equal(one, two[:, 0]) for one, two in pairs)


def add(one, other):
    if isinstance(one, dict):
        return {name: one[name] + other[name] for name in one}
    return tuple(a + b for a, b in zip(as_tuple(one), as_tuple(other), strict=True))


@few(engine=ENGINES, cell=KINDS, k=CHUNKS, pattern=[*PATTERNS, "reset-hold"], goal=GOALS)
def test_chained_chunks_give_the_gradients_of_one_call(engine, cell, pattern, k, goal, rng):
    # What a chunk leaves out is exactly what goes through the state it was handed.
    problem = make_problem(engine, cell, rng=rng, T=T, B=5, pattern=pattern, num_layers=2)
    make_goal(problem, goal)
    want = problem.gradients()

    chunks = sequence(problem, k)
    d_state, d_x = problem.d_state, []
    params = {name: np.zeros_like(value) for name, value in want.params.items()}
    initial = tuple(np.zeros_like(value) for value in as_tuple(want.state))
    resets = initial
    for chunk in reversed(chunks):
        grads = chunk.tape.backward(problem.d_output[chunk.start : chunk.stop], d_state)
        d_x.insert(0, grads.x)
        params, initial = add(params, grads.params), add(initial, grads.initial)
        assert (grads.reset_state is None) == (want.reset_state is None)
        if want.reset_state is not None:
            resets = add(resets, grads.reset_state)
        d_state = grads.state

    allowed = 2 * tolerance("float64", 2 * T, 5 * T)  # both sides round
    assert_close(np.concatenate(d_x), want.x, allowed)
    assert_close(params, want.params, allowed)
    assert_close(initial, as_tuple(want.state), allowed)
    if want.reset_state is not None:
        assert_close(resets, as_tuple(want.reset_state), allowed)


def pieces(problem, k):
    """Yield (chunk, Problem of one row's piece of it, row, its steps): what truncation means.

    A piece is what lies between two cuts, be they resets or ends of chunks, in one row.
    """
    steps, batch = problem.x.shape[:2]
    lengths = problem.call.get("lengths", np.full(batch, steps))
    mask = problem.call.get("mask", np.ones((steps, batch), bool))
    reset = problem.call.get("reset", np.zeros((steps, batch), bool))
    for row in range(batch):
        carried = [member[:, row : row + 1] for member in as_tuple(problem.state)]
        fresh, length = [np.zeros_like(member) for member in carried], int(lengths[row])
        cuts = {0, length} | set(range(0, length, k)) | set(np.flatnonzero(reset[:length, row]))
        for start, stop in pairwise(sorted(int(cut) for cut in cuts)):
            begin = fresh if reset[start, row] else carried
            part, column = slice(start, stop), slice(row, row + 1)
            piece = Problem(
                problem.layer,
                problem.x[part, column],
                tuple(begin) if len(begin) > 1 else begin[0],
                {"mask": mask[part, column]},
                problem.d_output[part, column],
            )
            state = piece.layer(piece.x, piece.state, **piece.call)[1]
            carried = [np.array(member) for member in as_tuple(state)]
            yield piece


@few(cell=KINDS, pattern=["plain", "lengths", "mask", "reset", "all"])
def test_truncated_gradients_are_those_of_the_pieces(cell, pattern, rng):
    problem = make_problem(sr, cell, rng=rng, T=T, B=5, pattern=pattern)
    twin = copy.deepcopy(problem)
    twin.layer = make_layer(reference, cell, 2, 3)
    twin.layer.load_state_dict(problem.layer.state_dict())
    want = {name: np.zeros_like(value) for name, value in problem.layer.parameters().items()}
    for piece in pieces(twin, 4):
        want = add(want, piece.gradients().params)

    got = {name: np.zeros_like(value) for name, value in want.items()}
    for chunk in sequence(problem, 4):
        got = add(got, chunk.tape.backward(problem.d_output[chunk.start : chunk.stop]).params)

    assert_close(got, want, 2 * tolerance("float64", T, 5 * T))


def test_gradients_for_the_state_are_sorted_by_where_it_came_from(engine, rng):
    problem = make_problem(engine, "gru", rng=rng, T=4, B=3)
    reset = np.zeros((4, 3), bool)
    reset[2, 1] = reset[3, 2] = True  # second chunk: row 1 at once, row 2 later
    problem.call = {"reset": reset, "reset_state": "given"}

    first, second = (chunk.tape.backward(np.ones((2, 3, 3))) for chunk in sequence(problem, 2))

    np.testing.assert_array_equal(first.initial, first.state)
    assert [bool(second.state[:, row].any()) for row in range(3)] == [True, False, True]
    assert [bool(second.initial[:, row].any()) for row in range(3)] == [False, True, True]


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("goal", [None, "given"])
def test_rows_that_are_all_reset_use_nothing_of_the_carried_state(engine, at, goal, rng):
    problem = make_problem(engine, "lstm", rng=rng, T=4, B=3)
    problem.call = {"reset": np.zeros((4, 3), bool), "reset_state": goal}
    problem.call["reset"][2 + at] = True
    d_output = np.zeros((2, 3, 3))
    d_output[at:] = 1.0  # nothing before the reset matters

    grads = sequence(problem, 2)[1].tape.backward(d_output)

    assert not any(member.any() for member in grads.state)
    assert [member.any() for member in grads.initial] == [goal == "given"] * 2


def test_training_between_chunks(engine, rng):
    layer, x = engine.GRU(2, 3, dtype="float64", seed=0), rng.standard_normal((6, 2, 2))
    twin = copy.deepcopy(layer)
    optimizer, other = sr.optim.SGD(layer, lr=0.5), sr.optim.SGD(twin, lr=0.5)
    state = None

    for chunk in sr.tbptt(layer, x, 2):
        tape = twin.record(x[chunk.start : chunk.stop], state)
        np.testing.assert_array_equal(chunk.tape.output, tape.output)
        state = tape.state
        optimizer.step(chunk.tape.backward(chunk.tape.output))
        other.step(tape.backward(tape.output))
        with pytest.raises(ValueError, match="record again"):
            chunk.tape.backward(chunk.tape.output)


def test_a_sequence_goes_on_in_the_next(engine, rng):
    problem = make_problem(engine, "lstm", rng=rng, T=T)
    want = problem.layer(problem.x, problem.state)[0]

    *_, last = sr.tbptt(problem.layer, problem.x[:6], 4, problem.state)
    rest = sr.tbptt(problem.layer, problem.x[6:], 4, last.tape.state)

    np.testing.assert_array_equal(np.concatenate([c.tape.output for c in rest]), want[6:])


def test_outputs_are_read_only(engine, rng):
    problem = make_problem(engine, "gru", rng=rng, T=T, pattern="reset")

    assert not any(chunk.tape.output.flags.writeable for chunk in sequence(problem, 4))


def test_dropout_is_on_while_training_only(rng):
    layer = sr.GRU(2, 8, 2, dropout=0.5, seed=0)
    x = rng.standard_normal((6, 2, 2)).astype("float32")
    want = layer(x)[0]

    plain = np.concatenate([c.tape.output for c in sr.tbptt(layer, x, 2, training=False)])
    dropped = np.concatenate([c.tape.output for c in sr.tbptt(layer, x, 2)])

    np.testing.assert_array_equal(plain, want)
    assert not np.array_equal(dropped, want)


def test_nothing_has_no_chunks():
    assert list(sr.tbptt(sr.GRU(2, 3), np.zeros((0, 2, 2), "float32"), 4)) == []


GRU, X = sr.GRU(2, 3, seed=0), np.zeros((5, 4, 2), "float32")
REFUSED = {
    "layer": (lambda: sr.tbptt(sr.Linear(2, 3), X, 2), TypeError, "layer: expected a recurrent"),
    "cell": (lambda: sr.tbptt(sr.GRUCell(2, 3), X, 2), TypeError, "layer: expected a recurrent"),
    "directions": (
        lambda: sr.tbptt(sr.GRU(2, 3, bidirectional=True), X, 2),
        ValueError,
        "layer: expected one direction, got bidirectional=True",
    ),
    "k": (lambda: sr.tbptt(GRU, X, 0), ValueError, "k: expected a positive integer, got 0"),
    "k type": (lambda: sr.tbptt(GRU, X, 2.0), TypeError, "k: expected a positive integer"),
    "x": (lambda: sr.tbptt(GRU, X[..., :1], 2), ValueError, "x: expected shape"),
    "state": (lambda: sr.tbptt(GRU, X, 2, X), ValueError, "state: expected shape"),
    "lengths": (lambda: sr.tbptt(GRU, X, 2, lengths=[6] * 4), ValueError, "lengths: expected"),
    "mask": (lambda: sr.tbptt(GRU, X, 2, mask=X), TypeError, "mask: expected dtype bool"),
    "reset": (lambda: sr.tbptt(GRU, X, 2, reset=X > 0), ValueError, "reset: expected shape"),
    "reset_state": (
        lambda: sr.tbptt(GRU, X, 2, reset_state="zero"), ValueError, "reset_state: expected reset=",
    ),
    "masked_output": (
        lambda: sr.tbptt(GRU, X, 2, masked_output="last"), ValueError, "masked_output: expected",
    ),
    "training": (lambda: sr.tbptt(GRU, X, 2, training=1), TypeError, "training: expected True"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_at_once(case):
    call, error, message = REFUSED[case]

    with pytest.raises(error, match=message):
        call()  # without asking for a chunk


@pytest.mark.parametrize("pattern", ["plain", "reset"])
def test_gradients_that_do_not_fit_are_refused(pattern, rng):
    problem = make_problem(sr, "lstm", rng=rng, T=8, pattern=pattern)
    tape = sequence(problem, 4)[1].tape

    with pytest.raises(ValueError, match="d_output: expected shape"):
        tape.backward(np.zeros((3, 4, 3)))
    with pytest.raises(TypeError, match="d_state: expected a tuple"):
        tape.backward(None, np.zeros((1, 4, 3)))
