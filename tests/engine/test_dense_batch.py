"""Products of one matrix for each row of a batch: right, and each row's bits its own."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_loops import every
from helpers_nn import assert_close, dot_tolerance
from simdrnn.engine.dense import DenseBatch, batch_gradient

DTYPES = ["float32", "float64"]
# (B, N, M, K): one query as in decoding, one row, widths around a tile's, and nothing at all.
SIZES = [(3, 1, 20, 16), (1, 70, 65, 130), (5, 7, 1, 3), (4, 2, 63, 1), (0, 2, 3, 4), (2, 0, 3, 4)]


def draw(dtype, *shape, seed=0):
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape).astype(dtype)


def by_time(array):
    """Return the same values as they lie in (T, B, H) arrays."""
    return np.ascontiguousarray(array.transpose(1, 0, 2)).transpose(1, 0, 2)


@every("dtype", DTYPES)
@every("sizes", SIZES)
@every("layout", [np.ascontiguousarray, by_time])
def test_products_are_right(layout, sizes, dtype):
    b, n, m, k = sizes
    memory, x = layout(draw(dtype, b, m, k)), layout(draw(dtype, b, n, k, seed=1))
    y = layout(draw(dtype, b, n, m, seed=2))
    batch = DenseBatch(memory)

    got = batch.rows_times(x), batch.sums_of_rows(y), batch_gradient(y, x)
    added = batch_gradient(y, x, add_to=np.ones((b, m, k), dtype))

    wide = [array.astype("f8") for array in (memory, x, y)]
    assert_close(got[0], np.einsum("bnk,bmk->bnm", wide[1], wide[0]), dot_tolerance(dtype, k, 1.0))
    assert_close(got[1], np.einsum("bnm,bmk->bnk", wide[2], wide[0]), dot_tolerance(dtype, m, 1.0))
    gradient = np.einsum("bnm,bnk->bmk", wide[2], wide[1])
    assert_close(got[2], gradient, dot_tolerance(dtype, n + 1, 1.0))
    assert_close(added, gradient + 1, dot_tolerance(dtype, n + 2, 1.0))
    assert all(array.dtype == dtype for array in (*got, added))


@every("dtype", DTYPES)
def test_bits_depend_on_no_other_row_and_on_no_threads_or_instruction_set(dtype):
    b, n, m, k = 9, 40, 70, 130
    memory, x, y = draw(dtype, b, m, k), draw(dtype, b, n, k, seed=1), draw(dtype, b, n, m, seed=2)
    before, found = sr.isa.active(), []

    for isa in sr.isa.available():
        sr.isa.use(isa)
        try:
            for threads in (1, 2, 3):
                batch = DenseBatch(memory)
                found.append((
                    batch.rows_times(x, threads), batch.sums_of_rows(y, threads),
                    batch_gradient(y, x, threads=threads),
                ))  # fmt: skip
        finally:
            sr.isa.use(before)

    for one in found[1:]:
        assert_same_bits(one, found[0])
    for row in (0, 4, 8):
        own, some = slice(row, row + 1), slice(3, 12)
        alone = DenseBatch(memory[own])
        assert_same_bits(alone.rows_times(x[own, some]), found[0][0][own, some])
        assert_same_bits(alone.sums_of_rows(y[own, some]), found[0][1][own, some])
        assert_same_bits(batch_gradient(y[own], x[own]), found[0][2][own])


def test_a_row_has_the_bits_of_linear():
    memory, x = draw("float32", 2, 33, 50), draw("float32", 2, 5, 50, seed=1)
    linear = sr.Linear(50, 33, bias=False, seed=0)
    linear.weight = memory[1]
    tape = linear.record(x[1])
    d_output = draw("float32", 5, 33, seed=2)
    grads = tape.backward(d_output)

    batch = DenseBatch(memory)
    d_scores = np.stack([d_output, d_output])

    assert_same_bits(batch.rows_times(x)[1], tape.output)
    assert_same_bits(batch.sums_of_rows(d_scores)[1], grads.x)
    assert_same_bits(batch_gradient(d_scores, x)[1], grads.params["weight"])


@pytest.mark.parametrize("change", ["count", "width"])
def test_sizes_that_do_not_fit_are_refused(change):
    batch = DenseBatch(draw("float32", 2, 3, 4))
    shape = (3, 1, 4) if change == "count" else (2, 1, 5)

    with pytest.raises(ValueError, match="x: expected the sizes of the other arrays"):
        batch.rows_times(draw("float32", *shape))
    with pytest.raises(ValueError, match="y: expected the sizes of the other arrays"):
        batch.sums_of_rows(draw("float32", *shape))
    with pytest.raises(TypeError, match="x: expected dtype float32, got float64"):
        batch.rows_times(draw("float64", 2, 1, 4))
