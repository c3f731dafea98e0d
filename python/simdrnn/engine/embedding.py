"""Rows of a table by their numbers, on the compiled engine, and the sums that are their gradient.

A row's gradient is the sum over the places where it was used, in their order, in double precision
and then rounded: the same bits on any number of threads.
"""

from __future__ import annotations

from simdrnn import _core
from simdrnn.engine.kept_arrays import empty, empty_like
from simdrnn.validate import Array

__all__ = ["add_rows", "take_rows"]

_GATHERS = {"float32": _core.gather_f32, "float64": _core.gather_f64}
_SCATTERS = {"float32": _core.scatter_add_f32, "float64": _core.scatter_add_f64}


def take_rows(table: Array, indices: Array) -> Array:
    """Return the rows of a C-contiguous table (N, E) at `indices` (M,) int64: (M, E).

    Raises
    ------
    IndexError : an index is not in [0, N).
    """
    rows = empty((len(indices), table.shape[1]), table.dtype)
    _GATHERS[table.dtype.name](table, indices, rows, 0)
    return rows


def add_rows(d_rows: Array, indices: Array, table: Array) -> Array:
    """Return the gradient for `table` (N, E) of `take_rows` from that for its result (M, E)."""
    d_table = empty_like(table)
    _SCATTERS[table.dtype.name](d_rows, indices, d_table, 0)
    return d_table
