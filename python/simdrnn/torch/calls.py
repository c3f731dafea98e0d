"""Calls of the engine on tensors: forward, and the way back. Autograd knows nothing of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from simdrnn.engine.kept_arrays import empty, empty_like
from simdrnn.engine.protocol import CheckedCall, GradientArrays, TapeArrays
from simdrnn.runtime import get_num_threads
from simdrnn.torch.arrays import array_of, dense_of, view_of
from simdrnn.torch.marks import Marks
from simdrnn.torch.packed import Packed
from simdrnn.torch.ragged import Ragged
from simdrnn.torch.spec import Layout, Spec, layout_of
from simdrnn.validate import Array, as_lengths

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
    marks : which steps of padded rows are real and where states begin anew, or None.
    """

    x: torch.Tensor
    states: Sequence[torch.Tensor]
    weights: Sequence[torch.Tensor]
    batch_sizes: torch.Tensor | None = None
    key: torch.Tensor | None = None
    marks: Marks | None = None


def _time_first(spec: Spec, array: Array) -> Array:
    """View a sequence as (T, B, F)."""
    return array.swapaxes(0, 1) if spec.batch_first else array


def _arguments(
    spec: Spec, packed: Packed, given: Arguments
) -> tuple[CheckedCall, Layout, Ragged | None]:
    """Return the call as engines take it, the shapes of what it makes, and where rows end."""
    x, ragged = array_of(given.x), None
    if given.batch_sizes is None:
        x = _time_first(spec, x)
    else:
        ragged = Ragged(given.batch_sizes)
        x = ragged.pad(x)
    steps, batch = x.shape[:2]
    layout = layout_of(spec, packed.widths, steps, batch)
    zeros = tuple([np.zeros(shape, x.dtype) for shape in layout.states])
    states = tuple([dense_of(state) for state in given.states]) if given.states else zeros
    key = None if given.key is None else int(given.key) & _KEY_MASK
    run = CheckedCall(
        x,
        states,
        lengths=None if ragged is None else ragged.lengths,
        training=key is not None,
        key=key or 0,
        num_threads=min(torch.get_num_threads(), get_num_threads()),
    )
    if given.marks is not None:
        run = _marked(spec, run, given.marks, zeros)
    return run, layout, ragged


def _marked(spec: Spec, run: CheckedCall, marks: Marks, zeros: tuple[Array, ...]) -> CheckedCall:
    """Return a call that knows which steps are real and where states begin anew."""
    steps, batch = run.x.shape[:2]

    def flags(tensor: torch.Tensor | None) -> Array | None:
        if tensor is None:
            return None
        return np.ascontiguousarray(_time_first(spec, tensor.numpy()))

    lengths, reset = marks.lengths, flags(marks.reset)
    return run._replace(
        lengths=None if lengths is None else as_lengths(lengths.numpy(), steps, batch),
        mask=flags(marks.mask),
        reset=reset,
        reset_states=None if reset is None else run.states if marks.to_given else zeros,
    )


def _tape(spec: Spec, layout: Layout, memory: Array) -> TapeArrays:
    """View one flat array as a tape."""
    arrays = [memory[begin:end].reshape(shape) for begin, end, shape in layout.reserve]
    return TapeArrays(arrays[: spec.passes], arrays[spec.passes :])


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
    plain = given.batch_sizes is None and given.key is None and given.marks is None
    if plain and not record:
        found = _short(spec, packed, given)
        if found is not None:
            return (*found, None)
    run, layout, ragged = _arguments(spec, packed, given)
    dtype = run.x.dtype
    memory = tape = None
    if record:
        # At steps that are not real nothing is written. Tools that compare results of operators
        # look there too, and find zeros; of large arrays these cost nothing.
        whole = ragged is None and given.marks is None
        memory = empty((layout.size,), dtype) if whole else np.zeros(layout.size, dtype)
        tape = _tape(spec, layout, memory)
        time_first = tape.hidden[-1]
    else:
        time_first = _time_first(spec, empty(layout.output, dtype))
    finals = [np.empty(shape, dtype) for shape in layout.states]
    packed.network.forward(run, time_first, finals, tape=tape)
    made = ragged.pack(time_first) if ragged is not None else _time_first(spec, time_first)
    if tape is not None and np.may_share_memory(made, time_first):
        # The caller may write to what he gets, by ways that nobody sees: the tape is ours alone.
        mine = made
        made = empty_like(mine)
        np.copyto(made, mine)
    return (
        torch.from_numpy(made),
        [torch.from_numpy(final) for final in finals],
        None if memory is None else torch.from_numpy(memory),
    )


def _short(
    spec: Spec, packed: Packed, given: Arguments
) -> tuple[torch.Tensor, list[torch.Tensor]] | None:
    """Run the layer by the engine's short way; None where an argument is not dense."""
    states = tuple([view_of(state.contiguous()) for state in given.states])
    state = states if len(states) > 1 else states[0] if states else None
    x = _time_first(spec, view_of(given.x))
    found = packed.network.plain_layer(x, state, min(torch.get_num_threads(), get_num_threads()))
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
    reserve : what it kept.
    d_output, d_finals : gradients of output and final states; None is zero.
    needs_x : whether the gradient of x is wanted.

    Returns
    -------
    gradients of x (or None), of the initial states and of the weights.
    """
    run, layout, ragged = _arguments(spec, packed, given)
    dtype = run.x.dtype
    tape = _tape(spec, layout, array_of(reserve))
    if d_output is None:
        zero = np.zeros(layout.output[-1], dtype)
        d_sequence = _time_first(spec, np.broadcast_to(zero, layout.output))
    elif ragged is None:
        d_sequence = _time_first(spec, array_of(d_output))
    else:
        d_sequence = ragged.pad(array_of(d_output))
    d_last = [
        np.zeros(shape, dtype) if d is None else dense_of(d)
        for d, shape in zip(d_finals, layout.states, strict=True)
    ]
    d_x = empty(given.x.shape if ragged is None else run.x.shape, dtype) if needs_x else None
    d_initials = [np.empty(shape, dtype) for shape in layout.states]
    d_resets = None
    if run.reset_states is not None:
        d_resets = [np.empty(shape, dtype) for shape in layout.states]
    d_weights = [empty(tuple(weight.shape), dtype) for weight in given.weights]
    d_input = d_x if d_x is None or ragged is not None else _time_first(spec, d_x)
    gradients = GradientArrays(d_input, d_initials, spec.by_pass(d_weights), d_resets)
    packed.network.backward(run, tape, d_sequence, d_last, gradients)
    if given.marks is not None and given.marks.to_given:
        for d_initial, d_reset in zip(d_initials, d_resets or (), strict=False):
            d_initial += d_reset
    if d_x is not None and ragged is not None:
        d_x = ragged.pack(d_x)
    return (
        None if d_x is None else torch.from_numpy(d_x),
        [torch.from_numpy(d_initial) for d_initial in d_initials],
        [torch.from_numpy(d_weight) for d_weight in d_weights],
    )
