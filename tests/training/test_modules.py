from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_loops import every
from helpers_nn import (
    assert_close,
    central_difference,
    difference_tolerance,
    dot_tolerance,
    needs_torch,
    rounding,
)
from simdrnn.training.modules import Embedding, Linear

DTYPES = ["float32", "float64"]
LEADING = [(), (1,), (5,), (4, 3), (2, 1, 3), (0,), (4, 0)]

# Central differences of a function linear in the array have no truncation error at any step; a
# power of two is added and taken off without rounding much.
STEP = 2.0**-8


def make_linear(dtype="float64", bias=True, leading=(4, 3)):
    rng = np.random.default_rng(1)
    layer = Linear(5, 6, bias=bias, dtype=dtype, seed=2)
    x = rng.uniform(-1.0, 1.0, (*leading, 5)).astype(dtype)
    return layer, x, rng.uniform(-1.0, 1.0, (*leading, 6)).astype(dtype)


# Linear.


@every("dtype", DTYPES)
@every("leading", LEADING)
def test_linear_multiplies_any_leading_dimensions(leading, dtype):
    layer, x, _ = make_linear(dtype, leading=leading)

    output = layer(x)

    want = np.einsum("...i,oi->...o", x.astype("f8"), layer.weight.astype("f8")) + layer.bias
    assert output.dtype == dtype
    assert_close(output, want, dot_tolerance(dtype, 6, 1.0))


def test_linear_without_bias_multiplies_only():
    layer, x, _ = make_linear(bias=False)

    output = layer(x)

    np.testing.assert_array_equal(output, (x.reshape(-1, 5) @ layer.weight.T).reshape(4, 3, 6))
    assert layer.bias is None
    assert list(layer.parameters()) == ["weight"]


# Widths around a register tile's; rows around its blocks, and enough for several threads.
@every("dtype", DTYPES)
@every("features", [(1, 1), (5, 63), (64, 65), (130, 129), (3, 200)])
def test_linear_gives_a_row_the_same_bits_whatever_is_beside_it(features, dtype):
    layer = Linear(*features, dtype=dtype, seed=0)
    x = np.random.default_rng(1).standard_normal((700, features[0])).astype(dtype)
    d_output = np.random.default_rng(2).standard_normal((700, features[1])).astype(dtype)
    tape = layer.record(x)
    d_x = tape.backward(d_output).x

    for rows in (slice(0, 1), slice(3, 10), slice(693, 700), slice(0, 97)):
        part = layer.record(x[rows])
        assert_same_bits(part.output, tape.output[rows])
        assert_same_bits(part.backward(d_output[rows]).x, d_x[rows])


@every("dtype", DTYPES)
def test_linear_gives_the_same_bits_on_any_threads_and_instruction_set(dtype):
    layer = Linear(130, 129, dtype=dtype, seed=0)
    x = np.random.default_rng(1).standard_normal((900, 130)).astype(dtype)
    d_output = np.random.default_rng(2).standard_normal((900, 129)).astype(dtype)
    before, found = sr.isa.active(), []

    for isa in sr.isa.available():
        for threads in (1, 2, 3):
            sr.isa.use(isa)
            sr.set_num_threads(threads)
            try:
                tape = layer.record(x)
                grads = tape.backward(d_output)
            finally:
                sr.isa.use(before)
                sr.set_num_threads(None)
            found.append([tape.output, grads.x, grads.params["weight"], grads.params["bias"]])

    for one in found[1:]:
        for got, want in zip(one, found[0], strict=True):
            assert_same_bits(got, want)


def test_linear_stops_to_look_for_ctrl_c_and_goes_on():
    # 1.05e9 FLOPs, where one thread stops after 5e8 and two after 1e9.
    layer, rows = Linear(512, 512, bias=False, dtype="float64", seed=0), 2000
    rng = np.random.default_rng(1)
    x, d_output = rng.uniform(-1.0, 1.0, (2, rows, 512))
    found = []

    for threads in (1, 2):
        tape = layer.record(x, num_threads=threads)
        grads = tape.backward(d_output)
        found.append([tape.output, grads.x, grads.params["weight"]])

    wanted = [(x @ layer.weight.T, 512), (d_output @ layer.weight, 512), (d_output.T @ x, rows)]
    for got, again, (want, terms) in zip(*found, wanted, strict=True):
        assert_close(got, want, dot_tolerance("float64", terms, 1.0))
        assert_same_bits(again, got)


def test_a_tape_of_linear_keeps_the_weights_it_began_with_from_other_threads():
    layer, x, d_output = make_linear()
    want = layer.record(x).backward(d_output)
    tape = layer.record(x)

    writer = threading.Thread(target=lambda: setattr(layer, "weight", np.zeros((6, 5))))
    writer.start()
    writer.join()

    grads = tape.backward(d_output)
    assert_same_bits(grads.x, want.x)
    np.testing.assert_array_equal(layer(x), np.broadcast_to(layer.bias, (4, 3, 6)))


def test_linear_record_gives_the_output_of_the_call():
    layer, x, _ = make_linear()

    tape = layer.record(x)

    np.testing.assert_array_equal(tape.output, layer(x))


def test_linear_takes_strided_input():
    layer, x, _ = make_linear()
    strided = np.repeat(x, 2, axis=-1)[..., ::2].transpose(1, 0, 2)

    np.testing.assert_array_equal(layer(strided), layer(x).transpose(1, 0, 2))


@pytest.mark.parametrize("leading", [(), (4, 3)])
def test_linear_gradients_equal_finite_differences(leading):
    layer, x, d_output = make_linear(leading=leading)
    grads = layer.record(x).backward(d_output)
    weight, bias = layer.weight.copy(), layer.bias.copy()

    def loss():
        layer.weight, layer.bias = weight, bias
        return float(np.sum(layer(x) * d_output))

    tolerance = difference_tolerance(STEP, third=0.0, operations=6 * 72, magnitude=72.0)
    assert_close(grads.x, central_difference(loss, x, STEP), tolerance)
    assert_close(grads.params["weight"], central_difference(loss, weight, STEP), tolerance)
    assert_close(grads.params["bias"], central_difference(loss, bias, STEP), tolerance)


@pytest.mark.parametrize("leading", [(0,), (4, 0)])
def test_linear_gradients_of_nothing_are_zero(leading):
    layer, x, d_output = make_linear(leading=leading)

    grads = layer.record(x).backward(d_output)

    assert grads.x.shape == x.shape
    np.testing.assert_array_equal(grads.params["weight"], np.zeros((6, 5)))
    np.testing.assert_array_equal(grads.params["bias"], np.zeros(6))


def test_linear_bias_gradient_of_many_rows_loses_no_digits():
    rows, layer = 300_000, Linear(1, 2, dtype="float32", seed=0)
    tape = layer.record(np.zeros((rows, 1), "float32"))

    grads = tape.backward(np.full((rows, 2), 0.1, "float32"))

    want = rows * float(np.float32(0.1))
    np.testing.assert_allclose(grads.params["bias"], want, atol=rounding("float32", 1, want))


@every("dtype", DTYPES)
@every("outputs", [1, 63, 130, 700])
def test_linear_bias_gradient_is_summed_in_double_precision_row_by_row(outputs, dtype):
    d_output = (10.0 ** np.random.default_rng(3).uniform(-6, 2, (500, outputs))).astype(dtype)
    want = np.zeros(outputs)
    for row in d_output:
        want += row
    for threads in (1, 3):
        tape = Linear(9, outputs, dtype=dtype).record(np.ones((500, 9), dtype), num_threads=threads)

        assert_same_bits(tape.backward(d_output).params["bias"], want.astype(dtype))


def test_linear_backward_may_be_called_again():
    layer, x, d_output = make_linear()
    tape = layer.record(x)

    first, second = tape.backward(d_output), tape.backward(d_output)

    np.testing.assert_array_equal(first.params["weight"], second.params["weight"])
    assert first.params["weight"] is not second.params["weight"]


@pytest.mark.parametrize("in_features", [1, 100])
def test_linear_starts_uniform_within_one_over_root_of_inputs(in_features):
    layer = Linear(in_features, 1000, seed=3)
    bound = in_features**-0.5

    values = np.concatenate([layer.weight.ravel(), layer.bias])

    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > 0.99 * bound
    assert abs(values.mean()) < 4.0 * bound / np.sqrt(3.0 * values.size)  # four standard errors


@pytest.mark.parametrize("kind", [Linear, Embedding])
def test_seed_fixes_the_values_for_both_dtypes(kind):
    single, double, other = kind(3, 4, seed=5), kind(3, 4, seed=5, dtype="f8"), kind(3, 4, seed=6)

    np.testing.assert_array_equal(single.weight, double.weight.astype("f4"))
    assert (single.weight != other.weight).all()


# Embedding.


@every("dtype", DTYPES)
@every("leading", LEADING)
def test_embedding_looks_up_any_leading_dimensions(leading, dtype):
    embedding = Embedding(10, 4, dtype=dtype, seed=0)
    x = np.random.default_rng(1).integers(0, 10, leading)

    output = embedding(x)

    assert output.dtype == dtype
    np.testing.assert_array_equal(output, embedding.weight[x])


@every("integer", ["int8", "uint8", "int32", "uint64"])
def test_embedding_takes_any_integers(integer):
    embedding = Embedding(10, 4, seed=0)

    output = embedding.record(np.array([9, 0], integer)).output

    np.testing.assert_array_equal(output, embedding.weight[[9, 0]])


@every("dtype", DTYPES)
@every("leading", LEADING)
def test_embedding_gradient_sums_over_equal_integers(leading, dtype):
    embedding = Embedding(5, 4, dtype=dtype, seed=0)
    rng = np.random.default_rng(2)
    x = rng.integers(0, 5, leading)
    d_output = rng.uniform(-1.0, 1.0, (*leading, 4)).astype(dtype)
    want = np.zeros((5, 4))
    np.add.at(want, x, d_output.astype("f8"))

    grads = embedding.record(x).backward(d_output)

    assert grads.x is None
    assert grads.params["weight"].dtype == dtype
    assert_close(grads.params["weight"], want, rounding(dtype, 12, 12.0))


@every("dtype", DTYPES)
def test_embedding_gradient_is_summed_in_order_on_any_threads(dtype):
    # One word is most of the text, many do not occur, and others once.
    rng = np.random.default_rng(3)
    x = np.minimum(rng.geometric(0.6, 3000) * rng.integers(1, 90, 3000), 399)
    d_output = (10.0 ** rng.uniform(-6, 2, (3000, 70)) - 3.0).astype(dtype)
    embedding = Embedding(400, 70, dtype=dtype, seed=0)
    want = np.zeros((400, 70))
    np.add.at(want, x, d_output.astype("f8"))
    found = []

    for threads in (1, 2, 3):
        sr.set_num_threads(threads)
        try:
            tape = embedding.record(x)
            found.append((tape.output, tape.backward(d_output).params["weight"]))
        finally:
            sr.set_num_threads(None)

    for output, gradient in found:
        assert_same_bits(output, embedding.weight[x])
        assert_same_bits(gradient, want.astype(dtype))


def test_embedding_keeps_its_own_integers_for_backward():
    embedding, x = Embedding(5, 2), np.array([1, 1])
    tape = embedding.record(x)
    x[:] = 0

    grads = tape.backward(np.ones((2, 2), "float32"))

    np.testing.assert_array_equal(grads.params["weight"][:, 0], [0, 2, 0, 0, 0])


def test_embedding_starts_standard_normal():
    weight = Embedding(1000, 100, seed=4).weight

    assert abs(weight.mean()) < 4.0 / np.sqrt(weight.size)  # four standard errors
    assert abs(weight.var() - 1.0) < 4.0 * np.sqrt(2.0 / weight.size)


# Parameters of either.


def test_parameters_are_read_only_views():
    layer = Linear(2, 3)

    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        layer.parameters()["bias"][0] = 1.0


def test_assignment_copies():
    layer, weight = Linear(2, 3, seed=0), np.ones((3, 2), "float32")

    layer.weight = weight
    weight[:] = 5.0

    np.testing.assert_array_equal(layer.weight, 1.0)


def test_assignment_that_does_not_fit_is_named():
    layer = Linear(2, 3)

    with pytest.raises(
        ValueError, match=r"weight: expected shape \(O, I\) = \(3, 2\), got \(2, 3\)"
    ):
        layer.weight = np.ones((2, 3), "float32")
    with pytest.raises(TypeError, match="bias: expected dtype float32, got float64"):
        layer.bias = np.ones(3)


def test_linear_without_bias_takes_none():
    layer = Linear(2, 3, bias=False)

    with pytest.raises(AttributeError, match="built without"):
        layer.bias = np.ones(3, "float32")


@every("clone", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
@every("module", [Linear(2, 3, seed=0), Linear(2, 3, bias=False), Embedding(4, 2)])
def test_clone_is_equal_and_independent(module, clone):
    other = clone(module)

    assert repr(other) == repr(module)
    np.testing.assert_array_equal(other.weight, module.weight)
    other.weight = other.weight + 1.0
    assert (other.weight != module.weight).all()


def test_state_moves_through_a_dict():
    first, second = Linear(2, 3, seed=0), Linear(2, 3, seed=1)

    second.load_state_dict(first.state_dict())

    np.testing.assert_array_equal(second.weight, first.weight)
    np.testing.assert_array_equal(second.bias, first.bias)


def test_sizes_are_counted_and_shown():
    assert Linear(2, 3).num_parameters == 9
    assert Embedding(4, 2).num_parameters == 8
    assert repr(Linear(2, 3, bias=False)) == "Linear(2, 3, bias=False)"
    assert repr(Embedding(4, 2, dtype="f8")) == "Embedding(4, 2, dtype=float64)"


# Errors.


@every(
    "x, error, message",
    [
        (
            np.ones((4, 3), "f4"),
            ValueError,
            r"x: expected shape \(..., I\) = \(..., 2\), got \(4, 3\)",
        ),
        (np.float32(1.0), ValueError, r"x: expected shape .*, got \(\)"),
        (np.ones((4, 2)), TypeError, "x: expected dtype float32, got float64"),
        (np.ones((4, 2), "i4"), TypeError, "x: expected dtype float32, got int32"),
        (np.ma.ones((4, 2), "f4"), TypeError, "x: expected a plain array, got a masked array"),
        (None, TypeError, "x: expected an array of float32, got NoneType"),
        # What a layer returns of one step: NumPy would make one array of output and state.
        (
            (np.ones((1, 4, 2), "f4"),) * 2,
            TypeError,
            r"got a tuple of 2; a layer returns \(output,",
        ),
        (
            Linear(2, 2).record(np.ones((4, 2), "f4")),
            TypeError,
            "got LinearTape; its output is one",
        ),
        (sr.Gradients(None, None, {}), TypeError, "got Gradients; its x is one"),
        (sr.mse(np.ones(2), np.ones(2)), TypeError, r"got Loss; its backward\(\) returns one"),
    ],
)
def test_linear_names_bad_input(x, error, message):
    with pytest.raises(error, match=message):
        Linear(2, 3)(x)


@every(
    "x, error, message",
    [
        (np.array([0, 4]), ValueError, r"x: expected integers in \[0, 4\), got 4"),
        (np.array([-1, 9]), ValueError, r"x: expected integers in \[0, 4\), got -1"),
        (np.array([1.0]), TypeError, "x: expected an integer dtype, got float64"),
        (np.array([True]), TypeError, "x: expected an integer dtype, got bool"),
        (np.ma.masked_array([1]), TypeError, "x: expected a plain array, got a masked array"),
        ([[1], [1, 2]], TypeError, "x: expected integers, got list"),
    ],
)
def test_embedding_names_bad_input(x, error, message):
    with pytest.raises(error, match=message):
        Embedding(4, 2)(x)


def test_bad_output_gradient_is_named():
    linear, embedding = Linear(2, 3).record(np.ones((4, 2), "f4")), Embedding(4, 2).record([1])

    with pytest.raises(ValueError, match=r"d_output: expected shape .* = \(4, 3\), got \(4, 2\)"):
        linear.backward(np.ones((4, 2), "f4"))
    with pytest.raises(TypeError, match="d_output: expected dtype float32, got float64"):
        embedding.backward(np.ones((1, 2)))


@every("kind", [Linear, Embedding])
@every(
    "arguments, options, error, message",
    [
        ((0, 3), {}, ValueError, "expected a positive integer, got 0"),
        ((2.0, 3), {}, TypeError, "expected a positive integer, got 2.0"),
        ((2, True), {}, TypeError, "expected a positive integer, got True"),
        ((2, 3), {"dtype": "float16"}, ValueError, "dtype: expected float32 or float64"),
        ((2, 3), {"dtype": None}, ValueError, "dtype: expected float32 or float64"),
        ((2, 3), {"seed": -1}, ValueError, "seed: expected a non-negative integer"),
    ],
)
def test_bad_constructor_argument_is_named(kind, arguments, options, error, message):
    with pytest.raises(error, match=message):
        kind(*arguments, **options)


# Peers.


@pytest.mark.peers
@needs_torch
@every("dtype", DTYPES)
@every("leading", [(), (7,), (4, 3)])
def test_linear_equals_pytorch(leading, dtype):
    import torch

    layer, x, d_output = make_linear(dtype, leading=leading)
    theirs = torch.nn.Linear(5, 6, dtype=getattr(torch, dtype))
    layer.load_state_dict(theirs.state_dict())
    their_x = torch.from_numpy(x.copy()).requires_grad_()

    their_output = theirs(their_x)
    their_output.backward(torch.from_numpy(d_output))
    tape = layer.record(x)
    grads = tape.backward(d_output)

    tolerance = dot_tolerance(dtype, 13, 1.0)
    assert_close(tape.output, their_output.detach().numpy(), tolerance)
    assert_close(grads.x, their_x.grad.numpy(), tolerance)
    assert_close(grads.params["weight"], theirs.weight.grad.numpy(), tolerance)
    assert_close(grads.params["bias"], theirs.bias.grad.numpy(), tolerance)


@pytest.mark.peers
@needs_torch
def test_embedding_equals_pytorch():
    import torch

    theirs, embedding = torch.nn.Embedding(5, 4), Embedding(5, 4)
    embedding.load_state_dict(theirs.state_dict())
    rng = np.random.default_rng(8)
    x, d_output = rng.integers(0, 5, (6, 3)), rng.uniform(-1.0, 1.0, (6, 3, 4)).astype("f4")

    their_output = theirs(torch.from_numpy(x))
    their_output.backward(torch.from_numpy(d_output))
    tape = embedding.record(x)
    grads = tape.backward(d_output)

    np.testing.assert_array_equal(tape.output, their_output.detach().numpy())
    want = theirs.weight.grad.numpy()
    assert_close(grads.params["weight"], want, rounding("float32", 18, 18.0))
