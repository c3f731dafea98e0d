"""The layer in PyTorch's own operators, which can be differentiated any number of times.

Our backward is one operator. Where its results are themselves differentiated, after
``create_graph=True``, the layer is run again here, with the dropout masks that our call drew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch._C import _get_mkldnn_enabled, _set_mkldnn_enabled
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd.forward_ad import unpack_dual

from simdrnn.engine.random_words import multipliers
from simdrnn.torch.batched import one_by_one, outside_transforms
from simdrnn.torch.by_steps import marked_layer
from simdrnn.torch.calls import Arguments
from simdrnn.torch.modes import transformed
from simdrnn.torch.packed import DTYPES
from simdrnn.torch.ragged import Ragged
from simdrnn.torch.spec import Spec

__all__ = [
    "backward_of_backward",
    "by_torch",
    "carry_tangents",
    "layer_by_torch",
    "without_onednn",
]

_KEY_MASK = 2**64 - 1
_Tensors: TypeAlias = Sequence[torch.Tensor]
_Layer: TypeAlias = Callable[[_Tensors], _Tensors]


def _mask(spec: Spec, given: Arguments, layer: int, width: int) -> torch.Tensor | None:
    """Return what our call multiplied the output of a layer by, laid out like x."""
    if given.key is None:
        return None
    key = int(given.key) & _KEY_MASK
    ragged = None if given.batch_sizes is None else Ragged(given.batch_sizes)
    if ragged is not None:
        steps, batch = ragged.steps, ragged.batch
    else:
        steps, batch = given.x.shape[:2][:: -1 if spec.batch_first else 1]
    numpy_type = DTYPES[given.x.dtype]
    mask = multipliers((steps, batch, width), layer, spec.dropout, key, numpy_type)
    if ragged is not None:
        return torch.from_numpy(ragged.pack(mask))
    return torch.from_numpy(mask.swapaxes(0, 1) if spec.batch_first else mask)


def layer_by_torch(spec: Spec, given: Arguments) -> tuple[torch.Tensor, ...]:
    """Return output and final states, by PyTorch's operators, one layer at a time."""
    operator: Any = getattr(torch._VF, spec.cell)  # the engine's names are PyTorch's here
    each = spec.weights_each * spec.directions
    batch = spec.batch_of(given.x, given.states, given.batch_sizes)
    shapes = spec.state_shapes(batch, spec.widths(given.weights))
    states = list(given.states) or [given.x.new_zeros(shape) for shape in shapes]
    sequence, finals = given.x, []
    for layer in range(spec.num_layers):
        rows = slice(layer * spec.directions, (layer + 1) * spec.directions)
        own = [state[rows] for state in states]
        weights = list(given.weights[layer * each : (layer + 1) * each])
        state = own if spec.states > 1 else own[0]
        common = (weights, spec.has_biases, 1, 0.0, False, spec.bidirectional)
        if given.marks is not None:
            sequence, *last = marked_layer(spec, given.marks, sequence, own, weights)
        elif given.batch_sizes is None:
            sequence, *last = operator(sequence, state, *common, spec.batch_first)
        else:
            sequence, *last = operator(sequence, given.batch_sizes, state, *common)
        finals.append(last)
        mask = _mask(spec, given, layer, sequence.shape[-1])
        if mask is not None and layer + 1 < spec.num_layers:
            sequence = sequence * mask
    return (sequence, *(torch.cat(parts) for parts in zip(*finals, strict=True)))


def backward_of_backward(
    again: _Layer,
    given: _Tensors,
    d_results: Sequence[torch.Tensor | None],
    d_gradients: Sequence[torch.Tensor | None],
    wanted: Sequence[bool],
) -> list[torch.Tensor | None]:
    """Differentiate the gradients that a backward of ours returned.

    Parameters
    ----------
    again : runs the layer by PyTorch's operators, on tensors in the order of `given`.
    given : its arguments that can have gradients.
    d_results : gradients of its results that backward was given; None is zero.
    d_gradients : for each of `given`, the gradient of what backward returned for it; None is zero.
    wanted : for each of `given`, then for each of `d_results`: whether its gradient is wanted.

    Returns
    -------
    a gradient or None for each of `wanted`.
    """
    higher = torch.is_grad_enabled()
    found: list[torch.Tensor | None] = [None] * len(wanted)
    asked = [k for k, d in enumerate(d_gradients) if d is not None]
    places = [k for k, want in enumerate(wanted) if want]
    if not asked or not places or all(d is None for d in d_results):
        return found
    with torch.enable_grad(), without_onednn(), outside_transforms():
        inputs = [_alias(tensor) for tensor in given]
        outer = [None if d is None else _alias(d) for d in d_results]
        used = [(r, d) for r, d in zip(again(inputs), outer, strict=True) if d is not None]
        first = torch.autograd.grad(
            [result for result, _ in used],
            [inputs[k] for k in asked],
            [d for _, d in used],
            create_graph=True,
            allow_unused=True,
        )
    sources: list[Any] = [*inputs, *outer]

    def second(gradients: Sequence[torch.Tensor | None]) -> Sequence[torch.Tensor | None]:
        pairs = [(g, d) for g, d in zip(first, gradients, strict=True) if g is not None]
        if not pairs:
            return [None] * len(places)
        found: tuple[torch.Tensor | None, ...] = torch.autograd.grad(
            [g for g, _ in pairs],
            [sources[k] for k in places],
            [d for _, d in pairs],
            retain_graph=True,
            create_graph=higher,
            allow_unused=True,
        )
        return found

    results = one_by_one(second, [d_gradients[k] for k in asked])
    for place, gradient in zip(places, results, strict=True):
        found[place] = gradient
    return found


def by_torch(
    again: _Layer,
    given: _Tensors,
    d_results: Sequence[torch.Tensor | None],
    wanted: Sequence[bool],
) -> list[torch.Tensor | None]:
    """Go back through a layer by PyTorch's operators, which push tangents of gradients on.

    Parameters
    ----------
    again, given, d_results : as for `backward_of_backward`.
    wanted : for each of `given` whether its gradient is wanted.

    Returns
    -------
    a gradient or None for each of `given`.
    """
    higher = torch.is_grad_enabled()
    found: list[torch.Tensor | None] = [None] * len(given)
    with torch.enable_grad(), without_onednn(), outside_transforms():
        inputs = [_alias(tensor) for tensor in given]
        results = again(inputs)
    used = [(r, d) for r, d in zip(results, d_results, strict=True) if d is not None]
    places = [place for place, want in enumerate(wanted) if want]
    gradients = torch.autograd.grad(
        [result for result, _ in used],
        [inputs[place] for place in places],
        [d for _, d in used],
        create_graph=higher,
        allow_unused=True,
    )
    for place, gradient in zip(places, gradients, strict=True):
        found[place] = gradient
    return found


def carry_tangents(gradients: Sequence[torch.Tensor | None]) -> bool:
    """Tell whether gradients are themselves differentiated forward, or otherwise transformed."""
    return transformed() and any(
        gradient is not None
        and (is_functorch_wrapped_tensor(gradient) or unpack_dual(gradient).tangent is not None)
        for gradient in gradients
    )


@contextmanager
def without_onednn() -> Iterator[None]:
    """Switch oneDNN off: its LSTM is not differentiated twice nor forward, what runs then is.

    ``torch.backends.mkldnn.flags`` sets more than that, and warns of it.
    """
    was = _get_mkldnn_enabled()
    _set_mkldnn_enabled(False)
    try:
        yield
    finally:
        _set_mkldnn_enabled(was)


def _alias(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor that can be differentiated by itself, and leads on to where it came from."""
    return tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
