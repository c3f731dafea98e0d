"""What tests of `simdrnn.jax` share: problems run through it, and a scan to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers import LAYERS, as_tuple

jax = pytest.importorskip("jax", reason="needs the [peers] extra: jax")

import jax.numpy as jnp  # noqa: E402

import simdrnn.jax as srj  # noqa: E402
from simdrnn.jax import execution  # noqa: E402

WAYS = ("ffi", "callback")


@pytest.fixture(params=WAYS)
def way(request):
    """Have calls take each way to the engine while a test runs."""
    if request.param == "ffi" and not srj.uses_ffi():
        pytest.skip("built without SIMDRNN_JAX")
    execution.choose(request.param)
    yield request.param
    execution.choose(None)


@pytest.fixture
def x64():
    """Let JAX have float64 while a test runs."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def to_jax(value):
    """Return arrays, or tuples or dicts of them, as JAX's."""
    return jax.tree.map(jnp.asarray, value)


def differentiated(function, arguments, cotangents):
    """Return a function's results and its gradients for them, all from one compiled program."""

    @jax.jit
    def both(arguments, cotangents):
        results, pullback = jax.vjp(function, *arguments)
        return results, pullback(cotangents)

    return both(to_jax(arguments), to_jax(cotangents))


def run_problem(problem, cell, *, key=None, **options):
    """Return output, state, and gradients as `Tape.backward` names them, through JAX."""
    name, extra = LAYERS[cell]
    params = {name: np.asarray(value) for name, value in problem.layer.parameters().items()}

    def function(params, x, state):
        return srj.apply(name, params, x, state, key=key, **problem.call, **extra, **options)

    results, (params, x, state) = differentiated(
        function, (params, problem.x, problem.state), (problem.d_output, problem.d_state)
    )
    return results, {"x": x, "state": state, "params": params}


def assert_same(got: Any, want: Any) -> None:
    """Compare arrays, or tuples or dicts of them, bit by bit."""
    if isinstance(want, dict):
        assert set(got) == set(want)
        for name in want:
            assert_same(got[name], want[name])
    elif isinstance(want, tuple):
        for one, other in zip(got, want, strict=True):
            assert_same(one, other)
    else:
        got, want = np.asarray(got), np.asarray(want)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def assert_same_as_layer(problem, results, gradients, *, state=True):
    """Compare with the layer itself, bit by bit."""
    tape = problem.record()
    grads = tape.backward(problem.d_output, problem.d_state)
    assert_same(results[0], tape.output)
    assert_same(tuple(as_tuple(results[1])), tuple(as_tuple(tape.state)))
    assert_same(gradients["x"], grads.x)
    assert_same(gradients["params"], grads.params)
    if state:
        assert_same(tuple(as_tuple(gradients["state"])), tuple(as_tuple(grads.state)))


def scan_layer(cell, params, x, state, reverse=False):
    """Run one layer and direction with jax.lax.scan: (output, states)."""
    products = x @ params["weight_ih"].T + params["bias_ih"]

    def body(states, product):
        h = states[0]
        recurrent = h @ params["weight_hh"].T + params["bias_hh"]
        after = SCANNED[cell](product, recurrent, states)
        return after, after[0]

    states, output = jax.lax.scan(body, state, products, reverse=reverse)
    return output, states


def _lstm(x, h, states):
    i, f, g, o = jnp.split(x + h, 4, axis=-1)
    c = jax.nn.sigmoid(f) * states[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _gru(x, h, states):
    (x_r, x_z, x_n), (h_r, h_z, h_n) = jnp.split(x, 3, axis=-1), jnp.split(h, 3, axis=-1)
    n = jnp.tanh(x_n + jax.nn.sigmoid(x_r + h_r) * h_n)
    z = jax.nn.sigmoid(x_z + h_z)
    return ((1 - z) * n + z * states[0],)


def _rnn(x, h, states):
    del states
    return (jnp.tanh(x + h),)


SCANNED = {"lstm": _lstm, "gru": _gru, "rnn_tanh": _rnn}


def scan_stack(cell, params, x, state, layers, directions):
    """Run a stack: output (T, B, D*H), tuple of final states (L*D, B, H)."""
    finals = []
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            end = f"_l{layer}" + "_reverse" * direction
            own = {name.removesuffix(end): params[name] for name in params if name.endswith(end)}
            index = layer * directions + direction
            began = tuple(member[index] for member in state)
            output, final = scan_layer(cell, own, x, began, reverse=direction == 1)
            outputs.append(output)
            finals.append(final)
        x = jnp.concatenate(outputs, axis=-1)
    return x, tuple(jnp.stack(members) for members in zip(*finals, strict=True))
