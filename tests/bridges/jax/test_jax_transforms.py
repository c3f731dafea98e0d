"""`simdrnn.jax` under jit, vmap, scan, checkpoint and what cannot be: twice, or forwards."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simdrnn as sr
from helpers import assert_close, tolerance

pytestmark = pytest.mark.peers

jax = pytest.importorskip("jax", reason="needs the [peers] extra: jax")

import jax.numpy as jnp  # noqa: E402

import simdrnn.jax as srj  # noqa: E402
from helpers_jax import assert_same, way  # noqa: E402, F401

N, T, B, I, H = 3, 5, 2, 3, 4  # noqa: E741


def draw(rng, *shape):
    return rng.standard_normal(shape).astype("float32")


def calls(function, *arguments):
    """Return the names of our calls in what a function becomes, outermost only, and of loops."""
    text = str(jax.make_jaxpr(function)(*arguments))
    return re.findall(r"simdrnn_(\w+)\[|= (scan|while)\[", text)


@pytest.fixture
def params():
    return srj.init_params(jax.random.key(0), "LSTM", I, H, num_layers=2, bidirectional=True)


def test_jit_traces_once_for_each_shape(params, rng):
    traced = []

    @jax.jit
    def function(params, x, lengths):
        traced.append(x.shape)
        return srj.lstm(params, x, lengths=lengths)[0]

    for steps in (5, 5, 7, 5):
        x = draw(rng, steps, B, I)
        lengths = rng.integers(0, steps + 1, B)
        want = srj.to_layer("LSTM", params)(x, lengths=lengths)[0]
        assert_same(function(params, x, jnp.asarray(lengths)), want)

    assert traced == [(5, B, I), (7, B, I)]


def test_lengths_that_a_program_computes_are_limited(params, way, rng):  # noqa: F811
    x = draw(rng, T, B, I)
    layer = srj.to_layer("LSTM", params)

    got = jax.jit(lambda n: srj.lstm(params, x, lengths=n))(jnp.array([-2, T + 9]))

    output, state = layer(x, lengths=[0, T])
    assert_same(got, (output, state))


@given(st.data())
@settings(max_examples=25)
def test_vmap_is_a_loop_over_the_batch(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    unbatched, batch_first = data.draw(st.booleans()), data.draw(st.booleans())
    rows = () if unbatched else (B,)
    shape = (T, *rows) if unbatched or not batch_first else (*rows, T)
    arguments = {
        "x": draw(rng, *shape, I),
        "state": draw(rng, 2, *rows, H),
        "mask": rng.random(shape) < 0.7,
        "lengths": rng.integers(0, T + 1, rows),
        "weight": draw(rng, 3 * H, H) / 2,
    }
    wide = {name: np.stack([value] * N) for name, value in arguments.items()}
    wide["x"] = draw(rng, N, *shape, I)
    wide["weight"] = draw(rng, N, 3 * H, H) / 2
    wide["mask"] = rng.random((N, *shape)) < 0.7
    # Weights in one example of four: those are loops.
    chances = {"weight": 4}
    batched = {
        name for name in arguments if data.draw(st.integers(1, chances.get(name, 2)), name) == 1
    }
    batched |= {"x"} if not batched else set()
    axis = {
        name: data.draw(st.integers(0, wide[name].ndim - 1)) if name in batched else None
        for name in arguments
    }
    params = srj.init_params(jax.random.key(2), "GRU", I, H, bidirectional=True)

    def function(values):
        own = params | {"weight_hh_l0": values["weight"]}
        return srj.gru(
            own, values["x"], values["state"], mask=values["mask"], lengths=values["lengths"],
            batch_first=batch_first,
        )  # fmt: skip

    passed = {
        name: np.moveaxis(wide[name], 0, axis[name]) if name in batched else arguments[name]
        for name in arguments
    }
    got = jax.vmap(function, in_axes=(axis,))(passed)

    for n in range(N):
        one = {k: wide[k][n] if k in batched else arguments[k] for k in arguments}
        assert_same(jax.tree.map(lambda array, n=n: array[n], got), function(one))


def test_calls_go_on_where_jit_is_switched_off(params, rng):
    x = draw(rng, T, B, I)
    gradient = jax.jit(jax.grad(lambda params: (srj.lstm(params, x)[0] ** 2).sum()))
    want = jax.tree.map(np.asarray, gradient(params))

    with jax.disable_jit():
        assert_same(gradient(params), want)


def test_vmap_over_shared_parameters_is_one_call(params, rng):
    xs = draw(rng, N, T, I)

    def loss(params):
        return (jax.vmap(srj.lstm, (None, 0))(params, xs)[0] ** 2).sum()

    assert calls(loss, params) == [("forward", "")]
    assert calls(jax.grad(loss), params) == [("record", ""), ("backward", "")]
    layer = srj.to_layer("LSTM", params, batch_first=True)
    tape = layer.record(xs)
    assert_same(jax.grad(loss)(params), tape.backward(2 * tape.output).params)


def test_gradients_row_by_row_sum_to_those_of_all(params, rng):
    xs = draw(rng, N, T, B, I)

    def loss(params, x):
        return (srj.lstm(params, x)[0] ** 2).sum()

    each, d_x = jax.vmap(jax.grad(loss, (0, 1)), (None, 0))(params, xs)

    for n in range(N):
        assert_same((jax.tree.map(lambda a, n=n: a[n], each), d_x[n]), jax.grad(loss, (0, 1))(
            params, xs[n]
        ))  # fmt: skip


def test_vmap_over_parameters_is_an_ensemble(way, rng):  # noqa: F811
    keys = jax.random.split(jax.random.key(3), N)
    members = jax.vmap(lambda key: srj.init_params(key, "GRU", I, H))(keys)
    x = draw(rng, T, B, I)

    @jax.jit
    def gradients(members):
        return jax.vmap(jax.grad(lambda params: (srj.gru(params, x)[0] ** 2).sum()))(members)

    got = gradients(members)

    for n in range(N):
        tape = srj.to_layer("GRU", jax.tree.map(lambda a, n=n: a[n], members)).record(x)
        want = tape.backward(2 * tape.output).params
        assert_same(jax.tree.map(lambda a, n=n: a[n], got), want)


def test_vmap_with_a_shared_key_draws_the_same_for_all(rng):
    params = srj.init_params(jax.random.key(4), "GRU", I, H)
    key, x = jax.random.key(5), draw(rng, T, B, I)

    def function(x):
        return srj.gru(params, x, key=key, recurrent_dropout=0.5)[0]

    got = jax.vmap(function)(np.stack([x, x]))

    assert_same(got[0], function(x))
    assert_same(got[1], function(x))


def test_vmap_of_no_rows(params):
    output, (h, c) = jax.vmap(srj.lstm, (None, 0))(params, jnp.zeros((0, T, I)))

    assert (output.shape, h.shape, c.shape) == ((0, T, 2 * H), (0, 4, H), (0, 4, H))


def test_a_scan_over_steps_is_the_layer(rng):
    layer = sr.LSTM(I, H, seed=6)
    params = {name.removesuffix("_l0"): value for name, value in layer.parameters().items()}
    x = draw(rng, T, B, I)
    zeros = jnp.zeros((B, H))

    def steps(params):
        def body(state, x_t):
            state = srj.lstm_cell(params, x_t, state)
            return state, state[0]

        return jax.lax.scan(body, (zeros, zeros), x)[1]

    tape = layer.record(x)
    assert_same(jax.jit(steps)(params), tape.output)
    got = jax.jit(jax.grad(lambda params: (steps(params) ** 2).sum()))(params)
    near = 2 * tolerance("float32", T, 4 * H)  # JAX adds the steps' gradients of weights up
    for name, value in tape.backward(2 * tape.output).params.items():
        assert_close(got[name.removesuffix("_l0")], value, near, name)


def test_recomputing_changes_no_bit(params, rng):
    x = draw(rng, T, B, I)

    def loss(params):
        return (srj.lstm(params, x)[0] ** 2).sum()

    again = jax.jit(jax.grad(jax.checkpoint(loss)))(params)

    assert_same(again, jax.tree.map(np.asarray, jax.grad(loss)(params)))


def test_jacobians_row_by_row(rng):
    params = srj.init_params(jax.random.key(7), "GRU", I, H)
    x = draw(rng, T, B, I)

    def output(x):
        return srj.gru(params, x)[0]

    jacobian = jax.jacrev(output)(x)

    want = jax.vjp(output, x)[1](jnp.zeros((T, B, H)).at[3, 1, 2].set(1.0))[0]
    assert_same(jacobian[3, 1, 2], np.asarray(want))


def test_data_parallel_gradients_average_over_a_named_axis(params, rng):
    xs = draw(rng, N, T, B, I)

    def gradient(x):
        grads = jax.grad(lambda params: (srj.lstm(params, x)[0] ** 2).sum())(params)
        return jax.lax.pmean(grads, "data")

    got = jax.vmap(gradient, axis_name="data")(xs)

    each = [jax.grad(lambda p, x=x: (srj.lstm(p, x)[0] ** 2).sum())(params) for x in xs]
    for name in params:
        mean = np.mean([np.asarray(grads[name]) for grads in each], axis=0)
        np.testing.assert_allclose(got[name][0], mean, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_forward_mode_is_refused(params, wrap, rng):
    x = draw(rng, T, B, I)

    def output(x):
        return srj.lstm(params, x)[0].sum()

    with pytest.raises(NotImplementedError, match=r"forward-mode .* use jax\.grad"):
        wrap(lambda x: jax.jvp(output, (x,), (x,)))(x)
    with pytest.raises(NotImplementedError, match="forward-mode"):
        wrap(jax.jacfwd(output))(x)


@pytest.mark.parametrize("power", [1, 2], ids=["linear", "square"])
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_second_derivatives_are_refused(params, wrap, power, rng):
    x = draw(rng, T, B, I)

    def penalty(x):
        return (jax.grad(lambda x: (srj.lstm(params, x)[0] ** power).sum())(x) ** 2).sum()

    with pytest.raises(NotImplementedError, match="gradients of gradients"):
        wrap(jax.grad(penalty))(x)
    with pytest.raises(NotImplementedError, match=r"gradients of gradients|forward-mode"):
        wrap(jax.hessian(lambda x: (srj.lstm(params, x)[0] ** power).sum()))(x)
