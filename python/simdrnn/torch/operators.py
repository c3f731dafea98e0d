"""The layer as two operators of PyTorch, forward and backward: what compilers and exporters see.

Calls that nobody traces take a shorter way, `simdrnn.torch.gradient`: an operator costs three times
as much there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from simdrnn.torch import calls
from simdrnn.torch.calls import Arguments
from simdrnn.torch.packed import Packed, packed_for
from simdrnn.torch.ragged import is_packed
from simdrnn.torch.spec import Spec

__all__ = ["recurrent", "recurrent_backward"]

_GIVEN = "Tensor x, Tensor[] states, Tensor[] weights, Tensor? batch_sizes, Tensor? key"
_SPEC = (
    "str cell, int num_layers, bool bidirectional, bool has_biases, bool batch_first, "
    "float dropout, bool projected"
)


def _packed(spec: Spec, given: Arguments) -> Packed:
    """Return the network of a call, or say what is wrong with its arguments."""
    packed = packed_for(spec, given.weights) if given.weights else None
    if packed is None:
        raise ValueError(
            "weights: expected float32 or float64 tensors on the CPU, of one dtype and of the "
            f"shapes that {spec} has, got "
            f"{[(str(weight.dtype), tuple(weight.shape)) for weight in given.weights]}"
        )
    if given.batch_sizes is not None and not is_packed(given.batch_sizes, given.x.shape[0]):
        raise ValueError(
            "batch_sizes: expected positive int64 numbers that never grow and have the sum "
            f"{given.x.shape[0]}, got {given.batch_sizes}"
        )
    return packed


@torch.library.custom_op(
    "simdrnn::recurrent",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_GIVEN}, bool record, {_SPEC}) -> Tensor[]",
)
def recurrent(
    x: torch.Tensor,
    states: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    batch_sizes: torch.Tensor | None,
    key: torch.Tensor | None,
    record: bool,
    *spec: Any,
) -> list[torch.Tensor]:
    """Return output, final states, and what `recurrent_backward` needs: empty unless recorded."""
    layer, given = Spec(*spec), Arguments(x, states, weights, batch_sizes, key)
    packed = _packed(layer, given)
    output, finals, reserve = calls.forward(layer, packed, given, record=record)
    return [output, *finals, x.new_empty(0) if reserve is None else reserve]


@recurrent.register_fake
def _(
    x: torch.Tensor,
    states: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    batch_sizes: torch.Tensor | None,
    key: torch.Tensor | None,
    record: bool,
    *spec: Any,
) -> list[torch.Tensor]:
    layer = Spec(*spec)
    widths = layer.widths(weights)
    batch = layer.batch_of(x, states, batch_sizes)
    if batch_sizes is None:
        steps = x.shape[1 if layer.batch_first else 0]
        output = x.new_empty(layer.output_shape(steps, batch, widths))
    else:
        steps = batch_sizes.shape[0]
        output = x.new_empty(x.shape[0], layer.directions * widths.output)
    finals = [x.new_empty(shape) for shape in layer.state_shapes(batch, widths)]
    size = layer.reserve_size(steps, batch, widths, ragged=batch_sizes is not None)
    return [output, *finals, x.new_empty(size if record else 0)]


@torch.library.custom_op(
    "simdrnn::recurrent_backward",
    mutates_args=(),
    device_types="cpu",
    schema=(
        f"(Tensor? d_output, Tensor[] d_finals, {_GIVEN}, Tensor output, Tensor reserve, "
        f"bool needs_x, {_SPEC}) -> Tensor[]"
    ),
)
def recurrent_backward(
    d_output: torch.Tensor | None,
    d_finals: Sequence[torch.Tensor],
    x: torch.Tensor,
    states: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    batch_sizes: torch.Tensor | None,
    key: torch.Tensor | None,
    output: torch.Tensor,
    reserve: torch.Tensor,
    needs_x: bool,
    *spec: Any,
) -> list[torch.Tensor]:
    """Return gradients of x (empty unless wanted), of the given states, and of the weights."""
    layer, given = Spec(*spec), Arguments(x, states, weights, batch_sizes, key)
    packed = _packed(layer, given)
    d_x, d_states, d_weights = calls.backward(
        layer, packed, given, output, reserve, d_output, d_finals, needs_x=needs_x
    )
    d_x = x.new_empty(0) if d_x is None else d_x
    return [d_x, *d_states[: len(states)], *d_weights]


@recurrent_backward.register_fake
def _(
    d_output: torch.Tensor | None,
    d_finals: Sequence[torch.Tensor],
    x: torch.Tensor,
    states: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    batch_sizes: torch.Tensor | None,
    key: torch.Tensor | None,
    output: torch.Tensor,
    reserve: torch.Tensor,
    needs_x: bool,
    *spec: Any,
) -> list[torch.Tensor]:
    d_x = x.new_empty(x.shape if needs_x else (0,))
    return [d_x, *(tensor.new_empty(tensor.shape) for tensor in (*states, *weights))]
