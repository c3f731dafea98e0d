"""Large results lie in memory that others have left, and never in memory that somebody has."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from simdrnn.engine.kept_arrays import empty

MEBIBYTE = 1 << 20
TYPE = np.dtype("float32")


# Other threads take what the process keeps, and give.
alone = pytest.mark.thread_unsafe(reason="looks at what the process keeps")


def place(array):
    return array.__array_interface__["data"][0]


@pytest.fixture(autouse=True)
def nothing_kept():
    sr.release_memory()
    yield
    sr.release_memory()


@alone
def test_the_next_array_has_the_memory_of_the_one_before():
    first = empty((MEBIBYTE,), TYPE)
    where = place(first)
    del first

    assert place(empty((1024, 1024), TYPE)) == where


def test_memory_that_a_view_has_is_nobody_elses():
    first = empty((MEBIBYTE,), TYPE)
    first[:] = 1
    view, where = first[10:20], place(first)
    del first

    second = empty((MEBIBYTE,), TYPE)
    second[:] = 2

    assert place(second) != where
    np.testing.assert_array_equal(view, 1)


@alone
def test_an_array_is_not_put_where_it_would_waste_much():
    large = empty((4 * MEBIBYTE,), TYPE)
    where = place(large)
    del large

    assert place(empty((MEBIBYTE,), TYPE)) != where


@alone
def test_what_is_kept_is_bounded_and_given_back():
    arrays = [empty((12 * MEBIBYTE,), TYPE) for _ in range(8)]  # of 48 MiB; no page is touched
    del arrays

    assert sr.release_memory() == 5 * 48 * MEBIBYTE
    assert sr.release_memory() == 0


def test_small_arrays_are_numpys():
    assert empty((3, 4), TYPE).base is None
    assert empty((0, 3), TYPE).shape == (0, 3)


def test_sizes_that_no_memory_holds_are_refused():
    with pytest.raises(MemoryError):
        empty((2**40, 2**40), TYPE)


def test_results_of_a_loop_are_its_callers():
    head, rng = sr.Linear(64, 4000, seed=0), np.random.default_rng(0)
    x, targets = rng.standard_normal((100, 64)).astype("float32"), rng.integers(0, 4000, 100)
    kept = []

    for _ in range(3):
        tape = head.record(x)
        loss = sr.softmax_cross_entropy(tape.output, targets)
        gradient = loss.backward()
        kept.append((tape.output, gradient, tape.backward(gradient).params["weight"]))

    for one in kept[1:]:
        assert_same_bits(one, kept[0])
        assert not any(np.shares_memory(a, b) for a in one for b in kept[0])
