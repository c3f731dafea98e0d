from __future__ import annotations

import numpy as np
import pytest

from helpers_loops import every
from helpers_nn import assert_close, central_difference, needs_torch, rounding
from simdrnn.losses import cross_entropy, softmax_cross_entropy

CLASS_WEIGHTS = [0.5, 0.0, 2.0, 1.0, 3.0]
OPTIONS = {
    "plain": {},
    "weights": {"weights": np.random.default_rng(3).uniform(0.0, 2.0, (4, 3))},
    "classes": {"class_weights": CLASS_WEIGHTS},
    "smooth": {"label_smoothing": 0.1},
    "all": {
        "weights": np.random.default_rng(3).uniform(0.0, 2.0, (4, 3)),
        "class_weights": CLASS_WEIGHTS,
        "label_smoothing": 0.2,
    },
}


def case(dtype="float64"):
    rng = np.random.default_rng(2)
    targets = rng.integers(0, 5, (4, 3))
    targets[1, 1] = targets[2, 0] = -100
    return rng.uniform(-3.0, 3.0, (4, 3, 5)).astype(dtype), targets


@every("kind", OPTIONS)
def test_gradient_equals_finite_differences(kind):
    logits, targets = case()
    mask = np.random.default_rng(6).random((4, 3)) < 0.8
    options = {**OPTIONS[kind], "mask": mask, "ignore_index": -100}

    gradient = cross_entropy(logits, targets, **options).backward()

    want = central_difference(
        lambda: cross_entropy(logits, targets, **options).value, logits, 2.0**-17
    )
    assert_close(gradient, want, 1e-9)


@every("kind", OPTIONS)
def test_positions_that_are_not_real_may_hold_anything(kind):
    logits, targets = case()
    real = targets >= 0
    want = cross_entropy(logits, targets, ignore_index=-100, **OPTIONS[kind])
    logits[~real], targets[~real] = np.nan, 77

    loss = cross_entropy(logits, targets, mask=real, **OPTIONS[kind])

    assert loss.value == want.value
    np.testing.assert_array_equal(loss.backward(), want.backward())
    np.testing.assert_array_equal(loss.backward()[~real], 0.0)


@every("kind", OPTIONS)
def test_nothing_real_trains_nothing(kind):
    logits, targets = case("float32")

    for options in ({"mask": np.zeros(4, bool)}, {"ignore_index": 2}):
        loss = cross_entropy(logits, np.full_like(targets, 2), **OPTIONS[kind], **options)
        assert loss.value == 0.0
        np.testing.assert_array_equal(loss.backward(), 0.0)


def test_plain_is_the_engines_bit_for_bit():
    logits, targets = case("float32")
    want = softmax_cross_entropy(logits, targets, mask=targets >= 0)

    loss = cross_entropy(logits, targets, ignore_index=-100)

    assert loss.value == want.value
    np.testing.assert_array_equal(loss.backward(), want.backward())


def test_a_class_that_is_ruled_out_and_counts_nothing_is_no_harm():
    logits = np.array([[0.0, -np.inf, 0.0], [1e30, -1e30, 0.0]])
    targets = np.array([0, 1])

    smooth = cross_entropy(logits[:1], targets[:1], class_weights=[1, 0, 1], label_smoothing=0.3)
    large = cross_entropy(logits, targets, weights=np.array([0.0, 1.0]))

    assert_close(smooth.value, np.log(2.0) * 0.9, 1e-15)
    assert large.value == 2e30
    np.testing.assert_array_equal(large.backward(), [[0.0] * 3, [1.0, -1.0, 0.0]])


@every("kind", ["plain", "classes", "smooth", "both"])
@every("dtype", ["float32", "float64"])
@pytest.mark.peers
@needs_torch
def test_equals_pytorch(kind, dtype):
    import torch

    options = ({"classes", "both"} & {kind} and {"class_weights": CLASS_WEIGHTS}) or {}
    smoothing = 0.15 if kind in ("smooth", "both") else 0.0
    logits, targets = case(dtype)
    theirs = torch.from_numpy(logits.reshape(12, 5).copy()).requires_grad_()
    weight = torch.tensor(CLASS_WEIGHTS, dtype=theirs.dtype) if options else None
    want = torch.nn.functional.cross_entropy(
        theirs, torch.from_numpy(targets.reshape(12)), weight, label_smoothing=smoothing
    )
    want.backward()

    loss = cross_entropy(logits, targets, ignore_index=-100, label_smoothing=smoothing, **options)

    assert_close(loss.value, float(want.detach()), rounding(dtype, 60, 8.0))
    assert_close(loss.backward().reshape(12, 5), theirs.grad.numpy(), rounding(dtype, 30, 1.0))


X, Y = np.zeros((2, 3), "float32"), np.zeros(2, "int64")


@every(
    "call, error, message",
    [
        (lambda: cross_entropy(X, Y + 3), ValueError, r"targets: expected integers in \[0, 3\)"),
        (
            lambda: cross_entropy(X, Y + 3, class_weights=[1, 1, 1]),
            ValueError,
            r"targets: expected integers in \[0, 3\), got 3",
        ),
        (lambda: cross_entropy(X, Y[0]), ValueError, r"targets: expected shape \(2,\), got \(\)"),
        (lambda: cross_entropy(X, X[:, 0]), TypeError, "targets: expected an integer dtype"),
        (lambda: cross_entropy(X[0, 0], Y), ValueError, r"logits: expected shape \(..., V\)"),
        (
            lambda: cross_entropy(X, Y, label_smoothing=1),
            ValueError,
            r"label_smoothing: .*\[0, 1\)",
        ),
        (
            lambda: cross_entropy(X, Y, class_weights=[1, 2]),
            ValueError,
            r"class_weights: .* \(3,\)",
        ),
        (
            lambda: cross_entropy(X, Y, class_weights=[0] * 3),
            ValueError,
            "class_weights: .* not all",
        ),
        (lambda: cross_entropy(X, Y, class_weights="a"), TypeError, "class_weights: expected numb"),
        (
            lambda: cross_entropy(X, Y, ignore_index=[0, 1]),
            ValueError,
            r"ignore_index: expected shape \(\)",
        ),
        (lambda: cross_entropy(X, Y, ignore_index=0.5), TypeError, "ignore_index: expected an int"),
        (lambda: cross_entropy(X, Y, weights=X), ValueError, "weights: expected the shape of posi"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
