"""JAX's transforms of our Keras layers; run by test_keras.py on JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers_keras_bridge import twins

SHAPE, H = (2, 3, 3), 4

TRANSFORMS = {
    "grad": lambda f, x: jax.grad(lambda x: f(x).sum())(x),
    "jacrev": lambda f, x: jax.jacrev(f)(x),
    "vmap": lambda f, x: jax.vmap(f)(jnp.stack([x, 2 * x])),
    "vmap of grad": lambda f, x: jax.jit(jax.vmap(jax.grad(lambda x: f(x).sum())))(
        jnp.stack([x, 2 * x])
    ),
    "checkpoint": lambda f, x: jax.grad(jax.checkpoint(lambda x: f(x).sum()))(x),
}


def functions(kind):
    """Return Keras's layer and ours as functions of x."""
    made = []
    for layer in twins(kind, SHAPE, H, np.random.default_rng(3)):
        weights = [variable.value for variable in layer.trainable_variables]
        fixed = [variable.value for variable in layer.non_trainable_variables]
        made.append(lambda x, call=layer.stateless_call, w=weights, f=fixed: call(w, f, x)[0])
    return made


X = np.random.default_rng(5).standard_normal(SHAPE).astype("float32")


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_are_those_of_keras(name):
    want, got = (TRANSFORMS[name](function, jnp.asarray(X)) for function in functions("lstm"))

    np.testing.assert_allclose(got, want, rtol=0, atol=2e-5)
    assert float(jnp.abs(got).max()) > 1e-3


def test_an_ensemble_has_weights_of_its_own():
    _, layer = twins("gru", SHAPE, H, np.random.default_rng(3))
    weights = [variable.value for variable in layer.trainable_variables]
    fixed = [variable.value for variable in layer.non_trainable_variables]

    def loss(weights):
        return layer.stateless_call(weights, fixed, X)[0].sum()

    got = jax.vmap(jax.grad(loss))([jnp.stack([one, 2 * one]) for one in weights])

    for index, factor in enumerate((1, 2)):
        want = jax.grad(loss)([factor * one for one in weights])
        for one, other in zip(got, want, strict=True):
            np.testing.assert_array_equal(one[index], other)


@pytest.mark.parametrize("name", ["jvp", "jacfwd", "hessian", "grad of grad"])
def test_what_has_no_rule_is_refused(name):
    _, function = functions("gru")

    def loss(x):
        return function(x).sum()

    transforms = {
        "jvp": lambda x: jax.jvp(loss, (x,), (x,)),
        "jacfwd": jax.jacfwd(loss),
        "hessian": jax.hessian(loss),
        "grad of grad": jax.grad(lambda x: (jax.grad(loss)(x) ** 2).sum()),
    }

    with pytest.raises((NotImplementedError, TypeError), match="forward-mode"):
        transforms[name](jnp.asarray(X))
