"""Gradients that add: of one call by `+`, of micro-batches by `accumulate`."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from simdrnn.layers.gradients import Gradients

X = np.random.default_rng(0).standard_normal((5, 6, 3))


def recorded(rows=slice(None), dtype="float64", **call):
    layer = sr.LSTM(3, 4, dtype=dtype, seed=0)
    return layer.record(X[:, rows].astype(dtype), **call)


def test_gradients_of_two_losses_of_one_call_add_in_everything():
    tape = recorded()
    first, second = np.random.default_rng(1).standard_normal((2, *tape.output.shape))

    total = tape.backward(first) + tape.backward(second)

    once = tape.backward(first + second)
    np.testing.assert_allclose(total.x, once.x, rtol=1e-10, atol=1e-12)
    for found, wanted in zip(total.state, once.state, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    for name, wanted in once.params.items():
        np.testing.assert_allclose(total.params[name], wanted, rtol=1e-10, atol=1e-12)


def test_micro_batches_make_the_gradient_of_the_whole_batch():
    def gradients(rows):
        tape = recorded(rows)
        return tape.backward(sr.mse(tape.output, np.ones_like(tape.output)).backward())

    cut = [slice(0, 1), slice(1, 4), slice(4, 6)]
    parts = (gradients(rows) for rows in cut)

    total = sr.accumulate(parts, [1 / 6, 3 / 6, 2 / 6])

    assert total.x is None
    assert total.state is None
    for name, wanted in gradients(slice(None)).params.items():
        np.testing.assert_allclose(total.params[name], wanted, rtol=1e-10, atol=1e-12)


def test_sums_of_float32_are_rounded_once():
    big, small = np.array([2.0**24], "float32"), np.array([1.0], "float32")

    total = sr.accumulate([{"w": big}, {"w": small}, {"w": small}])

    assert total["w"].dtype == np.float32
    assert total["w"][0] == 2.0**24 + 2  # float32 alone would lose both
    assert (big[0], small[0]) == (2.0**24, 1.0)


def test_structures_stay_what_they_are():
    grads = [Gradients(np.ones(2), None, {"w": np.ones(2)}), {"b": np.ones(3)}, np.ones(1)]

    total = sr.accumulate([grads, grads])

    assert isinstance(total[0], Gradients)
    assert [total[0].params["w"][0], total[1]["b"][0], total[2][0]] == [2.0, 2.0, 2.0]


def test_gradients_are_shown_by_shape_and_dtype():
    layer, x = sr.LSTM(3, 4, seed=0), np.ones((5, 2, 3), "float32")
    tape = sr.Model(rnn=layer).record(x)

    shown = repr(tape.backward(tape.output))

    assert shown.startswith(
        "ModelGradients(x=float32(5, 2, 3), state=(float32(1, 2, 4), float32(1, 2, 4)), "
        "params={'rnn.weight_ih_l0': float32(16, 3), 'rnn.weight_hh_l0': float32(16, 4), "
    )
    assert "parts={'rnn': Gradients(x=float32(5, 2, 3), " in shown
    assert "reset_state" not in shown


ONE = {"w": np.ones(2)}


@every("call, error, message", [
    (lambda: sr.accumulate([]), ValueError, "grads: expected those of one call or more, got none"),
    (lambda: sr.accumulate(None), TypeError, "grads: expected gradients of .* calls, got None"),
    (lambda: sr.accumulate([ONE], 3), TypeError, "weights: expected a number for each of .* got 3"),
    (lambda: sr.accumulate(ONE), TypeError, "grads: expected gradients of several calls"),
    (lambda: sr.accumulate([ONE], [1.0, 2.0]), ValueError, "weights: .* got more"),
    (lambda: sr.accumulate([ONE, ONE], [1.0]), ValueError, "weights: .* got fewer"),
    (lambda: sr.accumulate([ONE], [np.nan]), ValueError, r"weights\[0\]: expected a finite number"),
    (lambda: sr.accumulate([ONE, {"v": np.ones(2)}]), ValueError, r"grads\[1\]: expected the"),
    (lambda: sr.accumulate([ONE, {"w": np.ones(3)}]), ValueError, r"grads\[1\]\['w'\]: exp"),
    (lambda: sr.accumulate([{"w": np.ones(2, int)}]), TypeError, r"grads\[0\]\['w'\]: exp.*dtype"),
    (lambda: sr.accumulate([[np.ones(2)], np.ones(2)]), ValueError, r"grads\[1\]: expected a list"),
    (lambda: recorded().backward() + recorded(slice(0, 2)).backward(), ValueError,
     r"x: expected gradients of one shape to be added, got \(5, 6, 3\) of float64 and \(5, 2, 3\)"),
    (lambda: recorded().backward() + Gradients(None, None, {}), ValueError, "of the same"),
    (lambda: recorded().backward() + 1, TypeError, "unsupported operand"),
])  # fmt: skip
def test_bad_input_gets_a_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
