"""Layers with marked steps in PyTorch's own operators: step by step, as one would write it.

PyTorch's layers know no masks and resets. So this is their path for what the engine cannot run:
other devices and dtypes, functorch's transforms, second derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch.nn import functional

from simdrnn.torch.marks import Marks
from simdrnn.torch.spec import Spec

__all__ = ["marked_layer", "marked_layers"]

_Tensors: TypeAlias = Sequence[torch.Tensor]
_Maybe: TypeAlias = torch.Tensor | None


class _Steps(NamedTuple):
    """What happens at each step of a direction: (T, B) bool, or None where nothing does."""

    order: Sequence[int]
    real: _Maybe
    fresh: _Maybe


def _steps_of(spec: Spec, marks: Marks, steps: int) -> Iterator[_Steps]:
    """Yield what the steps of each direction are, as ``docs/engines.md`` defines them."""

    def time_first(flags: _Maybe) -> _Maybe:
        return flags.transpose(0, 1) if flags is not None and spec.batch_first else flags

    real, fresh = time_first(marks.mask), time_first(marks.reset)
    if marks.lengths is not None:
        times = torch.arange(steps, device=marks.lengths.device)
        inside = times[:, None] < marks.lengths
        real = inside if real is None else real & inside
        fresh = None if fresh is None else fresh & inside
    yield _Steps(range(steps), real, fresh)
    if spec.bidirectional:
        # A reset cuts a row between the step before and its own, whichever way it is gone along.
        after = None
        if fresh is not None:
            after = torch.cat((fresh[1:], torch.zeros_like(fresh[:1])))
        yield _Steps(range(steps)[::-1], real, after)


def _cell(spec: Spec, x: torch.Tensor, states: _Tensors, weights: _Tensors) -> _Tensors:
    """Take one step."""
    weight_ih, weight_hh, *rest = weights
    biases = rest[:2] if spec.has_biases else [None, None]
    if spec.cell == "gru":
        return [torch.gru_cell(x, states[0], weight_ih, weight_hh, *biases)]
    if spec.cell != "lstm":
        step = torch.rnn_tanh_cell if spec.cell == "rnn_tanh" else torch.rnn_relu_cell
        return [step(x, states[0], weight_ih, weight_hh, *biases)]
    h, c = states
    gates = functional.linear(x, weight_ih, biases[0]) + functional.linear(h, weight_hh, biases[1])
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return [functional.linear(h, rest[-1]) if spec.projected else h, c]


def _where(flags: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Choose rows (B, F) by flags (B,)."""
    return torch.where(flags[:, None], one, other)


def _direction(
    spec: Spec, run: _Steps, x: torch.Tensor, initial: _Tensors, weights: _Tensors, resets: _Tensors
) -> tuple[torch.Tensor, _Tensors]:
    """Return the outputs (T, B, F) of one direction, and its states after the last step."""
    states, outputs = list(initial), {}
    zeros = [torch.zeros_like(state) for state in initial]
    for t in run.order:
        if run.fresh is not None:
            states = [_where(run.fresh[t], r, s) for r, s in zip(resets, states, strict=True)]
        if run.real is None:
            states = list(_cell(spec, x[t], states, weights))
            outputs[t] = states[0]
            continue
        real = run.real[t]
        # What a row without a step holds may be NaN, times which a gradient of 0 is not 0.
        seen = [_where(real, state, zero) for state, zero in zip(states, zeros, strict=True)]
        u = _where(real, x[t], torch.zeros_like(x[t]))
        made = _cell(spec, u, seen, weights)
        outputs[t] = _where(real, made[0], zeros[0])
        states = [_where(real, new, old) for new, old in zip(made, states, strict=True)]
    return torch.stack([outputs[t] for t in range(len(x))]), states


def marked_layer(
    spec: Spec, marks: Marks, x: torch.Tensor, states: _Tensors, weights: _Tensors
) -> tuple[torch.Tensor, ...]:
    """Run one layer of a stack.

    Parameters
    ----------
    spec : the stack.
    marks : of its steps.
    x : laid out as the stack has it.
    states : S tensors (D, B, H).
    weights : of the layer, in PyTorch's order.

    Returns
    -------
    output, laid out like x, and S final states (D, B, H).
    """
    sequence = x.transpose(0, 1) if spec.batch_first else x
    resets = states if marks.to_given else [torch.zeros_like(state) for state in states]
    found = []
    for direction, run in enumerate(_steps_of(spec, marks, len(sequence))):
        own = weights[direction * spec.weights_each : (direction + 1) * spec.weights_each]
        begin, back = [s[direction] for s in states], [s[direction] for s in resets]
        found.append(_direction(spec, run, sequence, begin, own, back))
    output = torch.cat([one for one, _ in found], -1)
    finals = zip(*(last for _, last in found), strict=True)
    return (
        output.transpose(0, 1) if spec.batch_first else output,
        *(torch.stack(final) for final in finals),
    )


def marked_layers(
    spec: Spec,
    marks: Marks,
    x: torch.Tensor,
    states: _Tensors,
    weights: _Tensors,
    *,
    training: bool,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run a stack, with PyTorch's dropout; return output and final states (L*D, B, H)."""
    each, finals = spec.weights_each * spec.directions, []
    for layer in range(spec.num_layers):
        rows = slice(layer * spec.directions, (layer + 1) * spec.directions)
        own = weights[layer * each : (layer + 1) * each]
        x, *last = marked_layer(spec, marks, x, [state[rows] for state in states], own)
        finals.append(last)
        if spec.dropout and layer + 1 < spec.num_layers:
            x = functional.dropout(x, spec.dropout, training)
    return x, [torch.cat(parts) for parts in zip(*finals, strict=True)]
