"""Parameters as dicts of JAX arrays: drawn, taken from a layer, or given back to one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from simdrnn.jax.arguments import check_available
from simdrnn.jax.functions import apply_plan
from simdrnn.jax.plan import Plan, check_options, make_layer, setup_of
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.spec.parameters import INITIALIZERS, ParameterSpec
from simdrnn.validate import as_finite_number, check_choice

__all__ = ["from_layer", "init_params", "to_layer"]


def init_params(
    key: Any,
    cell: str,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    *,
    bias: bool = True,
    bidirectional: bool = False,
    dtype: Any = "float32",
    initializer: str = "uniform",
    forget_bias: float | None = None,
    **options: Any,
) -> dict[str, jax.Array]:
    """Draw the parameters of a stack of recurrent layers.

    Parameters
    ----------
    key : a key of `jax.random`.
    cell : name of the layer: ``"LSTM"``, or another of `simdrnn.list_cells`.
    input_size, hidden_size, num_layers : I, H, L.
    bias : whether there are biases.
    bidirectional : whether every layer also runs backwards in time.
    dtype : ``"float32"``, or ``"float64"`` where JAX has it enabled.
    initializer : ``"uniform"``, PyTorch's U(-1/sqrt(H), 1/sqrt(H)) for everything; ``"glorot"``,
        Glorot uniform weights gate by gate, biases 0; ``"orthogonal"``, as glorot with
        ``weight_hh`` orthogonal gate by gate.
    forget_bias : initial bias of the gate that keeps the state, over both biases.
    options : those that decide which parameters there are, as an LSTM's ``peephole``, and
        ``learn_initial_state``. Others do no harm.

    Returns
    -------
    dict name -> array, in PyTorch's order.

    Raises
    ------
    TypeError, ValueError : an argument does not fit.

    Examples
    --------
    >>> import jax, simdrnn.jax as srj
    >>> params = srj.init_params(jax.random.key(0), "GRU", 3, 4, bias=False)
    >>> {name: array.shape for name, array in params.items()}
    {'weight_ih_l0': (12, 3), 'weight_hh_l0': (12, 4)}
    """
    check_choice("initializer", initializer, INITIALIZERS)
    plan = Plan(
        make_layer(
            cell, input_size, hidden_size, num_layers=num_layers, bias=bias,
            bidirectional=bidirectional, dtype=dtype, **options,
        )
    )  # fmt: skip
    check_available("dtype", plan.dtype)
    keys = jax.random.split(key, len(plan.specs))
    params = {
        name: _draw(one, spec, plan, initializer)
        for one, (name, spec) in zip(keys, plan.specs.items(), strict=True)
    }
    return params if forget_bias is None else _with_forget_bias(params, plan, forget_bias)


def _draw(key: Any, spec: ParameterSpec, plan: Plan, initializer: str) -> jax.Array:
    """Draw one parameter, from the distribution that layers draw it from."""
    hidden, shape = plan.hidden_size, spec.shape
    draw = partial(jax.random.uniform, key, shape, plan.dtype)
    if any(spec.name in names for names in plan.learned):
        return jnp.zeros(shape, plan.dtype)
    if spec.initial is not None:
        low, high = spec.initial
        return draw(minval=low, maxval=high) if low < high else jnp.full(shape, low, plan.dtype)
    if initializer == "uniform":
        bound = 1.0 / math.sqrt(hidden)
        return draw(minval=-bound, maxval=bound)
    if len(shape) == 1:
        return jnp.zeros(shape, plan.dtype)
    rows, width = shape
    if initializer == "orthogonal" and spec.name.startswith("weight_hh"):
        orthogonal = jax.nn.initializers.orthogonal()
        gates = jax.random.split(key, rows // hidden)
        return jnp.concatenate([orthogonal(one, (hidden, width), plan.dtype) for one in gates])
    bound = math.sqrt(6.0 / (width + min(rows, hidden)))  # each gate is a matrix of its own
    return draw(minval=-bound, maxval=bound)


def _with_forget_bias(
    params: dict[str, jax.Array], plan: Plan, value: object
) -> dict[str, jax.Array]:
    """Set the biases of the gate that keeps the state: all of it in bias_ih."""
    total = as_finite_number("forget_bias", value)
    if plan.info.keep < 0:
        raise ValueError(f"forget_bias: expected a cell with a forget gate, got {plan.info.name}")
    if not plan.sizes.bias:
        raise ValueError(f"forget_bias: expected bias=True with it, got {value!r}")
    gate = slice(plan.info.keep * plan.hidden_size, (plan.info.keep + 1) * plan.hidden_size)
    return {
        name: array.at[gate].set(total if name.startswith("bias_ih") else 0.0)
        if name.startswith("bias_")
        else array
        for name, array in params.items()
    }


def from_layer(layer: RecurrentLayer) -> tuple[dict[str, jax.Array], Callable[..., Any]]:
    """Return a layer as parameters and a function of them.

    Parameters
    ----------
    layer : of `simdrnn`. What is drawn at random comes from the `key` of a call, not its seed.

    Returns
    -------
    params : dict name -> array: copies of the layer's.
    function : `simdrnn.jax.apply` without `cell` and the options, which are the layer's, as is
        `batch_first`.

    Raises
    ------
    TypeError, ValueError : it is no such layer; it has an option that `simdrnn.jax.apply` leaves to
        JAX; it is float64 and JAX has that switched off.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr, simdrnn.jax as srj
    >>> layer = sr.LSTM(3, 4, bidirectional=True, seed=0)
    >>> params, function = srj.from_layer(layer)
    >>> x = np.ones((5, 2, 3), "float32")
    >>> bool((function(params, x)[0] == layer(x)[0]).all())
    True
    """
    if not isinstance(layer, RecurrentLayer):
        raise TypeError(f"layer: expected a layer of simdrnn, got {type(layer).__name__}")
    check_available("layer", layer.dtype)
    plan = Plan(layer)
    params = {name: jnp.array(array) for name, array in layer.state_dict().items()}
    return params, partial(_function, plan, layer.batch_first)


def _function(
    plan: Plan, batch_first: bool, params: Any, x: Any, initial_state: Any = None, **keywords: Any
) -> tuple[jax.Array, Any]:
    """Run the layer that `from_layer` was given."""
    if not isinstance(params, Mapping):
        raise TypeError(f"params: expected a dict name -> array, got {type(params).__name__}")
    plan.check_names(params)
    keywords = {"batch_first": batch_first} | keywords
    return apply_plan(plan, params, x, initial_state, **keywords)


def to_layer(cell: str, params: Mapping[str, Any], **options: Any) -> RecurrentLayer:
    """Return a layer of `simdrnn` with these parameters.

    Parameters
    ----------
    cell : name of the layer: ``"LSTM"``, or another of `simdrnn.list_cells`.
    params : as for `simdrnn.jax.apply`; they are copied.
    options : of the layer's constructor, sizes aside.

    Returns
    -------
    layer of `simdrnn`.

    Raises
    ------
    TypeError, ValueError : they are no parameters of such a layer.

    Examples
    --------
    >>> import jax, simdrnn.jax as srj
    >>> params = srj.init_params(jax.random.key(0), "GRU", 3, 4, num_layers=2)
    >>> srj.to_layer("GRU", params)
    GRU(3, 4, num_layers=2)
    """
    setup = setup_of(params)
    check_options(options, {})
    layer = make_layer(cell, **setup, **options)
    layer.load_state_dict({name: np.asarray(array) for name, array in params.items()})
    return layer
