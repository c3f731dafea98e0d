"""Threads: of callers, of the engine, across forks, and how many."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    CELLS,
    DTYPES,
    KINDS,
    Case,
    assert_same_bits,
    few,
    printed,
    program,
    results,
    run_python,
)

has_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="needs os.sched_setaffinity"
)
has_tasks = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="counts threads in /proc/self/task"
)

# -- callers ---------------------------------------------------------------------------------------


@few(cell=KINDS, dtype=DTYPES)
def test_concurrent_callers_of_one_layer_get_right_answers(cell, dtype):
    case = Case(cell, dtype, T=30, B=12, I=40, H=40, layers=2, directions=2, pattern="all")
    problem = case.draw(sr)
    want = results(problem, num_threads=1)
    layer, start = problem.layer, threading.Barrier(4)

    def work(_: int) -> list[object]:
        start.wait()
        found = []
        for _ in range(5):
            tape = layer.record(problem.x, problem.state, **problem.call, num_threads=2)
            found.append((tape.output, tape.backward(problem.d_output, problem.d_state)))
        return found

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for found in pool.map(work, range(4)) for answer in found]

    for output, grads in answers:
        assert_same_bits(output, want["output"])
        assert_same_bits(grads.x, want["d_x"])
        assert_same_bits(grads.params, want["d_params"])


def test_concurrent_callers_of_different_layers_get_right_answers():
    cases = [
        Case(cell, dtype, T=20, B=B, I=40, H=H, layers=2)
        for cell in CELLS
        for dtype, B, H in (("float32", 12, 40), ("float64", 3, 70))
    ]
    problems = [case.draw(sr) for case in cases]
    want = [results(problem, num_threads=1) for problem in problems]

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda problem: results(problem, num_threads=3), problems * 4))

    for index, found in enumerate(got):
        assert_same_bits(found, want[index % len(want)], str(cases[index % len(want)]))


def test_a_first_call_from_many_threads_prepares_once():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 4, 90)).astype("float32")
    for seed in range(20):
        layer, twin = sr.LSTM(90, 90, seed=seed), sr.LSTM(90, 90, seed=seed)
        start = threading.Barrier(4)

        def call(layer=layer, start=start):
            start.wait()
            return layer(x)[0]

        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(call) for _ in range(4)]

        for future in futures:
            assert_same_bits(future.result(), twin(x)[0])


@lru_cache
def long_call() -> tuple[sr.LSTM, np.ndarray]:
    """Return a layer and an input that keep one thread busy for 0.15 seconds or more."""
    layer = sr.LSTM(256, 256, seed=0)
    row = np.random.default_rng(0).standard_normal((16, 256)).astype("float32")
    spent, steps = 0.0, 20
    while spent < 0.15:
        steps *= 2
        x = np.broadcast_to(row, (steps, *row.shape))
        begin = time.perf_counter()
        layer(x, num_threads=1)
        spent = time.perf_counter() - begin
    return layer, x


@pytest.mark.quiet
@pytest.mark.parametrize("what", ["call", "record", "backward"])
def test_long_calls_let_other_threads_run(what):
    layer, x = long_call()
    tape = layer.record(x, num_threads=1)
    run = {
        "call": lambda: layer(x, num_threads=1),
        "record": lambda: layer.record(x, num_threads=1),
        "backward": lambda: tape.backward(tape.output),
    }[what]
    spent = []

    def work() -> None:
        begin = time.perf_counter()
        run()
        spent.append(time.perf_counter() - begin)

    worker = threading.Thread(target=work)
    worker.start()
    longest, last = 0.0, time.perf_counter()
    while worker.is_alive():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now

    assert longest < spent[0] / 2


# -- how many --------------------------------------------------------------------------------------

HOW_MANY = "import simdrnn as sr; print(sr.get_num_threads())"


def test_the_default_is_every_cpu_of_this_process():
    count = int(printed(HOW_MANY))

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert 1 <= count <= cpus


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "SIMDRNN_NUM_THREADS"])
@pytest.mark.parametrize("wanted", [1, 2, 1000])
def test_variables_limit_threads(variable, wanted):
    count = int(printed(HOW_MANY, **{variable: str(wanted)}))

    assert count == min(wanted, int(printed(HOW_MANY)))


def test_our_variable_wins_over_openmps():
    count = int(printed(HOW_MANY, OMP_NUM_THREADS="1", SIMDRNN_NUM_THREADS="2"))

    assert count == min(2, int(printed(HOW_MANY)))


@has_affinity
def test_affinity_limits_threads_at_any_time():
    counts = printed("""
        import os
        import simdrnn as sr
        sr.set_num_threads(100)
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(allowed)})
        one = sr.get_num_threads()
        os.sched_setaffinity(0, allowed)
        print(one, sr.get_num_threads())
    """)

    assert counts == f"1 {printed(HOW_MANY)}"


def test_threadpoolctl_limits_threads():
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="needs the [test] extra")
    before = sr.get_num_threads()

    with threadpoolctl.threadpool_limits(1):
        limited = sr.get_num_threads()

    assert (limited, sr.get_num_threads()) == (1, before)


def test_set_num_threads_limits_until_taken_back():
    counts = printed("""
        import simdrnn as sr
        sr.set_num_threads(1)
        one = sr.get_num_threads()
        sr.set_num_threads(None)
        print(one, sr.get_num_threads())
    """)

    assert counts == f"1 {printed(HOW_MANY)}"


@pytest.mark.parametrize("value", [0, -1])
def test_set_num_threads_rejects_counts_below_one(value):
    with pytest.raises(ValueError, match="n: expected"):
        sr.set_num_threads(value)


@pytest.mark.parametrize("value", [1.5, "2", True])
def test_set_num_threads_rejects_other_types(value):
    with pytest.raises(TypeError, match="n: expected"):
        sr.set_num_threads(value)


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "2 threads", "²"])
def test_a_bad_variable_fails_the_import(value):
    done = run_python("import simdrnn", SIMDRNN_NUM_THREADS=value)

    error = done.stderr.splitlines()[-1]
    sentence = f"SIMDRNN_NUM_THREADS: expected a positive integer, got {value!r}"
    assert (done.returncode, error) == (1, f"ImportError: {sentence}")


@pytest.mark.quiet
@has_tasks
@pytest.mark.parametrize(
    ("setting", "wanted"),
    [("", None), ("", 1), ("", 3), ("sr.set_num_threads(1)", None), ("sr.set_num_threads(1)", 2)],
)
def test_calls_start_the_threads_of_the_pool_that_they_are_given(setting, wanted):
    counts = printed(
        program(f"""
        {setting or "pass"}
        before = tasks()
        run({wanted})
        print(tasks() - before + 1, sr.get_num_threads())
    """),
        SIMDRNN_THREADING="pool",
    )

    started, limit = (int(word) for word in counts.split())
    assert started == (wanted or limit)


@pytest.mark.quiet
@has_tasks
def test_the_steps_that_a_mask_leaves_are_work_for_threads():
    count = printed(
        program("""
        mask = np.ones(x.shape[:2], bool)
        mask[3] = False
        before = tasks()
        layer(x, mask=mask, num_threads=3)
        print(tasks() - before + 1)
    """),
        SIMDRNN_THREADING="pool",
    )

    assert count == "3"


@pytest.mark.quiet
@has_affinity
@has_tasks
def test_workers_of_the_pool_keep_off_the_cpu_of_their_caller():
    counts = printed(
        program("""
        before = set(os.listdir("/proc/self/task"))
        run(2)
        time.sleep(0.3)  # the worker falls asleep; being woken it gets its CPUs
        run(2)
        (worker,) = set(os.listdir("/proc/self/task")) - before
        print(len(os.sched_getaffinity(0)), len(os.sched_getaffinity(int(worker))))
    """),
        SIMDRNN_THREADING="pool",
    )

    callers, workers = (int(word) for word in counts.split())
    assert workers == max(1, callers - 1)


@pytest.mark.quiet
@has_affinity
@has_tasks
def test_parts_of_a_gang_that_share_a_cpu_hand_it_over_at_each_step():
    # As where another process's gang keeps one of two CPUs. Without patience ending: 12 s.
    seconds = printed(
        """
        import os, threading, time, numpy as np, simdrnn as sr
        layer, x = sr.LSTM(8, 256), np.ones((10_000, 1, 8), "float32")
        layer(x[:100], num_threads=2)
        cpu = min(os.sched_getaffinity(0))

        def put_together():
            time.sleep(0.03)
            for task in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(task), {cpu})

        threading.Thread(target=put_together).start()
        begin = time.monotonic()
        layer(x, num_threads=2)
        print(time.monotonic() - begin)
        """,
        SIMDRNN_THREADING="pool",
    )

    assert float(seconds) < 4


# -- signals ---------------------------------------------------------------------------------------


@pytest.mark.quiet
def test_signal_handlers_may_run_layers_during_a_call():
    layer, x = long_call()
    want, answers = layer(x[:3])[0], []
    before = signal.signal(signal.SIGALRM, lambda *_: answers.append(layer(x[:3])[0]))

    signal.setitimer(signal.ITIMER_REAL, 0.05)
    whole, _ = layer(x, num_threads=1)

    signal.signal(signal.SIGALRM, before)
    assert_same_bits(answers[0], want)
    assert_same_bits(whole[:3], want)


def test_jobs_of_changing_size_call_each_part_once():
    # A worker late from a small job must not take a part of the large one after it twice.
    wrong = sr._core.testing.miscounted_parts([2, 7, 3], rounds=200_000)

    assert wrong == 0
