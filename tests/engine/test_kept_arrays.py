"""Large results and tapes lie in memory that others have left, and never in what somebody has."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits, printed
from simdrnn import _core
from simdrnn.engine.kept_arrays import empty

MIB = 2**20

# Other threads take what the process keeps, and give.
alone = pytest.mark.thread_unsafe(reason="looks at what the process keeps")


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    sr.release_memory()
    yield
    sr.release_memory()


def kept(mebibytes):
    return _core.kept_array((mebibytes, MIB), np.dtype("uint8"))


def address(array):
    return array.__array_interface__["data"][0]


@alone
def test_memory_is_used_again_and_given_back():
    first = kept(2)
    at = address(first)
    assert (first.shape, first.dtype, first.flags.c_contiguous) == ((2, MIB), np.uint8, True)
    assert at % 64 == 0
    del first

    again = kept(2)

    assert address(again) == at
    assert _core.release_kept_arrays() == 0  # what somebody has is not kept
    del again
    assert _core.release_kept_arrays() == 2 * MIB
    assert _core.release_kept_arrays() == 0


def test_what_somebody_has_a_view_of_is_not_handed_out():
    first = kept(2)
    view = first[1:, ::2]
    view[...] = 7
    del first
    gc.collect()

    other = kept(2)
    other[...] = 9

    assert (view == 7).all()


@alone
def test_only_about_the_same_size_is_used_again():
    at = address(kept(8))

    small, large = kept(2), kept(9)

    assert at not in (address(small), address(large))
    assert address(kept(7)) == at


@alone
def test_what_is_kept_is_bounded_and_the_oldest_goes_first():
    arrays = [kept(60) for _ in range(6)]  # 360 MiB, never written
    addresses = [address(array) for array in arrays]
    while arrays:
        del arrays[0]

    again = [kept(60) for _ in range(4)]

    assert {address(array) for array in again} == {*addresses[2:]}
    assert _core.release_kept_arrays() == 0
    del again
    assert _core.release_kept_arrays() == 4 * 60 * MIB


@alone
def test_what_is_larger_than_all_that_may_be_kept_is_not():
    huge = _core.kept_array((257, MIB), np.dtype("uint8"))
    del huge

    assert _core.release_kept_arrays() == 0


@alone
def test_many_threads_never_share_a_block():
    wrong = []

    def work(number):
        for _ in range(50):
            array = kept(1)
            array[:, ::4096] = number
            wrong.append(not (array[:, ::4096] == number).all())

    workers = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert wrong == [False] * 200


def test_small_arrays_are_numpys_and_large_ones_are_not():
    small, large = empty((3, 4), np.dtype("f4")), empty((3, MIB), np.dtype("f4"))

    assert small.base is None
    assert large.base is not None
    assert empty((0, 3), np.dtype("f4")).shape == (0, 3)


def test_sizes_that_no_memory_holds_are_refused():
    with pytest.raises(MemoryError):
        empty((2**40, 2**40), np.dtype("f4"))


@alone
def test_tapes_use_it_and_their_results_are_as_ever():
    layer = sr.LSTM(40, 64, num_layers=2, seed=0)
    x = np.random.default_rng(0).standard_normal((60, 16, 40)).astype("float32")
    tape = layer.record(x)
    want = tape.backward(tape.output)
    held = tape._recording.arrays.saved[0]
    values = held.copy()
    del tape

    for _ in range(3):
        tape = layer.record(2 * x)
        tape.backward(tape.output)
        del tape
    tape = layer.record(x)
    found = tape.backward(tape.output)

    assert_same_bits(held, values)
    assert_same_bits((found.x, *found.params.values()), (want.x, *want.params.values()))
    saved = 60 * 16 * 5 * 64 * 4
    assert saved >= MIB
    del tape, held
    assert sr.release_memory() >= 2 * saved


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


@alone
@pytest.mark.parametrize("step", ["layer.record(x).backward(x)", "layer(layer(x)[0])"])
def test_a_loop_asks_the_system_for_no_fresh_pages(step):
    # 184 a step of training, and an eighth of its time, where only large arrays lie in kept memory:
    # the C library gives the end of its heap back, as it has seen no large block.
    pages = printed(f"""
        import resource, numpy as np, simdrnn as sr
        layer = sr.LSTM(64, 64, seed=0)
        x = np.ones((100, 16, 64), "float32")

        def pages_of(count):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(count):
                {step}
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        pages_of(10)
        print(pages_of(50) / 50)
    """)

    assert float(pages) < 2
