"""From the arguments of a call to what the engine takes, checked while JAX traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from simdrnn.jax.execution import chosen_way
from simdrnn.jax.operands import Call
from simdrnn.jax.plan import Plan
from simdrnn.layers.arguments import Layout
from simdrnn.validate import (
    MOST_THREADS,
    as_array,
    as_bool,
    as_lengths,
    as_positive,
    check_choice,
    check_shape,
)

__all__ = ["Checked", "as_operand", "check_available", "check_call"]


class Checked(NamedTuple):
    """A checked call: what is fixed, the arrays, and whether they came with a batch axis."""

    call: Call
    arguments: list[jax.Array]
    batched: bool


def check_call(
    plan: Plan,
    params: Mapping[str, Any],
    x: Any,
    initial_state: Any,
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
) -> Checked:
    """Check the arguments of `simdrnn.jax.apply` and put them into the engine's order."""
    weights = _parameters(plan, params)
    x, layout = _sequence(plan, x, as_bool("batch_first", batch_first))
    # Unbatched sequences are batches of one, batch first: that axis then folds without a copy.
    sequence = x if layout.batched else x[None]
    inner = Layout(layout.batch_first or not layout.batched)
    steps, batch = sequence.shape[1::-1] if inner.batch_first else sequence.shape[:2]
    if initial_state is None:
        states = _default_states(plan, params, batch)
    else:
        states = _states(plan, "initial_state", initial_state, batch, layout)
    resets: Sequence[jax.Array] = ()
    if reset is not None:
        resets = _reset_states(plan, params, initial_state, reset_state, batch, layout)
    elif reset_state is not None:
        raise ValueError("reset_state: expected reset= with it, got None")
    check_choice("masked_output", masked_output, ("zero", "hold"))
    threads = 0
    if num_threads is not None:
        threads = min(as_positive("num_threads", num_threads), MOST_THREADS)
    optional = {
        "lengths": None if lengths is None else _lengths(lengths, steps, batch, layout),
        "mask": _flags("mask", mask, steps, batch, layout),
        "reset": _flags("reset", reset, steps, batch, layout),
        "key": _key_words(key, plan.draws),
    }
    call = Call(
        batch_first=inner.batch_first,
        hold=masked_output == "hold",
        threads=threads,
        every=plan.tape.spacing(checkpoint_every, steps),
        reset_states=bool(resets),
        way=chosen_way(),
        **{name: array is not None for name, array in optional.items()},
    )
    rest = [array for array in optional.values() if array is not None]
    return Checked(call, [sequence, *states, *weights, *resets, *rest], layout.batched)


def as_operand(name: str, value: Any, dtype: np.dtype[Any]) -> jax.Array:
    """Return a value as an array of JAX; its dtype must already be the wanted one."""
    if isinstance(value, jax.Array):
        if value.dtype != dtype:
            raise TypeError(
                f"{name}: expected dtype {dtype}, got {value.dtype}; convert it explicitly"
            )
        return value
    array = as_array(name, value, dtype)
    check_available(name, dtype)
    return jnp.asarray(array)


def check_available(name: str, dtype: np.dtype[Any]) -> None:
    """Raise where JAX would make another dtype of this one."""
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise TypeError(
            f"{name}: expected jax.config.update('jax_enable_x64', True) for {dtype}, "
            "got it switched off"
        )


def _parameters(plan: Plan, params: Mapping[str, Any]) -> list[jax.Array]:
    """Check the parameters and return them as the engine takes them."""
    arrays = []
    for name in plan.names:
        array = _parameter(plan, params, name)
        arrays.append(jnp.broadcast_to(array, plan.hidden_size) if name in plan.shared else array)
    return arrays


def _parameter(plan: Plan, params: Mapping[str, Any], name: str) -> jax.Array:
    """Check one parameter."""
    spec = plan.specs[name]
    array = as_operand(name, params[name], plan.dtype)
    check_shape(name, array, spec.letters, spec.shape)
    return array


def _sequence(plan: Plan, x: Any, batch_first: bool) -> tuple[jax.Array, Layout]:
    """Check `x` and tell how it is laid out."""
    array = as_operand("x", x, plan.dtype)
    layout = Layout(batch_first, array.ndim != 2)
    if array.ndim not in (2, 3) or array.shape[-1] != plan.input_size:
        letters = ", ".join(Layout(batch_first).shape("T", "B", str(plan.input_size)))
        raise ValueError(
            f"x: expected shape ({letters}) or unbatched (T, {plan.input_size}), got {array.shape}"
        )
    return array, layout


def _default_states(plan: Plan, params: Mapping[str, Any], batch: int) -> list[jax.Array]:
    """Return zeros, or the states that are parameters for every row of the batch."""
    shapes = plan.state_shapes(batch)
    if not plan.learned:
        return [jnp.zeros(shape, plan.dtype) for shape in shapes]
    rows = [jnp.stack([_parameter(plan, params, name) for name in names]) for names in plan.learned]
    return [jnp.broadcast_to(row[:, None], shape) for row, shape in zip(rows, shapes, strict=True)]


def _states(plan: Plan, argument: str, value: Any, batch: int, layout: Layout) -> list[jax.Array]:
    """Check states in the caller's form and return arrays (L*D, B, H)."""
    names = plan.state_names
    if len(names) == 1:
        if isinstance(value, (tuple, list)):
            raise TypeError(
                f"{argument}: expected one array {names[0]}, got a {type(value).__name__} "
                f"of {len(value)}"
            )
        named = [(argument, value)]
    else:
        if not isinstance(value, (tuple, list)) or len(value) != len(names):
            found = type(value).__name__
            found += f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
            raise TypeError(f"{argument}: expected a tuple ({', '.join(names)}), got {found}")
        named = [(f"{argument}[{index}]", state) for index, state in enumerate(value)]
    states = []
    for (name, state), (rows, _, hidden) in zip(named, plan.state_shapes(batch), strict=True):
        array = as_operand(name, state, plan.dtype)
        letters = layout.state_shape("L*D", "B", "P" if hidden < plan.hidden_size else "H")
        check_shape(name, array, letters, layout.state_shape(rows, batch, hidden))
        states.append(array if layout.batched else array[:, None])
    return states


def _reset_states(
    plan: Plan, params: Mapping[str, Any], initial: Any, value: Any, batch: int, layout: Layout
) -> list[jax.Array]:
    """Return what resets go to; nothing where that is the state the call begins with."""
    if value is not None and not isinstance(value, str):
        return _states(plan, "reset_state", value, batch, layout)
    if value is not None:
        check_choice("reset_state", value, ("zero", "learned", "given"))
    if value == "learned" and not plan.learned:
        raise ValueError(
            "reset_state: expected params with learned states, h_0_l0 and so on, for 'learned', "
            "got params without"
        )
    if value == "zero":
        return [jnp.zeros(shape, plan.dtype) for shape in plan.state_shapes(batch)]
    # Where no state is given the call begins with what resets go to.
    if value == "given" or initial is None:
        return []
    return _default_states(plan, params, batch)


def _lengths(value: Any, steps: int, batch: int, layout: Layout) -> jax.Array:
    """Check lengths, their values where these are known, and return them as (B,) int32."""
    rows = batch if layout.batched else None
    if not isinstance(value, jax.core.Tracer):
        return jnp.asarray(as_lengths(value, steps, rows).astype(np.int32))
    if value.dtype.kind not in "iu":
        raise TypeError(f"lengths: expected an integer dtype, got {value.dtype}")
    check_shape("lengths", value, *((("B",), (batch,)) if layout.batched else ((), ())))
    return jnp.clip(value, 0, steps).astype(jnp.int32).reshape(batch)


def _flags(name: str, value: Any, steps: int, batch: int, layout: Layout) -> jax.Array | None:
    """Check `mask` or `reset` and return it as (T, B)."""
    if value is None:
        return None
    array = as_operand(name, value, np.dtype(np.bool_))
    check_shape(name, array, layout.shape("T", "B"), layout.shape(steps, batch))
    if not layout.batched:
        return array[:, None]
    return array.T if layout.batch_first else array


def _key_words(key: Any, wanted: bool) -> jax.Array | None:
    """Make the 64 bits that everything random is a function of, where there is such a thing."""
    if key is None:
        return None
    try:
        words: jax.Array = jax.random.bits(key, (2,), "uint32")
    except (TypeError, ValueError) as error:
        found = type(key).__name__
        raise TypeError(f"key: expected a key of jax.random, got {found}: {error}") from error
    return words if wanted else None
