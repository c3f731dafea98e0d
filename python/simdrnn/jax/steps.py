"""Single steps, as PyTorch's ``*Cell``: parameters without the suffix of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from simdrnn.jax.arguments import as_operand
from simdrnn.jax.functions import apply_plan
from simdrnn.jax.plan import plan_of

__all__ = ["gru_cell", "lstm_cell", "rnn_cell", "step"]


def step(
    cell: str,
    params: Mapping[str, Any],
    x: Any,
    state: Any = None,
    *,
    key: Any = None,
    num_threads: int | None = None,
    **options: Any,
) -> Any:
    """Take one step.

    A whole sequence in one call of `simdrnn.jax.apply` is many times faster than a loop of steps:
    use steps where an input depends on the output before.

    Parameters
    ----------
    cell : name of the layer: ``"LSTM"``, or another of `simdrnn.list_cells`.
    params : dict name -> array: ``weight_ih`` (G*H, I), ``weight_hh`` (G*H, H), and ``bias_ih`` and
        ``bias_hh`` (G*H,) or neither.
    x : (B, I), or unbatched (I,).
    state : h (B, H), or the tuple (h, c) for LSTM; unbatched (H,). None is zeros.
    key, num_threads, options : as for `simdrnn.jax.apply`.

    Returns
    -------
    state after the step, in the form of the argument.

    Raises
    ------
    TypeError, ValueError : an argument does not fit.

    Examples
    --------
    >>> import jax.numpy as jnp, simdrnn.jax as srj
    >>> params = {"weight_ih": jnp.ones((8, 3)), "weight_hh": jnp.ones((8, 4))}
    >>> srj.step("MGU", params, jnp.ones((2, 3))).shape
    (2, 4)
    """
    if not isinstance(params, Mapping):
        raise TypeError(f"params: expected a dict name -> array, got {type(params).__name__}")
    named = {f"{name}_l0": array for name, array in params.items()}
    plan = plan_of(cell, named, options)
    x = as_operand("x", x, plan.dtype)
    if x.ndim not in (1, 2) or x.shape[-1] != plan.input_size:
        size = plan.input_size
        raise ValueError(f"x: expected shape (B, {size}) or ({size},), got {x.shape}")
    _, final = apply_plan(
        plan, named, x[None], jax.tree.map(lambda array: array[None], state), key=key,
        num_threads=num_threads,
    )  # fmt: skip
    return jax.tree.map(lambda array: array[0], final)


def lstm_cell(
    params: Mapping[str, Any], x: Any, state: Any = None, **options: Any
) -> tuple[jax.Array, jax.Array]:
    """Take one step of an LSTM.

    Parameters
    ----------
    params, x, state, options : as for `step`.

    Returns
    -------
    (h, c) : (B, H) each.

    Examples
    --------
    >>> import jax.numpy as jnp, simdrnn.jax as srj
    >>> params = {"weight_ih": jnp.ones((16, 3)), "weight_hh": jnp.ones((16, 4))}
    >>> h, c = srj.lstm_cell(params, jnp.ones((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """
    h, c = step("LSTM", params, x, state, **options)
    return h, c


def gru_cell(params: Mapping[str, Any], x: Any, state: Any = None, **options: Any) -> jax.Array:
    """Take one step of a GRU.

    Parameters
    ----------
    params, x, state, options : as for `step`.

    Returns
    -------
    h : (B, H).
    """
    h: jax.Array = step("GRU", params, x, state, **options)
    return h


def rnn_cell(params: Mapping[str, Any], x: Any, state: Any = None, **options: Any) -> jax.Array:
    """Take one step of an Elman network.

    Parameters
    ----------
    params, x, state, options : as for `step`.

    Returns
    -------
    h : (B, H).
    """
    h: jax.Array = step("RNN", params, x, state, **options)
    return h
