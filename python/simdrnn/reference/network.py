"""The NumPy engine: stacks layers and directions, and keeps to ``docs/engines.md``.

Everything is computed in float64, whatever the layer's dtype; only results are rounded to it.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from simdrnn.engine.protocol import CheckedCall, GradientArrays, ParameterArrays, TapeArrays
from simdrnn.engine.random_words import Feature, multipliers
from simdrnn.engine.steps import Steps
from simdrnn.reference.cell_protocol import Cell
from simdrnn.reference.checkpoints import keep, recompute
from simdrnn.reference.layer_norm import NormalisedPass
from simdrnn.reference.noise import Noise
from simdrnn.reference.results import PassGradients, PassResult, Weights
from simdrnn.reference.sequence import Pass
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo
from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = ["CELLS", "Network"]

# The modules of this package that hold cells, each in a tuple CELLS.
_MODULES = (
    "elman",
    "lstm",
    "lstm_variants",
    "slstm",
    "gru",
    "augru",
    "mgu",
    "ugrnn",
    "li_gru",
    "janet",
    "ind_rnn",
    "fast_rnn",
    "fast_grnn",
    "ran",
    "minimal_rnn",
    "ctrnn",
)

CELLS: dict[str, Cell] = {
    cell.info.name: cell
    for module in _MODULES
    for cell in import_module(f"simdrnn.reference.{module}").CELLS
}


class Network:
    """A stack of layers of one cell; see `simdrnn.engine.protocol.Network`.

    What `pack` returns is a `PackedNetwork`, too.
    """

    arithmetic: np.dtype[Any] = np.dtype(np.float64)

    def __init__(
        self,
        cell: str,
        dtype: np.dtype[Any],
        input_size: int,
        hidden_size: int,
        num_layers: int,
        num_directions: int,
        options: Options,
        projected_size: int = 0,
    ) -> None:
        self._cell = CELLS[cell]
        self._dtype = dtype
        self._hidden_size, self._h_size = hidden_size, projected_size or hidden_size
        self._num_layers, self._num_directions = num_layers, num_directions
        self._options = options
        self.weights: dict[int, Weights] = {}
        self.version: int | None = None
        self.made_for: Hashable = None
        self.beside: Any = None

    def token(self) -> Hashable:
        """Return None: prepared parameters depend on nothing but their values."""
        return None

    def workspace_bytes(self, steps: int, batch: int, training: bool, checkpoint_every: int) -> int:
        """Return the size of the largest arrays of one pass; a bound in spirit, not to the byte."""
        info = self._cell.info
        saved = self._options.saved(info).carried
        per_unit = info.gates + saved + 2
        if training:
            per_unit += 2 * info.gates + info.separate + info.states + saved
        widest = self._hidden_size * self._num_directions * per_unit
        if checkpoint_every:  # one direction's, made again
            widest += self._hidden_size * saved
        return steps * batch * widest * np.dtype(np.float64).itemsize

    def backward_peak(self, run: CheckedCall, checkpoint_every: int) -> int:
        """Return the same: what masks leave out is computed here, too."""
        steps, batch = run.x.shape[:2]
        return self.workspace_bytes(steps, batch, True, checkpoint_every)

    def walked_steps(self, steps: int, batch: int) -> int:
        """Return all: one direction's saved values are made again together."""
        return max(steps, 1)

    def plain_layer(self, x: object, state: object, threads: int = 0) -> None:
        """Return None: there is no short way here."""

    def plain_cell(self, x: object, state: object) -> None:
        """Return None: there is no short way here."""

    def pack(
        self, passes: Sequence[ParameterArrays], token: Hashable, recorded: bool = False
    ) -> Network:
        """Return the same with these parameters, by ``layer * D + direction``."""
        return self.with_weights(dict(enumerate(passes)))

    def with_weights(self, passes: Mapping[int, ParameterArrays]) -> Network:
        """Return the same with copies of some directions' parameters, in float64 and by gate."""
        packed = copy.copy(self)
        packed.weights = {
            index: Weights.by_gate(arrays, self._cell.info, self._hidden_size)
            for index, arrays in passes.items()
        }
        return packed

    def forward(
        self,
        run: CheckedCall,
        output: Array,
        final_states: Sequence[Array],
        *,
        tape: TapeArrays | None,
    ) -> None:
        """Write output and final states; with a tape, put float64 arrays of our own on it."""
        hidden: list[Array] = []
        for layer in range(self._num_layers):
            x, outputs = self.input_of(run, hidden, layer), []
            for index in self._indices(layer):
                recurrence = self.pass_of(run, index, x)
                result = recurrence.forward(keep=tape is not None)
                outputs.append(result.output)
                for final, state in zip(final_states, result.final, strict=True):
                    final[index] = state
                if tape is not None:
                    self._keep(tape, index, recurrence, result)
            hidden.append(np.concatenate(outputs, axis=-1))
        output[...] = hidden[-1]
        if tape is not None:
            tape.hidden[:] = hidden

    def backward(
        self,
        run: CheckedCall,
        tape: TapeArrays,
        d_output: Array,
        d_final_states: Sequence[Array],
        gradients: GradientArrays,
    ) -> None:
        """Overwrite `gradients` from those for the output and the final states."""
        d_above = d_output.astype(np.float64)
        d_finals = [d_final.astype(np.float64) for d_final in d_final_states]
        d_scores = np.zeros((self._cell.info.step_inputs, *run.x.shape[:2]))
        for layer in reversed(range(self._num_layers)):
            x = self.input_of(run, tape.hidden, layer)
            d_below = np.zeros(x.shape)
            for direction, index in enumerate(self._indices(layer)):
                columns = slice(direction * self._h_size, (direction + 1) * self._h_size)
                recurrence, after = self.pass_of(run, index, x), tape.hidden[layer][..., columns]
                own = recurrence.backward(
                    after,
                    self._saved(tape, index, recurrence, after),
                    d_above[..., columns],
                    tuple(d_final[index] for d_final in d_finals),
                    None if gradients.trace is None else gradients.trace[index],
                )
                d_below += own.x
                d_scores += own.step_inputs  # all layers and directions see the same
                self._hand_out(own, index, gradients.states, gradients.reset_states)
                found, wanted = own.weights, gradients.parameters[index]
                values = (*found[:4], found.projection, *found.own)
                targets = (*wanted[:4], wanted.weight_hr, *wanted.cell_parameters)
                for target, value in zip(targets, values, strict=True):
                    if target is not None and value is not None:
                        before = target if gradients.add else 0
                        target[...] = before + value.reshape(target.shape)
            d_above = d_below * self._dropout(run, layer)
        if gradients.x is not None:
            gradients.x[...] = d_above
        if gradients.attention is not None:
            gradients.attention[...] = d_scores[0]

    def input_of(self, run: CheckedCall, hidden: Sequence[Array], layer: int) -> Array:
        """Return what a layer is given, of the outputs of those below: with some of it dropped."""
        below = hidden[layer - 1] if layer else run.x
        return below.astype(np.float64) * self._dropout(run, layer)

    def _indices(self, layer: int) -> range:
        """Return the indices of a layer's directions."""
        return range(layer * self._num_directions, (layer + 1) * self._num_directions)

    def _keep(self, tape: TapeArrays, index: int, recurrence: Pass, result: PassResult) -> None:
        """Put one direction's saved values on the tape, or its checkpoints."""
        if tape.checkpoint_every:
            tape.checkpoints[index] = keep(
                recurrence, result.output, result.saved, tape.checkpoint_every
            )
            return
        steps, saved, batch, hidden = result.saved.shape  # to (T, B, saved*H)
        tape.saved[index] = result.saved.swapaxes(1, 2).reshape(steps, batch, saved * hidden)

    def _saved(self, tape: TapeArrays, index: int, recurrence: Pass, output: Array) -> Array:
        """Return one direction's saved values (T, saved, B, H), made again where not kept."""
        if tape.checkpoint_every:
            return recompute(recurrence, output, tape.checkpoints[index], tape.checkpoint_every)
        steps, batch, _ = tape.saved[index].shape
        width = tape.saved[index].shape[-1] // self._hidden_size
        shape = (steps, batch, width, self._hidden_size)
        return tape.saved[index].reshape(shape).swapaxes(1, 2)

    def pass_of(self, run: CheckedCall, index: int, x: Array) -> Pass:
        """Describe the pass of one direction over `x`."""
        steps = Steps.of(run, reverse=bool(index % self._num_directions))
        initial = _of_index(run.states, index)
        reset = initial if run.reset_states is None else _of_index(run.reset_states, index)
        weights = self.weights[index]
        noise = self.noise_of(run, index)
        beside = np.empty((0, *run.x.shape[:2])) if run.attention is None else run.attention[None]
        kind = Pass if self._options.placement is None else NormalisedPass
        return kind(
            self._cell, weights, x, initial, reset, steps, run.hold, self._options, noise,
            beside.astype(np.float64),
        )  # fmt: skip

    def noise_of(self, run: CheckedCall, index: int) -> Noise:
        """Draw what is random about the pass of one direction."""
        return Noise.draw(
            self._options,
            (*run.x.shape[:2], self._hidden_size),
            self._cell.info.recurrent_gates,
            (self._h_size, *[self._hidden_size] * (self._cell.info.states - 1)),
            index,
            training=run.training,
            key=run.key,
            dtype=self._dtype,
        )

    @staticmethod
    def _hand_out(
        gradients: PassGradients,
        index: int,
        d_initial_states: Sequence[Array],
        d_reset_states: Sequence[Array] | None,
    ) -> None:
        """Write the gradients for the states; without others, resets go to the initial ones."""
        for position, d_initial in enumerate(d_initial_states):
            d_start, d_reset = gradients.initial[position], gradients.reset[position]
            if d_reset_states is None:
                d_initial[index] = d_reset + d_start
            else:
                d_initial[index], d_reset_states[position][index] = d_start, d_reset

    def _dropout(self, run: CheckedCall, layer: int) -> Array | float:
        """Return what the input of `layer` is multiplied by."""
        scale: Array | float = 1.0
        if not run.training:
            return scale
        steps, batch = run.x.shape[:2]
        width = self._num_directions * self._h_size if layer else run.x.shape[2]
        if self._options.input_dropout:
            scale = multipliers(
                (1, batch, width), layer, self._options.input_dropout, run.key, self._dtype,
                Feature.INPUT,
            ).astype(np.float64)  # fmt: skip
        if layer and self._options.dropout:
            probability = self._options.dropout
            shape = (steps, batch, width)
            between = multipliers(shape, layer - 1, probability, run.key, self._dtype)
            scale = scale * between.astype(np.float64)
        return scale


def _of_index(states: Sequence[Array], index: int) -> Arrays:
    """Take the states (B, H) of one layer and direction, as float64."""
    return tuple(state[index].astype(np.float64) for state in states)


def cell_infos() -> dict[str, CellInfo]:
    """Return the counts of every cell by name."""
    return {name: cell.info for name, cell in CELLS.items()}
