"""Keras on PyTorch: a function that autograd knows, without copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch.autograd.function import once_differentiable

from simdrnn.keras.kernel import Call
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
    if any(type(tensor) not in _PLAIN for tensor in tensors):  # e.g. those without values
        return "tensors are of a subclass of torch.Tensor"
    if torch.is_autocast_enabled("cpu"):
        return "torch.autocast is on"
    return None


def _arrays(tensors: Sequence[Tensor]) -> list[Array]:
    """View tensors as arrays."""
    return [tensor.detach().numpy() for tensor in tensors]


class _Recurrent(torch.autograd.Function):
    """A recorded call of a kernel."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, mask: Array | None, count: int, x: Tensor, *more: Tensor
    ) -> Any:
        """Run and record; `more` are `count` weights, then the states."""
        arrays = _arrays(more)
        output, final, saved = call.kernel.record(
            call, x.detach().numpy(), mask, arrays[:count], arrays[count:]
        )
        # Kept as tensors, so that PyTorch notices if one is changed before backward.
        sequence = torch.from_numpy(output.swapaxes(0, 1))
        ctx.save_for_backward(x, *more, sequence, torch.from_numpy(saved))
        ctx.call, ctx.mask, ctx.count = call, mask, count
        ctx.set_materialize_grads(False)
        states = tuple([torch.from_numpy(state) for state in final])
        return (sequence, *states) if call.sequences else states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        """Return gradients for the arguments of `forward`."""
        x, *more, sequence, saved = _arrays(ctx.saved_tensors)
        given = [None if g is None else g.detach().numpy() for g in gradients]
        d_output, *d_states = given if ctx.call.sequences else [None, *given]
        d_x, d_weights, d_initial = ctx.call.kernel.backward(
            ctx.call, x, ctx.mask, more[: ctx.count], more[ctx.count :], sequence.swapaxes(0, 1),
            saved, d_output, d_states,
        )  # fmt: skip
        made = [torch.from_numpy(d) for d in (d_x, *d_weights, *d_initial)]
        return (None, None, None, *made)


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
    array = None if real is None else real.numpy()
    every = (x, *weights, *states)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in every):
        made = _Recurrent.apply(call, array, len(weights), *every)
        output, final = (made[0], made[1:]) if call.sequences else (None, made)
    else:
        _, *more = _arrays(every)
        values, last = call.kernel.forward(
            call, x.detach().numpy(), array, more[: len(weights)], more[len(weights) :]
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
