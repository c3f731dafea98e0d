"""JAX's view of the engine: what it computes, and how that is differentiated and batched.

``forward`` is a call that is not differentiated. Differentiated, it becomes ``record``, which also
leaves what back-propagation needs, and ``pushforward``, which is linear in the tangents and never
run: it exists to be transposed, which makes ``backward`` of it. That is the whole of reverse mode.

A batched call is one call with a larger batch, unless parameters are batched or gradients for them
are asked for one by one. ``jax.custom_vjp`` would not do here: its backward pass is always batched
one by one, so that the gradient of a mean over ``vmap`` would take a call for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from simdrnn.jax.execution import lower
from simdrnn.jax.operands import (
    FORWARD,
    RECORD,
    Axes,
    Call,
    argument_axes,
    backward_fields,
    call_fields,
    differentiable,
    gradient_axes,
    output_axes,
    shapes_like,
    tape_axes,
)
from simdrnn.jax.plan import Plan

__all__ = ["run"]

Arrays = Sequence[Any]

_NO_FORWARD_MODE = (
    "simdrnn.jax: forward-mode differentiation (jax.jvp, jax.jacfwd, jax.hessian) is not "
    "available; use jax.grad, jax.vjp or jax.jacrev"
)
_NO_SECOND = (
    "simdrnn.jax: gradients of gradients are not available; differentiate once, or write the layer "
    "with jax.lax.scan where you need more"
)
_NO_OTHER = (
    "simdrnn.jax: expected arrays on a CPU, got another device; put them on jax.devices('cpu')[0]"
)


def run(plan: Plan, call: Call, arguments: Arrays) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """Run a checked call and return the output and the final states."""
    output, *states = forward_p.bind(*arguments, plan=plan, call=call)
    return output, tuple(states)


def _outputs(plan: Plan, call: Call, x: Any) -> list[jax.ShapeDtypeStruct]:
    """Describe the output and the final states."""
    steps, batch = call.steps(x)
    output = (batch, steps, plan.width) if call.batch_first else (steps, batch, plan.width)
    shapes = [output, *plan.state_shapes(batch)]
    return [jax.ShapeDtypeStruct(shape, plan.dtype) for shape in shapes]


def _no_second(*_: Any, **__: Any) -> Any:
    raise NotImplementedError(_NO_SECOND)


def _linearize(
    primals: Arrays, tangents: Arrays, *, plan: Plan, call: Call
) -> tuple[Arrays, Arrays]:
    """Differentiate `forward`: record it, and push the tangents that are not zero through it."""
    recorded = record_p.bind(*primals, plan=plan, call=call)
    count = 1 + len(plan.state_names)
    outputs, output, tape = recorded[:count], recorded[0], recorded[count:]
    which = tuple(
        index
        for index in range(differentiable(plan, call))
        if not isinstance(tangents[index], ad.Zero)
    )
    pushed = pushforward_p.bind(
        *[tangents[index] for index in which], *primals, output, *tape,
        plan=plan, call=call, which=which,
    )  # fmt: skip
    return outputs, pushed


def _transpose(
    cotangents: Arrays, *arguments: Any, plan: Plan, call: Call, which: tuple[int, ...]
) -> list[Any]:
    """Transpose `pushforward`: that is `backward`."""
    tangents, known = arguments[: len(which)], arguments[len(which) :]
    given = tuple(not isinstance(cotangent, ad.Zero) for cotangent in cotangents)
    wanted = [c for c, is_given in zip(cotangents, given, strict=True) if is_given]
    d_x = 0 in which and ad.is_undefined_primal(tangents[0])
    gradients = backward_p.bind(*known, *wanted, plan=plan, call=call, given=given, d_x=d_x)
    found = [
        gradients[index - (not d_x)] if ad.is_undefined_primal(tangent) else None
        for index, tangent in zip(which, tangents, strict=True)
    ]
    return found + [None] * len(known)


def _forward_axes(plan: Plan, call: Call) -> tuple[Axes, Axes]:
    return argument_axes(plan, call), output_axes(plan, call)


def _record_axes(plan: Plan, call: Call) -> tuple[Axes, Axes]:
    arguments, outputs = _forward_axes(plan, call)
    return arguments, outputs + tape_axes()


def _pushforward_axes(plan: Plan, call: Call, which: tuple[int, ...]) -> tuple[Axes, Axes]:
    arguments, outputs = _forward_axes(plan, call)
    tangents = [arguments[index] for index in which]
    return [*tangents, *arguments, outputs[0], *tape_axes()], outputs


def _backward_axes(plan: Plan, call: Call, given: tuple[bool, ...], d_x: bool) -> tuple[Axes, Axes]:
    arguments, outputs = _forward_axes(plan, call)
    cotangents = [axis for axis, flag in zip(outputs, given, strict=True) if flag]
    return [*arguments, outputs[0], *tape_axes(), *cotangents], gradient_axes(plan, call, d_x)


def _batch(
    primitive: Primitive,
    axes_of: Callable[..., tuple[Axes, Axes]],
    arguments: Arrays,
    dims: Sequence[int | None],
    **static: Any,
) -> tuple[Arrays, Axes]:
    """Batch a call: as one with a larger batch where that is the same, else one by one."""
    axes, result_axes = axes_of(**static)
    pairs = list(zip(arguments, dims, strict=True))
    size = next(array.shape[dim] for array, dim in pairs if dim is not None)
    apart = any(axis is None and dim is not None for axis, dim in zip(axes, dims, strict=True))
    # What is drawn depends on the row's place in the batch: calls that share a key draw the same.
    if apart or None in result_axes or static["call"].key:
        return _one_by_one(primitive, pairs, **static)
    folded = [
        array if axis is None else _fold(array, dim, axis, size)
        for (array, dim), axis in zip(pairs, axes, strict=True)
    ]
    results = primitive.bind(*folded, **static)
    # Not to be had from the results where `size` is 0.
    own = next(_own(pair, axis) for pair, axis in zip(pairs, axes, strict=True) if axis is not None)
    split = [
        result.reshape(*result.shape[:axis], size, own, *result.shape[axis + 1 :])
        for result, axis in zip(results, result_axes, strict=True)
        if axis is not None
    ]
    return split, result_axes


def _own(pair: tuple[Any, int | None], axis: int) -> int:
    """Return the size of a call's own batch axis, from one of its arguments."""
    array, dim = pair
    shape = [size for index, size in enumerate(array.shape) if index != dim]
    return int(shape[axis])


def _fold(array: Any, dim: int | None, axis: int, size: int) -> Any:
    """Make one axis of a batch of `size` and the call's own."""
    if dim is None:
        array = jax.numpy.broadcast_to(
            jax.numpy.expand_dims(array, axis),
            (*array.shape[:axis], size, *array.shape[axis:]),
        )
    else:
        array = jax.numpy.moveaxis(array, dim, axis)
    shape = array.shape
    return array.reshape(*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])


def _one_by_one(
    primitive: Primitive, pairs: Sequence[tuple[Any, int | None]], **static: Any
) -> tuple[Arrays, Axes]:
    """Batch a call as a loop."""
    batched = [jax.numpy.moveaxis(array, dim, 0) for array, dim in pairs if dim is not None]

    def one(slices: list[Any]) -> Arrays:
        rest = iter(slices)
        arguments = [array if dim is None else next(rest) for array, dim in pairs]
        results: Arrays = primitive.bind(*arguments, **static)
        return results

    results = jax.lax.map(one, batched)
    return results, [0] * len(results)


def _primitive(
    name: str,
    describe: Callable[..., list[jax.ShapeDtypeStruct]],
    axes_of: Callable[..., tuple[Axes, Axes]],
    lowering: Callable[..., Sequence[Any]],
    static: Sequence[str],
) -> Primitive:
    """Make a primitive that has everything but derivatives."""
    primitive = Primitive(name)
    primitive.multiple_results = True
    compiled = jax.jit(primitive.bind, static_argnames=tuple(static))

    def compute(*arguments: Any, **static: Any) -> Arrays:
        """Run a call outside of programs: as a program of one call, whatever else is debugged."""
        with jax.disable_jit(False):
            results: Arrays = compiled(*arguments, **static)
        return results

    primitive.def_impl(compute)

    def abstract(*arguments: Any, **static: Any) -> list[Any]:
        results = describe(*arguments, **static)
        return [jax.core.ShapedArray(result.shape, result.dtype) for result in results]

    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = partial(_batch, primitive, axes_of)
    mlir.register_lowering(primitive, _lower_elsewhere)
    mlir.register_lowering(primitive, lowering, platform="cpu")
    return primitive


def _describe_forward(*arguments: Any, plan: Plan, call: Call) -> list[jax.ShapeDtypeStruct]:
    return _outputs(plan, call, arguments[0])


def _describe_recorded(*arguments: Any, plan: Plan, call: Call) -> list[jax.ShapeDtypeStruct]:
    kept = plan.kept_shapes(*call.steps(arguments[0]), call.every)
    tape = [jax.ShapeDtypeStruct(shape, plan.dtype) for shape in kept]
    return _outputs(plan, call, arguments[0]) + tape


def _describe_pushed(
    *arguments: Any, plan: Plan, call: Call, which: tuple[int, ...]
) -> list[jax.ShapeDtypeStruct]:
    return _outputs(plan, call, arguments[len(which)])


def _describe_gradients(
    *arguments: Any, plan: Plan, call: Call, given: tuple[bool, ...], d_x: bool
) -> list[jax.ShapeDtypeStruct]:
    return shapes_like(arguments[not d_x : differentiable(plan, call)])


def _lower_call(which: int, context: Any, *operands: Any, plan: Plan, call: Call) -> Sequence[Any]:
    fields = call_fields(plan, call, which, context.avals_in[0])
    return lower(context, operands, call.way, fields)


def _lower_backward(
    context: Any, *operands: Any, plan: Plan, call: Call, given: tuple[bool, ...], d_x: bool
) -> Sequence[Any]:
    fields = backward_fields(plan, call, context.avals_in[0], given, d_x)
    return lower(context, operands, call.way, fields)


def _lower_pushforward(*_: Any, **__: Any) -> Sequence[Any]:
    raise NotImplementedError(_NO_FORWARD_MODE)


def _lower_elsewhere(*_: Any, **__: Any) -> Sequence[Any]:
    raise NotImplementedError(_NO_OTHER)


forward_p = _primitive(
    "simdrnn_forward", _describe_forward, _forward_axes, partial(_lower_call, FORWARD),
    ("plan", "call"),
)  # fmt: skip
record_p = _primitive(
    "simdrnn_record", _describe_recorded, _record_axes, partial(_lower_call, RECORD),
    ("plan", "call"),
)  # fmt: skip
pushforward_p = _primitive(
    "simdrnn_pushforward", _describe_pushed, _pushforward_axes, _lower_pushforward,
    ("plan", "call", "which"),
)  # fmt: skip
backward_p = _primitive(
    "simdrnn_backward", _describe_gradients, _backward_axes, _lower_backward,
    ("plan", "call", "given", "d_x"),
)  # fmt: skip

ad.primitive_jvps[forward_p] = _linearize
ad.primitive_jvps[record_p] = _no_second
ad.primitive_jvps[backward_p] = _no_second
ad.primitive_transposes[pushforward_p] = _transpose
