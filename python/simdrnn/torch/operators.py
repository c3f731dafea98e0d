"""The layer as two operators of PyTorch, forward and backward: what compilers and exporters see.

What traces and exported programs have in them is `recurrent` without ``record``. Whether it is
recorded for autograd is decided whenever it runs, not when it was traced: so what was traced
without gradients can be trained, and what was traced in training keeps nothing where nobody wants
gradients. `simdrnn.torch.gradient` tells autograd so. Compilers of training steps, which look
below autograd, see ``record`` and the way back.

Calls that nobody traces take a shorter way, `simdrnn.torch.gradient`: an operator costs three times
as much there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from simdrnn.torch import calls
from simdrnn.torch.calls import Arguments
from simdrnn.torch.marks import Marks
from simdrnn.torch.packed import Packed, packed_for
from simdrnn.torch.ragged import is_packed
from simdrnn.torch.spec import Spec

__all__ = ["LIBRARY", "SPEC_SIZE", "recurrent", "recurrent_backward", "rest_of"]

_GIVEN = "Tensor x, Tensor[] states, Tensor[] weights, Tensor? batch_sizes, Tensor? key"
_SPEC = (
    "str cell, int num_layers, bool bidirectional, bool has_biases, bool batch_first, "
    "float dropout, bool projected"
)
_MARKS = "Tensor? lengths, Tensor? mask, Tensor? reset, bool reset_to_given"
# Programs that were saved before there were marks come without.
_MARKS_OR_NONE = (
    "Tensor? lengths=None, Tensor? mask=None, Tensor? reset=None, bool reset_to_given=False"
)
SPEC_SIZE = len(Spec._fields)

_Tensors: TypeAlias = Sequence[torch.Tensor]
_Maybe: TypeAlias = torch.Tensor | None


def rest_of(rest: Sequence[Any]) -> tuple[Spec, Marks | None]:
    """Take apart what the operators are given at the end: the layer, and marks if there are any."""
    return Spec(*rest[:SPEC_SIZE]), Marks(*rest[SPEC_SIZE:]).or_none()


def _packed(spec: Spec, given: Arguments, *, recorded: bool) -> Packed:
    """Return the network of a call, or say what is wrong with its arguments."""
    packed = packed_for(spec, given.weights, recorded=recorded) if given.weights else None
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


def _run(given: Arguments, spec: Spec, *, record: bool) -> list[torch.Tensor]:
    """Return output, final states, and what `recurrent_backward` needs: empty unless recorded."""
    packed = _packed(spec, given, recorded=record)
    output, finals, reserve = calls.forward(spec, packed, given, record=record)
    return [output, *finals, given.x.new_empty(0) if reserve is None else reserve]


def _shapes(given: Arguments, spec: Spec, *, record: bool) -> list[torch.Tensor]:
    """Return tensors like those that `_run` returns."""
    x, states, weights, batch_sizes, *_ = given
    widths = spec.widths(weights)
    if batch_sizes is not None and not states:
        batch = torch.library.get_ctx().new_dynamic_size()
    else:
        batch = spec.batch_of(x, states, batch_sizes)
    if batch_sizes is None:
        steps = x.shape[1 if spec.batch_first else 0]
        output = x.new_empty(spec.output_shape(steps, batch, widths))
    else:
        steps = batch_sizes.shape[0]
        output = x.new_empty(x.shape[0], spec.directions * widths.output)
    finals = [x.new_empty(shape) for shape in spec.state_shapes(batch, widths)]
    size = spec.reserve_size(steps, batch, widths) if record else 0
    return [output, *finals, x.new_empty(size)]


LIBRARY = torch.library.Library("simdrnn", "FRAGMENT")
LIBRARY.define(
    f"recurrent({_GIVEN}, bool record, {_SPEC}, {_MARKS_OR_NONE}) -> Tensor[]",
    tags=(torch.Tag.pt2_compliant_tag,),
)
recurrent: Any = torch.ops.simdrnn.recurrent.default


def _plain(
    x: torch.Tensor, states: _Tensors, weights: _Tensors, batch_sizes: _Maybe, key: _Maybe,
    record: bool, *rest: Any,
) -> list[torch.Tensor]:  # fmt: skip
    """Run `recurrent` below autograd; with `record` what gradients take is returned."""
    spec, marks = rest_of(rest)
    return _run(Arguments(x, states, weights, batch_sizes, key, marks), spec, record=record)


def _fake(
    x: torch.Tensor, states: _Tensors, weights: _Tensors, batch_sizes: _Maybe, key: _Maybe,
    record: bool, *rest: Any,
) -> list[torch.Tensor]:  # fmt: skip
    spec, marks = rest_of(rest)
    return _shapes(Arguments(x, states, weights, batch_sizes, key, marks), spec, record=record)


LIBRARY.impl("recurrent", _plain, "CPU")
torch.library.register_fake("simdrnn::recurrent", _fake, lib=LIBRARY)


@torch.library.custom_op(
    "simdrnn::recurrent_backward",
    mutates_args=(),
    device_types="cpu",
    schema=(
        f"(Tensor? d_output, Tensor[] d_finals, {_GIVEN}, Tensor reserve, bool needs_x, "
        f"{_SPEC}, {_MARKS}) -> Tensor[]"
    ),
)
def recurrent_backward(
    d_output: _Maybe,
    d_finals: _Tensors,
    x: torch.Tensor,
    states: _Tensors,
    weights: _Tensors,
    batch_sizes: _Maybe,
    key: _Maybe,
    reserve: torch.Tensor,
    needs_x: bool,
    *rest: Any,
) -> list[torch.Tensor]:
    """Return gradients of x (empty unless wanted), of the given states, and of the weights."""
    spec, marks = rest_of(rest)
    given = Arguments(x, states, weights, batch_sizes, key, marks)
    d_x, d_states, d_weights = calls.backward(
        spec,
        _packed(spec, given, recorded=True),
        given,
        reserve,
        d_output,
        d_finals,
        needs_x=needs_x,
    )
    d_x = x.new_empty(0) if d_x is None else d_x
    return [d_x, *d_states[: len(states)], *d_weights]


@recurrent_backward.register_fake
def _(
    d_output: _Maybe,
    d_finals: _Tensors,
    x: torch.Tensor,
    states: _Tensors,
    weights: _Tensors,
    batch_sizes: _Maybe,
    key: _Maybe,
    reserve: torch.Tensor,
    needs_x: bool,
    *rest: Any,
) -> list[torch.Tensor]:
    d_x = x.new_empty(x.shape if needs_x else (0,))
    return [d_x, *(tensor.new_empty(tensor.shape) for tensor in (*states, *weights))]
