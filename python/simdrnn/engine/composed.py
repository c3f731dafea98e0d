"""A network whose layers are joined here instead of in the engine: merging, residuals, reversal.

It owns one single-layer network of the bound engine for each layer and does what stands between
them in NumPy, elementwise: so every promise about bits holds as it does for the engine.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from simdrnn.engine.kept_arrays import empty
from simdrnn.engine.merge import join, join_backward
from simdrnn.engine.protocol import (
    CheckedCall,
    GradientArrays,
    Network,
    PackedNetwork,
    ParameterArrays,
    TapeArrays,
)
from simdrnn.engine.random_words import between_layers
from simdrnn.engine.steps import in_processing_order, real_steps, reversed_run, where_real
from simdrnn.engine.streaming import Nodes
from simdrnn.spec.options import Options
from simdrnn.spec.structure import Structure
from simdrnn.validate import Array, dense, readable

__all__ = ["Composed"]

# Every network here is the first layer of its own: keys that differ by this odd number give each
# random words of its own. It is not the step from call to call (`engine.random_words`), or layers
# would repeat what others had calls before. 2**64 divided by the plastic number squared,
# 1.7548776662.
_KEY_STEP = 0x91E10DA5C79E7801


class Composed:
    """A stack of layers of one cell, put together as a `Structure` says.

    Without weights it is a `Network`; what `pack` returns is a `PackedNetwork`, too.
    What it keeps on the tape stands at its time, also where layers are reversed.
    """

    def __init__(
        self,
        engine: type[Network],
        structure: Structure,
        cell: str,
        dtype: np.dtype[Any],
        input_size: int,
        hidden_size: int,
        num_layers: int,
        num_directions: int,
        options: Options,
        projected_size: int = 0,
    ) -> None:
        self._structure, self._dtype, self._directions = structure, dtype, num_directions
        h_size = projected_size or hidden_size
        self._raw = num_directions * h_size  # of a layer before its directions are merged
        self._width = h_size if structure.merge in ("sum", "mul", "ave") else self._raw
        inputs = [input_size] + [self._width] * (num_layers - 1)
        self._networks = [
            engine(cell, dtype, size, hidden_size, 1, num_directions, options, projected_size)
            for size in inputs
        ]
        self.packed: list[PackedNetwork] = []  # of these, once there are weights
        self._inputs, self._dropped = inputs, options.dropout
        self._adds = [structure.residual and size == self._width for size in inputs]
        self.arithmetic = self._networks[0].arithmetic
        self.version: int | None = None
        self.made_for: Hashable = None
        self.beside: Any = None

    def token(self) -> Hashable:
        """Return what prepared parameters depend on besides their values."""
        return self._networks[0].token()

    def workspace_bytes(
        self, steps: int, batch: int, training: bool, checkpoint_every: int = 0
    ) -> int:
        """Return the bytes of the largest layer's working memory and of the arrays between layers.

        Between layers stand at most two arrays of all directions and two that are merged.
        """
        largest = max(
            one.workspace_bytes(steps, batch, training, checkpoint_every) for one in self._networks
        )
        return largest + self._between(steps, batch)

    def _between(self, steps: int, batch: int) -> int:
        """Return the bytes of what stands between layers."""
        return steps * batch * 2 * (self._raw + self._width) * self.arithmetic.itemsize

    def backward_peak(self, run: CheckedCall, checkpoint_every: int) -> int:
        """Return the most working memory that `backward` of this very run may take."""
        plan, (steps, batch) = _Plan(run, self._structure.reverse), run.x.shape[:2]
        peaks = []
        for layer, network in enumerate(self._networks):
            row = np.zeros(self._inputs[layer], run.x.dtype)  # of every step: only its shape counts
            below = np.broadcast_to(row, (steps, batch, self._inputs[layer]))
            inner = self._inner(plan, below, layer)
            peaks.append(network.backward_peak(inner, checkpoint_every))
        return max(peaks) + self._between(steps, batch)

    def walked_steps(self, steps: int, batch: int) -> int:
        """Return how many steps `backward` takes at once."""
        return max(network.walked_steps(steps, batch) for network in self._networks)

    def plain_layer(self, x: object, state: object, threads: int = 0) -> None:
        """Return None: there is no short way here."""

    def plain_cell(self, x: object, state: object) -> None:
        """Return None: there is no short way here."""

    def pack(
        self, passes: Sequence[ParameterArrays], token: Hashable, recorded: bool = False
    ) -> Composed:
        """Return the same with these parameters, by ``layer * D + direction``."""
        packed = copy.copy(self)
        packed.packed = [
            network.pack(passes[self._indices(layer)], token, recorded)
            for layer, network in enumerate(self._networks)
        ]
        return packed

    def stream_nodes(
        self,
        nodes: Nodes,
        given: int,
        state_sizes: tuple[int, ...],
        initial: tuple[Array, ...] | None,
    ) -> int:
        """Add what a step forward in time does, layer by layer, to the nodes of a stream."""
        for layer, network in enumerate(self.packed):
            own = None if initial is None else self._of_layer(initial, layer)
            made = nodes.network(network, given, 1, state_sizes, own)
            given = nodes.add(made, given) if self._adds[layer] else made
        return given

    def forward(
        self,
        run: CheckedCall,
        output: Array,
        final_states: Sequence[Array],
        *,
        tape: TapeArrays | None,
    ) -> None:
        """Write `output`, as the structure has it, and the final states, S arrays (L*D, B, H)."""
        plan = _Plan(run, self._structure.reverse)
        shape = (*run.x.shape[:2], self._raw)
        below, last = run.x, len(self.packed) - 1
        if tape is not None:
            tape.outputs.clear()
        for layer, network in enumerate(self.packed):
            dropped = self._dropout(run, layer - 1)
            below = below if dropped is None else below * dropped
            if layer == last and not self._structure.apart:
                raw = output
            else:
                raw = empty(shape, self.arithmetic) if tape is None else tape.hidden[layer]
            own = self._of_layer(final_states, layer)
            inner = self._inner(plan, below, layer)
            if tape is None:
                network.forward(inner, plan.turn(raw), own, tape=None)
            else:
                raw = self._recorded(network, inner, plan, raw, own, tape, layer)
            joined = join(self._structure.merge, raw)
            if self._adds[layer]:
                joined = joined + plan.where_real(below)
            if tape is not None and layer < last:
                tape.outputs.append(joined)
            below = joined
        if self._structure.apart:
            output[...] = self._ordered(run, below).reshape(output.shape)

    def _recorded(
        self,
        network: PackedNetwork,
        run: CheckedCall,
        plan: _Plan,
        raw: Array,
        final_states: Sequence[Array],
        tape: TapeArrays,
        layer: int,
    ) -> Array:
        """Run one layer into the tape; return its output in the precision the engine keeps."""
        own = self._indices(layer)
        # What is saved is written in processing order, in one piece; only its view is turned.
        every = tape.checkpoint_every
        inner = TapeArrays(tape.saved[own], [plan.turn(raw)], tape.checkpoints[own], every)
        network.forward(run, inner.hidden[0], final_states, tape=inner)
        tape.saved[own] = [plan.turn(array) for array in inner.saved]
        tape.checkpoints[own] = inner.checkpoints
        tape.hidden[layer] = plan.turn(inner.hidden[0])
        return tape.hidden[layer]

    def backward(
        self,
        run: CheckedCall,
        tape: TapeArrays,
        d_output: Array,
        d_final_states: Sequence[Array],
        gradients: GradientArrays,
    ) -> None:
        """Overwrite `gradients` from those for the output and the final states."""
        plan, merge = _Plan(run, self._structure.reverse), self._structure.merge
        d_above = d_output.reshape(*d_output.shape[:2], self._width)
        d_above = self._ordered(run, d_above) if not self._structure.keep_order else d_above
        if gradients.attention is not None:
            gradients.attention[...] = 0.0
        for layer in reversed(range(len(self.packed))):
            dropped = self._dropout(run, layer - 1)
            below = self._below(run, tape, layer, dropped)
            raw, own = tape.hidden[layer], self._indices(layer)
            direct = gradients.x if layer == 0 and not self._adds[0] else None
            d_below = empty(below.shape, self.arithmetic) if direct is None else direct
            found = self._gradients(plan, gradients, d_below, layer)
            self.packed[layer].backward(
                self._inner(plan, below, layer),
                TapeArrays(
                    [plan.turn(array) for array in tape.saved[own]],
                    [plan.turn(raw)],
                    tape.checkpoints[own],
                    tape.checkpoint_every,
                ),
                plan.turn(readable(join_backward(merge, raw, d_above))),
                self._of_layer(d_final_states, layer),
                found,
            )
            if gradients.trace is not None and found.trace is not None:
                for one, made in zip(gradients.trace[own], found.trace, strict=True):
                    plan.turn(one)[...] = made
            if gradients.attention is not None and found.attention is not None:
                gradients.attention += plan.turn(found.attention)  # all layers see the same
            if self._adds[layer]:
                d_below += plan.where_real(d_above)
            d_above = d_below if dropped is None else d_below * dropped
        if self._adds[0] and gradients.x is not None:
            gradients.x[...] = d_above

    def _gradients(
        self, plan: _Plan, whole: GradientArrays, d_below: Array, layer: int
    ) -> GradientArrays:
        """Return where the gradients of one layer go."""
        own, trace, resets = self._indices(layer), whole.trace, whole.reset_states
        return GradientArrays(
            plan.turn(d_below),
            self._of_layer(whole.states, layer),
            whole.parameters[own],
            None if resets is None else self._of_layer(resets, layer),
            None if whole.attention is None else np.empty_like(whole.attention),
            # Engines take traces in one piece.
            None if trace is None else [dense(plan.turn(one)) for one in trace[own]],
            whole.add,
        )

    def run_of(self, run: CheckedCall, tape: TapeArrays, layer: int) -> CheckedCall:
        """Return the run of one layer by itself, at the times of the whole, of what was recorded.

        A network that is reversed takes its steps in the other order.
        """
        dropped = self._dropout(run, layer - 1)
        return self._inner(_Plan(run, False), self._below(run, tape, layer, dropped), layer)

    @staticmethod
    def _below(run: CheckedCall, tape: TapeArrays, layer: int, dropped: Array | None) -> Array:
        """Return what a recorded layer was given: with dropout, times what that multiplies by."""
        below = tape.outputs[layer - 1] if layer else run.x
        return below if dropped is None else below * dropped

    def _indices(self, layer: int) -> slice:
        """Return the indices of a layer's directions."""
        return slice(layer * self._directions, (layer + 1) * self._directions)

    def _of_layer(self, states: Sequence[Array], layer: int) -> tuple[Array, ...]:
        """Take what belongs to one layer from S arrays (L*D, B, H), as views."""
        return tuple([state[self._indices(layer)] for state in states])

    def _inner(self, plan: _Plan, below: Array, layer: int) -> CheckedCall:
        """Return the run of one layer over what comes from below."""
        run = plan.run
        resets = run.reset_states
        return run._replace(
            x=plan.turn(below),
            states=self._of_layer(run.states, layer),
            key=(run.key + _KEY_STEP * layer) % 2**64,
            reset_states=None if resets is None else self._of_layer(resets, layer),
        )

    def _ordered(self, run: CheckedCall, sequence: Array) -> Array:
        """Bring a (T, B, ...) sequence into the order asked for, or back."""
        if self._structure.keep_order:
            return sequence
        return in_processing_order(sequence, run.lengths)

    def _dropout(self, run: CheckedCall, layer: int) -> Array | None:
        """Return what the output of `layer` is multiplied by; None where it is not."""
        chance = self._dropped if run.training and layer >= 0 else 0.0
        shape = (*run.x.shape[:2], self._width)
        scale = between_layers(shape, layer, chance, run.key, self._dtype)
        return None if scale is None else scale.astype(self.arithmetic, copy=False)


class _Plan:
    """What all layers of a call share: in which direction time runs, and which steps are real."""

    def __init__(self, run: CheckedCall, reverse: bool) -> None:
        self._reverse = reverse
        self.run = reversed_run(run) if reverse else run
        self._real = real_steps(run)

    def turn(self, sequence: Array) -> Array:
        """View a sequence that stands at its times as the engine takes it, or the other way."""
        return sequence[::-1] if self._reverse else sequence

    def where_real(self, sequence: Array) -> Array:
        """Return a (T, B, F) sequence with 0 at steps that are not real."""
        return where_real(self._real, sequence)
