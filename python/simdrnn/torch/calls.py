"""Calls of the engine on tensors: forward, and the way back. Autograd knows nothing of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from simdrnn.engine.protocol import CheckedCall, GradientArrays, TapeArrays
from simdrnn.runtime import get_num_threads
from simdrnn.torch.packed import Packed
from simdrnn.torch.ragged import Ragged
from simdrnn.torch.spec import Layout, Spec, layout_of
from simdrnn.validate import Array

__all__ = ["Arguments", "backward", "forward"]

_KEY_MASK = 2**64 - 1


class Arguments(NamedTuple):
    """The tensors that a call is given, all on the CPU and of one dtype.

    Parameters
    ----------
    x : (T, B, I) or (B, T, I), as the layer has it; (N, I) where rows are packed.
    states : S tensors (L*D, B, H); none of them stands for zeros.
    weights : the parameters, in PyTorch's order.
    batch_sizes : of packed rows, or None.
    key : one int64 that dropout is drawn from, or None where nothing is dropped.
    """

    x: torch.Tensor
    states: Sequence[torch.Tensor]
    weights: Sequence[torch.Tensor]
    batch_sizes: torch.Tensor | None = None
    key: torch.Tensor | None = None


def _array(tensor: torch.Tensor) -> Array:
    """View a tensor as an array; it is copied only where its rows are not contiguous."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.stride(-1) != 1 and tensor.shape[-1] > 1:
        tensor = tensor.contiguous()
    array: Array = tensor.numpy()
    return array


def _dense(tensor: torch.Tensor) -> Array:
    """View a contiguous tensor as an array, or copy it."""
    return _array(tensor.contiguous())


def _time_first(spec: Spec, array: Array) -> Array:
    """View a sequence as (T, B, F)."""
    return array.swapaxes(0, 1) if spec.batch_first else array


def _arguments(
    spec: Spec, packed: Packed, given: Arguments
) -> tuple[CheckedCall, Layout, Ragged | None]:
    """Return the call as engines take it, the shapes of what it makes, and where rows end."""
    x, ragged = _array(given.x), None
    if given.batch_sizes is None:
        x = _time_first(spec, x)
    else:
        ragged = Ragged(given.batch_sizes)
        x = ragged.pad(x)
    steps, batch = x.shape[:2]
    layout = layout_of(spec, packed.widths, steps, batch, ragged=ragged is not None)
    if given.states:
        states = [_dense(state) for state in given.states]
    else:
        states = [np.zeros(shape, x.dtype) for shape in layout.states]
    key = None if given.key is None else int(given.key) & _KEY_MASK
    run = CheckedCall(
        x,
        tuple(states),
        lengths=None if ragged is None else ragged.lengths,
        training=key is not None,
        key=key or 0,
        num_threads=min(torch.get_num_threads(), get_num_threads()),
    )
    return run, layout, ragged


def _tape(spec: Spec, layout: Layout, memory: Array, output: Array | None) -> TapeArrays:
    """View one flat array as a tape; `output` is the last layer's, where that is not in it."""
    arrays = [memory[begin:end].reshape(shape) for begin, end, shape in layout.reserve]
    passes = spec.passes
    hidden = arrays[passes:]
    if output is not None:
        hidden.append(output)
    return TapeArrays(arrays[:passes], hidden)


def forward(
    spec: Spec, packed: Packed, given: Arguments, *, record: bool
) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor | None]:
    """Run the layer.

    Parameters
    ----------
    spec : the layer.
    packed : its weights.
    given : the arguments.
    record : whether `backward` will be called.

    Returns
    -------
    output, laid out like x; final states (L*D, B, H); and what `backward` needs, 1-D, if recorded.
    """
    if not (record or given.batch_sizes is not None or given.key is not None):
        found = _short(spec, packed, given)
        if found is not None:
            return (*found, None)
    run, layout, ragged = _arguments(spec, packed, given)
    dtype = run.x.dtype
    output = memory = tape = None
    if ragged is None or not record:
        output = np.empty(layout.output, dtype)
        time_first = _time_first(spec, output)
    if record:
        # Behind a row's end nothing is written. Tools that compare results of operators look there
        # too, and find zeros; of large arrays these cost nothing.
        allocate = np.empty if ragged is None else np.zeros
        memory = allocate(layout.size, dtype)
        tape = _tape(spec, layout, memory, None if output is None else time_first)
        time_first = tape.hidden[-1]
    finals = [np.empty(shape, dtype) for shape in layout.states]
    packed.network.forward(run, time_first, finals, tape=tape)
    if ragged is not None:
        output = ragged.pack(time_first)
    return (
        torch.from_numpy(output),
        [torch.from_numpy(final) for final in finals],
        None if memory is None else torch.from_numpy(memory),
    )


def _short(
    spec: Spec, packed: Packed, given: Arguments
) -> tuple[torch.Tensor, list[torch.Tensor]] | None:
    """Run the layer by the engine's short way; None where an argument is not dense."""
    if torch.get_num_threads() < get_num_threads():
        return None  # that way always takes as many as are allowed
    states = tuple([_dense(state) for state in given.states])
    state = states if len(states) > 1 else states[0] if states else None
    found = packed.network.plain_layer(_time_first(spec, _array(given.x)), state)
    if found is None:
        return None
    output, finals = found
    if not isinstance(finals, tuple):
        finals = (finals,)
    # The output is dense, whichever of its axes is called time.
    return torch.from_numpy(_time_first(spec, output)), [torch.from_numpy(h) for h in finals]


def backward(
    spec: Spec,
    packed: Packed,
    given: Arguments,
    output: torch.Tensor,
    reserve: torch.Tensor,
    d_output: torch.Tensor | None,
    d_finals: Sequence[torch.Tensor | None],
    *,
    needs_x: bool,
) -> tuple[torch.Tensor | None, list[torch.Tensor], list[torch.Tensor]]:
    """Propagate gradients back through a recorded call.

    Parameters
    ----------
    spec, packed, given : as for `forward`.
    output, reserve : what it returned.
    d_output, d_finals : gradients of output and final states; None is zero.
    needs_x : whether the gradient of x is wanted.

    Returns
    -------
    gradients of x (or None), of the initial states and of the weights.
    """
    run, layout, ragged = _arguments(spec, packed, given)
    dtype = run.x.dtype
    whole = None if ragged is not None else _time_first(spec, _array(output))
    tape = _tape(spec, layout, _array(reserve), whole)
    if d_output is None:
        zero = np.zeros(layout.output[-1], dtype)
        d_sequence = _time_first(spec, np.broadcast_to(zero, layout.output))
    elif ragged is None:
        d_sequence = _time_first(spec, _array(d_output))
    else:
        d_sequence = ragged.pad(_array(d_output))
    d_last = [
        np.zeros(shape, dtype) if d is None else _dense(d)
        for d, shape in zip(d_finals, layout.states, strict=True)
    ]
    d_x = np.empty(given.x.shape if ragged is None else run.x.shape, dtype) if needs_x else None
    d_initials = [np.empty(shape, dtype) for shape in layout.states]
    d_weights = [np.empty(weight.shape, dtype) for weight in given.weights]
    d_input = d_x if d_x is None or ragged is not None else _time_first(spec, d_x)
    packed.network.backward(
        run, tape, d_sequence, d_last, GradientArrays(d_input, d_initials, spec.by_pass(d_weights))
    )
    if d_x is not None and ragged is not None:
        d_x = ragged.pack(d_x)
    return (
        None if d_x is None else torch.from_numpy(d_x),
        [torch.from_numpy(d_initial) for d_initial in d_initials],
        [torch.from_numpy(d_weight) for d_weight in d_weights],
    )
