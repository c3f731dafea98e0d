"""What threads share: which schedule a call gets, that none changes a bit, and `explain`."""

from __future__ import annotations

import gc
import threading
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simdrnn as sr
from helpers import BLOCKS, GATES, KINDS, RECURRENT, Case, assert_same_bits, few, results
from simdrnn.layers.explanation import _REASONS, _SCHEDULES, PassPlan, _broken


def planned(threads: int = 2, real: Any = None, **sizes: int) -> dict[str, Any]:
    """Return the plan of a call of one LSTM layer, or of the sizes given."""
    sizes = {"T": 100, "B": 1, "I": 64, "H": 64, "gates": 4, "layers": 1, "directions": 1, **sizes}
    forward = bool(sizes.pop("forward", True))
    recurrent = sizes.pop("recurrent_gates", -1)
    steps, batch, inputs, hidden, gates, layers, directions = sizes.values()
    return sr._core.testing.plan(
        steps,
        batch,
        inputs,
        hidden,
        gates,
        threads,
        real,
        layers,
        directions,
        forward,
        recurrent_gates=recurrent,
    )


# -- which -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "schedule", "why"),
    [
        ({"T": 10}, "one_thread", "little_work"),
        ({"T": 10_000, "H": 16, "I": 64}, "one_thread", "little_step"),
        ({"B": 32, "H": 128, "I": 128}, "rows", "many_rows"),
        ({"T": 1000}, "units", "few_rows"),
        ({"B": 7, "H": 100}, "units", "few_rows"),
        ({"B": 8, "H": 100}, "rows", "many_rows"),  # four for each thread
        ({"B": 16, "H": 512, "I": 512}, "units", "heavy_weights"),
        ({"B": 64, "H": 1024, "I": 1024}, "units", "heavy_weights"),
        ({"B": 64, "H": 256, "I": 256}, "rows", "many_rows"),
        ({"T": 1000, "directions": 2}, "directions", "several_passes"),
        ({"T": 1000, "directions": 2, "forward": 0}, "units", "few_rows"),
        ({"T": 1000, "layers": 4}, "layers", "several_passes"),
        ({"T": 1000, "layers": 4, "forward": 0}, "units", "few_rows"),
        ({"T": 1000, "H": 512, "directions": 2}, "units", "few_rows"),
        ({"T": 150, "layers": 4}, "units", "few_rows"),  # too short for a pipeline
    ],
)
def test_schedule_of(sizes, schedule, why):
    plan = planned(**sizes)

    assert (plan["schedule"], plan["why"]) == (schedule, why)


def test_without_a_recurrent_product_there_is_nothing_to_share_at_a_step():
    sizes = {"T": 1000, "H": 512, "gates": 1}

    schedules = [planned(**sizes, recurrent_gates=r)["schedule"] for r in (1, 0)]

    assert schedules == ["units", "one_thread"]


def test_one_thread_allowed_is_one_thread():
    plan = planned(threads=1, T=1000)

    assert (plan["schedule"], plan["why"]) == ("one_thread", "one_allowed")


def test_uneven_rows_share_hidden_units():
    sizes = {"B": 32, "H": 128, "I": 128}

    even, uneven = (
        planned(real=[length] * 16 + [100] * 16, **sizes)["schedule"] for length in (95, 20)
    )

    assert (even, uneven) == ("rows", "units")


many = settings(max_examples=300, deadline=None, derandomize=True)


@many
@given(
    sizes=st.fixed_dictionaries(
        {
            "T": st.integers(0, 3000),
            "B": st.integers(0, 70),
            "I": st.integers(1, 600),
            "H": st.integers(1, 600),
            "gates": st.integers(1, 4),
            "layers": st.integers(1, 6),
            "directions": st.integers(1, 2),
            "forward": st.integers(0, 1),
        }
    ),
    threads=st.integers(1, 64),
)
def test_plans_agree_with_their_names(sizes, threads):
    plan = planned(threads, **sizes)

    groups, gang = len(plan["first_row"]) - 1, plan["gang"]
    schedule = plan["schedule"]
    assert schedule in _SCHEDULES
    assert plan["why"] in _REASONS
    assert (gang > 1) == (schedule == "units")
    assert (groups > 1) == (schedule == "rows")
    if schedule == "directions":
        assert sizes["directions"] == 2
    if schedule == "layers":
        assert sizes["directions"] == 1
        assert sizes["layers"] > 1
    if threads == 1 or not sizes["forward"]:
        assert schedule not in ("directions", "layers")


# -- bits ------------------------------------------------------------------------------------------


@few(cell=[cell for cell in KINDS if cell in RECURRENT], lengths=["equal", "uneven"])
def test_sharing_units_of_many_rows_changes_no_bit(cell, lengths):
    rows, hidden = 13, 530 if GATES[cell] == 1 else 300
    problem = Case(cell, T=9, B=rows, I=300, H=hidden, pattern="reset").draw(sr)
    real = np.arange(rows) % 9 + 1 if lengths == "uneven" else np.full(rows, 9)
    problem.call["lengths"] = real
    plan = planned(real=list(real), T=9, B=rows, I=300, H=hidden, **BLOCKS[cell])
    assert plan["schedule"] == "units"

    want = results(problem, num_threads=1)

    for threads in (2, 3):
        assert_same_bits(results(problem, num_threads=threads), want)


# -- explain ---------------------------------------------------------------------------------------


def test_explain_tells_what_would_run():
    layer = sr.LSTM(64, 128, seed=0)

    found = sr.explain(layer, 100, 32, num_threads=1)

    assert (found.forward.schedule, found.forward.why) == ("one_thread", "one_allowed")
    assert found.forward.threads == 1
    assert found.forward.hoisted_steps == 0
    assert found.workspace_bytes == layer.workspace_bytes(100, 32)
    assert found.isa == sr.isa.active()
    weights = 4 * 4 * 128 * (64 + 128)  # packed for forward alone, until a call is recorded
    assert weights <= found.packed_bytes <= 1.05 * weights


def test_explain_hoists_the_input_product_of_a_lone_row():
    found = sr.explain(sr.GRU(8, 8, seed=0), 100, 1)

    assert 0 < found.forward.hoisted_steps <= 100


@pytest.mark.parametrize(("T", "B"), [(0, 3), (3, 0), (0, 0)])
def test_explain_of_nothing_to_do_is_one_thread(T, B):
    found = sr.explain(sr.LSTM(2, 3, num_layers=2, bidirectional=True, seed=0), T, B)

    assert (found.forward.schedule, found.backward.schedule) == ("one_thread", "one_thread")


def test_every_schedule_and_reason_has_words():
    for schedule, why in product(_SCHEDULES, _REASONS):
        plan = PassPlan(schedule, why, threads=2, hoisted_steps=0, chunk=7)

        assert "{" not in str(plan)
        assert "because" in str(plan)
        assert max(map(len, f"  forward   {_broken(plan)}".splitlines())) <= 100


def test_explanations_are_printed_in_full():
    text = str(sr.explain(sr.RNN(4, 5, seed=0), 10, 2))

    for word in ("RNN(4, 5)", "T=10", "B=2", "forward", "backward", "kernels", "KiB", "workspace"):
        assert word in text


def test_explain_looks_at_lengths():
    layer = sr.LSTM(128, 128, seed=0)

    found = sr.explain(layer, 100, 32, lengths=np.zeros(32, int), num_threads=2)

    assert found.forward.why == "little_work"


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"layer": "LSTM"}, TypeError, "layer"),
        ({"layer": sr.reference.LSTM(2, 3)}, TypeError, "compiled engine"),
        ({"layer": sr.LSTMCell(2, 3)}, TypeError, "LSTMCell"),
        (
            {"layer": sr.Model(rnn=sr.GRU(2, 3), up=sr.LSTM(3, 3), head=sr.Linear(3, 1))},
            TypeError,
            "layer: expected .* got simdrnn.Model; give it model.rnn or model.up$",
        ),
        ({"T": -1}, ValueError, "T"),
        ({"B": 2.5}, TypeError, "B"),
        ({"lengths": [1, 2, 3]}, ValueError, "lengths"),
        ({"num_threads": 0}, ValueError, "num_threads"),
    ],
)
def test_explain_names_the_wrong_argument(arguments, error, word):
    with pytest.raises(error, match=word):
        sr.explain(**{"layer": sr.LSTM(2, 3, seed=0), "T": 4, "B": 2, **arguments})


# -- memory ----------------------------------------------------------------------------------------


def test_released_memory_is_what_calls_took():
    layer = sr.LSTM(64, 64, seed=0)
    x = np.zeros((200, 32, 64), "float32")
    layer.record(x, num_threads=1).backward(np.ones((200, 32, 64), "float32"))
    sr.release_memory()
    tape = layer.record(x, num_threads=1)
    grads = tape.backward(tape.output)

    taken = sr.release_memory()

    assert grads.x is not None  # somebody has the results: what calls took beside them is meant
    assert 0 < taken <= layer.workspace_bytes(200, 32)  # which is said for the default of threads
    assert sr.release_memory() == 0


def test_calls_after_a_release_are_right():
    layer = sr.GRU(30, 40, seed=0)
    x = np.random.default_rng(0).standard_normal((20, 6, 30)).astype("float32")
    want = layer(x)[0]

    sr.release_memory()

    assert_same_bits(layer(x)[0], want)


def wait_for_end(thread: int | None) -> None:
    """Wait until the system has ended a thread: to Python it is gone a little before that."""
    deadline = time.monotonic() + 10
    while Path(f"/proc/self/task/{thread}").exists() and time.monotonic() < deadline:
        time.sleep(0.001)


def test_release_reaches_the_memory_of_other_threads_and_of_ended_ones():
    layer = sr.LSTM(16, 16, seed=0)
    x = np.zeros((10, 4, 16), "float32")
    called, end = threading.Event(), threading.Event()

    def work(stay: bool) -> None:
        layer(x)
        called.set()
        if stay:
            end.wait()

    sr.release_memory()
    staying = threading.Thread(target=work, args=(True,))
    staying.start()
    called.wait()

    assert sr.release_memory() > 0

    end.set()
    staying.join()
    ended = threading.Thread(target=work, args=(False,))
    ended.start()
    number = ended.native_id
    ended.join()
    gc.collect()
    wait_for_end(number)
    assert sr.release_memory() == 0


def test_releasing_beside_calls_changes_nothing():
    layer = sr.LSTM(40, 40, seed=0)
    x = np.random.default_rng(0).standard_normal((30, 8, 40)).astype("float32")
    want = layer(x)[0]
    found: list[Any] = []

    def work() -> None:
        found.extend(layer(x)[0] for _ in range(200))

    callers = [threading.Thread(target=work) for _ in range(3)]
    for caller in callers:
        caller.start()
    while any(caller.is_alive() for caller in callers):
        sr.release_memory()
    for output in found:
        assert_same_bits(output, want)
    assert len(found) == 600
