"""Regularisers: values by definition, gradients by finite differences, and what they touch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    RECURRENT,
    assert_same_bits,
    difference_step,
    difference_tolerance,
    gates_with_rows,
    make_layer,
)
from helpers_loops import every
from simdrnn import regularizers

PENALTIES = {
    "l1": (regularizers.l1, lambda w, H: math.fsum(np.abs(w).flat)),
    "l2": (regularizers.l2, lambda w, H: math.fsum((w * w).flat)),
    "orthogonality": (
        regularizers.orthogonality,
        lambda w, H: sum(
            np.linalg.norm(m.T @ m - np.eye(m.shape[1]) if len(m) >= m.shape[1] else
                           m @ m.T - np.eye(len(m))) ** 2
            for m in w.reshape(-1, H, w.shape[1])
        ),
    ),
}  # fmt: skip


@every("cell", RECURRENT)
@every("kind", PENALTIES)
@every("dtype")
@every("engine")
def test_values_are_those_of_the_definition(engine, cell, dtype, kind):
    H = 4
    layer = make_layer(engine, cell, 6, H, 2, bidirectional=True, dtype=dtype, seed=0)
    penalty, definition = PENALTIES[kind]

    value, gradients = penalty(layer, 0.25, ["weight_hh*", "weight_ih_l0"])

    chosen = [n for n in layer.parameters() if n.startswith("weight_hh") or n == "weight_ih_l0"]
    weights = [getattr(layer, name).astype("float64") for name in chosen]
    assert list(gradients) == chosen
    assert type(value) is float
    # Some hundred positive terms, added in float64 in another order.
    assert math.isclose(value, 0.25 * sum(definition(w, H) for w in weights), rel_tol=1e-13)
    for name, gradient in gradients.items():
        assert (gradient.dtype, gradient.shape) == (np.dtype(dtype), getattr(layer, name).shape)


def central(function, array, index, step):
    """Return the central difference of `function` in one element."""
    ends = []
    for sign in (1, -1):
        moved = array.copy()
        moved[index] += sign * step
        ends.append(function(moved))
    return (ends[0] - ends[1]) / (2 * step)


@every("I", [3, 7])
@every("kind", PENALTIES)
def test_gradients_of_weights_are_those_of_finite_differences(kind, I):  # noqa: E741
    layer = sr.GRU(I, 5, dtype="float64", seed=0)  # no |weight| as small as the step
    penalty, _ = PENALTIES[kind]
    step = difference_step()
    value, gradients = penalty(layer, 0.5, "weight*")

    def of(name):
        def function(array):
            moved = sr.GRU(I, 5, dtype="float64", seed=0)
            setattr(moved, name, array)
            return penalty(moved, 0.5, "weight*").value

        return function

    for name, gradient in gradients.items():
        array = np.array(getattr(layer, name))
        assert np.abs(array).min() > step
        for index in [(0, 0), (5, 1), (14, I - 1 if "ih" in name else 4)]:
            got = central(of(name), array, index, step)
            assert abs(got - gradient[index]) < difference_tolerance(abs(value))


def test_the_gradient_of_l1_at_zero_is_zero():
    layer = sr.RNN(2, 3)
    layer.weight_hh_l0 = np.zeros((3, 3), "float32")

    assert not regularizers.l1(layer, 1.0, "weight_hh*").params["weight_hh_l0"].any()


def test_orthogonal_matrices_are_not_penalised():
    layer = sr.LSTM(3, 8, dtype="float64")
    sr.init.apply(layer, weight_hh=sr.init.orthogonal(), weight_ih=sr.init.orthogonal(), seed=0)

    value, gradients = regularizers.orthogonality(layer, 1.0, "weight*")

    # Gram matrices of 8 gates, each element off by some tens of roundings.
    error = 100 * np.finfo("float64").eps
    assert value < 8 * 64 * error**2
    assert all(np.abs(gradient).max() < 4 * 8 * error for gradient in gradients.values())


def test_gradients_join_those_of_the_loss(rng):
    layer = sr.LSTM(3, 4, seed=0)
    tape = layer.record(rng.standard_normal((5, 2, 3)).astype("float32"))
    grads, want = tape.backward(tape.output), tape.backward(tape.output).params
    first, second = regularizers.l2(layer, 0.1), regularizers.l1(layer, 0.2, "bias_ih*")

    regularizers.add_(grads, first, second.params)

    for name, value in want.items():
        for extra in (first, second):
            value = value + extra.params.get(name, np.float32(0))
        np.testing.assert_array_equal(grads.params[name], value)


def test_modules_are_penalised_too():
    linear = sr.Linear(3, 4, seed=0)

    value, gradients = regularizers.l2(linear, 1.0)

    assert list(gradients) == ["weight"]
    assert math.isclose(value, np.square(linear.weight.astype("float64")).sum(), rel_tol=1e-14)


# Max-norm


def unit_norms(layer, name, per):
    weight = getattr(layer, name).astype("float64")
    if per == "unit":
        return np.sqrt((weight.reshape(-1, layer.hidden_size, weight.shape[1]) ** 2).sum((0, 2)))
    return np.sqrt((weight**2).sum(1))


@every("cell", RECURRENT)
@every("per", ["row", "unit"])
@every("dtype")
@every("engine")
def test_max_norm(engine, cell, dtype, per):
    layer = make_layer(engine, cell, 6, 5, bidirectional=True, dtype=dtype, seed=1)
    before = layer.state_dict()
    names = [name for name in before if name.startswith("weight_hh")]
    norms = {name: unit_norms(layer, name, per) for name in names}
    limit = float(np.median(list(norms.values())))

    count = regularizers.max_norm_(layer, limit, "weight_hh*", per=per)

    assert count == sum(int((n > limit).sum()) for n in norms.values()) > 0
    for name in names:
        after = unit_norms(layer, name, per)
        # Rounding moves each element, so the norm, by at most half a unit in the last place; the
        # norms themselves are sums of 20 squares.
        allowed = np.finfo(dtype).eps / 2 + 20 * np.finfo("float64").eps
        np.testing.assert_allclose(after, np.minimum(norms[name], limit), rtol=allowed)
        kept = norms[name] <= limit
        rows = np.tile(kept, len(gates_with_rows(cell, "weight_hh"))) if per == "unit" else kept
        np.testing.assert_array_equal(getattr(layer, name)[rows], before[name][rows])
    untouched = {name: value for name, value in before.items() if name not in names}
    assert_same_bits({name: layer.parameters()[name] for name in untouched}, untouched)


def test_max_norm_of_parameters_that_are_one_number_a_unit_or_shared():
    layer = sr.FastRNN(3, 4, dtype="float64", seed=0)
    layer.bias_ih_l0 = np.array([3.0, -0.5, -4.0, 1.0])

    count = regularizers.max_norm_(layer, 2.0, ["bias_ih*", "alpha*"], per="unit")

    assert count == 3
    assert layer.bias_ih_l0.tolist() == [2.0, -0.5, -2.0, 1.0]
    assert layer.alpha_l0.tolist() == [-2.0]


def test_a_cell_without_recurrent_matrices_has_none_to_penalise():
    with pytest.raises(ValueError, match=r"names: expected patterns of some of .*weight_u_l0"):
        regularizers.orthogonality(sr.IndRNN(3, 4), 1.0)


def test_max_norm_keeps_directions():
    layer = sr.RNN(3, 4, dtype="float64", seed=0)
    before = layer.weight_hh_l0.copy()

    regularizers.max_norm_(layer, 0.01)

    ratio = layer.weight_hh_l0 / before
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones((1, 4)), rtol=1e-15)


def test_max_norm_that_shortens_nothing_keeps_tapes_valid(rng):
    layer = sr.GRU(3, 4, seed=0)
    tape = layer.record(np.ones((2, 1, 3), "float32"))

    assert regularizers.max_norm_(layer, 100.0) == 0
    tape.backward(tape.output)

    assert regularizers.max_norm_(layer, 0.1) > 0
    with pytest.raises(ValueError, match="record again"):
        tape.backward(tape.output)


def test_max_norm_of_a_bias_bounds_its_elements():
    layer = sr.GRU(3, 4, seed=0)
    before = layer.bias_ih_l0.copy()

    regularizers.max_norm_(layer, 0.125, "bias_ih*")

    np.testing.assert_allclose(layer.bias_ih_l0, before.clip(-0.125, 0.125), rtol=1e-7)


def test_max_norm_leaves_what_is_not_finite():
    layer = sr.RNN(2, 2)
    layer.weight_ih_l0 = np.array([[np.inf, 1], [3, 4]], "float32")

    assert regularizers.max_norm_(layer, 1.0, "weight_ih*") == 1
    np.testing.assert_array_equal(layer.weight_ih_l0[0], [np.inf, 1])


# Outputs


def patterns(T, B, rng):
    mask = rng.random((T, B)) < 0.7
    mask[:, 0] = True
    return {"mask": mask, "reset": rng.random((T, B)) < 0.3}


def ar_terms(h, mask, reset):
    return [h[t, b] ** 2 for t, b in np.ndindex(h.shape[:2]) if mask[t, b]]


def tar_terms(h, mask, reset):
    return [
        (h[t + 1, b] - h[t, b]) ** 2
        for t, b in np.ndindex(len(h) - 1, h.shape[1])
        if mask[t, b] and mask[t + 1, b] and not reset[t + 1, b]
    ]


OUTPUTS = {
    "AR": (regularizers.activation, ar_terms, ("mask",)),
    "TAR": (regularizers.temporal_activation, tar_terms, ("mask", "reset")),
}


@every("masked", [False, True])
@every("kind", OUTPUTS)
def test_output_penalties_and_their_gradients(kind, masked, rng):
    penalty, terms, names = OUTPUTS[kind]
    h = rng.standard_normal((6, 3, 2))
    pattern = patterns(6, 3, rng)
    plain = {"mask": np.ones((6, 3), bool), "reset": np.zeros((6, 3), bool)}
    extra = {name: pattern[name] for name in names} if masked else {}

    value, d_output = penalty(h, 1.5, **extra)

    want = 1.5 * np.mean(terms(h, **(plain | extra)))
    assert math.isclose(value, want, rel_tol=1e-13)
    step = difference_step()
    for index in np.ndindex(h.shape):
        got = central(lambda moved: penalty(moved, 1.5, **extra).value, h, index, step)
        assert abs(got - d_output[index]) < difference_tolerance(abs(value))


@pytest.mark.parametrize("kind", OUTPUTS)
def test_batch_first_output_penalties_are_transposed(kind, rng):
    penalty, _, names = OUTPUTS[kind]
    h = rng.standard_normal((6, 3, 2))
    pattern = {name: patterns(6, 3, rng)[name] for name in names}
    turned = {name: value.T for name, value in pattern.items()}
    layout = {"batch_first": True} if kind == "TAR" else {}
    want = penalty(h, 1.0, **pattern)

    value, d_output = penalty(h.swapaxes(0, 1), 1.0, **turned, **layout)

    assert math.isclose(value, want.value, rel_tol=1e-14)
    np.testing.assert_allclose(d_output.swapaxes(0, 1), want.d_output, rtol=1e-14)


@every("kind", OUTPUTS)
@every("dtype")
def test_unbatched_outputs_and_padding_of_any_value(kind, dtype, rng):
    penalty, _, _ = OUTPUTS[kind]
    h = rng.standard_normal((6, 1, 2)).astype(dtype)
    want = penalty(h[:4], 1.0)
    h[4:] = np.nan
    mask = np.arange(6) < 4

    value, d_output = penalty(h[:, 0], 1.0, mask=mask)

    assert math.isclose(value, want.value, rel_tol=1e-14)  # sums of other lengths: other orders
    assert d_output.dtype == dtype
    np.testing.assert_array_equal(d_output[:4], want.d_output[:, 0])
    assert not d_output[4:].any()


@every("kind", OUTPUTS)
@every("shape", [(0, 3, 2), (1, 3, 2), (4, 0, 2)])
def test_output_penalties_of_nothing(kind, shape):
    value, d_output = OUTPUTS[kind][0](np.ones(shape), 1.0)

    assert d_output.shape == shape
    counted = kind == "AR" and 0 not in shape
    assert value == (1.0 if counted else 0.0)


def test_a_penalty_reaches_the_parameters(rng):
    # The gradient of loss = AR(output) with respect to a weight, end to end.
    layer, x = sr.RNN(2, 3, dtype="float64", seed=0), rng.standard_normal((4, 2, 2))
    tape = layer.record(x)
    value, d_output = regularizers.activation(tape.output, 2.0)
    grads = tape.backward(d_output)

    def loss(weight):
        moved = sr.RNN(2, 3, dtype="float64", seed=0)
        moved.weight_hh_l0 = weight
        return regularizers.activation(moved(x)[0], 2.0).value

    got = central(loss, np.array(layer.weight_hh_l0), (1, 2), difference_step())
    assert abs(got - grads.params["weight_hh_l0"][1, 2]) < difference_tolerance(value)


# What is refused

LSTM = sr.LSTM(2, 3, seed=0)
OUT = np.zeros((4, 2, 3))
REFUSED = {
    "layer": (lambda: regularizers.l1({}, 1.0), TypeError, "layer: expected a layer or module"),
    "strength": (lambda: regularizers.l2(LSTM, -1.0), ValueError, "strength: expected a number"),
    "pattern": (
        lambda: regularizers.l2(LSTM, 1.0, ["weight*", "kernel*"]),
        ValueError,
        "names: expected patterns of some of weight_ih_l0, .*, got 'kernel",
    ),
    "names": (lambda: regularizers.l2(LSTM, 1.0, 3), TypeError, "names: expected a pattern"),
    "vectors": (
        lambda: regularizers.orthogonality(LSTM, 1.0, "*"),
        ValueError,
        "names: expected matrices only, got bias_ih_l0",
    ),
    "limit": (lambda: regularizers.max_norm_(LSTM, 0), ValueError, "limit: expected a positive"),
    "per": (lambda: regularizers.max_norm_(LSTM, 1, per="gate"), ValueError, "per: expected 'row'"),
    "output": (lambda: regularizers.activation(OUT[0, 0], 1), ValueError, "output: expected shape"),
    "integers": (
        lambda: regularizers.activation(OUT.astype(int), 1), TypeError, "output: expected dtype",
    ),
    "mask": (
        lambda: regularizers.activation(OUT, 1, mask=np.ones((2, 4), bool)),
        ValueError,
        r"mask: expected shape \(T, B\) = \(4, 2\), got \(2, 4\)",
    ),
    "reset": (
        lambda: regularizers.temporal_activation(OUT, 1, reset=np.ones((4, 2))),
        TypeError,
        "reset: expected dtype bool",
    ),
    "batch_first": (
        lambda: regularizers.temporal_activation(OUT, 1, batch_first=1), TypeError, "batch_first:",
    ),
    "grads": (lambda: regularizers.add_([]), TypeError, "grads: expected Gradients or a dict"),
    "penalty": (lambda: regularizers.add_({}, 1.0), TypeError, r"penalties\[0\]: expected a Pen"),
    "unknown": (
        lambda: regularizers.add_({"a": OUT}, {}, {"b": OUT}),
        ValueError,
        r"penalties\[1\]: expected names among a, got 'b'",
    ),
    "read-only": (
        lambda: regularizers.add_(LSTM.parameters(), regularizers.l2(LSTM, 1.0)),
        ValueError,
        r"grads\['weight_ih_l0'\]: expected a writable",
    ),
}  # fmt: skip


@every("case", REFUSED)
def test_what_is_refused(case):
    call, error, message = REFUSED[case]

    with pytest.raises(error, match=message):
        call()


def test_a_sum_that_does_not_fit_changes_nothing():
    grads = {"a": np.zeros(2), "b": np.zeros(3)}

    with pytest.raises(ValueError, match=r"penalties\[0\]\['b'\]: expected shape"):
        regularizers.add_(grads, {"a": np.ones(2), "b": np.ones(2)})

    assert not grads["a"].any()
