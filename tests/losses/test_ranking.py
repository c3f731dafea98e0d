from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from helpers_nn import assert_close, central_difference
from simdrnn.losses import ClassSampler, bpr, cross_entropy, sampled_softmax

MASK = np.array([[True, True, False], [True, False, True]])
WEIGHTS = np.array([[1.0, 0.0, 2.0], [3.0, 1.0, 0.5]])


def pairs(behind=(), dtype="float64"):
    rng = np.random.default_rng(1)
    positive = rng.normal(0.0, 2.0, (2, 3)).astype(dtype)
    return positive, rng.normal(0.0, 2.0, (2, 3, *behind)).astype(dtype)


# Bayesian personalised ranking.


@every("behind", [(), (4,)])
def test_bpr_and_its_gradients(behind):
    positive, negative = pairs(behind)
    options = {"mask": MASK, "weights": WEIGHTS}
    each = negative.reshape(2, 3, -1)
    terms = np.log1p(np.exp(each - positive[..., None])).mean(axis=-1)

    loss = bpr(positive, negative, **options)

    share = WEIGHTS * MASK / (WEIGHTS * MASK).sum()
    assert_close(loss.value, (terms * share).sum(), 1e-14)
    assert float(loss) == loss.value
    for array, gradient in zip((positive, negative), loss.backward(-2.0), strict=True):
        want = central_difference(
            lambda: -2.0 * bpr(positive, negative, **options).value, array, 2.0**-17
        )
        assert_close(gradient, want, 1e-10)


def test_bpr_does_not_overflow_nor_look_at_padding():
    positive, negative = np.array([3e38, -3e38], "float32"), np.array([-3e38, 3e38], "float32")
    loss = bpr(positive, negative)
    assert 1e38 < loss.value < 4e38
    np.testing.assert_array_equal(loss.backward()[0], [0.0, -0.5])

    positive, negative = pairs((4,), "float32")
    want = bpr(positive, negative, mask=MASK)
    positive[~MASK] = negative[~MASK] = np.nan
    loss = bpr(positive, negative, mask=MASK)
    assert loss.value == want.value
    for found, wanted in zip(loss.backward(), want.backward(), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, wanted)
    nothing = bpr(positive, negative, mask=np.zeros((2, 3), bool))
    assert nothing.value == 0.0
    assert not any(gradient.any() for gradient in nothing.backward())


# Sampled softmax.


def heads(bias=True, dtype="float64", classes=7):
    rng = np.random.default_rng(2)
    head = sr.Linear(4, classes, bias=bias, dtype=dtype, seed=3)
    x = rng.normal(0.0, 1.0, (2, 3, 4)).astype(dtype)
    return x, head, rng.integers(0, classes, (2, 3)), rng.uniform(0.2, 3.0, classes)


def test_it_is_softmax_over_what_was_drawn():
    x, head, targets, frequencies = heads()
    sampler = ClassSampler(frequencies, seed=0)
    drawn = ClassSampler(frequencies, seed=0).draw(5)
    scores, probability = head(x), frequencies / frequencies.sum()
    terms = np.empty((2, 3))
    for at, target in np.ndenumerate(targets):
        mine = np.exp(scores[at][target])
        others = sum(
            np.exp(scores[at][one]) / (5 * probability[one]) for one in drawn if one != target
        )
        terms[at] = -np.log(mine / (mine + others))

    loss = sampled_softmax(x, head, targets, sampler, 5, mask=MASK, weights=WEIGHTS)

    share = WEIGHTS * MASK / (WEIGHTS * MASK).sum()
    assert_close(loss.value, (terms * share).sum(), 1e-13)


@every("bias", [True, False])
def test_its_gradients_equal_finite_differences(bias):
    x, head, targets, frequencies = heads(bias)
    options = {"mask": MASK, "weights": WEIGHTS}
    grads = sampled_softmax(
        x, head, targets, ClassSampler(frequencies, seed=0), 5, **options
    ).backward(3.0)
    parameters = head.state_dict()

    def value():
        head.load_state_dict(parameters)
        sampler = ClassSampler(frequencies, seed=0)
        return 3.0 * sampled_softmax(x, head, targets, sampler, 5, **options).value

    assert_close(grads.x, central_difference(value, x, 2.0**-17), 1e-9)
    assert list(grads.params) == list(parameters)
    for name, array in parameters.items():
        assert_close(grads.params[name], central_difference(value, array, 2.0**-17), 1e-9)


def test_with_many_draws_it_is_cross_entropy():
    x, head, targets, frequencies = heads(classes=50)
    want = cross_entropy(head(x), targets)

    sampler = ClassSampler(frequencies, seed=4)
    few = [sampled_softmax(x, head, targets, sampler, 20).value for _ in range(200)]
    many = sampled_softmax(x, head, targets, sampler, 200_000)

    assert_close(np.mean(few), want.value, 0.1)
    assert_close(many.value, want.value, 0.01)
    d_scores = head.record(x).backward(want.backward())
    assert_close(many.backward().params["weight"], d_scores.params["weight"], 0.01)


def test_it_does_not_look_at_padding_and_trains_through_an_optimiser():
    x, head, targets, frequencies = heads(dtype="float32")
    want = sampled_softmax(x, head, targets, ClassSampler(frequencies, seed=0), 5, mask=MASK)
    x[~MASK], targets[~MASK] = np.nan, -1

    loss = sampled_softmax(x, head, targets, ClassSampler(frequencies, seed=0), 5, mask=MASK)
    assert loss.value == want.value
    np.testing.assert_array_equal(loss.backward().x, want.backward().x)
    nothing = sampled_softmax(
        x, head, targets, ClassSampler(frequencies, seed=0), 5, mask=np.zeros((2, 3), bool)
    )
    assert nothing.value == 0.0
    assert not nothing.backward().params["weight"].any()

    x, head, targets, _ = heads(dtype="float32")
    optimizer, sampler = sr.optim.Adam(head, lr=0.1), ClassSampler(frequencies, seed=0)
    before = cross_entropy(head(x), targets).value
    for _ in range(60):
        optimizer.step(sampled_softmax(x, head, targets, sampler, 5).backward())
    assert cross_entropy(head(x), targets).value < 0.5 * before


def test_samplers_draw_by_frequency_and_draw_again():
    sampler, again = ClassSampler([1.0, 0.5, 6.5], seed=7), ClassSampler([2, 1, 13], seed=7)

    drawn = [sampler.draw(4000) for _ in range(2)]
    again.draws = 1

    assert (drawn[0] != drawn[1]).any()
    np.testing.assert_array_equal(again.draw(4000), drawn[1])
    share = np.bincount(drawn[0], minlength=3) / 4000
    assert_close(share, [0.125, 0.0625, 0.8125], 0.025)
    assert_close(np.exp(sampler.log_probability(np.arange(3))), [0.125, 0.0625, 0.8125], 1e-15)


X, Y, F = np.zeros((2, 4), "float32"), np.zeros(2, int), np.ones(7)
HEAD, SAMPLER = sr.Linear(4, 7, seed=0), ClassSampler(np.ones(7), seed=0)


@every(
    "call, error, message",
    [
        (lambda: bpr(X, X[0]), ValueError, r"negative: expected shape \(2, 4\) or \(2, 4, N\)"),
        (lambda: bpr(X, X.astype("f8")), TypeError, "negative: expected dtype float32"),
        (lambda: bpr(X, X[..., None][..., :0]), ValueError, "negative: expected N >= 1"),
        (lambda: ClassSampler([1.0, 0.0]), ValueError, "frequencies: expected finite numbers"),
        (lambda: ClassSampler(3), ValueError, r"frequencies: expected shape \(V,\), got \(\)"),
        (lambda: ClassSampler(["a"]), TypeError, "frequencies: expected numbers"),
        (lambda: SAMPLER.draw(10**30), MemoryError, "n=1000.*: too large for any memory"),
        (lambda: SAMPLER.draw(0), ValueError, "n: expected a positive integer, got 0"),
        (lambda: sampled_softmax(X, X, Y, SAMPLER, 3), TypeError, "head: expected a Linear"),
        (lambda: sampled_softmax(X, HEAD, Y, F, 3), TypeError, "sampler: expected a ClassSampler"),
        (
            lambda: sampled_softmax(X, HEAD, Y, ClassSampler([1.0]), 3),
            ValueError,
            "sampler: expected one of 7 classes, got 1",
        ),
        (lambda: sampled_softmax(X[:, 1:], HEAD, Y, SAMPLER, 3), ValueError, "x: expected shape"),
        (lambda: sampled_softmax(X, HEAD, Y + 7, SAMPLER, 3), ValueError, r"targets: .*\[0, 7\)"),
        (lambda: sampled_softmax(X, HEAD, X, SAMPLER, 3), TypeError, "targets: expected an int"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    draws = SAMPLER.draws
    with pytest.raises(error, match=message):
        call()
    assert SAMPLER.draws == draws
