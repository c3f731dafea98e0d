"""How autograd goes back through a call: of the operators, and of calls that nobody traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from simdrnn.torch import calls
from simdrnn.torch.batched import one_by_one
from simdrnn.torch.calls import Arguments
from simdrnn.torch.marks import Marks
from simdrnn.torch.modes import below_autograd, transformed
from simdrnn.torch.operators import LIBRARY, SPEC_SIZE, recurrent, recurrent_backward, rest_of
from simdrnn.torch.packed import Packed
from simdrnn.torch.second_order import (
    backward_of_backward,
    by_torch,
    carry_tangents,
    layer_by_torch,
    without_onednn,
)
from simdrnn.torch.spec import Spec

__all__ = ["Recurrent"]

_Maybe: TypeAlias = torch.Tensor | None

# Inputs of the operators that have no gradient: the layer and marks, at the end.
_REST = (None,) * (SPEC_SIZE + len(Marks._fields))


def _keep(ctx: Any, spec: Spec, given: Arguments, *results: torch.Tensor) -> None:
    """Keep arguments and results; autograd tells if they are changed before they are needed."""
    ctx.set_materialize_grads(False)
    ctx.spec, ctx.states = spec, len(given.states)
    lengths, mask, reset, ctx.to_given = given.marks or Marks()
    ctx.save_for_backward(
        *results, given.x, given.batch_sizes, given.key, lengths, mask, reset,
        *given.states, *given.weights,
    )  # fmt: skip


def _kept(ctx: Any, results: int) -> tuple[Arguments, Sequence[torch.Tensor]]:
    """Return what was kept."""
    saved = ctx.saved_tensors
    x, batch_sizes, key, lengths, mask, reset = saved[results : results + 6]
    rest = saved[results + 6 :]
    marks = Marks(lengths, mask, reset, ctx.to_given).or_none()
    given = Arguments(x, rest[: ctx.states], rest[ctx.states :], batch_sizes, key, marks)
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
    x, states, weights, batch_sizes, key, marks = given
    batch = spec.batch_of(x, states, batch_sizes)
    shapes = spec.state_shapes(batch, spec.widths(weights))
    d_last = [
        x.new_zeros(shape) if d is None else d for d, shape in zip(d_finals, shapes, strict=True)
    ]
    found: list[torch.Tensor] = recurrent_backward(
        d_output, d_last, x, list(states), list(weights), batch_sizes, key, *results, needs_x,
        *spec, *(marks or Marks()),
    )  # fmt: skip
    return found


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: list[torch.Tensor]) -> None:
    d_output, d_finals, *given = inputs[:7]
    ctx.finals = len(d_finals)
    spec, marks = rest_of(inputs[9:])
    _keep(ctx, spec, Arguments(*given)._replace(marks=marks), *d_finals, d_output)


def _by_torch(
    spec: Spec, given: Arguments
) -> tuple[Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]], Sequence[torch.Tensor]]:
    """Return the layer as a function by PyTorch's operators, and its arguments."""
    states = len(given.states)

    def again(tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        x, rest = tensors[0], tensors[1:]
        now = given._replace(x=x, states=rest[:states], weights=rest[states:])
        return layer_by_torch(spec, now)

    return again, (given.x, *given.states, *given.weights)


def _second_backward(ctx: Any, grads: Sequence[_Maybe]) -> tuple[Any, ...]:
    given, results = _kept(ctx, ctx.finals + 1)
    d_output, d_finals = results[-1], results[:-1]
    needs = ctx.needs_input_grad
    wanted = [needs[2], *needs[3], *needs[4], needs[0], *needs[1]]
    gradients = [None if d is None or not d.numel() else d for d in grads]
    states, weights = ctx.states, len(given.weights)

    again, inputs = _by_torch(ctx.spec, given)
    found = backward_of_backward(again, inputs, [d_output, *d_finals], gradients, wanted)
    d_x, *rest = found
    d_states, d_weights = rest[:states], rest[states : states + weights]
    d_d_output, *d_d_finals = rest[states + weights :]
    # Nor have batch_sizes, key, what forward kept, and whether x needs a gradient.
    return (d_d_output, d_d_finals, d_x, d_states, d_weights, None, None, None, None, *_REST)


recurrent_backward.register_autograd(_second_backward, setup_context=_keep_backward)


class Recurrent(torch.autograd.Function):
    """A recorded call: by the shortest way, or by the operator, for who traces it."""

    @staticmethod
    def forward(
        ctx: Any,
        spec: Spec,
        packed: Packed | None,
        batch_sizes: _Maybe,
        key: _Maybe,
        marks: Marks | None,
        states: int,
        x: torch.Tensor,
        *tensors: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Return output and final states; `tensors` are so many states, then the weights.

        Without `packed` the call goes by the operator, and what that keeps is returned at the end.
        """
        given = Arguments(x, tensors[:states], tensors[states:], batch_sizes, key, marks)
        ctx.packed = packed
        if packed is None:
            with below_autograd():
                results = _by_operator(spec, given, record=True)
            ctx.mark_non_differentiable(results[-1])
            _keep(ctx, spec, given, results[-1])
            return tuple(results)
        output, finals, reserve = calls.forward(spec, packed, given, record=True)
        _keep(ctx, spec, given, reserve)
        return output, *finals

    @staticmethod
    def backward(ctx: Any, *grads: _Maybe) -> tuple[Any, ...]:
        """Return the gradients of `forward`'s arguments."""
        given, (reserve,) = _kept(ctx, 1)
        needs_x = ctx.needs_input_grad[6]

        def back(ds: Sequence[_Maybe]) -> Sequence[_Maybe]:
            if carry_tangents(ds):
                again, inputs = _by_torch(ctx.spec, given)
                return by_torch(again, inputs, ds, ctx.needs_input_grad[6:])
            if ctx.packed is None or torch.is_grad_enabled():  # create_graph=True
                return _through_operator(ctx.spec, given, (reserve,), ds[0], ds[1:], needs_x)
            d_x, d_states, d_weights = calls.backward(
                ctx.spec, ctx.packed, given, reserve, ds[0], ds[1:], needs_x=needs_x
            )
            return [d_x, *d_states[: ctx.states], *d_weights]

        # The operator returns what it keeps at the end, which has no gradient.
        d_x, *rest = one_by_one(back, grads[:-1] if ctx.packed is None else grads)
        return (None,) * 6 + (d_x if needs_x else None, *rest)


def _by_operator(spec: Spec, given: Arguments, *, record: bool) -> list[torch.Tensor]:
    """Call the operator."""
    x, states, weights, batch_sizes, key, marks = given
    found: list[torch.Tensor] = recurrent(
        x, list(states), list(weights), batch_sizes, key, record, *spec, *(marks or Marks())
    )
    return found


def _recorded_if_wanted(*arguments: Any) -> list[torch.Tensor]:
    """Run the operator where there is autograd."""
    x, states, weights, batch_sizes, key, record, *rest = arguments
    spec, marks = rest_of(rest)
    given = Arguments(x, states, weights, batch_sizes, key, marks)
    if transformed() and not record:  # whether or not anything requires gradients
        with without_onednn():
            return [*layer_by_torch(spec, given), x.new_empty(0)]
    tensors = (x, *states, *weights)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        apply: Any = Recurrent.apply  # has no type in PyTorch
        *results, reserve = apply(
            spec, None, batch_sizes, key, marks, len(states), x, *states, *weights
        )
        return [*results, reserve if record else x.new_empty(0)]
    with below_autograd():
        return _by_operator(spec, given, record=record)


LIBRARY.impl("recurrent", _recorded_if_wanted, "Autograd")
