"""Train an LSTM with JAX: one model for one sequence, vmap over the batch, jit and gradients."""

import jax
import jax.numpy as jnp

import simdrnn.jax as srj


def predict(model, x):
    """Return one number for a sequence x (T, 1)."""
    _, (h, _) = srj.lstm(model["lstm"], x)
    return h[-1] @ model["readout"]


@jax.jit
def step(model, xs):
    """Return the loss of a batch (N, T, 1), and the model after a step of gradient descent."""

    def loss(model):
        return ((jax.vmap(predict, (None, 0))(model, xs) - xs.mean((1, 2))) ** 2).mean()

    value, gradients = jax.value_and_grad(loss)(model)
    return value, jax.tree.map(lambda weight, slope: weight - 0.5 * slope, model, gradients)


key = jax.random.key(0)
model = {"lstm": srj.init_params(key, "LSTM", 1, 32), "readout": jnp.zeros(32)}
for index in range(400):
    xs = jax.random.uniform(jax.random.fold_in(key, index), (64, 10, 1), minval=-1.0)
    value, model = step(model, xs)
    if index in (0, 399):
        print("loss", float(value))
