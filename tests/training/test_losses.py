from __future__ import annotations

import math

import numpy as np
import pytest

from helpers_loops import every
from helpers_nn import (
    assert_close,
    central_difference,
    difference_tolerance,
    needs_torch,
    rounding,
)
from simdrnn.training.losses import mse, softmax_cross_entropy

DTYPES = ["float32", "float64"]
LEADING = [(), (5,), (4, 3), (2, 1, 3)]

# Near the cube root of eps, where truncation and rounding of a central difference are balanced.
STEP = 2.0**-17


def make_classes(dtype="float64", leading=(4, 3), classes=6):
    rng = np.random.default_rng(11)
    logits = rng.uniform(-3.0, 3.0, (*leading, classes)).astype(dtype)
    return logits, rng.integers(0, classes, leading)


def make_pair(dtype="float64", leading=(4, 3)):
    rng = np.random.default_rng(12)
    shape = (*leading, 2)
    return rng.uniform(-1.0, 1.0, shape).astype(dtype), rng.uniform(-1.0, 1.0, shape).astype(dtype)


def make_mask(leading=(4, 3)):
    mask = np.random.default_rng(13).random(leading) < 0.6
    assert 0 < mask.sum() < mask.size
    return mask


# Cross entropy.


@every("dtype", DTYPES)
@every("leading", LEADING)
def test_cross_entropy_is_mean_of_minus_log_probability(leading, dtype):
    logits, targets = make_classes(dtype, leading)
    exponential = np.exp(logits.astype("f8"))
    probability = exponential / exponential.sum(axis=-1, keepdims=True)
    want = -np.log(np.take_along_axis(probability, targets[..., None], -1)).mean()

    loss = softmax_cross_entropy(logits, targets)

    assert type(loss.value) is float
    assert float(loss) == loss.value
    assert_close(loss.value, want, rounding(dtype, 10, 8.0))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("leading", [(4, 3)])
def test_cross_entropy_gradient_equals_finite_differences(leading, masked):
    logits, targets = make_classes(leading=leading)
    mask = make_mask(leading) if masked else None

    gradient = softmax_cross_entropy(logits, targets, mask=mask).backward()

    want = central_difference(
        lambda: softmax_cross_entropy(logits, targets, mask=mask).value, logits, STEP
    )
    # The third derivative of log-sum-exp is a third cumulant of a 0-1 variable, at most 0.1.
    tolerance = difference_tolerance(STEP, third=0.1, operations=30, magnitude=8.0)
    assert_close(gradient, want, tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_gradient_sums_to_zero_over_classes(dtype):
    logits, targets = make_classes(dtype)

    gradient = softmax_cross_entropy(logits, targets).backward()

    assert gradient.dtype == dtype
    assert_close(gradient.sum(axis=-1), np.zeros((4, 3)), rounding(dtype, 20, 1.0))


def test_cross_entropy_is_stable_for_large_logits():
    logits = np.array([[1e4, 0.0], [-1e30, 1e30]], "float32")

    loss = softmax_cross_entropy(logits, np.array([1, 1]))

    assert loss.value == 5e3
    np.testing.assert_array_equal(loss.backward(), [[0.5, -0.5], [0.0, 0.0]])


def test_cross_entropy_of_a_ruled_out_class_is_infinite_and_of_another_finite():
    logits = np.array([0.0, 0.0, -np.inf])

    possible = softmax_cross_entropy(logits, np.array(0))
    impossible = softmax_cross_entropy(logits, np.array(2))

    assert_close(possible.value, math.log(2.0), rounding("float64", 4, 1.0))
    assert possible.backward()[2] == 0.0
    assert impossible.value == math.inf


def test_masked_positions_may_hold_anything():
    logits, targets = make_classes()
    mask = make_mask()
    want = softmax_cross_entropy(logits[mask], targets[mask])
    logits[~mask], targets[~mask] = np.nan, -100

    loss = softmax_cross_entropy(logits, targets, mask=mask)

    assert_close(loss.value, want.value, rounding("float64", 20, 8.0))
    assert_close(loss.backward()[mask], want.backward(), rounding("float64", 20, 1.0))
    np.testing.assert_array_equal(loss.backward()[~mask], 0.0)


# Mean squared error.


@every("dtype", DTYPES)
@every("leading", LEADING)
def test_mse_is_mean_of_squares(leading, dtype):
    prediction, target = make_pair(dtype, leading)

    loss = mse(prediction, target)

    want = np.mean((prediction.astype("f8") - target.astype("f8")) ** 2)
    assert type(loss.value) is float
    assert_close(loss.value, want, rounding(dtype, 6, 4.0))


@pytest.mark.parametrize("masked", [False, True])
def test_mse_gradient_equals_finite_differences(masked):
    prediction, target = make_pair()
    mask = make_mask() if masked else None

    gradient = mse(prediction, target, mask=mask).backward()

    want = central_difference(lambda: mse(prediction, target, mask=mask).value, prediction, STEP)
    tolerance = difference_tolerance(STEP, third=0.0, operations=30, magnitude=4.0)
    assert_close(gradient, want, tolerance)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_mse_mask_covers_leading_dimensions(axes):
    prediction, target = make_pair()
    mask = make_mask((4, 3, 2)[:axes])
    want = mse(prediction[mask], target[mask])
    prediction[~mask] = np.nan

    loss = mse(prediction, target, mask=mask)

    assert_close(loss.value, want.value, rounding("float64", 30, 4.0))
    assert_close(loss.backward()[mask], want.backward(), rounding("float64", 30, 4.0))
    np.testing.assert_array_equal(loss.backward()[~mask], 0.0)


# Either.


def make_losses(mask=None):
    prediction, target = make_pair()
    return [softmax_cross_entropy(*make_classes(), mask=mask), mse(prediction, target, mask=mask)]


def test_nothing_real_is_worth_nothing():
    for loss in make_losses(np.zeros((4, 3), bool)):
        assert loss.value == 0.0
        np.testing.assert_array_equal(loss.backward(), 0.0)


def test_empty_batch_is_worth_nothing():
    for loss in (
        softmax_cross_entropy(np.zeros((0, 3)), np.zeros(0, int)),
        mse(np.zeros((0, 3)), np.zeros((0, 3))),
    ):
        assert loss.value == 0.0
        assert loss.backward().shape == (0, 3)


def test_backward_scales_and_may_be_called_again():
    for loss in make_losses():
        once, again = loss.backward(), loss.backward()

        np.testing.assert_array_equal(once, again)
        assert once is not again
        assert_close(loss.backward(-3.0), -3.0 * once, rounding("float64", 6, 3.0))


def test_arguments_are_not_written():
    arrays = [*make_classes(), *make_pair()]
    before = [array.copy() for array in arrays]

    softmax_cross_entropy(*arrays[:2]).backward()
    mse(*arrays[2:]).backward()

    for array, original in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, original)


# Errors.

LOGITS, TARGETS = np.zeros((2, 3, 4), "float32"), np.zeros((2, 3), "int64")


@every(
    "arguments, mask, error, message",
    [
        (
            (LOGITS.astype(int), TARGETS),
            None,
            TypeError,
            "logits: expected dtype float32 or float64",
        ),
        ((np.float32(1), TARGETS), None, ValueError, r"logits: expected shape \(..., V\)"),
        (
            (np.zeros((2, 0)), TARGETS),
            None,
            ValueError,
            r"logits: expected .* V >= 1, got \(2, 0\)",
        ),
        ((LOGITS, TARGETS[0]), None, ValueError, r"targets: expected shape \(2, 3\), got \(3,\)"),
        ((LOGITS, TARGETS + 4), None, ValueError, r"targets: expected integers in \[0, 4\), got 4"),
        (
            (LOGITS, TARGETS - 1),
            None,
            ValueError,
            r"targets: expected integers in \[0, 4\), got -1",
        ),
        (
            (LOGITS, TARGETS * 1.0),
            None,
            TypeError,
            "targets: expected an integer dtype, got float64",
        ),
        ((LOGITS, TARGETS), np.ones((2, 3)), TypeError, "mask: expected dtype bool, got float64"),
        ((LOGITS, TARGETS), np.ones(2, bool), ValueError, r"mask: expected shape .* got \(2,\)"),
    ],
)
def test_cross_entropy_names_bad_arguments(arguments, mask, error, message):
    with pytest.raises(error, match=message):
        softmax_cross_entropy(*arguments, mask=mask)


@every(
    "arguments, mask, error, message",
    [
        ((TARGETS, TARGETS), None, TypeError, "prediction: expected dtype float32 or float64"),
        (
            (LOGITS, LOGITS.astype("f8")),
            None,
            TypeError,
            "target: expected dtype float32, got float64",
        ),
        (
            (LOGITS, LOGITS[0]),
            None,
            ValueError,
            r"target: expected shape \(2, 3, 4\), got \(3, 4\)",
        ),
        ((LOGITS, LOGITS), np.ones(3, bool), ValueError, r"mask: expected shape .* got \(3,\)"),
        ((LOGITS, LOGITS), np.ones(2), TypeError, "mask: expected dtype bool, got float64"),
    ],
)
def test_mse_names_bad_arguments(arguments, mask, error, message):
    with pytest.raises(error, match=message):
        mse(*arguments, mask=mask)


# Peers.


@pytest.mark.peers
@needs_torch
@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_equals_pytorch(dtype):
    import torch

    logits, targets = make_classes(dtype)
    mask = make_mask()
    theirs = torch.from_numpy(logits.copy()).requires_grad_()
    their_targets = torch.from_numpy(np.where(mask, targets, -100)).reshape(-1)

    want = torch.nn.functional.cross_entropy(theirs.reshape(-1, 6), their_targets)
    want.backward()
    loss = softmax_cross_entropy(logits, targets, mask=mask)

    assert_close(loss.value, float(want.detach()), rounding(dtype, 30, 8.0))
    assert_close(loss.backward(), theirs.grad.numpy(), rounding(dtype, 30, 1.0))


@pytest.mark.peers
@needs_torch
@pytest.mark.parametrize("dtype", DTYPES)
def test_mse_equals_pytorch(dtype):
    import torch

    prediction, target = make_pair(dtype)
    theirs = torch.from_numpy(prediction.copy()).requires_grad_()

    want = torch.nn.functional.mse_loss(theirs, torch.from_numpy(target))
    want.backward()
    loss = mse(prediction, target)

    assert_close(loss.value, float(want.detach()), rounding(dtype, 30, 4.0))
    assert_close(loss.backward(), theirs.grad.numpy(), rounding(dtype, 6, 1.0))
