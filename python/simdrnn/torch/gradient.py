"""How autograd goes back through a call: of the operators, and of calls that nobody traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from simdrnn.torch import calls
from simdrnn.torch.calls import Arguments
from simdrnn.torch.operators import recurrent, recurrent_backward
from simdrnn.torch.packed import Packed
from simdrnn.torch.second_order import backward_of_backward
from simdrnn.torch.spec import Spec

__all__ = ["Recurrent"]

_Maybe: TypeAlias = torch.Tensor | None

_SPEC_SIZE = len(Spec._fields)
# Inputs of the operators that have no gradient: behind x, states and weights, and at the end.
_REST = (None,) * (3 + _SPEC_SIZE)


def _keep(ctx: Any, spec: Spec, given: Arguments, *results: torch.Tensor) -> None:
    """Keep arguments and results; autograd tells if they are changed before they are needed."""
    ctx.set_materialize_grads(False)
    ctx.spec, ctx.states = spec, len(given.states)
    ctx.save_for_backward(
        *results, given.x, given.batch_sizes, given.key, *given.states, *given.weights
    )


def _kept(ctx: Any, results: int) -> tuple[Arguments, Sequence[torch.Tensor]]:
    """Return what was kept."""
    saved = ctx.saved_tensors
    x, batch_sizes, key = saved[results : results + 3]
    rest = saved[results + 3 :]
    given = Arguments(x, rest[: ctx.states], rest[ctx.states :], batch_sizes, key)
    return given, saved[:results]


def _through_operator(
    spec: Spec,
    given: Arguments,
    results: Sequence[torch.Tensor],
    d_output: _Maybe,
    d_finals: Sequence[_Maybe],
    needs_x: bool,
) -> list[torch.Tensor]:
    """Go back by the operator, which can itself be differentiated and traced."""
    x, states, weights, batch_sizes, key = given
    batch = spec.batch_of(x, states, batch_sizes)
    shapes = spec.state_shapes(batch, spec.widths(weights))
    d_last = [
        x.new_zeros(shape) if d is None else d for d, shape in zip(d_finals, shapes, strict=True)
    ]
    found: list[torch.Tensor] = recurrent_backward(
        d_output, d_last, x, list(states), list(weights), batch_sizes, key, *results, needs_x, *spec
    )
    return found


def _keep_forward(ctx: Any, inputs: tuple[Any, ...], output: list[torch.Tensor]) -> None:
    ctx.mark_non_differentiable(output[-1])
    ctx.recorded = inputs[5]
    _keep(ctx, Spec(*inputs[6:]), Arguments(*inputs[:5]), output[0], output[-1])


def _backward(ctx: Any, grads: Sequence[_Maybe]) -> tuple[Any, ...]:
    if not ctx.recorded:
        raise RuntimeError("record: expected True where simdrnn::recurrent is differentiated")
    given, results = _kept(ctx, 2)
    needs_x = ctx.needs_input_grad[0]
    d_x, *rest = _through_operator(ctx.spec, given, results, grads[0], grads[1:-1], needs_x)
    d_states, d_weights = rest[: ctx.states], rest[ctx.states :]
    return (d_x if needs_x else None, d_states, d_weights, *_REST)


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: list[torch.Tensor]) -> None:
    d_output, d_finals, *given = inputs[:7]
    ctx.finals = len(d_finals)
    _keep(ctx, Spec(*inputs[10:]), Arguments(*given), *d_finals, d_output)


def _second_backward(ctx: Any, grads: Sequence[_Maybe]) -> tuple[Any, ...]:
    given, results = _kept(ctx, ctx.finals + 1)
    d_output, d_finals = results[-1], results[:-1]
    needs = ctx.needs_input_grad
    wanted = [needs[2], *needs[3], *needs[4], needs[0], *needs[1]]
    gradients = [None if d is None or not d.numel() else d for d in grads]
    found = backward_of_backward(ctx.spec, given, [d_output, *d_finals], gradients, wanted)
    states, weights = ctx.states, len(given.weights)
    d_x, *rest = found
    d_states, d_weights = rest[:states], rest[states : states + weights]
    d_d_output, *d_d_finals = rest[states + weights :]
    return (d_d_output, d_d_finals, d_x, d_states, d_weights, *(None,) * (5 + _SPEC_SIZE))


recurrent.register_autograd(_backward, setup_context=_keep_forward)
recurrent_backward.register_autograd(_second_backward, setup_context=_keep_backward)


class Recurrent(torch.autograd.Function):
    """A recorded call that nobody traces."""

    @staticmethod
    def forward(
        ctx: Any,
        spec: Spec,
        packed: Packed,
        batch_sizes: _Maybe,
        key: _Maybe,
        states: int,
        x: torch.Tensor,
        *tensors: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Return output and final states; `tensors` are so many states, then the weights."""
        given = Arguments(x, tensors[:states], tensors[states:], batch_sizes, key)
        output, finals, reserve = calls.forward(spec, packed, given, record=True)
        _keep(ctx, spec, given, output, reserve)
        ctx.packed = packed
        return output, *finals

    @staticmethod
    def backward(ctx: Any, *grads: _Maybe) -> tuple[Any, ...]:
        """Return the gradients of `forward`'s arguments."""
        given, (output, reserve) = _kept(ctx, 2)
        needs_x, d_output, d_finals = ctx.needs_input_grad[5], grads[0], grads[1:]
        if torch.is_grad_enabled():  # create_graph=True
            results = (output, reserve)
            d_x, *rest = _through_operator(ctx.spec, given, results, d_output, d_finals, needs_x)
            return (None,) * 5 + (d_x if needs_x else None, *rest)
        found, d_states, d_weights = calls.backward(
            ctx.spec, ctx.packed, given, output, reserve, d_output, d_finals,
            needs_x=needs_x,
        )  # fmt: skip
        return (None,) * 5 + (found, *d_states[: ctx.states], *d_weights)
