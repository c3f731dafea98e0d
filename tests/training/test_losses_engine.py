"""Cross entropy on the engine: its errors, and that a row's bits are its own."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_loops import every
from helpers_nn import eps
from helpers_ulp import WIDER

DTYPES = ["float32", "float64"]
# Around the vectors and sixteenths that a row is cut into, and the stretches between its sums.
CLASSES = [1, 2, 15, 16, 17, 64, 98, 256, 300, 1031]


def make_rows(dtype, rows, classes, spread=20.0, seed=5):
    rng = np.random.default_rng(seed)
    logits = (spread * rng.standard_normal((rows, classes))).astype(dtype)
    return logits, rng.integers(0, classes, rows)


def exactly(logits, targets):
    """Return each row's term and gradient, of logits less their maximum, as it is rounded."""
    shifted = (logits - logits.max(axis=1, keepdims=True)).astype(WIDER[logits.dtype.name])
    exponential = np.exp(shifted)
    total = exponential.sum(axis=1, keepdims=True)
    rows = np.arange(len(logits))
    gradient = exponential / total
    others = total[:, 0] - exponential[rows, targets]
    gradient[rows, targets] = -others / total[:, 0]
    return np.log(total[:, 0]) - shifted[rows, targets], gradient


# exp is within 1.1 ULP, each at most epsilon of the value; so is the sum of exact additions. The
# quotient and the product are rounded once each.
EXP, FACTOR = 1.1, 1.0


def sum_error(classes):
    """Bound the relative error of a sixteenth's additions, and of those of the sixteen."""
    return (classes // 16 + 5) * eps("float64") / 2


@every("dtype", DTYPES)
@every("classes", CLASSES)
def test_terms_and_gradients_of_rows_are_within_their_bounds(classes, dtype):
    for spread in (0.1, 3.0, 12.0):
        logits, targets = make_rows(dtype, 30, classes, spread)
        terms, gradient = exactly(logits, targets)
        normal = np.abs(gradient) > np.finfo(dtype).tiny * 4

        got = sr.softmax_cross_entropy(logits, targets).backward(30.0)
        one_by_one = [
            sr.softmax_cross_entropy(logits[r : r + 1], targets[r : r + 1]).value for r in range(30)
        ]

        # Where the right class is nearly certain, 1 is taken off in double precision.
        each = (2 * EXP + FACTOR) * eps(dtype) + sum_error(classes)
        bound = each * np.abs(gradient) + 4 * eps("float64")
        bound[~normal] += np.finfo(dtype).tiny * 4
        others = np.ones_like(normal)
        others[np.arange(30), targets] = False
        assert (np.abs(got - gradient) <= bound).all()
        relative = np.abs(got - gradient)[normal & others] / np.abs(gradient)[normal & others]
        assert (relative <= each).all()
        bound = EXP * eps(dtype) + sum_error(classes) + 4 * eps("float64") * (1 + np.abs(terms))
        assert (np.abs(one_by_one - terms) <= bound).all()


@every("dtype", DTYPES)
@every("classes", [7, 98, 1031])
def test_a_rows_bits_depend_on_no_other_row(classes, dtype):
    logits, targets = make_rows(dtype, 60, classes)
    whole = sr.softmax_cross_entropy(logits, targets).backward(60.0)
    mask = np.random.default_rng(6).random(60) < 0.5
    some = sr.softmax_cross_entropy(logits, targets, mask=mask)

    assert_same_bits(some.backward(float(mask.sum()))[mask], whole[mask])
    for rows in (slice(0, 1), slice(7, 20), slice(59, 60)):
        loss = sr.softmax_cross_entropy(logits[rows].copy(), targets[rows])
        assert_same_bits(loss.backward(float(len(targets[rows]))), whole[rows])
    strided = np.repeat(logits, 2, axis=0)[::2]
    assert_same_bits(sr.softmax_cross_entropy(strided, targets).backward(60.0), whole)


@every("dtype", DTYPES)
def test_bits_are_the_same_on_any_threads_and_instruction_set(dtype):
    logits, targets = make_rows(dtype, 700, 301)
    mask = np.random.default_rng(6).random(700) < 0.8
    before, found = sr.isa.active(), []

    for isa in sr.isa.available():
        for threads in (1, 2, 3):
            sr.isa.use(isa)
            sr.set_num_threads(threads)
            try:
                loss = sr.softmax_cross_entropy(logits, targets, mask=mask)
                found.append((np.array(loss.value), loss.backward(0.3)))
            finally:
                sr.isa.use(before)
                sr.set_num_threads(None)

    for one in found[1:]:
        assert_same_bits(one, found[0])


@every("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 70, 97])
def test_a_logit_that_is_not_finite_spoils_its_own_row_alone(place, bad, dtype):
    logits, targets = make_rows(dtype, 5, 98)
    want = sr.softmax_cross_entropy(logits, targets).backward()
    logits[2, place] = bad

    loss = sr.softmax_cross_entropy(logits, targets)
    gradient = loss.backward()

    assert np.isnan(loss.value)
    assert np.isnan(gradient[2]).all()
    assert_same_bits(np.delete(gradient, 2, axis=0), np.delete(want, 2, axis=0))


def test_losses_that_live_at_the_same_time_have_memory_of_their_own():
    pairs = [make_rows("float32", 40, 300, seed=seed) for seed in range(3)]
    wanted = [sr.softmax_cross_entropy(*pair).backward() for pair in pairs]

    losses = [sr.softmax_cross_entropy(*pair) for pair in pairs]

    for loss, want in zip(losses, wanted, strict=True):
        assert_same_bits(loss.backward(), want)
    assert sr.softmax_cross_entropy(*pairs[0]).value == losses[0].value
