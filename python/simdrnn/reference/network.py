"""The NumPy engine: stacks layers and directions, and keeps to ``docs/engines.md``.

Everything is computed in float64, whatever the layer's dtype; only results are rounded to it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from simdrnn.cells import CellInfo
from simdrnn.dropout import multipliers
from simdrnn.options import Options
from simdrnn.reference.elman import Elman, ElmanRelu
from simdrnn.reference.gru import Gru, GruResetBefore
from simdrnn.reference.lstm import Lstm
from simdrnn.reference.sequence import Arrays, Cell, Pass, PassGradients, Weights
from simdrnn.run import ParameterArrays, Run, TapeArrays
from simdrnn.steps import Steps
from simdrnn.validate import Array

__all__ = ["CELLS", "Network"]

_ALL: tuple[Cell, ...] = (Elman(), ElmanRelu(), Lstm(), Gru(), GruResetBefore())

CELLS: dict[str, Cell] = {cell.info.name: cell for cell in _ALL}


class Network:
    """A stack of layers of one cell; see `simdrnn.run.Network`."""

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
    ) -> None:
        self._cell = CELLS[cell]
        self._dtype = dtype
        self._hidden_size = hidden_size
        self._num_layers, self._num_directions = num_layers, num_directions
        self._options = options
        self._weights: dict[int, Weights] = {}

    def token(self) -> Hashable:
        """Return None: prepared parameters depend on nothing but their values."""
        return None

    def workspace_bytes(self, steps: int, batch: int, training: bool) -> int:
        """Return the size of the largest arrays of one pass; a bound in spirit, not to the byte."""
        info = self._cell.info
        per_unit = info.gates + info.saved + 2
        if training:
            per_unit += 2 * info.gates + info.separate + info.states + info.saved
        widest = self._hidden_size * self._num_directions * per_unit
        return steps * batch * widest * np.dtype(np.float64).itemsize

    def plain_layer(self, x: object, state: object) -> None:
        """Return None: there is no short way here."""

    def plain_cell(self, x: object, state: object) -> None:
        """Return None: there is no short way here."""

    def set_parameters(
        self,
        index: int,
        weight_ih: Array,
        weight_hh: Array,
        bias_ih: Array | None,
        bias_hh: Array | None,
    ) -> None:
        """Take the parameters of one direction, as float64 and by gate."""
        gates, hidden = self._cell.info.gates, self._hidden_size
        no_bias = np.zeros(gates * hidden)
        self._weights[index] = Weights(
            weight_ih.astype(np.float64).reshape(gates, hidden, -1),
            weight_hh.astype(np.float64).reshape(gates, hidden, hidden),
            (no_bias if bias_ih is None else bias_ih.astype(np.float64)).reshape(gates, 1, hidden),
            (no_bias if bias_hh is None else bias_hh.astype(np.float64)).reshape(gates, 1, hidden),
        )

    def forward(
        self,
        run: Run,
        output: Array,
        final_states: Sequence[Array],
        *,
        tape: TapeArrays | None,
    ) -> None:
        """Write output and final states; with a tape, put float64 arrays of our own on it."""
        below = run.x.astype(np.float64)
        for layer in range(self._num_layers):
            if layer:
                below = below * self._dropout(run, layer - 1)
            outputs = []
            for index in self._indices(layer):
                result = self._pass(run, index, below).forward()
                outputs.append(result.output)
                for final, state in zip(final_states, result.final, strict=True):
                    final[index] = state
                if tape is not None:  # (T, saved, B, H) to (T, B, saved*H)
                    steps, _, batch, _ = result.saved.shape
                    columns = result.saved.swapaxes(1, 2)
                    tape.saved[index] = columns.reshape(steps, batch, self._saved_width)
            below = np.concatenate(outputs, axis=-1)
            if tape is not None:
                tape.hidden[layer] = below
        output[...] = below

    def backward(
        self,
        run: Run,
        tape: TapeArrays,
        d_output: Array,
        d_final_states: Sequence[Array],
        d_x: Array,
        d_initial_states: Sequence[Array],
        d_parameters: Sequence[ParameterArrays],
        *,
        d_reset_states: Sequence[Array] | None = None,
    ) -> None:
        """Overwrite `d_x` and what follows it with gradients."""
        d_above = d_output.astype(np.float64)
        d_finals = [d_final.astype(np.float64) for d_final in d_final_states]
        for layer in reversed(range(self._num_layers)):
            dropped = self._dropout(run, layer - 1) if layer else 1.0
            below = tape.hidden[layer - 1] * dropped if layer else run.x.astype(np.float64)
            d_below = np.zeros(below.shape)
            for direction, index in enumerate(self._indices(layer)):
                columns = slice(direction * self._hidden_size, (direction + 1) * self._hidden_size)
                gradients = self._pass(run, index, below).backward(
                    tape.hidden[layer][..., columns],
                    self._saved(tape, index),
                    d_above[..., columns],
                    tuple(d_final[index] for d_final in d_finals),
                )
                d_below += gradients.x
                self._hand_out(gradients, index, d_initial_states, d_reset_states)
                for target, value in zip(d_parameters[index], gradients.weights, strict=True):
                    if target is not None:
                        target[...] = value.reshape(target.shape)
            d_above = d_below * dropped
        d_x[...] = d_above

    def _indices(self, layer: int) -> range:
        """Return the indices of a layer's directions."""
        return range(layer * self._num_directions, (layer + 1) * self._num_directions)

    @property
    def _saved_width(self) -> int:
        """Width of a saved array on the tape."""
        return self._cell.info.saved * self._hidden_size

    def _saved(self, tape: TapeArrays, index: int) -> Array:
        """View one direction's saved values as (T, saved, B, H)."""
        steps, batch, _ = tape.saved[index].shape
        shape = (steps, batch, self._cell.info.saved, self._hidden_size)
        return tape.saved[index].reshape(shape).swapaxes(1, 2)

    def _pass(self, run: Run, index: int, x: Array) -> Pass:
        """Describe the pass of one direction over `x`."""
        steps = Steps.of(run, reverse=bool(index % self._num_directions))
        initial = _of_index(run.states, index)
        reset = initial if run.reset_states is None else _of_index(run.reset_states, index)
        weights = self._weights[index]
        return Pass(self._cell, weights, x, initial, reset, steps, run.hold, self._options)

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

    def _dropout(self, run: Run, layer: int) -> Array | float:
        """Return what the output of `layer` is multiplied by."""
        if not run.dropout:
            return 1.0
        shape = (*run.x.shape[:2], self._num_directions * self._hidden_size)
        scale = multipliers(shape, layer, run.dropout, run.dropout_key, self._dtype)
        return scale.astype(np.float64)


def _of_index(states: Sequence[Array], index: int) -> Arrays:
    """Take the states (B, H) of one layer and direction, as float64."""
    return tuple(state[index].astype(np.float64) for state in states)


def cell_infos() -> dict[str, CellInfo]:
    """Return the counts of every cell by name."""
    return {name: cell.info for name, cell in CELLS.items()}
