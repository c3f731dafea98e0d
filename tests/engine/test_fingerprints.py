"""Numbers of arrays: whatever changes in one, or where it lies, changes its number."""

from __future__ import annotations

import os
from itertools import combinations

import numpy as np
import pytest

import simdrnn as sr
from helpers import printed, program
from simdrnn._core import fingerprints, has_openmp, testing
from simdrnn.runtime import config

SLICE, BLOCK = 1 << 14, 128  # of csrc/engine/fingerprint.cpp, bytes
SHARED = 1 << 18  # from here on threads share the slices
has_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@pytest.fixture(params=[fingerprints, testing.fingerprints_by_products], ids=["cpu", "products"])
def number(request):
    return lambda array: request.param([array])[0]


@pytest.fixture
def two_threads():
    sr.set_num_threads(2)
    yield
    sr.set_num_threads(None)


def bytes_of(rng, size):
    return rng.integers(0, 256, size, dtype=np.uint8)


def all_differ(numbers):
    return len({*numbers}) == len(numbers)


@pytest.mark.parametrize("size", [1, 8, 15, 16, 17, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 24])
def test_every_bit_counts(number, rng, size):
    array = bytes_of(rng, size)
    found = [number(array)]

    for place in range(size):
        for bit in range(8):
            array[place] ^= 1 << bit
            found.append(number(array))
            array[place] ^= 1 << bit

    assert number(array) == found[0]
    assert all_differ(found)


@pytest.mark.parametrize("size", [SLICE - 1, SLICE, 3 * SLICE + 5, SHARED, SHARED + 3 * SLICE + 5])
@pytest.mark.usefixtures("two_threads")
def test_every_slice_counts_to_its_end(number, rng, size):
    array = bytes_of(rng, size)
    edges = [edge + by for edge in range(0, size, SLICE) for by in (-1, 0, 1)]
    places = {place % size for place in (*edges, *rng.integers(0, size, 50), size - 1)}
    found = [number(array)]

    for place in places:
        array[place] ^= 1 << (place % 8)
        found.append(number(array))
        array[place] ^= 1 << (place % 8)

    assert number(array) == found[0]
    assert all_differ(found)


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan], ids=str)
def test_pairs_of_signs_do_not_make_up_for_each_other(number, value):
    array = np.full(2 * BLOCK + 8, value, "f4")
    found = [number(array)]

    for pair in combinations(range(0, array.size, 3), 2):
        array[[*pair]] = -array[[*pair]]
        found.append(number(array))
        array[[*pair]] = -array[[*pair]]

    assert number(array) == found[0]
    assert all_differ(found)


@pytest.mark.parametrize("size", [4, 16, BLOCK, SLICE])
def test_parts_that_change_places_are_noticed(number, rng, size):
    parts = bytes_of(rng, 7 * size).reshape(7, size)
    found = [number(parts), number(parts[::-1].copy())]

    for one, other in combinations(range(7), 2):
        parts[[one, other]] = parts[[other, one]]
        found.append(number(parts))
        parts[[one, other]] = parts[[other, one]]

    assert number(parts) == found[0]
    assert all_differ(found)


def test_values_that_are_equal_are_not_the_same(number):
    quiet, other = np.array([0x7FC00000, 0x7FC00001], "u4").view("f4")[:, None]
    zero = np.zeros(1, "f4")

    assert all_differ([number(one) for one in (quiet, other, -quiet, zero, -zero)])


def test_layouts_and_lengths_count(number):
    zeros = np.zeros(3 * SLICE, "f4")
    layouts = [zeros[:count] for count in (0, 1, 2, 32, 33, SLICE // 4, SLICE // 4 + 1)]
    layouts += [zeros[:12].reshape(shape) for shape in [(3, 4), (4, 3), (12, 1), (2, 2, 3)]]
    layouts += [zeros[:12].reshape(3, 4).T, zeros[:12][::-1], zeros[:24:2], zeros[:12].view("f8")]
    found = [number(layout) for layout in layouts]
    x = np.zeros((3, 4), "f4")
    before = number(x)

    x.shape = (4, 3)

    assert all_differ(found)
    assert number(x) != before


def views(owner):
    """Arrays of (24, 6, 20) bytes that lie in it in several ways, some more than once."""
    return {
        "dense": owner[:24, :6, :20].copy(),
        "transposed": owner[:6, :24, :20].transpose(1, 0, 2),
        "dense, transposed": owner[:6, :24, :20].copy().transpose(2, 0, 1),
        "half of the units": owner[:24, :6, 5:25],
        "every other row": owner[:24, 0:12:2, :20],
        "every other unit": owner[:24, :6, 0:40:2],
        "backwards": owner[23::-1, :6, 19::-1],
        "a row for all": np.broadcast_to(owner[:24, :1, :20], (24, 6, 20)),
        "windows": np.lib.stride_tricks.sliding_window_view(owner[0], 20, 1)[:24, :6],
    }


@pytest.mark.parametrize("kind", views(np.zeros((24, 24, 40), "u1")))
def test_what_lies_in_the_array_counts_and_nothing_beside_it(number, rng, kind):
    owner = bytes_of(rng, 24 * 24 * 40).reshape(24, 24, 40)
    array = views(owner)[kind]
    memory = array if array.base is None else array.base
    while memory.base is not None:
        memory = memory.base
    found = [number(array)]

    for place in np.ndindex(memory.shape):
        before = array.copy()
        memory[place] ^= 1
        if np.array_equal(array, before):
            assert number(array) == found[0]
        else:
            found.append(number(array))
        memory[place] ^= 1

    assert len(found) > 400
    assert all_differ(found)


def test_long_rows_are_gathered_across_slices(number, rng):
    owner = bytes_of(rng, 9 * 5000).reshape(9, 5000)
    array = owner[:, :4999]
    ends = {array.size - 1 - by for by in range(20)} | set(range(0, 45_000, SLICE))
    places = {*rng.integers(0, array.size, 300), *ends}
    found = [number(array)]

    for place in places:
        array[divmod(place, 4999)] ^= 1
        found.append(number(array))
        array[divmod(place, 4999)] ^= 1
    owner[:, 4999] ^= 1

    assert number(array) == found[0]
    assert all_differ(found)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("threading", ["pool", "openmp"])
def test_numbers_do_not_depend_on_threads(rng, threading):
    if threading == "openmp" and not has_openmp:
        pytest.skip("a build without OpenMP")
    arrays = [bytes_of(rng, size) for size in (100, SLICE - 3, SHARED + 77, 10 * SHARED, 0)]
    strided = bytes_of(rng, 100 * SLICE).reshape(-1, 100)[:, :70]
    arrays += [strided, strided[::-1].T]
    before = config()["threading"]
    sr.set_num_threads(1)
    want = fingerprints(arrays), [fingerprints([one])[0] for one in arrays]

    try:
        sr.set_threading(threading)
        sr.set_num_threads(2)
        found = fingerprints(arrays)
    finally:
        sr.set_threading(before)
        sr.set_num_threads(None)

    assert want[0] == want[1] == found


@has_fork
def test_forked_children_find_the_same_numbers():
    code = """
from simdrnn._core import fingerprints
sr.set_num_threads(2)
array = np.arange(1_000_000, dtype="f4")
want = fingerprints([array])
child = os.fork()
if child == 0:
    signal.alarm(30)
    array[5] += 0  # a page of its own
    os._exit(fingerprints([array]) != want)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), fingerprints([array]) == want)
"""
    assert printed(program(code)) == "0 True"


def test_only_arrays_have_numbers():
    with pytest.raises(TypeError, match="arrays: expected a list of arrays"):
        fingerprints([[1.0]])
