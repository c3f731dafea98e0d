"""How calls are cut into work, and how much memory they take."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simdrnn as sr
from helpers import CELLS, RECURRENT, Case, make_layer, printed
from helpers_loops import every
from simdrnn.layers.tape import recording_of

FLOPS_PER_THREAD = 1e6 if sr._core.thread_runtime().startswith("OpenMP") else 4e6


def make_plan(
    T: int,
    B: int,
    I: int,  # noqa: E741
    H: int,
    gates: int,
    threads: int,
    real: Any = None,
) -> dict[str, Any]:
    """Ask the engine for its plan."""
    return sr._core.testing.plan(T, B, I, H, gates, threads, real)


def slices(plan: dict[str, Any]) -> list[list[int]]:
    """Return the rows of each thread."""
    ends = plan["first_row"]
    return [plan["order"][begin:end] for begin, end in pairwise(ends)]


@st.composite
def calls(draw: Any) -> dict[str, Any]:
    """Draw the arguments of a plan; half of them with rows of different lengths."""
    T, B = draw(st.integers(0, 300)), draw(st.integers(0, 70))
    real = st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B)
    sizes = {name: draw(st.integers(1, 600)) for name in ("I", "H")}
    gates, threads = draw(st.integers(1, 4)), draw(st.integers(1, 64))
    return {"T": T, "B": B, **sizes, "gates": gates, "threads": threads, "real": draw(real)}


over_calls = given(call=calls())
many = settings(max_examples=300, deadline=None, derandomize=True)


@many
@over_calls
def test_each_row_is_in_one_slice(call):
    plan = make_plan(**call)

    rows = [row for part in slices(plan) for row in part]
    assert sorted(rows) == list(range(call["B"]))


@many
@over_calls
def test_slices_follow_each_other(call):
    ends = make_plan(**call)["first_row"]

    assert (ends[0], ends[-1]) == (0, call["B"])
    assert ends == sorted(ends)


@many
@over_calls
def test_no_thread_is_without_rows(call):
    plan = make_plan(**call)

    assert all(slices(plan)) or call["B"] == 0


@many
@over_calls
def test_longest_rows_come_first(call):
    plan = make_plan(**call)

    real = call["real"] or [call["T"]] * call["B"]
    counts = [real[row] for row in plan["order"]]
    assert counts == sorted(counts, reverse=True)


@many
@over_calls
def test_rows_of_one_length_keep_their_order(call):
    order = make_plan(**{**call, "real": None})["order"]

    assert order == list(range(call["B"]))


@many
@over_calls
def test_threads_are_at_most_what_is_asked_for_and_useful(call):
    plan = make_plan(**call)

    real = call["T"] * call["B"] if call["real"] is None else sum(call["real"])
    work = 2 * call["gates"] * call["H"] * (call["I"] + call["H"]) * real
    useful = max(1, min(call["threads"], work // FLOPS_PER_THREAD))
    assert 1 <= len(slices(plan)) <= max(1, call["B"])
    assert 1 <= plan["gang"] * len(slices(plan)) <= useful


@many
@over_calls
def test_chunks_are_positive_and_no_longer_than_the_call(call):
    plan = make_plan(**call)

    longest = max(1, call["T"])
    assert 1 <= plan["forward_chunk"] <= longest
    assert 1 <= plan["backward_chunk"] <= longest
    assert 0 <= plan["hoist_steps"] <= call["T"]


@many
@over_calls
def test_rows_of_gradients_kept_at_once_are_bounded(call):
    plan = make_plan(**call)

    most = 400 if call["real"] is None else 1600  # more where lengths differ
    assert plan["backward_chunk"] * call["B"] <= 2 * max(call["B"], most)


@many
@over_calls
def test_slices_have_their_share_of_the_work(call):
    plan = make_plan(**call)

    # The first row of a slice counts twice: with it the weights are read.
    real = call["real"] or [call["T"]] * call["B"]
    rows = [[real[row] for row in part] for part in slices(plan)]
    costs = [sum(part) + max(part, default=0) for part in rows]
    longest = max(real, default=0)
    assert max(costs) <= (sum(real) + longest) / len(costs) + 2 * longest


@many
@over_calls
def test_threads_share_rows_or_split_them(call):
    plan = make_plan(**call)

    assert plan["gang"] == 1 or len(slices(plan)) == 1


@every("threads")
def test_threads_share_the_units_of_few_rows(threads):
    plan = make_plan(100, 2, 128, 1024, 4, threads)

    assert plan["gang"] == threads


@every("threads")
def test_every_thread_is_used_when_there_is_work(threads):
    plan = make_plan(100, 32, 128, 128, 4, threads)

    assert len(slices(plan)) == threads


def test_little_work_is_for_one_thread():
    plan = make_plan(1, 32, 8, 8, 4, 64)

    assert len(slices(plan)) == 1


# -- memory ----------------------------------------------------------------------------------------

STEPS = 2000  # more than the engine works on at once, and enough for threads to share


@every("training", [False, True])
@every("directions", [1, 2])
@every("batch", [1, 3, 32])
@every("cell", CELLS)
@every("dtype")
def test_workspace_of_one_layer_does_not_grow_with_time(dtype, cell, batch, directions, training):
    layer = make_layer(sr, cell, 20, 30, bidirectional=directions == 2, dtype=dtype)

    steps = STEPS if cell in RECURRENT else 4 * STEPS
    short, long = (layer.workspace_bytes(T, batch, training) for T in (steps, 10 * steps))

    assert long == short


@every("training", [False, True])
@every("layers", [2, 3, 5])
@every("cell", CELLS)
@every("dtype")
def test_workspace_of_stacks_grows_by_two_sequences_at_most(dtype, cell, layers, training):
    layer = make_layer(sr, cell, 20, 30, layers, dtype=dtype)

    short, long = (layer.workspace_bytes(T, 4, training) for T in (STEPS, 10 * STEPS))

    sequence = (10 - 1) * STEPS * 4 * 30 * np.dtype(dtype).itemsize
    assert 0 < long - short <= min(2, layers - 1) * sequence


@every("cell", CELLS)
def test_workspace_grows_with_steps_and_batch(cell):
    layer = make_layer(sr, cell, 20, 30, 2)

    grid = np.array(
        [[layer.workspace_bytes(T, B) for B in (1, 4, 16, 64)] for T in (1, 10, 100, 1000)]
    )

    assert (np.diff(grid, axis=0) >= 0).all()
    assert (np.diff(grid, axis=1) >= 0).all()


def test_workspace_has_room_for_what_is_dropped_on_the_way_to_the_second_layer():
    T, B, H = 100, 8, 64
    layer, without = (sr.LSTM(1, H, num_layers=2, dropout=chance) for chance in (0.5, 0.0))

    rows = sr.explain(layer, T, B).backward.chunk * B

    more = layer.workspace_bytes(T, B, True) - without.workspace_bytes(T, B, True)
    assert more >= rows * H * np.dtype("float32").itemsize


@every("cell", CELLS)
def test_workspace_of_training_is_that_of_inference_at_least_for_one_layer(cell):
    layer = make_layer(sr, cell, 20, 30)

    training, inference = (layer.workspace_bytes(50, 8, each) for each in (True, False))

    assert training >= inference


@every("directions", [1, 2])
@every("cell", CELLS)
@every("dtype")
def test_tapes_keep_saved_values_and_outputs_only(dtype, cell, directions):
    case = Case(cell, dtype, T=11, B=5, H=19, layers=3, directions=directions, pattern="all")

    tape = case.draw(sr).record()

    kept = sum(
        array.nbytes
        for array in [*recording_of(tape).arrays.saved, *recording_of(tape).arrays.hidden]
    )
    info = next(info for info in sr._core.cells() if info["name"] == cell)
    values = (info["saved"] + 1) * case.T * case.B * case.H * case.layers * directions
    assert kept == values * np.dtype(dtype).itemsize
    assert np.shares_memory(tape.output, recording_of(tape).arrays.hidden[-1])


on_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs the sizes in /proc/self/status"
)

# How far a call raises the peak of memory when packed weights and results are there already, and
# the workspace it announces.
PEAK = """
    import ctypes
    from pathlib import Path
    import numpy as np
    import simdrnn as sr

    def peak():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(l.split()[1]) * 1024 for l in lines if l.startswith("VmHWM"))

    layer = sr.LSTM(64, 64, num_layers=3)
    x = np.zeros((3000, 16, 64), "float32")
    out = np.ones((3000, 16, 64), "float32")
    layer(x[:30], out=out[:30], num_threads=1)
    before = peak()
    layer(x, out=out, num_threads=1)
    print(peak() - before, layer.workspace_bytes(3000, 16, training=False))
"""


@on_linux
@pytest.mark.quiet
def test_calls_take_the_memory_they_say():
    taken, said = (int(word) for word in printed(PEAK).split())

    slack = 2 << 20  # of the interpreter and the allocator
    assert said > 10 * slack
    assert abs(taken - said) < slack


# How much resident memory grows over each of four stretches of everything that allocates.
REPEATED = """
    from pathlib import Path
    import numpy as np
    import simdrnn as sr

    def resident():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(l.split()[1]) * 1024 for l in lines if l.startswith("VmRSS"))

    def round_(i):
        layer = sr.LSTM(64, 128, num_layers=2, bidirectional=True, dropout=0.2, seed=0)
        x = np.ones((20 + i % 3, 8 + i % 5, 64), "float32")
        layer(x, num_threads=2)
        tape = layer.record(x, lengths=np.full(x.shape[1], 15), num_threads=2)
        tape.backward(tape.output)

    for i in range(15):
        round_(i)
    for _ in range(4):
        before = resident()
        for i in range(30):
            round_(i)
        print(resident() - before)
"""


@on_linux
@pytest.mark.quiet
def test_repeated_calls_do_not_grow():
    growths = [int(line) for line in printed(REPEATED).splitlines()]

    # What leaks does so in every stretch; the allocator keeps or returns a round's memory now and
    # then. The smallest thing a round allocates for good would be a layer's weights.
    one_layers_weights = 4 * 4 * 128 * (64 + 128)
    assert min(growths) < one_layers_weights
