"""Keras on JAX: a function with its own gradient, called back from compiled programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from simdrnn.keras.kernel import Call

__all__ = ["ZERO_BEFORE_FIRST", "obstacle", "run"]

Tensors: TypeAlias = "Sequence[jax.Array]"

# What a layer that repeats its last output at masked steps puts out before the first real one:
# 0, or as Keras does on this backend the state it begins with.
ZERO_BEFORE_FIRST = False

# Not part of what JAX promises to keep.
_emit: Any = getattr(mlir, "emit_python_callback", None)


def obstacle(tensors: Tensors) -> str | None:
    """Say why these tensors cannot be used; None if they can."""
    if jax.default_backend() != "cpu":
        return "JAX does not run on the CPU"
    if _emit is None:
        return f"JAX {jax.__version__} has no emit_python_callback"
    if any(type(size) is not int for tensor in tensors for size in tensor.shape):
        return "shapes are symbolic, as while exporting"
    return None


# A call out of a compiled program. `jax.pure_callback` would copy every array into one of JAX's,
# on JAX's own threads; with one CPU these are the thread that waits for the copies, and the program
# never ends (github.com/jax-ml/jax/issues/24255). Here NumPy's views of XLA's buffers arrive.

_callback_p = Primitive("simdrnn_keras")
_callback_p.multiple_results = True


@_callback_p.def_abstract_eval
def _abstract(*_: Any, shapes: tuple[Any, ...], **__: Any) -> list[Any]:
    """Return what a call puts out."""
    return [jax.core.ShapedArray(shape.shape, shape.dtype) for shape in shapes]


def _lower(context: Any, *operands: Any, function: Callable[..., Any], **_: Any) -> Any:
    """Put a call into a program."""
    results, _, _ = _emit(
        context, function, None, list(operands), context.avals_in, context.avals_out,
        has_side_effect=False, returns_token=False,
    )  # fmt: skip
    return results


mlir.register_lowering(_callback_p, _lower, platform="cpu")


@partial(jax.jit, static_argnames=("function", "shapes"))
def _compiled(*arrays: Any, function: Callable[..., Any], shapes: tuple[Any, ...]) -> Any:
    """Make a program of one call."""
    return _callback_p.bind(*arrays, function=function, shapes=shapes)


_callback_p.def_impl(_compiled)


def _batch(arrays: Any, dims: Any, **static: Any) -> tuple[Any, list[int]]:
    """Call once for each member of a batch: Jacobians bring gradients so, ensembles weights."""
    moved = [
        array if dim is None else jnp.moveaxis(array, dim, 0)
        for array, dim in zip(arrays, dims, strict=True)
    ]

    def one(members: Any) -> Any:
        rest = iter(members)
        given = [a if dim is None else next(rest) for a, dim in zip(moved, dims, strict=True)]
        return _callback_p.bind(*given, **static)

    batched = [array for array, dim in zip(moved, dims, strict=True) if dim is not None]
    made = jax.lax.map(one, batched)
    return made, [0] * len(made)


def _no_second(*_: Any, **__: Any) -> Any:
    raise NotImplementedError(
        "simdrnn.keras: gradients of gradients and forward-mode ones are not available on JAX; "
        "simdrnn.keras.revert(model) has Keras's own layers run, which have them"
    )


batching.primitive_batchers[_callback_p] = _batch
ad.primitive_jvps[_callback_p] = _no_second


def _on_host(function: _Function, shapes: Any, arguments: Any) -> Any:
    """Call a function of arrays on the host, of pytrees that are flattened for it."""
    leaves, structure = jax.tree.flatten(arguments)
    flat, result = jax.tree.flatten(shapes)
    made = _callback_p.bind(*leaves, function=_Flat(function, structure), shapes=tuple(flat))
    return jax.tree.unflatten(result, made)


class _Function(NamedTuple):
    """What is called; equal ones share a compiled program.

    Parameters
    ----------
    method : of `Kernel`, by name.
    call : its first argument.
    """

    method: str
    call: Call


class _Flat(NamedTuple):
    """A function of flat arguments and results."""

    function: _Function
    structure: Any

    def __call__(self, *leaves: Any) -> Any:
        """Run a method of the kernel."""
        method, call = self.function
        arguments = jax.tree.unflatten(self.structure, leaves)
        made = getattr(call.kernel, method)(call, *arguments)
        if not call.sequences and method == "forward":
            made = made[1:]
        return jax.tree.leaves(made)


def _shapes(call: Call, x: Any, states: Any) -> tuple[Any, Any, Any]:
    """Return shapes and dtypes of output, states, and what is saved."""
    batch, steps = x.shape[:2]
    units, saved = call.kernel.settings.units, call.kernel.saved_size
    output, kept = (jax.ShapeDtypeStruct((steps, batch, n), x.dtype) for n in (units, saved))
    return output, _like(states), kept


def _like(tree: Any) -> Any:
    """Return the shapes and dtypes of arrays."""
    return jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), tree)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recurrent(call: Call, x: Any, mask: Any, weights: Any, states: Any) -> Any:
    """Return the output (T, B, H), or None if not asked for, and the states."""
    output, final, _ = _shapes(call, x, states)
    shapes = (output, final) if call.sequences else (final,)
    made = _on_host(_Function("forward", call), shapes, (x, mask, weights, states))
    return made if call.sequences else (None, *made)


def _forward(call: Call, x: Any, mask: Any, weights: Any, states: Any) -> Any:
    """Return the same, and what backward needs."""
    arguments = (x, mask, weights, states)
    output, final, saved = _on_host(_Function("record", call), _shapes(call, x, states), arguments)
    return (output if call.sequences else None, final), (*arguments, output, saved)


def _backward(call: Call, kept: Any, gradients: Any) -> Any:
    """Return gradients for the arguments; a mask has none."""
    x, _, weights, states, *_ = kept
    d_output, d_states = gradients
    d_sequence = None if d_output is None else d_output.swapaxes(0, 1)
    d_x, d_weights, d_initial = _on_host(
        _Function("backward", call), _like((x, weights, states)), (*kept, d_sequence, d_states)
    )
    return d_x, None, d_weights, d_initial


_recurrent.defvjp(_forward, _backward)


def run(
    call: Call, x: jax.Array, mask: jax.Array | None, weights: Tensors, states: Tensors
) -> tuple[jax.Array | None, tuple[jax.Array, ...]]:
    """Run a kernel, compiled or not, differentiated or not.

    Parameters
    ----------
    call, x, mask, weights, states : see `Kernel.forward`; a mask of any dtype.

    Returns
    -------
    output : (B, T, H), or None if not asked for.
    states : arrays (B, H).
    """
    real = None if mask is None else mask.astype(bool)
    output, final = _recurrent(call, x, real, tuple(weights), tuple(states))
    return None if output is None else jnp.swapaxes(output, 0, 1), final
