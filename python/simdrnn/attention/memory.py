"""What is attended to, made ready for many queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrnn.engine.dense import DenseBatch
from simdrnn.engine.kept_arrays import empty
from simdrnn.validate import Array, readable

__all__ = ["Memory"]


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """The outputs of an encoder, packed for products with queries.

    Attributes
    ----------
    values : (B, S, M), zeros where a position is not real, whatever was there.
    real : (B, S) bool, or None where all positions are.
    batch : the values, packed both ways.
    """

    values: Array
    real: Array | None
    batch: DenseBatch

    @classmethod
    def of(cls, memory: Array, real: Array | None) -> Memory:
        """Pack a memory (B, S, M) of any strides."""
        values = memory
        if real is not None:
            values = np.where(real[..., None], memory, memory.dtype.type(0))
        values = readable(values)
        return cls(values, real, DenseBatch(values))

    def rows(self, rows: Array) -> Memory:
        """Return that of some rows of the batch, in that order."""
        return Memory.of(self.values[rows], None if self.real is None else self.real[rows])

    def scores(self, queries: Array, threads: int) -> Array:
        """Return the products of queries (N, B, M) with all positions: (N, B, S)."""
        steps, batch = queries.shape[:2]
        scores = empty((steps, batch, self.values.shape[1]), queries.dtype)
        if scores.size:
            self.batch.rows_times(queries.swapaxes(0, 1), threads, scores.swapaxes(0, 1))
        return scores

    def sums(self, weights: Array, threads: int) -> Array:
        """Return the sums of positions by weights (N, B, S): (N, B, M)."""
        steps, batch = weights.shape[:2]
        shape = (steps, batch, self.values.shape[2])
        if not weights.size:
            return np.zeros(shape, weights.dtype)
        sums = empty(shape, weights.dtype)
        self.batch.sums_of_rows(weights.swapaxes(0, 1), threads, sums.swapaxes(0, 1))
        return sums
