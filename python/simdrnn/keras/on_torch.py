"""Keras on PyTorch: a function that autograd knows, without copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from simdrnn.keras.kernel import Call
from simdrnn.keras.torch_formulas import layer_by_torch
from simdrnn.torch.batched import one_by_one, outside_transforms
from simdrnn.torch.modes import transformed
from simdrnn.torch.second_order import backward_of_backward, by_torch, carry_tangents
from simdrnn.validate import Array

__all__ = ["ZERO_BEFORE_FIRST", "obstacle", "run"]

Tensor: TypeAlias = "torch.Tensor"

# What a layer that repeats its last output at masked steps puts out before the first real one:
# 0, as Keras does on this backend, or the state it begins with.
ZERO_BEFORE_FIRST = True

_PLAIN = (torch.Tensor, torch.nn.Parameter)


def obstacle(tensors: Sequence[Tensor]) -> str | None:
    """Say why these tensors cannot be used; None if they can."""
    if any(tensor.device.type != "cpu" for tensor in tensors):
        return "tensors are not on the CPU"
    if torch.jit.is_tracing() or torch.compiler.is_exporting():
        return "the model is being traced for export"
    if not torch.compiler.is_compiling() and transformed():
        return "torch.func or forward-mode differentiation transforms it"
    if any(type(tensor) not in _PLAIN for tensor in tensors):  # e.g. those without values
        return "tensors are of a subclass of torch.Tensor"
    if torch.is_autocast_enabled("cpu"):
        return "torch.autocast is on"
    return None


def _arrays(tensors: Sequence[Tensor]) -> list[Array]:
    """View tensors as arrays; those with the negative bit have other values than their memory."""
    return [tensor.detach().resolve_neg().numpy() for tensor in tensors]


def _back(
    call: Call, mask: Array | None, count: int, tensors: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
) -> list[Tensor]:  # fmt: skip
    """Go back through a recorded call on the engine.

    Parameters
    ----------
    call, mask : of the call.
    count : of the weights.
    tensors : x, the weights, the states, the output (B, T, H), and what steps saved.
    gradients : of what the call returned.

    Returns
    -------
    gradients of x, the weights and the states.
    """
    x, *more, sequence, saved = _arrays(tensors)
    given = [None if g is None else g.detach().resolve_neg().numpy() for g in gradients]
    d_output, *d_states = given if call.sequences else [None, *given]
    d_x, d_weights, d_initial = call.kernel.backward(
        call, x, mask, more[:count], more[count:], sequence.swapaxes(0, 1), saved, d_output,
        d_states,
    )  # fmt: skip
    return [torch.from_numpy(d) for d in (d_x, *d_weights, *d_initial)]


def _again(
    call: Call, mask: Array | None, count: int
) -> Callable[[Sequence[Tensor]], Sequence[Tensor]]:
    """Return a call as a function of x, `count` weights and the states, by PyTorch's operators."""
    real = None if mask is None else torch.from_numpy(mask)

    def again(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        x, more = tensors[0], tensors[1:]
        return layer_by_torch(call, x, real, more[:count], more[count:])

    return again


class _Recurrent(torch.autograd.Function):
    """A recorded call of a kernel."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, mask: Array | None, count: int, x: Tensor, *more: Tensor
    ) -> Any:
        """Run and record; `more` are `count` weights, then the states."""
        arrays = _arrays(more)
        output, final, saved = call.kernel.record(
            call, _arrays([x])[0], mask, arrays[:count], arrays[count:]
        )
        # Kept as tensors, so that PyTorch notices if one is changed before backward.
        sequence = torch.from_numpy(output.swapaxes(0, 1))
        ctx.save_for_backward(x, *more, sequence, torch.from_numpy(saved))
        ctx.call, ctx.mask, ctx.count = call, mask, count
        ctx.set_materialize_grads(False)
        states = tuple([torch.from_numpy(state) for state in final])
        # What is kept is ours alone: the caller may write to what he gets.
        return (sequence.clone(), *states) if call.sequences else states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        """Return gradients for the arguments of `forward`."""
        call, tensors = (ctx.call, ctx.mask, ctx.count), ctx.saved_tensors
        # Whether the result will be differentiated says grad mode alone. The gradients that come
        # in do not: a sum's, or a frozen layer's, are constants.
        higher = torch.is_grad_enabled()

        def back(ds: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
            if carry_tangents(ds):
                wanted = ctx.needs_input_grad[3:]
                return by_torch(_again(*call), tensors[:-2], ds, wanted)
            if not higher:
                return _back(*call, tensors, ds)
            apply: Any = _Gradients.apply  # has no type in PyTorch
            with outside_transforms():
                made: Sequence[Tensor] = apply(*call, len(tensors), *tensors, *ds)
            return made

        return (None, None, None, *one_by_one(back, gradients))


class _Gradients(torch.autograd.Function):
    """The way back through a recorded call, as something that is differentiated itself."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, mask: Array | None, count: int, kept: int, *tensors: Tensor | None
    ) -> Any:
        """Return what `_back` does; `tensors` are `kept` of a recorded call, then gradients."""
        recorded = [tensor for tensor in tensors[:kept] if tensor is not None]
        ctx.save_for_backward(*recorded[:-2], *tensors[kept:])
        ctx.call, ctx.mask, ctx.count, ctx.inputs = call, mask, count, len(recorded) - 2
        ctx.set_materialize_grads(False)
        return tuple(_back(call, mask, count, recorded, tensors[kept:]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        """Return gradients for the arguments of `forward`, by PyTorch's operators."""
        saved, needs, count = ctx.saved_tensors, ctx.needs_input_grad[4:], ctx.count
        inputs, d_results = saved[: ctx.inputs], saved[ctx.inputs :]
        again = _again(ctx.call, ctx.mask, count)
        wanted = [*needs[: ctx.inputs], *needs[ctx.inputs + 2 :]]
        found = backward_of_backward(again, inputs, d_results, gradients, wanted)
        return (None,) * 4 + (*found[: ctx.inputs], None, None, *found[ctx.inputs :])


@torch.compiler.disable
def run(
    call: Call, x: Tensor, mask: Tensor | None, weights: Sequence[Tensor], states: Sequence[Tensor]
) -> tuple[Tensor | None, tuple[Tensor, ...]]:
    """Run a kernel, recorded for autograd where that is asked for.

    Parameters
    ----------
    call, x, mask, weights, states : see `Kernel.forward`; a mask of any dtype.

    Returns
    -------
    output : (B, T, H), or None if not asked for.
    states : tensors (B, H).
    """
    call = call._replace(num_threads=torch.get_num_threads())
    real = None if mask is None else mask.bool()
    array = None if real is None else real.numpy().copy()  # which the caller may use again
    every = (x, *weights, *states)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in every):
        made = _Recurrent.apply(call, array, len(weights), *every)
        output, final = (made[0], made[1:]) if call.sequences else (None, made)
    else:
        _, *more = _arrays(every)
        values, last = call.kernel.forward(
            call, _arrays([x])[0], array, more[: len(weights)], more[len(weights) :]
        )
        output = torch.from_numpy(values.swapaxes(0, 1)) if call.sequences else None
        final = tuple([torch.from_numpy(state) for state in last])
    return _zero_before_first(call, output, real, states[0]), final


def _zero_before_first(
    call: Call, output: Tensor | None, real: Tensor | None, h: Tensor
) -> Tensor | None:
    """Put out 0 where no step has been real yet; `ZERO_BEFORE_FIRST`.

    Most calls have no such step, or put out 0 there as it is.
    """
    if output is None or real is None or not call.hold:
        return output
    ordered = real.flip(1) if call.reverse else real
    if bool(ordered[:, 0].all()) or not (h.requires_grad or bool(h.any())):
        return output
    begun = ordered.cummax(dim=1).values[..., None]
    return torch.where(begun, output, torch.zeros((), dtype=output.dtype))
