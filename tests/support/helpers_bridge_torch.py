"""PyTorch's modules and ours side by side: same parameters, same arguments, results as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import simdrnn.torch
from helpers import assert_close, tolerance

LAYERS = {
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
    "rnn_tanh": ("RNN", {}),
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}),
}
CELLS = {cell: (f"{name}Cell", extra) for cell, (name, extra) in LAYERS.items()}


def pair(cell: str, *args: Any, single: bool = False, **kwargs: Any) -> tuple[Any, Any]:
    """Make PyTorch's layer, or single cell, and ours with the same values."""
    name, extra = (CELLS if single else LAYERS)[cell]
    theirs = getattr(torch.nn, name)(*args, **kwargs, **extra)
    ours = getattr(simdrnn.torch, name)(*args, **kwargs, **extra)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


@dataclass
class Arguments:
    """Arguments of one call and the gradients of its results; `uses` says which of these count."""

    x: Any
    state: tuple[Any, ...] | None
    lengths: Any | None = None
    enforce_sorted: bool = False
    batch_first: bool = False
    uses: tuple[str, ...] = ("output", "h", "c")
    wants: tuple[str, ...] = ("x", "state", "weights")
    seed: int = 0


def as_tuple(state: Any) -> tuple[Any, ...]:
    """Return the members of a state in either form."""
    return state if isinstance(state, tuple) else (state,)


def call(module: Any, arguments: Arguments) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a layer or cell forward and backward: values and gradients by name, as arrays."""
    x = arguments.x.clone().requires_grad_("x" in arguments.wants)
    given: Any = x
    if arguments.lengths is not None:
        given = pack_padded_sequence(
            x, arguments.lengths, arguments.batch_first, arguments.enforce_sorted
        )
    state = None
    if arguments.state is not None:
        state = tuple(h.clone().requires_grad_("state" in arguments.wants) for h in arguments.state)
    for parameter in module.parameters():
        parameter.grad = None
        parameter.requires_grad_("weights" in arguments.wants)
    result = module(given, state[0] if state is not None and len(state) == 1 else state)
    if "Cell" in type(module).__name__:
        values = dict(zip("hc", as_tuple(result), strict=False))
    else:
        output, final = result
        values = {"output": output, **dict(zip("hc", as_tuple(final), strict=False))}
    if isinstance(values.get("output"), PackedSequence):
        packed = values["output"]
        assert torch.equal(packed.batch_sizes, given.batch_sizes)
        values["output"] = packed.data
    # The same numbers for both modules, in an order that does not depend on how often it is asked.
    generator = torch.Generator().manual_seed(arguments.seed)
    loss = torch.zeros((), dtype=x.dtype)
    for name, value in values.items():
        weight = torch.randn(value.shape, generator=generator, dtype=value.dtype)
        loss = loss + (value * weight).sum() if name in arguments.uses else loss
    gradients = {}
    if loss.requires_grad:
        loss.backward()
        named = {"x": x, **dict(module.named_parameters())}
        named |= {f"state[{k}]": h for k, h in enumerate(state or ())}
        gradients = {name: array(t.grad) for name, t in named.items() if t.grad is not None}
    return {name: array(value) for name, value in values.items()}, gradients


def array(tensor: Any) -> Any:
    """Return a tensor's values."""
    return tensor.detach().numpy()


def allowed(module: Any, arguments: Arguments, dtype: torch.dtype) -> float:
    """Return how far two results may lie apart, each within the tolerance of the exact one."""
    layers, directions = getattr(module, "num_layers", 1), 1 + getattr(module, "bidirectional", 0)
    hidden = module.hidden_size
    steps = max(arguments.x.shape[:-1], default=1)
    longest = max(module.input_size, directions * hidden) + hidden
    longest = max(longest, 4 * hidden, int(np.prod(arguments.x.shape[:-1])))
    return 2 * tolerance(
        "float64" if dtype is torch.float64 else "float32", steps * layers, longest
    )


def assert_same(theirs: Any, ours: Any, arguments: Arguments) -> None:
    """Compare values and gradients of two modules."""
    want_values, want_gradients = call(theirs, arguments)
    values, gradients = call(ours, arguments)
    within = allowed(ours, arguments, arguments.x.dtype)
    assert_close(values, want_values, within, "values")
    assert_close(gradients, want_gradients, within, "gradients")
