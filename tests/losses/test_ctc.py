from __future__ import annotations

from collections import defaultdict
from itertools import groupby, product

import numpy as np
import pytest

from helpers_loops import every
from helpers_nn import assert_close, central_difference, needs_torch, rounding
from simdrnn.losses import ctc, ctc_beam_search, ctc_greedy

LENGTHS = np.array([6, 4, 5, 6])
COUNTS = np.array([3, 0, 2, 2])
# The last row says the same label twice, and so needs a blank between.
TARGETS = np.array([[1, 2, 1], [-1, 99, 7], [3, 1, 0], [2, 2, -5]])


def scores(dtype="float64", classes=4):
    rng = np.random.default_rng(8)
    return rng.normal(0.0, 1.5, (6, 4, classes)).astype(dtype)


def readings(steps, blank):
    """Return the probability of everything that steps (T, V) of logits can read as."""
    probability = np.exp(steps) / np.exp(steps).sum(axis=1, keepdims=True)
    found = defaultdict(float)
    for path in product(range(steps.shape[1]), repeat=len(steps)):
        labels = tuple(label for label, _ in groupby(path) if label != blank)
        found[labels] += np.prod(probability[np.arange(len(steps)), path])
    return found


@every("blank", [0, 2])
def test_value_is_that_of_all_paths(blank):
    logits = scores()
    targets = np.where(blank == TARGETS, 0 if blank else 3, TARGETS)
    terms = [
        -np.log(readings(logits[:length, row], blank)[tuple(targets[row, :count])]) / max(count, 1)
        for row, (length, count) in enumerate(zip(LENGTHS, COUNTS, strict=True))
    ]

    loss = ctc(logits, targets, LENGTHS, COUNTS, blank=blank)
    weighed = ctc(logits, targets, LENGTHS, COUNTS, blank=blank, weights=np.arange(4.0))

    assert_close(loss.value, np.mean(terms), 1e-13)
    assert_close(weighed.value, np.average(terms, weights=np.arange(4)), 1e-13)


def test_gradient_equals_finite_differences():
    logits, mask = scores(), np.array([True, True, False, True])
    options = {"mask": mask, "weights": np.array([1.0, 2.0, 3.0, 0.5])}

    gradient = ctc(logits, TARGETS, LENGTHS, COUNTS, **options).backward(3.0)

    want = central_difference(
        lambda: 3.0 * ctc(logits, TARGETS, LENGTHS, COUNTS, **options).value, logits, 2.0**-17
    )
    assert_close(gradient, want, 1e-9)


def test_padding_may_hold_anything():
    logits, mask = scores("float32"), np.array([True, True, False, True])
    want = ctc(logits, TARGETS, LENGTHS, COUNTS, mask=mask)
    padding = (np.arange(6)[:, None] >= LENGTHS) | ~mask
    logits[padding] = np.nan

    loss = ctc(logits, TARGETS, LENGTHS, COUNTS, mask=mask)

    assert loss.value == want.value
    assert loss.backward().dtype == np.float32
    np.testing.assert_array_equal(loss.backward(), want.backward())
    np.testing.assert_array_equal(loss.backward()[padding], 0.0)
    nothing = ctc(logits, TARGETS, LENGTHS, COUNTS, mask=np.zeros(4, bool))
    assert nothing.value == 0.0
    np.testing.assert_array_equal(nothing.backward(), 0.0)


def test_a_long_sequence_does_not_underflow():
    logits = np.zeros((5000, 1, 30))

    loss = ctc(logits, np.ones((1, 3), int))

    assert 1000.0 < loss.value < 5000 * np.log(30.0)
    assert np.isfinite(loss.backward()).all()


def test_no_steps_or_labels_are_no_loss():
    empty = np.zeros((3, 0), int)

    assert ctc(np.zeros((0, 3, 4)), empty).value == 0.0
    assert ctc(np.zeros((0, 3, 4)), empty).backward().shape == (0, 3, 4)
    assert ctc(np.zeros((5, 0, 4)), np.zeros((0, 2), int)).value == 0.0
    assert_close(ctc(np.zeros((5, 3, 4)), empty).value, 5 * np.log(4.0), 1e-13)


def test_too_few_steps_are_refused_or_left_out():
    logits, lengths = scores(), np.array([6, 4, 5, 2])  # 2 2 needs three steps
    message = "at least 3 steps for the 2 labels of row 3, got 2; zero_infinity"
    with pytest.raises(ValueError, match=message):
        ctc(logits, TARGETS, lengths, COUNTS)

    loss = ctc(logits, TARGETS, lengths, COUNTS, zero_infinity=True)

    others = ctc(logits[:, :3], TARGETS[:3], lengths[:3], COUNTS[:3])
    assert_close(loss.value, others.value * 3 / 4, 1e-14)
    assert_close(loss.backward()[:, :3], others.backward() * 3 / 4, 1e-14)
    np.testing.assert_array_equal(loss.backward()[:, 3], 0.0)


def test_a_class_that_is_ruled_out_makes_it_infinite():
    logits = scores()
    logits[:, 0, 2] = -np.inf

    assert ctc(logits, TARGETS, LENGTHS, COUNTS).value == np.inf
    left_out = ctc(logits, TARGETS, LENGTHS, COUNTS, zero_infinity=True)
    assert np.isfinite(left_out.value)
    assert np.isfinite(left_out.backward()).all()


# Reading.


def test_wide_beams_are_exact():
    logits = scores(classes=3)
    for row, length in enumerate(LENGTHS):
        known = sorted(readings(logits[:length, row], 0).items(), key=lambda item: -item[1])[:5]
        found = ctc_beam_search(logits, LENGTHS, beam_width=1000, n_best=5)[row]

        assert [tuple(one.labels) for one in found] == [labels for labels, _ in known]
        assert_close(np.exp([one.score for one in found]), [value for _, value in known], 1e-13)


def test_narrow_beams_find_what_is_plain():
    said = np.array([1, 1, 0, 1, 2, 2, 0, 0])
    logits = 9.0 * np.eye(3, dtype="float32")[said][:, None]

    for width in (1, 2, 8):
        best = ctc_beam_search(logits, beam_width=width)[0][0]
        assert best.labels.tolist() == [1, 1, 2]
    assert ctc_greedy(logits)[0].tolist() == [1, 1, 2]
    assert ctc_greedy(logits, np.array([4]))[0].tolist() == [1, 1]
    assert ctc_greedy(logits, np.array([4]), blank=1)[0].tolist() == [0]
    assert ctc_beam_search(logits, np.array([0]))[0][0] == (pytest.approx([]), 0.0)


X, Y = np.zeros((5, 2, 3), "float32"), np.ones((2, 2), "int64")


@every(
    "call, error, message",
    [
        (lambda: ctc(X[0], Y), ValueError, r"logits: expected shape \(T, B, V\)"),
        (lambda: ctc(X, Y[0]), ValueError, r"targets: expected shape \(B, S\) = \(2, S\), got"),
        (lambda: ctc(X, Y + 2), ValueError, r"targets: expected integers in \[0, 3\), got 3"),
        (lambda: ctc(X, Y - 1), ValueError, "targets: expected labels other than the blank, got 0"),
        (lambda: ctc(X, Y, [6, 5]), ValueError, "input_lengths: expected values in"),
        (lambda: ctc(X, Y, [5.0, 5.0]), TypeError, "input_lengths: expected an integer dtype"),
        (
            lambda: ctc(X, Y, None, [3, 1]),
            ValueError,
            r"target_lengths: expected values in \[0, S\]",
        ),
        (lambda: ctc(X, Y, blank=3), ValueError, r"blank: expected integers in \[0, 3\), got 3"),
        (lambda: ctc(X, Y, zero_infinity=1), TypeError, "zero_infinity: expected True or False"),
        (lambda: ctc(X, Y, mask=np.ones((5, 2), bool)), ValueError, "mask: expected the shape of"),
        (lambda: ctc(X, Y, blank=[0, 1]), ValueError, r"blank: expected shape \(\) = \(\), got"),
        (lambda: ctc_greedy(X * np.nan), ValueError, "logits: expected finite .* row 0 at step 0"),
        (lambda: ctc_beam_search(X - np.inf), ValueError, "logits: expected finite numbers"),
        (lambda: ctc_greedy(X, [1]), ValueError, "input_lengths: expected shape"),
        (lambda: ctc_beam_search(X, beam_width=0), ValueError, "beam_width: expected a positive"),
        (lambda: ctc_beam_search(X, n_best=17), ValueError, "n_best: expected at most beam_width"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.peers
@needs_torch
@every("dtype", ["float32", "float64"])
@every("zero_infinity", [False, True])
def test_equals_pytorch(dtype, zero_infinity):
    import torch

    rng = np.random.default_rng(9)
    logits = rng.normal(0.0, 2.0, (40, 6, 12)).astype(dtype)
    targets = rng.integers(0, 11, (6, 9))
    targets[targets == 4] = 11  # the blank is in the middle
    lengths, counts = np.array([40, 31, 22, 40, 17, 25]), np.array([9, 0, 5, 1, 8, 9])
    if zero_infinity:
        lengths[4] = 7
    theirs = torch.from_numpy(logits.copy()).requires_grad_()
    want = torch.nn.functional.ctc_loss(
        torch.log_softmax(theirs, 2), torch.from_numpy(targets), torch.from_numpy(lengths),
        torch.from_numpy(counts), blank=4, zero_infinity=zero_infinity,
    )  # fmt: skip
    want.backward()

    loss = ctc(logits, targets, lengths, counts, blank=4, zero_infinity=zero_infinity)

    assert_close(loss.value, float(want.detach()), rounding(dtype, 40, 20.0))
    assert_close(loss.backward(), theirs.grad.numpy(), rounding(dtype, 200, 1.0))
