"""Recurrent layers as functions of JAX arrays, on the compiled engine.

They work under ``jax.jit``, ``jax.grad`` and ``jax.vmap``, on CPUs. Parameters are a dict of arrays
with PyTorch's names, shapes and gate order, the same as of `simdrnn`'s layers. See `apply` for what
all of the functions take.

Examples
--------
>>> import jax, jax.numpy as jnp
>>> import simdrnn.jax as srj
>>> params = srj.init_params(jax.random.key(0), "LSTM", 3, 4)
>>> output, (h, c) = jax.jit(srj.lstm)(params, jnp.ones((5, 2, 3)))
>>> output.shape, h.shape, c.shape
((5, 2, 4), (1, 2, 4), (1, 2, 4))
>>> loss = lambda params, x: (srj.lstm(params, x)[0] ** 2).mean()
>>> jax.grad(loss)(params, jnp.ones((5, 2, 3)))["bias_ih_l0"].shape
(16,)
"""

from __future__ import annotations

try:
    import jax  # noqa: F401 (only whether it is there)
except ImportError as error:
    raise ImportError("simdrnn.jax needs JAX: pip install jax") from error

from simdrnn.engine.pooled import release_shared_networks as release_memory
from simdrnn.jax.execution import uses_ffi
from simdrnn.jax.functions import apply, gru, lstm, rnn
from simdrnn.jax.parameters import from_layer, init_params, to_layer
from simdrnn.jax.steps import gru_cell, lstm_cell, rnn_cell, step

__all__ = [
    "apply",
    "from_layer",
    "gru",
    "gru_cell",
    "init_params",
    "lstm",
    "lstm_cell",
    "release_memory",
    "rnn",
    "rnn_cell",
    "step",
    "to_layer",
    "uses_ffi",
]
