from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from helpers_nn import assert_close, central_difference, needs_torch, rounding
from simdrnn.losses import binary_cross_entropy, huber, quantile

DTYPES = ["float32", "float64"]
LEVELS = [0.1, 0.5, 0.75]
STEP = 2.0**-17


def numbers(dtype="float64", shape=(4, 3, 2), seed=0):
    return np.random.default_rng(seed).uniform(-2.0, 2.0, shape).astype(dtype)


def mask_and_weights():
    rng = np.random.default_rng(5)
    return rng.random((4, 3)) < 0.7, rng.uniform(0.0, 3.0, (4, 3))


# Name -> what it takes beside masks and weights, of one shape and dtype.
def case(name, dtype="float64"):
    if name == "quantile":
        return quantile, [numbers(dtype, (4, 3, 2, 3)), numbers(dtype, seed=1), LEVELS], {}
    if name == "huber":
        return huber, [numbers(dtype), numbers(dtype, seed=1)], {"delta": 0.8}
    target = np.random.default_rng(1).random((4, 3, 2)).astype(dtype)
    target[0], target[1] = 0.0, 1.0
    return binary_cross_entropy, [numbers(dtype), target], {"positive_weight": 2.5}


NAMES = ["huber", "quantile", "binary_cross_entropy"]


def test_they_are_where_users_look():
    assert sr.losses.mse is sr.mse
    assert sr.losses.softmax_cross_entropy is sr.softmax_cross_entropy
    assert sr.losses.huber is huber


@every("name", NAMES)
def test_gradient_equals_finite_differences(name):
    function, arguments, options = case(name)
    mask, weights = mask_and_weights()
    options |= {"mask": mask, "weights": weights}

    gradient = function(*arguments, **options).backward(-2.0)

    want = central_difference(
        lambda: -2.0 * function(*arguments, **options).value, arguments[0], STEP
    )
    assert_close(gradient, want, 1e-9)


@every("name", NAMES)
def test_mean_is_over_real_positions_by_their_weights(name):
    function, arguments, options = case(name)
    mask, weights = mask_and_weights()
    terms, total = 0.0, 0.0
    for position in np.argwhere(mask):
        at = tuple(position)
        one = [array[at] if isinstance(array, np.ndarray) else array for array in arguments]
        terms += weights[at] * function(*one, **options).value
        total += weights[at]

    loss = function(*arguments, **options, mask=mask, weights=weights)

    assert type(loss.value) is float
    assert_close(loss.value, terms / total, 1e-14)


@every("name", NAMES)
def test_masked_positions_may_hold_anything(name):
    function, arguments, options = case(name)
    mask, weights = mask_and_weights()
    want = function(*arguments, **options, mask=mask, weights=weights)
    for array in [*arguments[:2], weights]:
        array[~mask] = np.nan

    loss = function(*arguments, **options, mask=mask, weights=weights)

    assert loss.value == want.value
    np.testing.assert_array_equal(loss.backward(), want.backward())
    np.testing.assert_array_equal(loss.backward()[~mask], 0.0)


@every("name", NAMES)
def test_nothing_real_trains_nothing(name):
    function, arguments, options = case(name, "float32")
    nothing = [{"mask": np.zeros((4, 3), bool)}, {"weights": np.zeros(4, "float32")}]

    for chosen in nothing:
        loss = function(*arguments, **options, **chosen)
        assert loss.value == 0.0
        assert loss.backward().dtype == np.float32
        np.testing.assert_array_equal(loss.backward(), 0.0)


@every("name", NAMES)
def test_what_is_not_a_number_is_not_hidden(name):
    function, arguments, options = case(name)
    arguments[0][2, 1] = np.nan

    loss = function(*arguments, **options)

    assert np.isnan(loss.value)
    assert np.isnan(loss.backward()[2, 1]).all()
    assert not np.isnan(loss.backward()[0]).any()


def test_weights_of_any_size_make_the_same_mean():
    prediction, target = numbers(), numbers(seed=1)
    weights = mask_and_weights()[1]
    want = huber(prediction, target, weights=weights)

    for scale in (2.0**1000, 2.0**-1000):
        assert huber(prediction, target, weights=weights * scale).value == want.value


@every("dtype", DTYPES)
@every("logit", [-3e38, -200.0, 0.0, 200.0, 3e38, -np.inf, np.inf])
def test_yes_and_no_do_not_overflow(logit, dtype):
    loss = binary_cross_entropy(np.array([logit], dtype), np.array([1.0], dtype))

    assert loss.value == (
        np.log(2.0)
        if logit == 0
        else max(0.0, -float(np.asarray(logit, dtype))) or np.exp(-float(logit))
    )
    assert_close(loss.backward(), [{-1: -1.0, 0: -0.5, 1: 0.0}[int(np.sign(logit))]], 1e-80)


def test_quantile_is_least_at_the_quantile():
    target = np.random.default_rng(3).standard_normal(1001)
    places = np.linspace(-2.0, 2.0, 4001)
    values = [quantile(np.full((1001, 1), at), target, [0.3]).value for at in places]

    assert abs(places[np.argmin(values)] - np.quantile(target, 0.3)) < 2e-3


X = np.zeros((2, 3), "float32")


@every(
    "call, error, message",
    [
        (lambda: huber(X, X[0]), ValueError, r"target: expected shape \(2, 3\), got \(3,\)"),
        (lambda: huber(X, X.astype("f8")), TypeError, "target: expected dtype float32"),
        (lambda: huber(X, X, delta=0), ValueError, "delta: expected a positive finite number"),
        (lambda: huber((X, X), X), TypeError, "prediction: expected .* got a tuple of 2; a layer"),
        (lambda: huber(X, X, mask=X), TypeError, "mask: expected dtype bool, got float32"),
        (lambda: huber(X, X, mask=np.ones(3, bool)), ValueError, "mask: expected the shape of"),
        (lambda: huber(X, X, weights=X - 1), ValueError, "weights: expected finite numbers, 0 or"),
        (lambda: huber(X, X, weights=X * np.nan), ValueError, "weights: expected finite numbers"),
        (lambda: quantile(X, X[:, 0], [0.5]), ValueError, r"prediction: expected .*\(..., 1\)"),
        (lambda: quantile(X, X, [0.1, 0.5, 0.9]), ValueError, r"target: expected shape \(2,\)"),
        (lambda: quantile(X, X, [0.0, 0.5, 1]), ValueError, r"quantiles: expected .* in \(0, 1\)"),
        (lambda: quantile(X, X, ["low"]), TypeError, "quantiles: expected numbers"),
        (lambda: quantile(X, X, ["0.5"]), TypeError, "quantiles: expected numbers .* dtype <U3"),
        (lambda: quantile(X, X, np.array([0.5 + 1j])), TypeError, "quantiles: .* dtype complex128"),
        (lambda: quantile(X, X, np.ma.array([0.5])), TypeError, "quantiles: .* a masked array"),
        (lambda: binary_cross_entropy(X, X + 2), ValueError, r"target: expected .* in \[0, 1\]"),
        (lambda: binary_cross_entropy(X, X > 0), TypeError, "target: expected dtype float32"),
        (lambda: binary_cross_entropy(X > 0, X), TypeError, "logits: expected dtype float32 or"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.peers
@needs_torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["huber", "binary_cross_entropy"])
def test_equals_pytorch(name, dtype):
    import torch
    from torch.nn import functional

    function, (found, wanted), options = case(name, dtype)
    theirs, target = torch.from_numpy(found.copy()).requires_grad_(), torch.from_numpy(wanted)
    if name == "huber":
        want = functional.huber_loss(theirs, target, delta=0.8)
    else:
        weight = torch.tensor(2.5, dtype=theirs.dtype)
        want = functional.binary_cross_entropy_with_logits(theirs, target, pos_weight=weight)
    want.backward()

    loss = function(found, wanted, **options)

    assert_close(loss.value, float(want.detach()), rounding(dtype, 30, 4.0))
    assert_close(loss.backward(), theirs.grad.numpy(), rounding(dtype, 12, 1.0))
