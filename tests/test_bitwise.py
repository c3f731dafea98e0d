"""The same bits, whatever a row's company, the threads, the layout of memory or the ISA."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    BLOCKS,
    CELLS,
    CLIPS,
    GATES,
    KINDS,
    PATTERNS,
    RECURRENT,
    Case,
    as_tuple,
    assert_same_bits,
    results,
)

DTYPES = ("float32", "float64")

# Enough work for 7 threads; see `planned`.
T, B = 49, 47
# Those with a recurrent product to share at every step.
SHARING = tuple(cell for cell in KINDS if cell in RECURRENT)
SIZES = {cell: {0: 170, 1: 120, 2: 90, 3: 70, 4: 65}[gates] for cell, gates in GATES.items()}


def busy(cell: str, dtype: str, **kwargs: Any) -> Case:
    """Describe a problem with enough work for 7 threads, whatever its mask."""
    return Case(cell, dtype, T=T, B=B, I=SIZES[cell], H=SIZES[cell], **kwargs)


def planned(problem: Any, case: Case, threads: int) -> int:
    """Return how many threads the engine uses for a problem."""
    real = np.ones((case.T, case.B), bool) & problem.call.get("mask", True)
    real &= np.arange(case.T)[:, None] < problem.call.get("lengths", case.T)
    plan = sr._core.testing.plan(
        case.T, case.B, case.I, case.H, **BLOCKS[case.cell], threads=threads,
        real_steps=list(real.sum(axis=0)),
    )  # fmt: skip
    return (len(plan["first_row"]) - 1) * plan["gang"]


def take_rows(problem: Any, rows: Any) -> Any:
    """Return the problem of some rows of the batch, in that order."""

    def pick(state: Any) -> Any:
        members = tuple(np.ascontiguousarray(member[:, rows]) for member in as_tuple(state))
        return members if isinstance(state, tuple) else members[0]

    call = dict(problem.call)
    for name in ("mask", "reset"):
        if name in call:
            call[name] = call[name][:, rows]
    if "lengths" in call:
        call["lengths"] = call["lengths"][rows]
    return type(problem)(
        problem.layer,
        problem.x[:, rows],
        pick(problem.state),
        call,
        problem.d_output[:, rows],
        pick(problem.d_state),
    )


def rows_of(found: dict[str, Any], rows: Any) -> dict[str, Any]:
    """Pick rows of everything that has rows: all results but gradients of parameters."""
    return {
        "output": found["output"][:, rows],
        "state": tuple(member[:, rows] for member in found["state"]),
        "d_x": found["d_x"][:, rows],
        "d_state": tuple(member[:, rows] for member in found["d_state"]),
    }


# -- threads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["plain", "all-hold"])
@pytest.mark.parametrize("cell", KINDS)
def test_threads_change_no_bit(threads, dtype, cell, pattern):
    case = busy(cell, dtype, layers=2, directions=2, pattern=pattern, dropout=0.3)
    problem = case.draw(sr)
    want = results(problem, num_threads=1)

    got = results(problem, num_threads=threads)

    assert_same_bits(got, want)


@pytest.mark.parametrize("pattern", ["plain", "all-hold"])
@pytest.mark.parametrize("cell", KINDS)
def test_these_problems_use_all_threads(threads, cell, pattern):
    case = busy(cell, "float32", layers=2, directions=2, pattern=pattern, dropout=0.3)

    count = planned(case.draw(sr), case, threads)

    assert count == threads


@pytest.mark.parametrize("clip", ["every", "steps"])
@pytest.mark.parametrize("cell", KINDS)
def test_threads_change_no_bit_with_clips(threads, dtype, cell, clip):
    problem = busy(cell, dtype, pattern="all", clip=clip).draw(sr)
    want = results(problem, num_threads=1)

    got = results(problem, num_threads=threads)

    assert_same_bits(got, want)


# With few rows threads share the hidden units of each.
def gang(cell: str, batch: int, dtype: str = "float32", **kwargs: Any) -> Case:
    """Describe a problem of few rows with enough work for 7 threads at every step."""
    return Case(cell, dtype, T=31, B=batch, I=65, H=449, **kwargs)


@pytest.mark.parametrize("pattern", ["plain", "all-hold"])
@pytest.mark.parametrize("batch", [3, 5])
@pytest.mark.parametrize("cell", KINDS)
def test_threads_that_share_rows_change_no_bit(threads, dtype, cell, batch, pattern):
    problem = gang(cell, batch, dtype, pattern=pattern, clip="every").draw(sr)
    want = results(problem, num_threads=1)

    got = results(problem, num_threads=threads)

    assert_same_bits(got, want)


@pytest.mark.parametrize("batch", [3, 5])
@pytest.mark.parametrize("cell", SHARING)
def test_these_problems_use_all_threads_at_every_step(threads, cell, batch):
    case = gang(cell, batch)

    plan = sr._core.testing.plan(case.T, case.B, case.I, case.H, threads=threads, **BLOCKS[cell])

    assert plan["gang"] == threads


@pytest.mark.parametrize("cell", KINDS)
def test_calls_repeat_bit_for_bit(dtype, cell):
    problem = busy(cell, dtype, directions=2).draw(sr)
    want = results(problem, num_threads=2)

    again = results(problem, num_threads=2)

    assert_same_bits(again, want)


# -- instruction sets ------------------------------------------------------------------------------

ACROSS = [
    Case(cell, dtype, T=9, B=B, I=I, H=H, layers=2, directions=2, pattern=pattern, clip=clip)
    for cell in CELLS
    for dtype in DTYPES
    for B, I, H, pattern, clip in (  # noqa: E741
        (1, 5, 33, "plain", "unclipped"),
        (2, 1, 9, "lengths", "unclipped"),
        (7, 17, 1, "mask", "gate"),
        (13, 3, 67, "all-hold", "every"),
        (5, 67, 16, "reset", "hidden"),
        (3, 8, 31, "all", "steps"),
        (6, 9, 130, "plain", "step-norm"),
        (8, 4, 3, "plain", "cell"),
    )
]


@pytest.mark.parametrize("case", ACROSS, ids=str)
def test_instruction_sets_agree(isa, case):
    problem = case.draw(sr)
    got = results(problem)
    sr.isa.use("scalar")

    want = results(problem)

    assert_same_bits(got, want)


@pytest.mark.parametrize("cell", KINDS)
def test_instruction_sets_drop_the_same(isa, dtype, cell):
    problem = Case(cell, dtype, T=40, B=13, layers=3, dropout=0.4, pattern="all").draw(sr)
    got = results(problem)
    sr.isa.use("scalar")

    want = results(problem)

    assert_same_bits(got, want)


# -- company in the batch --------------------------------------------------------------------------


@pytest.mark.parametrize("clip", ["unclipped", "every"])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("cell", KINDS)
def test_rows_alone_give_what_the_batch_gives(isa, cell, pattern, clip, dtype):
    case = Case(cell, dtype, T=11, B=13, layers=2, directions=2, pattern=pattern, clip=clip)
    problem = case.draw(sr)
    want = results(problem)

    for row in range(case.B):
        alone = results(take_rows(problem, [row]))

        assert_same_bits(rows_of(alone, slice(None)), rows_of(want, [row]), f"row {row}")


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 6, 7, 8, 12])
@pytest.mark.parametrize("cell", KINDS)
def test_batches_of_any_size_and_order_give_the_same_rows(isa, cell, rows, dtype, rng):
    problem = Case(cell, dtype, T=7, B=13, H=17, directions=2, pattern="all").draw(sr)
    chosen = rng.permutation(13)[:rows]
    want = results(problem)

    got = results(take_rows(problem, chosen))

    assert_same_bits(rows_of(got, slice(None)), rows_of(want, chosen))


@pytest.mark.parametrize("threads_used", [1, 5])
@pytest.mark.parametrize("cell", KINDS)
def test_order_changes_no_row_of_a_shared_batch(dtype, cell, threads_used, rng):
    problem = busy(cell, dtype, pattern="lengths").draw(sr)
    order = rng.permutation(B)
    want = results(problem, num_threads=1)

    got = results(take_rows(problem, order), num_threads=threads_used)

    assert_same_bits(rows_of(got, slice(None)), rows_of(want, order))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("clip", ["unclipped", "every"])
@pytest.mark.parametrize("cell", KINDS)
def test_poisoned_rows_leave_the_others_alone(isa, cell, clip, poison, dtype):
    case = Case(cell, dtype, T=6, B=8, H=19, layers=2, directions=2, clip=clip)
    problem, healthy = case.draw(sr), [0, 2, 3, 5, 6]
    want = results(problem)

    for array in (problem.x, problem.d_output, *as_tuple(problem.state)):
        array[:, [1, 4, 7]] = poison
    got = results(problem)

    assert_same_bits(rows_of(got, healthy), rows_of(want, healthy))


@pytest.mark.parametrize("cell", KINDS)
def test_poisoned_rows_stay_poisoned(isa, cell, dtype):
    case = Case(cell, dtype, T=6, B=8, H=19)
    problem = case.draw(sr)

    problem.x[2, 4] = np.nan
    output, state = problem.layer(problem.x, problem.state)

    assert np.isnan(output[2:, 4]).all()
    assert all(np.isnan(member[:, 4]).all() for member in as_tuple(state))


# -- what is not real ------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["lengths", "all", "all-hold"])
@pytest.mark.parametrize("cell", KINDS)
def test_padding_is_not_read(isa, cell, pattern, dtype, rng):
    case = Case(cell, dtype, T=9, B=13, layers=2, directions=2, pattern=pattern, clip="every")
    problem = case.draw(sr)
    padding = np.arange(case.T)[:, None] >= problem.call["lengths"]
    want = results(problem)

    problem.x[padding] = np.nan
    for name in {"mask", "reset"} & set(problem.call):
        problem.call[name][padding] = rng.random(padding.sum()) < 0.5
    got = results(problem)

    assert_same_bits(got, want)


@pytest.mark.parametrize("pattern", ["mask", "all", "all-hold"])
@pytest.mark.parametrize("cell", KINDS)
def test_masked_steps_are_not_read(isa, cell, pattern, dtype):
    case = Case(cell, dtype, T=9, B=13, layers=2, directions=2, pattern=pattern, clip="every")
    problem = case.draw(sr)
    want = results(problem)

    problem.x[~problem.call["mask"]] = np.inf
    got = results(problem)

    assert_same_bits(got, want)


@pytest.mark.parametrize("cell", KINDS)
def test_a_row_does_not_see_its_neighbours_masks(isa, cell, dtype):
    problem = Case(cell, dtype, T=9, B=7, directions=2, pattern="all").draw(sr)
    want = results(problem)

    problem.call["mask"][:, [0, 2, 5]] ^= True
    problem.call["reset"][:, [0, 2, 5]] ^= True
    got = results(problem)

    kept = [1, 3, 4, 6]
    assert_same_bits(rows_of(got, kept), rows_of(want, kept))


@pytest.mark.parametrize("cell", KINDS)
def test_an_idle_mask_changes_no_bit(isa, cell, dtype):
    case = Case(cell, dtype, T=60, B=13, layers=2, directions=2, clip="every")
    problem = case.draw(sr)
    want = results(problem)

    problem.call = {
        "lengths": np.full(case.B, case.T),
        "mask": np.ones((case.T, case.B), bool),
        "reset": np.zeros((case.T, case.B), bool),
    }
    got = results(problem)

    assert_same_bits(got, want)


@pytest.mark.parametrize("cell", KINDS)
def test_lengths_are_the_rows_run_alone(isa, cell, dtype):
    case = Case(cell, dtype, T=9, B=7, layers=2, directions=2, pattern="lengths", clip="steps")
    problem = case.draw(sr)
    want = results(problem)

    for row, length in enumerate(problem.call["lengths"]):
        alone = take_rows(problem, [row])
        alone.call = {}
        alone.x, alone.d_output = alone.x[:length], alone.d_output[:length]
        got = rows_of(results(alone), slice(None))

        one = rows_of(want, [row])
        assert_same_bits(got["output"], one["output"][:length], f"row {row}")
        assert_same_bits(got["d_x"], one["d_x"][:length], f"row {row}")
        assert_same_bits(got["state"], one["state"], f"row {row}")
        assert_same_bits(got["d_state"], one["d_state"], f"row {row}")


@pytest.mark.parametrize("cell", KINDS)
def test_resets_are_the_segments_run_alone(isa, cell, dtype):
    case = Case(cell, dtype, T=12, B=4, layers=2, directions=2)
    problem = case.draw(sr)
    cuts = [0, 3, 4, 9, 12]
    reset = np.zeros((case.T, case.B), bool)
    reset[cuts[1:-1]] = True

    output, state = problem.layer(problem.x, problem.state, reset=reset)

    segments = [problem.layer(problem.x[begin:end], problem.state) for begin, end in pairwise(cuts)]
    assert_same_bits(output, np.concatenate([segment[0] for segment in segments]))
    first, last = as_tuple(segments[0][1]), as_tuple(segments[-1][1])
    for member, forward, reverse in zip(as_tuple(state), last, first, strict=True):
        assert_same_bits(member[0::2], forward[0::2])
        assert_same_bits(member[1::2], reverse[1::2])


# -- chunks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["plain", "lengths", "mask"])
@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_chunks_in_time_give_the_bits_of_one_call(isa, dtype, batch, cell, pattern):
    case = Case(cell, dtype, T=41, B=batch, layers=2, pattern=pattern, clip="every")
    problem = case.draw(sr)
    want = results(problem)

    tapes, state, cuts = [], problem.state, [0, 1, 2, 9, 33, 41]
    for begin, end in pairwise(cuts):
        tapes.append(problem.layer.record(problem.x[begin:end], state, **part(problem, begin, end)))
        state = tapes[-1].state
    d_state, d_x = problem.d_state, []
    for tape, begin, end in zip(tapes[::-1], cuts[-2::-1], cuts[:0:-1], strict=True):
        grads = tape.backward(problem.d_output[begin:end], d_state)
        d_state, d_x = grads.state, [grads.x, *d_x]

    assert_same_bits(np.concatenate([tape.output for tape in tapes]), want["output"])
    assert_same_bits(as_tuple(state), want["state"])
    assert_same_bits(np.concatenate(d_x), want["d_x"])
    assert_same_bits(as_tuple(d_state), want["d_state"])


def part(problem: Any, begin: int, end: int) -> dict[str, Any]:
    """Return the arguments of a call on the steps from `begin` to `end`."""
    call = dict(problem.call)
    if "mask" in call:
        call["mask"] = call["mask"][begin:end]
    if "lengths" in call:
        call["lengths"] = np.clip(call["lengths"] - begin, 0, end - begin)
    return call


# How calls are cut into work depends on T and B. Rows and steps without work change the cuts: of
# hoisted input products (fewer than 4 rows), of gradients (384 rows), of parallel regions.
CUT = [
    Case(cell, dtype, T=T, B=B, H=17, layers=2, directions=2)
    for cell in KINDS
    for dtype in DTYPES
    for T, B in ((50, 3), (70, 13))
]


@pytest.mark.parametrize("idle_steps", [0, 1, 13])
@pytest.mark.parametrize("idle_rows", [0, 1, 7, 30])
@pytest.mark.parametrize("case", CUT, ids=str)
def test_how_work_is_cut_changes_no_bit(case, idle_rows, idle_steps):
    problem = case.draw(sr)
    want = results(problem)

    got = results(with_idle(problem, idle_rows, idle_steps))

    real = rows_of(got, slice(case.B))
    real |= {"output": real["output"][: case.T], "d_x": real["d_x"][: case.T]}
    assert_same_bits({**real, "d_params": got["d_params"]}, want)


def with_idle(problem: Any, rows: int, steps: int) -> Any:
    """Return the problem with further rows and steps in which nothing is consumed."""
    longer = copy.copy(problem)
    T, B = problem.x.shape[:2]

    def widen(array: Any, steps: int) -> Any:
        return np.pad(array, ((0, steps), (0, rows), (0, 0)), constant_values=np.nan)

    def widen_state(state: Any) -> Any:
        members = tuple(widen(member, 0) for member in as_tuple(state))
        return members if isinstance(state, tuple) else members[0]

    longer.x, longer.d_output = widen(problem.x, steps), widen(problem.d_output, steps)
    longer.state, longer.d_state = widen_state(problem.state), widen_state(problem.d_state)
    longer.call = {"lengths": np.repeat([T, 0], [B, rows])}
    return longer


def test_parallel_regions_cut_in_time_change_no_bit(dtype):
    case = Case("lstm", dtype, T=45, B=64, I=128, H=256)
    problem = case.draw(sr)
    chunk = sr._core.testing.plan(45, 64, 128, 256, 4, 1)["forward_chunk"]
    halves = problem.layer(problem.x[:20], problem.state, num_threads=1)

    output, _ = problem.layer(problem.x, problem.state, num_threads=1)

    assert chunk < case.T
    rest = problem.layer(problem.x[20:], halves[1], num_threads=1)
    assert_same_bits(output, np.concatenate([halves[0], rest[0]]))


@pytest.mark.parametrize("clip", list(CLIPS))
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("cell", KINDS)
def test_recording_changes_no_bit(isa, dtype, cell, pattern, clip):
    case = Case(cell, dtype, T=7, B=5, H=19, layers=2, directions=2, pattern=pattern, clip=clip)
    problem = case.draw(sr)
    output, state = problem.layer(problem.x, problem.state, **problem.call)

    tape = problem.layer.record(problem.x, problem.state, **problem.call)

    assert_same_bits(tape.output, output)
    assert_same_bits(as_tuple(tape.state), as_tuple(state))
