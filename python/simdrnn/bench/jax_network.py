"""Our layers written for JAX: a scan over time, the input product of all steps before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from simdrnn.bench.cases import Case
from simdrnn.bench.problem import Array, Weights

__all__ = ["from_kernels", "jax_network", "to_kernels"]

# Parameters by name, the weights transposed.
Kernels = Mapping[str, Any]


def to_kernels(weights: Weights) -> dict[str, Array]:
    """Transpose the weights to (inputs, outputs), as JAX's own libraries keep them."""
    return {name: np.ascontiguousarray(np.asarray(value).T) for name, value in weights.items()}


def from_kernels(kernels: Kernels) -> dict[str, Array]:
    """Undo `to_kernels`, also for gradients."""
    return {name: np.asarray(value).T for name, value in kernels.items()}


def jax_network(case: Case) -> Callable[[Kernels, Any], Any]:
    """Return the function of a case: kernels and x (T, B, I) to the output (T, B, D*H)."""
    numpy: Any = import_module("jax.numpy")
    scan: Any = import_module("jax.lax").scan
    step = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}[case.cell]

    def direction(kernels: Kernels, x: Any, suffix: str) -> Any:
        bias_hh = kernels[f"bias_hh_{suffix}"]
        products = x @ kernels[f"weight_ih_{suffix}"] + kernels[f"bias_ih_{suffix}"]
        weight_hh = kernels[f"weight_hh_{suffix}"]
        zeros = numpy.zeros((x.shape[1], case.H), x.dtype)

        def body(states: tuple[Any, ...], product: Any) -> Any:
            after = step(product, states[0] @ weight_hh + bias_hh, states)
            return after, after[0]

        states = (zeros, zeros) if case.cell == "lstm" else (zeros,)
        _, outputs = scan(body, states, products, reverse=suffix.endswith("_reverse"))
        return outputs

    def network(kernels: Kernels, x: Any) -> Any:
        for layer in range(case.layers):
            suffixes = (f"l{layer}", f"l{layer}_reverse")[: case.directions]
            x = numpy.concatenate([direction(kernels, x, suffix) for suffix in suffixes], axis=-1)
        return x

    return network


def _lstm(x: Any, h: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
    numpy: Any = import_module("jax.numpy")
    sigmoid: Any = import_module("jax.nn").sigmoid
    i, f, g, o = numpy.split(x + h, 4, axis=-1)
    c = sigmoid(f) * states[1] + sigmoid(i) * numpy.tanh(g)
    return sigmoid(o) * numpy.tanh(c), c


def _gru(x: Any, h: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
    numpy: Any = import_module("jax.numpy")
    sigmoid: Any = import_module("jax.nn").sigmoid
    x_r, x_z, x_n = numpy.split(x, 3, axis=-1)
    h_r, h_z, h_n = numpy.split(h, 3, axis=-1)
    n = numpy.tanh(x_n + sigmoid(x_r + h_r) * h_n)
    return (n + sigmoid(x_z + h_z) * (states[0] - n),)


def _rnn(x: Any, h: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
    del states
    return (import_module("jax.numpy").tanh(x + h),)
