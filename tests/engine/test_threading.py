"""Whose threads run a call: our pool's, or those of the OpenMP runtime in the process."""

from __future__ import annotations

import os

import pytest

import simdrnn as sr
from helpers import printed, program, run_python
from simdrnn.runtime import config

has_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@pytest.mark.parametrize("value", ["Pool", "", "tbb"])
def test_an_unknown_threading_is_refused(value):
    with pytest.raises(ValueError, match=f"threading: expected one of .* got '{value}'"):
        sr.set_threading(value)


def test_a_threading_that_is_no_name_is_refused():
    with pytest.raises(TypeError, match="threading: expected a str, got int"):
        sr.set_threading(2)


def test_openmp_is_refused_in_a_build_without_it(monkeypatch):
    monkeypatch.setattr("simdrnn._core.has_openmp", False)

    with pytest.raises(ValueError, match='threading: expected "auto" or "pool": this build has no'):
        sr.set_threading("openmp")


def test_a_bad_variable_fails_the_import():
    done = run_python("import simdrnn", SIMDRNN_THREADING="tbb")

    sentence = "SIMDRNN_THREADING: expected one of ('auto', 'pool', 'openmp'), got 'tbb'"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"ImportError: {sentence}")


@pytest.mark.parametrize("value", ["auto", "pool", "openmp"])
def test_the_variable_chooses(value):
    answer = printed(
        "from simdrnn.runtime import config; print(config()['threading'])", SIMDRNN_THREADING=value
    )

    assert answer == value


def test_auto_is_the_pool_where_nobody_keeps_company():
    answer = printed(
        "from simdrnn.runtime import config; print(config()['thread_runtime'])",
        SIMDRNN_THREADING="auto",
    )

    assert answer.startswith("own pool")


def test_the_choice_can_be_taken_back():
    before = config()["threading"]
    try:
        sr.set_threading("openmp")
        shared = config()["thread_runtime"]
        sr.set_threading("pool")
        own = config()["thread_runtime"]
    finally:
        sr.set_threading(before)

    assert str(shared).startswith("OpenMP, /")
    assert str(own).startswith("own pool")


def test_beside_a_library_with_openmp_auto_is_its_threads():
    answers = printed(
        """
        import simdrnn as sr
        from simdrnn.runtime import config, keep_company
        sr.set_threading("openmp")
        library = config()["thread_runtime"].removeprefix("OpenMP, ")
        sr.set_threading("auto")
        print(config()["thread_runtime"])
        print(keep_company(library, instead=False), keep_company(library, instead=False))
        print(config()["thread_runtime"] == f"OpenMP, {library}")
    """,
        SIMDRNN_THREADING=None,
    ).splitlines()

    assert answers[0].startswith("own pool")
    assert answers[1:] == ["True False", "True"]  # the first that came stays


def test_a_library_without_openmp_keeps_no_company():
    assert sr._core.keep_company("/nowhere/lib.so", True) is False


def test_threads_that_are_awake_get_smaller_jobs():
    found = printed("""
        import simdrnn as sr
        layer = sr.GRU(64, 64, seed=0)  # 8e6 operations
        for way in ["pool", "openmp"]:
            sr.set_threading(way)
            print(sr.explain(layer, 20, 8, num_threads=2).forward.threads)
    """)

    assert found.split() == ["1", "2"]


# Both kinds of threads in one program: the same bits.
TURNS = """
want = None
for way in ["pool", "openmp", "pool", "openmp"]:
    sr.set_threading(way)
    found = run({threads})
    want = want or found
    assert found == want, way
print("same")
"""


@pytest.mark.parametrize("threads", [2, 7])
def test_taking_turns_changes_no_bit(threads):
    assert printed(program(TURNS.format(threads=threads))) == "same"


# A runtime that gives fewer threads than asked for: gangs, whose parts wait for each other, must
# not begin.
@pytest.mark.parametrize("variables", [{"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "true"}])
def test_fewer_threads_than_asked_for_give_the_same_bits(variables):
    gang = """
signal.alarm(30)  # parts that wait for parts that nobody runs
sr.set_threading("openmp")
gang, row = sr.LSTM(64, 256, seed=0), np.ascontiguousarray(x[:, :1].repeat(5, 0))
assert sr.explain(gang, len(row), 1, num_threads=2).forward.schedule == "units"
one, many = gang(row, num_threads=1), gang(row, num_threads=2)
print(one[0].tobytes() == many[0].tobytes(), run(1) == run(2))
"""

    assert printed(program(gang), **variables) == "True True"


# After a region the runtime believes in threads that a child does not have.
FORKED = """
sr.set_threading("openmp")
want = run(2)
child = os.fork()
if child == 0:
    signal.alarm(30)
    os._exit(0 if run(2) == want and "pool" in sr._core.thread_runtime() else 1)
signal.alarm(60)
status = os.waitpid(child, 0)[1]
print(os.waitstatus_to_exitcode(status), run(2) == want)
"""


@has_fork
def test_a_forked_child_has_a_pool_of_its_own():
    assert printed(program(FORKED)) == "0 True"


def test_callers_at_the_same_time_get_the_same_bits():
    answer = printed(
        program("""
        sr.set_threading("openmp")
        from concurrent.futures import ThreadPoolExecutor
        want = run(1)
        with ThreadPoolExecutor(4) as pool:
            print(set(pool.map(lambda _: run(2) == want, range(40))))
    """)
    )

    assert answer == "{True}"


def test_openmp_has_as_many_threads_as_its_runtime_says():
    counts = printed(
        program("""
        sr.set_threading("openmp")
        before = tasks()
        for threads in (2, 1, 2):
            run(threads)
        print(tasks() - before + 1, sr.get_num_threads())
    """),
        OMP_NUM_THREADS="2",
    )

    started, limit = (int(word) for word in counts.split())
    assert started == limit


def test_jobs_of_changing_size_keep_the_threads():
    # A region smaller than the one before would end threads, and cost 200 us.
    answer = printed("""
        import simdrnn as sr
        sr.set_threading("openmp")
        print(sr._core.testing.miscounted_parts([2, 7, 3], rounds=2_000))
    """)

    assert answer == "0"
