"""Linear, Embedding and losses: any argument is right, or is refused by name."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import simdrnn as sr
from helpers import assert_close, tolerance
from helpers_inputs import FLOATS, REFUSED, SEEDS, Given, I, arrays, assert_refused, values


@cache
def linear(dtype):
    return sr.Linear(I, 3, dtype=dtype, seed=0)


@given(st.data())
def test_linear(data):
    layer = linear(data.draw(FLOATS))
    rng = np.random.default_rng(data.draw(SEEDS))
    leading = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    plain = rng.standard_normal((*leading, I)).astype(layer.dtype)
    x = data.draw(arrays(plain, never={"deeper", "longer", "shorter", "flat", "turned"}))
    if x.refused:
        assert_refused({"x": x}, layer, x.value)
        assert_refused({"x": x}, layer.record, x.value)
        return
    bound = tolerance(layer.dtype, 1, plain.size + I + 3)
    tape = layer.record(x.value)
    assert_close(tape.output, plain @ layer.weight.T + layer.bias, bound)

    d_plain = rng.standard_normal(tape.output.shape).astype(layer.dtype)
    d_output = data.draw(arrays(d_plain))
    if d_output.refused:
        assert_refused({"d_output": d_output}, tape.backward, d_output.value)
    else:
        grads = tape.backward(d_output.value)
        assert_close(grads.x, d_plain @ layer.weight, bound)
        flat_d, flat_x = d_plain.reshape(-1, 3), plain.reshape(-1, I)
        assert_close(grads.params["weight"], flat_d.T @ flat_x, bound)


def integer_arrays(plain, stop):
    """Draw forms of integers in [0, stop)."""
    high, low = plain + stop, plain - stop
    wrong = {
        "float": plain.astype(float), "bool": plain.astype(bool), "masked": np.ma.array(plain),
        "complex": plain.astype(complex), "object": plain.astype(object), "none": None,
        "ragged": [[1], [1, 2]], "text": "abc", "time": plain.astype("m8[s]"),
    }  # fmt: skip
    if plain.size:
        wrong |= {"high": high, "low": low, "huge": np.full(plain.shape, 2**64 - 1, "u8")}
    right = {kind: plain.astype(kind) for kind in ("i1", "u1", "i4", "u8", ">i8")}
    right |= {form: make(plain) for form, make in FORMS.items()}
    good = st.sampled_from([*right]).map(lambda form: Given(right[form], plain, form))
    bad = st.sampled_from([*wrong]).map(lambda form: Given(wrong[form], REFUSED, form))
    return st.integers(0, 3).flatmap(lambda roll: good if roll else bad)


FORMS = {
    "list": lambda array: array.tolist() if array.size else array,
    "reversed": lambda array: np.asarray(np.flip(np.flip(array).copy())),
    "fortran": lambda array: np.array(array, order="F"),
}


@given(st.data())
def test_embedding(data):
    layer = sr.Embedding(5, 3, dtype=data.draw(FLOATS), seed=0)
    rng = np.random.default_rng(data.draw(SEEDS))
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    plain = np.asarray(rng.integers(0, 5, shape))
    x = data.draw(integer_arrays(plain, 5))
    if x.refused:
        assert_refused({"x": x}, layer, x.value)
        assert_refused({"x": x}, layer.record, x.value)
        return
    tape = layer.record(x.value)
    np.testing.assert_array_equal(tape.output, layer.weight[plain])

    d_plain = rng.standard_normal(tape.output.shape).astype(layer.dtype)
    d_output = data.draw(arrays(d_plain))
    if d_output.refused:
        assert_refused({"d_output": d_output}, tape.backward, d_output.value)
    else:
        want = np.zeros((5, 3))
        np.add.at(want, plain, d_plain)
        got = tape.backward(d_output.value).params["weight"]
        assert_close(got, want, tolerance(layer.dtype, 1, plain.size))


D_VALUES = values([1.0, 2, -0.5, np.float32(3)], ["1", None, 1j, [1.0], np.ones(2), 10**400, True])


@given(st.data())
def test_softmax_cross_entropy(data):
    rng = np.random.default_rng(data.draw(SEEDS))
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=2)))
    plain = rng.standard_normal((*shape, 4)).astype(data.draw(FLOATS))
    integers = np.asarray(rng.integers(0, 4, shape))
    either = {"dtype float32", "dtype float64"}  # logits may have either
    arguments = {
        "logits": data.draw(arrays(plain, shapes=False, never=either | {"none"})),
        "targets": data.draw(integer_arrays(integers, 4)),
        "mask": data.draw(arrays(np.asarray(rng.random(shape) < 0.7), optional=True)),
    }
    logits, targets, mask = (argument.value for argument in arguments.values())

    if any(argument.refused for argument in arguments.values()):
        # Integers out of range are not looked at where the mask leaves them out.
        ranges = {"high", "low", "huge"}
        if arguments["targets"].form in ranges and arguments["mask"].plain is not None:
            arguments["targets"] = Given(targets, REFUSED, "maybe")
            if not any(arguments[name].refused for name in ("logits", "mask")):
                return
        assert_refused(arguments, sr.softmax_cross_entropy, logits, targets, mask=mask)
        return
    loss = sr.softmax_cross_entropy(logits, targets, mask=mask)
    want = sr.softmax_cross_entropy(plain, integers, mask=arguments["mask"].plain)
    assert loss.value == want.value
    check_d_value(data, loss, want)


def check_d_value(data, loss, want):
    d_value = data.draw(D_VALUES)
    if d_value.refused:
        assert_refused({"d_value": d_value}, loss.backward, d_value.value)
    else:
        np.testing.assert_array_equal(loss.backward(d_value.value), want.backward(d_value.plain))


@given(st.data())
def test_mse(data):
    rng = np.random.default_rng(data.draw(SEEDS))
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    dtype = data.draw(FLOATS)
    one, other = (np.asarray(rng.standard_normal(shape)).astype(dtype) for _ in range(2))
    other_type = {"dtype float32", "dtype float64", "none"}
    numbers = {"number", "scalar"} if dtype == "float64" and shape == () else set()
    depth = data.draw(st.integers(0, len(shape)))
    arguments = {
        "prediction": data.draw(arrays(one, shapes=False, never=other_type | {"number"})),
        "target": data.draw(arrays(other, never=numbers)),
        # A mask of another depth may be right, so only wrong types are drawn.
        "mask": data.draw(
            arrays(np.asarray(rng.random(shape[:depth]) < 0.7), optional=True, shapes=False)
        ),
    }
    prediction, target, mask = (argument.value for argument in arguments.values())

    if any(argument.refused for argument in arguments.values()):
        assert_refused(arguments, sr.mse, prediction, target, mask=mask)
        return
    loss, want = (
        sr.mse(prediction, target, mask=mask),
        sr.mse(one, other, mask=arguments["mask"].plain),
    )
    assert_close(loss.value, want.value, tolerance(dtype, 1, one.size))
    check_d_value(data, loss, want)
