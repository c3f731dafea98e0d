"""Keras's kernels and biases as the engine's rows of gates, and gradients the other way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from simdrnn.dialects import gate_order
from simdrnn.engine.protocol import ParameterArrays
from simdrnn.validate import Array

__all__ = ["KerasLayout"]

# So many rows are transposed at a time. Whole matrices would have each column's elements a row
# apart, which for powers of two meet in one set of the cache: 20 times slower at (512, 2048).
_TILE = 16


class KerasLayout(NamedTuple):
    """How Keras arranges the weights of a cell.

    Parameters
    ----------
    order : for each of the engine's blocks of rows, the block of Keras's columns that it is.
    biases : how many there are: 2 as rows of one array (GRU with ``reset_after``), 1, or 0.
    """

    order: tuple[int, ...]
    biases: int

    @classmethod
    @cache
    def of(cls, cell: str, bias: bool) -> KerasLayout:
        """Return the layout of one of the engine's cells."""
        kind = cell.split("_")[0]
        theirs, ours = gate_order("keras", kind), gate_order("simdrnn", kind)
        order = tuple(theirs.index(gate) for gate in ours)
        return cls(order, 0 if not bias else 2 if cell == "gru" else 1)

    def rows(self, weights: Sequence[Array]) -> ParameterArrays:
        """Turn kernel (I, G*H), recurrent kernel (H, G*H) and bias into the engine's arrays."""
        weight_ih, weight_hh = (self._turn(weight) for weight in weights[:2])
        if not self.biases:
            return ParameterArrays(weight_ih, weight_hh, None, None)
        biases = [self._turn(row[None])[:, 0] for row in np.atleast_2d(weights[2])]
        if self.biases == 1:
            biases.append(np.zeros_like(biases[0]))
        return ParameterArrays(weight_ih, weight_hh, biases[0], biases[1])

    def rows_like(self, input_size: int, units: int, dtype: np.dtype[Any]) -> ParameterArrays:
        """Allocate what the engine writes gradients to."""
        rows = len(self.order) * units
        weight_ih, weight_hh = (np.empty((rows, size), dtype) for size in (input_size, units))
        bias_ih, bias_hh = (np.empty(rows, dtype) if self.biases else None for _ in range(2))
        return ParameterArrays(weight_ih, weight_hh, bias_ih, bias_hh)

    def gradients(self, rows: ParameterArrays) -> tuple[Array, ...]:
        """Turn gradients for the engine's arrays into those for Keras's."""
        matrices = (rows.weight_ih, rows.weight_hh)
        found = [self._back(matrix) for matrix in matrices if matrix is not None]
        if self.biases:
            # Where Keras has one bias it is the engine's first, and the second is 0.
            both = [bias for bias in (rows.bias_ih, rows.bias_hh) if bias is not None]
            turned = np.concatenate([self._back(bias[:, None]) for bias in both[: self.biases]])
            found.append(turned if self.biases == 2 else turned[0])
        return tuple(found)

    def _turn(self, columns: Array) -> Array:
        """Turn columns (N, G*H) into rows (G*H, N)."""
        rows = np.empty(columns.shape[::-1], columns.dtype)
        for to, of in self._blocks(columns.shape[1]):
            for first in range(0, len(columns), _TILE):
                tile = slice(first, first + _TILE)
                rows[to, tile] = columns[tile, of].T
        return rows

    def _back(self, rows: Array) -> Array:
        """Turn rows (G*H, N) into columns (N, G*H)."""
        columns = np.empty(rows.shape[::-1], rows.dtype)
        for of, to in self._blocks(len(rows)):
            for first in range(0, of.stop - of.start, _TILE):
                count = min(_TILE, of.stop - of.start - first)
                start, end = of.start + first, to.start + first
                columns[:, end : end + count] = rows[start : start + count].T
        return columns

    def _blocks(self, length: int) -> list[tuple[slice, slice]]:
        """Return the rows and the columns of each gate."""
        size = length // len(self.order)
        return [
            (slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size))
            for row, column in enumerate(self.order)
        ]
