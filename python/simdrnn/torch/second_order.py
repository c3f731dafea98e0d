"""The layer in PyTorch's own operators, which can be differentiated any number of times.

Our backward is one operator. Where its results are themselves differentiated, after
``create_graph=True``, the layer is run again here, with the dropout masks that our call drew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from simdrnn.engine.random_words import multipliers
from simdrnn.torch.calls import Arguments
from simdrnn.torch.ragged import Ragged
from simdrnn.torch.spec import Spec

__all__ = ["backward_of_backward"]

_KEY_MASK = 2**64 - 1
_Tensors = Sequence[torch.Tensor]


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
    numpy_type = given.x.detach().numpy().dtype
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
        if given.batch_sizes is None:
            sequence, *last = operator(sequence, state, *common, spec.batch_first)
        else:
            sequence, *last = operator(sequence, given.batch_sizes, state, *common)
        finals.append(last)
        mask = _mask(spec, given, layer, sequence.shape[-1])
        if mask is not None and layer + 1 < spec.num_layers:
            sequence = sequence * mask
    return (sequence, *(torch.cat(parts) for parts in zip(*finals, strict=True)))


def backward_of_backward(
    spec: Spec,
    given: Arguments,
    d_results: Sequence[torch.Tensor | None],
    d_gradients: Sequence[torch.Tensor | None],
    wanted: Sequence[bool],
) -> list[torch.Tensor | None]:
    """Differentiate the gradients that our backward returned.

    Parameters
    ----------
    spec, given : the layer and its arguments.
    d_results : gradients of output and final states that backward was given; None is zero.
    d_gradients : of x, the initial states and the weights: gradients of what backward returned
        for them; None is zero.
    wanted : for x, the initial states, the weights, then for each of `d_results`: whether its
        gradient is wanted.

    Returns
    -------
    a gradient or None for each of `wanted`.
    """
    higher = torch.is_grad_enabled()
    states = len(given.states)
    found: list[torch.Tensor | None] = [None] * len(wanted)
    asked = [k for k, d in enumerate(d_gradients) if d is not None]
    if not asked or all(d is None for d in d_results):
        return found
    with torch.enable_grad(), _without_onednn():
        inputs = [_alias(t) for t in (given.x, *given.states, *given.weights)]
        again = given._replace(
            x=inputs[0], states=inputs[1 : 1 + states], weights=inputs[1 + states :]
        )
        outer = [None if d is None else _alias(d) for d in d_results]
        results = layer_by_torch(spec, again)
        used = [(result, d) for result, d in zip(results, outer, strict=True) if d is not None]
        first = torch.autograd.grad(
            [result for result, _ in used],
            [inputs[k] for k in asked],
            [d for _, d in used],
            create_graph=True,
            allow_unused=True,
        )
        pairs = [(g, d_gradients[k]) for g, k in zip(first, asked, strict=True) if g is not None]
        places = [k for k, want in enumerate(wanted) if want]
        if not pairs or not places:
            return found
        sources: list[Any] = [*inputs, *outer]
        second = torch.autograd.grad(
            [g for g, _ in pairs],
            [sources[k] for k in places],
            [d for _, d in pairs],
            create_graph=higher,
            allow_unused=True,
        )
    for place, gradient in zip(places, second, strict=True):
        found[place] = gradient
    return found


@contextmanager
def _without_onednn() -> Iterator[None]:
    """Switch oneDNN off: its LSTM cannot be differentiated twice, the one that runs then can.

    ``torch.backends.mkldnn.flags`` sets more than that, and warns of it.
    """
    switch = torch._C._set_mkldnn_enabled
    was = torch._C._get_mkldnn_enabled()
    switch(False)
    try:
        yield
    finally:
        switch(was)


def _alias(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor that can be differentiated by itself, and leads on to where it came from."""
    return tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
