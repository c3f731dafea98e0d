"""Layers as functions of parameters and input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from simdrnn.jax.arguments import check_call
from simdrnn.jax.plan import Plan, plan_of
from simdrnn.jax.primitives import run

__all__ = ["apply", "apply_plan", "gru", "lstm", "rnn"]


def apply(
    cell: str,
    params: Mapping[str, Any],
    x: Any,
    initial_state: Any = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    reset: Any = None,
    reset_state: Any = None,
    masked_output: str = "zero",
    batch_first: bool = False,
    key: Any = None,
    checkpoint_every: int | None = None,
    num_threads: int | None = None,
    **options: Any,
) -> tuple[jax.Array, Any]:
    """Run a stack of recurrent layers over whole sequences.

    Parameters
    ----------
    cell : name of the layer: ``"LSTM"``, ``"GRU"``, ``"RNN"``, or another of
        `simdrnn.list_cells`.
    params : dict name -> array, as `init_params` makes it: ``weight_ih_l0`` (G*H, I),
        ``weight_hh_l0`` (G*H, H), ``bias_ih_l0`` and ``bias_hh_l0`` (G*H,) and so on, with
        PyTorch's names, layouts and gate order. Names and shapes tell I, H, how many layers there
        are, whether they have biases and run in both directions; float32 or float64.
    x : (T, B, I), (B, T, I) with `batch_first`, or unbatched (T, I); of the parameters' dtype.
    initial_state : h_0 (L*D, B, H), or the tuple (h_0, c_0) for LSTM; unbatched without B.
        None is zeros, or what ``params`` have as ``h_0_l0`` (and ``c_0_l0``) and so on, (H,) each.
    lengths : (B,) integers in [0, T]: how many steps of each row are real. Values that are only
        known when a compiled program runs are limited to that range.
    mask : (T, B) bool, laid out like `x`: True where the step is real. At other steps every state
        is carried over.
    reset : (T, B) bool, laid out like `x`: True where an episode begins: the state is replaced
        before the step is consumed, whatever `initial_state` is, by what was learned if there are
        parameters ``h_0_l0`` and so on, and else by zeros; no gradient crosses it.
    reset_state : what `reset` goes to instead: ``"zero"``, ``"learned"``, ``"given"``, which is
        `initial_state`, or a state in its form.
    masked_output : ``"zero"`` or ``"hold"``: what a step that is not real outputs, 0 or the
        carried hidden state.
    batch_first : whether sequences are (B, T, ...); states never are.
    key : a key of `jax.random`, which switches on what is random in training: dropouts and
        sampled zoneout. None is inference.
    checkpoint_every : k steps: under differentiation keep the hidden state of every step and the
        others of every k-th, and compute the rest again; same gradients, bit for bit.
    num_threads : None leaves the choice to the engine. Never changes the result.
    options : as for the layer's constructor: ``dropout``, ``gate_clip``, ``zoneout``,
        ``activation``, an LSTM's ``peephole`` and so on. Not those that JAX does as well in a line:
        ``merge``, ``residual``, ``reverse``, ``weight_dropout``, ``weight_noise``.

    Returns
    -------
    output : (T, B, D*H), laid out like `x`.
    state : the state after the last step of each row, in the form of `initial_state`.

    Raises
    ------
    TypeError, ValueError : an argument does not fit; while tracing, never inside a program.
    NotImplementedError : the call is differentiated in forward mode, or twice.

    Notes
    -----
    Under ``jax.vmap`` calls become one call with a larger batch where parameters are shared and
    no `key` is given; otherwise a loop. Gradients of parameters one by one are a loop, too.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, simdrnn.jax as srj
    >>> params = srj.init_params(jax.random.key(0), "MGU", 3, 4, bidirectional=True)
    >>> output, h = srj.apply("MGU", params, jnp.ones((5, 2, 3)), lengths=jnp.array([5, 2]))
    >>> output.shape, h.shape
    ((5, 2, 8), (2, 2, 4))
    """
    plan = plan_of(cell, params, options)
    return apply_plan(
        plan, params, x, initial_state, lengths=lengths, mask=mask, reset=reset,
        reset_state=reset_state, masked_output=masked_output, batch_first=batch_first, key=key,
        checkpoint_every=checkpoint_every, num_threads=num_threads,
    )  # fmt: skip


def apply_plan(
    plan: Plan, params: Mapping[str, Any], x: Any, initial_state: Any = None, **arguments: Any
) -> tuple[jax.Array, Any]:
    """Do what `apply` says, for a network that is known."""
    checked = check_call(plan, params, x, initial_state, **arguments)
    output, states = run(plan, checked.call, checked.arguments)
    if not checked.batched:
        output, states = output[0], tuple([state[:, 0] for state in states])
    return output, states if len(states) > 1 else states[0]


def lstm(
    params: Mapping[str, Any], x: Any, initial_state: Any = None, **keywords: Any
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Run an LSTM over whole sequences.

    Parameters
    ----------
    params, x, initial_state, keywords : as for `apply`.

    Returns
    -------
    output : (T, B, D*H), laid out like `x`.
    (h_n, c_n) : (L*D, B, H) each.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, simdrnn.jax as srj
    >>> params = srj.init_params(jax.random.key(0), "LSTM", 3, 4, num_layers=2)
    >>> output, (h, c) = srj.lstm(params, jnp.ones((2, 5, 3)), batch_first=True)
    >>> output.shape, c.shape
    ((2, 5, 4), (2, 2, 4))
    """
    return apply("LSTM", params, x, initial_state, **keywords)


def gru(
    params: Mapping[str, Any], x: Any, initial_state: Any = None, **keywords: Any
) -> tuple[jax.Array, jax.Array]:
    """Run a GRU over whole sequences; ``reset_after=True`` is PyTorch's, and the default.

    Parameters
    ----------
    params, x, initial_state, keywords : as for `apply`.

    Returns
    -------
    output : (T, B, D*H), laid out like `x`.
    h_n : (L*D, B, H).

    Examples
    --------
    >>> import jax, jax.numpy as jnp, simdrnn.jax as srj
    >>> params = srj.init_params(jax.random.key(0), "GRU", 3, 4)
    >>> rows = jnp.ones((7, 5, 3))  # seven sequences without a batch axis
    >>> jax.vmap(srj.gru, in_axes=(None, 0))(params, rows)[0].shape
    (7, 5, 4)
    """
    return apply("GRU", params, x, initial_state, **keywords)


def rnn(
    params: Mapping[str, Any], x: Any, initial_state: Any = None, **keywords: Any
) -> tuple[jax.Array, jax.Array]:
    """Run an Elman network over whole sequences; ``nonlinearity`` is ``"tanh"`` or ``"relu"``.

    Parameters
    ----------
    params, x, initial_state, keywords : as for `apply`.

    Returns
    -------
    output : (T, B, D*H), laid out like `x`.
    h_n : (L*D, B, H).

    Examples
    --------
    >>> import jax, jax.numpy as jnp, simdrnn.jax as srj
    >>> params = srj.init_params(jax.random.key(0), "RNN", 3, 4)
    >>> srj.rnn(params, jnp.ones((5, 3)), nonlinearity="relu")[0].shape
    (5, 4)
    """
    return apply("RNN", params, x, initial_state, **keywords)
