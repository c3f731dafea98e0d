"""Tapes with checkpoints: the bits of a plain tape, whatever is kept."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    BLOCKS,
    DTYPES,
    ENGINES,
    GATES,
    INFOS,
    KINDS,
    PATTERNS,
    Case,
    assert_close,
    assert_same_bits,
    few,
    make_layer,
    make_problem,
    results,
    tolerance,
)
from simdrnn import reference
from simdrnn.layers.tape import recording_of

# Some save nothing beside h, so that their tapes never have checkpoints.
SAVING = tuple(cell for cell in KINDS if INFOS[cell].saved)

# Of so many rows backward walks one step at a time: what is made again is k steps.
ROWS = 400
T = 11
SPACINGS = (1, 2, 3, 7, T, T + 5)

STACKS = {"layer": (1, 1), "directions": (1, 2), "stack": (2, 1), "stack of directions": (2, 2)}


def case_of(cell, dtype="float32", pattern="plain", stack="layer", **sizes):
    layers, directions = STACKS[stack]
    shape = {"T": T, "B": ROWS, "I": 20, "H": 24} | sizes
    return Case(
        cell, dtype, layers=layers, directions=directions, pattern=pattern, dropout=0.3, **shape
    )


# -- bits ------------------------------------------------------------------------------------------


def test_so_many_rows_are_walked_step_by_step_on_two_threads():
    backward = sr.explain(sr.LSTM(20, 24, seed=0), T, ROWS, num_threads=2).backward

    assert (backward.schedule, backward.chunk) == ("rows", 1)


SHARED_SIZES = ({"T": 1700, "B": 1, "I": 64, "H": 96}, {"T": 70, "B": 13, "I": 300, "H": 300})


@few(cell=["lstm", "gru_reset_before"], pattern=["plain", "all"], sizes=SHARED_SIZES)
def test_where_threads_share_hidden_units(cell, pattern, sizes):
    if GATES[cell] == 1:
        sizes = sizes | {"I": 2 * sizes["I"], "H": 2 * sizes["H"]}
    problem = case_of(cell, pattern=pattern, **sizes).draw(sr)
    # Whether the threads are there at the moment is another matter: these are taken to be.
    for forward in (True, False):
        plan = sr._core.testing.plan(*sizes.values(), threads=2, forward=forward, **BLOCKS[cell])
        assert (plan["schedule"], plan["backward_chunk"] < 400) == ("units", True)
    want = results(problem, num_threads=1)

    for every in (1, 31, 400):
        got = results(problem, checkpoint_every=every, num_threads=2)
        assert_same_bits(got, want, f"every {every}")


@few(engine=ENGINES, cell=KINDS, shape=[(0, 3), (3, 0), (0, 0), (1, 1)])
def test_of_no_steps_and_no_rows(engine, cell, shape, rng):
    steps, batch = shape
    problem = make_problem(engine, cell, rng=rng, T=steps, B=batch, bidirectional=True)

    assert_same_bits(results(problem, checkpoint_every=2), results(problem))


@few(cell=KINDS, pattern=PATTERNS, stack=["layer", "stack of directions"])
def test_the_reference_agrees(cell, pattern, stack):
    problem = case_of(cell, "float64", pattern, stack, B=5, H=6).draw(reference)
    want = results(problem)

    for every in SPACINGS:
        assert_same_bits(results(problem, checkpoint_every=every), want, f"every {every}")


def test_of_batch_first_and_unbatched_sequences(engine, rng):
    problem = make_problem(engine, "lstm", rng=rng, T=9, B=1, batch_first=True)
    x, state = problem.x.swapaxes(0, 1), problem.state
    for arguments in ((x, state), (x[0], tuple(member[:, 0] for member in state))):
        plain, less = (problem.layer.record(*arguments, checkpoint_every=k) for k in (None, 2))
        got, want = (
            tape.backward(problem.layer(x)[0].reshape(tape.output.shape)) for tape in (less, plain)
        )

        assert_same_bits(less.output, plain.output)
        assert_same_bits(got.params | {"x": got.x}, want.params | {"x": want.x})


# -- the tape --------------------------------------------------------------------------------------


@few(engine=ENGINES, pattern=PATTERNS, every=[1, 4, 10])
def test_checkpoints_are_the_states_other_than_h(engine, pattern, every, rng):
    problem = make_problem(engine, "lstm", rng=rng, T=T, pattern=pattern)
    tape = problem.layer.record(problem.x, problem.state, **problem.call, checkpoint_every=every)

    (kept,) = recording_of(tape).arrays.checkpoints
    assert tape.checkpoint_every == every
    assert recording_of(tape).arrays.saved == []
    assert len(kept) == -(-T // every) - 1
    for number, c in enumerate(kept, 1):
        call = dict(problem.call)
        stop = number * every
        if "lengths" in call:
            call["lengths"] = np.minimum(call["lengths"], stop)
        call |= {name: call[name][:stop] for name in ("mask", "reset") if name in call}
        want = problem.layer(problem.x[:stop], problem.state, **call)[1][1][0]
        # A reset before the next step comes after the checkpoint, or is in it already.
        fresh = problem.call.get("reset", np.zeros((T, len(c)), bool))[stop]
        fresh = fresh & (problem.call.get("lengths", T) > stop)
        if engine is sr:
            assert_same_bits(c[~fresh], want[~fresh])
        else:  # NumPy's products may depend on how many steps there are
            assert_close(c[~fresh], want[~fresh], tolerance("float64", T, 5))


@few(engine=ENGINES, cell=KINDS, dtype=DTYPES)
def test_bytes_are_counted(engine, cell, dtype):
    layer = make_layer(engine, cell, 3, 8, 2, bidirectional=True, dtype=dtype)
    x = np.zeros((T, 5, 3), dtype)

    plain, less = layer.record(x), layer.record(x, checkpoint_every=4)

    item = 8 if engine is reference else np.dtype(dtype).itemsize
    info = INFOS[cell]
    values, hidden = (count * T * 5 * 8 * 4 * item for count in (info.saved, 1))
    assert plain.nbytes == values + hidden
    assert plain.checkpoint_every is None
    if cell in SAVING:
        assert less.nbytes == hidden + 2 * (info.states - 1) * 5 * 8 * 4 * item
        assert less.checkpoint_every == 4
    else:
        assert (less.nbytes, less.checkpoint_every) == (plain.nbytes, None)
    assert less.peak_nbytes > less.nbytes


@pytest.mark.parametrize("pattern", ["plain", "all"])
def test_backward_may_be_called_again_and_by_several_at_once(pattern):
    problem = case_of("lstm", pattern=pattern).draw(sr)
    want = problem.record().backward(problem.d_output, problem.d_state)
    tape = problem.layer.record(problem.x, problem.state, **problem.call, checkpoint_every=3)
    output = tape.output.copy()

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(tape.backward, problem.d_output, problem.d_state) for _ in range(6)]
    other = tape.backward(2 * problem.d_output)

    for call in calls:
        assert_same_bits(call.result().params, want.params)
        assert_same_bits(call.result().x, want.x)
    assert not np.array_equal(other.x, want.x)
    assert_same_bits(tape.output, output)


def test_chunks_of_a_sequence_say_what_they_keep(engine, rng):
    problem = make_problem(engine, "gru", rng=rng, T=8, B=3)
    reset = np.zeros((8, 3), bool)
    reset[6, 1] = True

    first, second = (chunk.tape for chunk in sr.tbptt(problem.layer, problem.x, 4, reset=reset))

    assert first.checkpoint_every is second.checkpoint_every is None
    assert second.nbytes == first.nbytes
    assert second.peak_nbytes > second.nbytes


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every: expected a positive integer"),
        ({"checkpoint_every": 2.0}, TypeError, "checkpoint_every: expected a positive integer"),
        ({"checkpoint_every": True}, TypeError, "checkpoint_every: expected a positive integer"),
        ({"memory_budget": 0}, ValueError, "memory_budget: expected a positive integer"),
        ({"memory_budget": "1 GB"}, TypeError, "memory_budget: expected a positive integer"),
        (
            {"memory_budget": 10**9, "checkpoint_every": 2},
            ValueError,
            "memory_budget: expected None with checkpoint_every, got 1000000000",
        ),
    ],
)
def test_bad_arguments_are_named_and_change_nothing(engine, call, error, message):
    layer = engine.GRU(2, 3, 2, dropout=0.5, dtype="float32", seed=0)
    before = copy.deepcopy(layer)
    x = np.ones((6, 2, 2), "float32")

    with pytest.raises(error, match=message):
        layer.record(x, **call)

    assert_same_bits(layer.record(x).output, before.record(x).output)  # the same dropout


def test_any_size_of_spacing_and_budget(engine):
    layer = engine.LSTM(2, 3, dtype="float32", seed=0)
    x = np.ones((6, 2, 2), "float32")

    assert layer.record(x, checkpoint_every=10**30).checkpoint_every == 6
    assert layer.record(x, checkpoint_every=np.int8(2)).checkpoint_every == 2
    assert layer.record(x, memory_budget=10**30).checkpoint_every is None
