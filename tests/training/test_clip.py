from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from helpers_loops import every
from helpers_nn import assert_close, needs_torch, rounding
from simdrnn.layers.gradients import Gradients
from simdrnn.training.clip import clip_grad_norm_, clip_grad_value_

DTYPES = ["float32", "float64"]
NORM_TYPES = [1.0, 2.0, 3.5, math.inf]


def make_gradients(dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    params = {"weight": rng.standard_normal((5, 3)), "bias": rng.standard_normal(5)}
    params = {name: array.astype(dtype) for name, array in params.items()}
    return Gradients(x=np.ones(2, dtype), state=np.ones(2, dtype), params=params)


def flat(gradients):
    return np.concatenate([array.ravel() for array in gradients.params.values()])


@every("dtype", DTYPES)
@every("norm_type", NORM_TYPES)
def test_norm_is_that_of_all_elements_before_clipping(norm_type, dtype):
    gradients = make_gradients(dtype)
    want = np.linalg.norm(flat(gradients).astype("float64"), norm_type)

    norm = clip_grad_norm_(gradients, 0.1, norm_type)

    assert type(norm) is float
    assert_close(norm, want, rounding("float64", 20, float(want)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_element_is_scaled_by_one_factor(dtype):
    gradients = make_gradients(dtype)
    before = flat(gradients)

    norm = clip_grad_norm_(gradients, 0.5)

    want = before * (0.5 / (norm + 1e-6))
    assert_close(flat(gradients), want, rounding(dtype, 2, 0.5))


def test_small_norm_leaves_the_same_bits():
    gradients = make_gradients()
    before = flat(gradients)

    clip_grad_norm_(gradients, 1e3)

    np.testing.assert_array_equal(flat(gradients), before)


def test_norm_just_below_the_limit_is_scaled_as_in_pytorch():
    gradient = np.array([1.0])

    clip_grad_norm_(gradient, 1.0)

    assert gradient[0] == 1.0 / (1.0 + 1e-6)


def test_input_and_state_gradients_are_left_alone():
    gradients = make_gradients()

    clip_grad_norm_(gradients, 0.1)

    np.testing.assert_array_equal(gradients.x, 1.0)
    np.testing.assert_array_equal(gradients.state, 1.0)


def test_lists_of_any_kind_are_clipped_together():
    gradients, array, named = make_gradients(), np.full(4, 2.0), {"w": np.full((2, 2), -1.0)}
    want = math.sqrt(np.sum(flat(gradients) ** 2) + 16.0 + 4.0)

    norm = clip_grad_norm_([gradients, array, named, (np.zeros(3),)], 0.1)

    assert_close(norm, want, rounding("float64", 30, want))
    assert array[0] == -2.0 * named["w"][0, 0]


def test_an_array_that_is_listed_twice_counts_and_is_scaled_twice():
    gradient = np.full(100_000, 2.0)

    norm = clip_grad_norm_([gradient, gradient], 1.0)

    assert_close(norm, 2.0 * math.sqrt(200_000), rounding("float64", 60, norm))
    factor = 1.0 / (norm + 1e-6)
    np.testing.assert_array_equal(gradient, 2.0 * factor * factor)


def test_nothing_to_clip_has_norm_zero():
    assert clip_grad_norm_([], 1.0) == 0.0
    assert clip_grad_norm_(np.zeros((0, 3)), 1.0, math.inf) == 0.0


def test_norm_of_large_float32_does_not_overflow():
    gradient = np.full(4, 1e30, "float32")

    norm = clip_grad_norm_(gradient, 1.0)

    assert_close(norm / 2e30, 1.0, rounding("float32", 1, 1.0))
    assert_close(gradient, np.full(4, 0.5), rounding("float32", 2, 0.5))


def test_array_of_many_blocks_and_with_gaps():
    base = np.random.default_rng(3).standard_normal((301, 400))
    gradient = base[::2, ::2]
    want = float(np.linalg.norm(gradient))

    norm = clip_grad_norm_(gradient, 1.0)

    assert_close(norm, want, rounding("float64", 60, want))
    assert_close(np.linalg.norm(gradient), 1.0, 2e-6 / want + rounding("float64", 60, 1.0))


@every("norm_type", NORM_TYPES)
def test_nan_spreads_to_every_element(norm_type):
    gradients = [np.array([1.0, np.nan]), np.array([2.0])]

    norm = clip_grad_norm_(gradients, 1.0, norm_type)

    assert math.isnan(norm)
    assert np.isnan(gradients[0]).all()
    assert np.isnan(gradients[1]).all()


def test_infinite_norm_zeroes_what_is_finite():
    gradient = np.array([1.0, np.inf])

    norm = clip_grad_norm_(gradient, 1.0)

    assert norm == math.inf
    np.testing.assert_array_equal(gradient, [0.0, np.nan])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_error_if_nonfinite_raises_and_changes_nothing(bad):
    gradient = np.array([1.0, bad])

    with pytest.raises(ValueError, match="expected a finite norm"):
        clip_grad_norm_(gradient, 0.1, error_if_nonfinite=True)

    np.testing.assert_array_equal(gradient, [1.0, bad])


def test_value_clips_each_element_and_keeps_nan():
    gradients = [np.array([-3.0, 0.5, np.nan]), {"w": np.array([[9.0]], "float32")}]

    assert clip_grad_value_(gradients, 1.0) is None

    np.testing.assert_array_equal(gradients[0], [-1.0, 0.5, np.nan])
    np.testing.assert_array_equal(gradients[1]["w"], [[1.0]])


def read_only():
    array = np.ones(2)
    array.flags.writeable = False
    return array


@every("flag", [1, None, "yes", np.ones(2)])
def test_what_is_no_flag_is_named_and_nothing_changes(flag):
    good = np.array([30.0])

    with pytest.raises(TypeError, match="error_if_nonfinite: expected True or False, got"):
        clip_grad_norm_(good, 1.0, error_if_nonfinite=flag)

    assert good[0] == 30.0


@every("clip", [clip_grad_norm_, clip_grad_value_])
@every(
    "bad, error, message",
    [
        (np.ones(2, "int64"), TypeError, r"grads_or_list\[1\]: expected dtype float32 or float64"),
        (np.ones(2, complex), TypeError, "got complex128"),
        (np.ones(2, ">f8"), TypeError, "got >f8"),
        (np.ma.masked_array([1.0]), TypeError, "got MaskedArray"),
        ("weight", TypeError, "got str"),
        (None, TypeError, "got NoneType"),
        ({"w": 1.0}, TypeError, r"grads_or_list\[1\]\['w'\]: .* got float"),
        (read_only(), ValueError, "got a read-only one"),
    ],
)
def test_bad_leaf_is_named_and_nothing_changes(clip, bad, error, message):
    good = np.array([30.0])

    with pytest.raises(error, match=message):
        clip([good, bad], 1.0)

    assert good[0] == 30.0


@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_bad_limit_is_named(value):
    with pytest.raises(ValueError, match="max_norm: expected a number in"):
        clip_grad_norm_(np.ones(2), value)
    with pytest.raises(ValueError, match="clip_value: expected a number in"):
        clip_grad_value_(np.ones(2), value)


@pytest.mark.parametrize("value", [0.0, -2.0, math.nan])
def test_bad_norm_type_is_named(value):
    with pytest.raises(ValueError, match="norm_type: expected a number"):
        clip_grad_norm_(np.ones(2), 1.0, value)


@pytest.mark.peers
@needs_torch
@every("dtype", DTYPES)
@every("norm_type", NORM_TYPES)
@every("max_norm", [0.0, 0.3, 1e3])
def test_equals_pytorch(max_norm, norm_type, dtype):
    import torch

    gradients = make_gradients(dtype)
    parameters = [torch.zeros(array.shape, dtype=getattr(torch, dtype), requires_grad=True)
                  for array in gradients.params.values()]  # fmt: skip
    for parameter, array in zip(parameters, gradients.params.values(), strict=True):
        parameter.grad = torch.from_numpy(array.copy())

    want = float(torch.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type))
    got = clip_grad_norm_(gradients, max_norm, norm_type)

    assert_close(got, want, rounding(dtype, 40, want))
    for parameter, array in zip(parameters, gradients.params.values(), strict=True):
        assert_close(array, parameter.grad.numpy(), rounding(dtype, 40, 3.0))


def test_no_warning_whatever_the_values():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clip_grad_norm_(np.array([np.inf, 1e308, np.nan]), 1.0, 3.0)
