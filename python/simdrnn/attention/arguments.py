"""From the arguments of a call of attention to arrays (N, B, ...)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.validate import Array, as_array, as_flags, as_lengths, check_shape, readable

__all__ = ["Asked", "GivenMemory", "as_memory", "as_queries"]


@dataclass(frozen=True, slots=True, eq=False)
class GivenMemory:
    """A memory as it was given.

    Attributes
    ----------
    values : (B, S, M) view of it.
    real : (B, S) bool, or None where all positions are.
    batched, batch_first : how it is laid out.
    """

    values: Array
    real: Array | None
    batched: bool
    batch_first: bool

    def caller(self, values: Array) -> Array:
        """View (B, S, M) as the memory is laid out."""
        if not self.batched:
            return np.asarray(values[0])
        return values if self.batch_first else values.swapaxes(0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Queries as they were given.

    Attributes
    ----------
    query : (N, B, Q) view of them.
    memory : what they are asked of.
    steps : whether there are steps of queries, not just one.
    """

    query: Array
    memory: GivenMemory
    steps: bool

    def letters(self, last: str) -> tuple[str, ...]:
        """Return how an array of queries or results is laid out, in letters."""
        return self.order("T", "B", last)

    def shape(self, last: int) -> tuple[int, ...]:
        """Return the shape of such an array."""
        return self.order(len(self.query), self.query.shape[1], last)

    def order(self, steps: Any, batch: Any, last: Any) -> tuple[Any, ...]:
        """Put the sizes, or the letters, in the caller's order."""
        if not self.memory.batched:
            return (steps, last) if self.steps else (last,)
        if not self.steps:
            return batch, last
        return (batch, steps, last) if self.memory.batch_first else (steps, batch, last)

    def caller(self, array: Array) -> Array:
        """View (N, B, ...) as the caller lays out queries."""
        if not self.memory.batched:
            array = array[:, 0]
            return array if self.steps else np.asarray(array[0])
        if not self.steps:
            return np.asarray(array[0])
        return array.swapaxes(0, 1) if self.memory.batch_first else array

    def steps_first(self, array: Array) -> Array:
        """View an array that is laid out like the queries as (N, B, ...)."""
        return _steps_first(array, self.memory, self.steps)


def _steps_first(array: Array, memory: GivenMemory, steps: bool) -> Array:
    if not memory.batched:
        return array[:, None] if steps else array[None, None]
    if not steps:
        return array[None]
    return array.swapaxes(0, 1) if memory.batch_first else array


def as_memory(
    owner: Any, memory: object, lengths: object = None, mask: object = None, prefix: str = ""
) -> GivenMemory:
    """Check a memory and what of it is real, for an attention.

    Parameters
    ----------
    prefix : of the names that `lengths` and `mask` have where they were given.
    """
    array = as_array("memory", memory, owner.dtype)
    first, wanted = owner.batch_first, owner.memory_size
    if array.ndim not in (2, 3) or (wanted is not None and array.shape[-1] != wanted):
        size = "M" if wanted is None else f"{wanted}"
        both = f"(B, S, {size})" if first else f"(S, B, {size})"
        raise ValueError(f"memory: expected shape {both} or (S, {size}), got {array.shape}")
    batched = array.ndim == 3
    values = array[None] if not batched else array if first else array.swapaxes(0, 1)
    batch, positions = values.shape[:2]
    real = None
    if mask is not None:
        letters: tuple[str, ...] = ("B", "S") if first else ("S", "B")
        shape: tuple[int, ...] = (batch, positions) if first else (positions, batch)
        if not batched:
            letters, shape = ("S",), (positions,)
        flags = as_flags(f"{prefix}mask", mask, letters, shape)
        real = flags[None] if not batched else flags if first else flags.T
        real = real.copy()  # whoever has the other may change it
    if lengths is not None:
        rows = batch if batched else None
        counts = as_lengths(lengths, positions, rows, "S", f"{prefix}lengths")
        within = np.arange(positions) < counts[:, None]
        real = within if real is None else real & within
    if real is not None and real.all():
        real = None
    return GivenMemory(values, real, batched, first)


def as_queries(owner: Any, query: object, memory: GivenMemory) -> Asked:
    """Check queries of a memory, for an attention."""
    array = as_array("query", query, owner.dtype)
    size = memory.values.shape[-1] if owner.query_size is None else owner.query_size
    least = 2 if memory.batched else 1
    if array.ndim not in (least, least + 1) or array.shape[-1] != size:
        steps = f"(B, T, {size})" if memory.batch_first else f"(T, B, {size})"
        forms = f"{steps} or (B, {size})" if memory.batched else f"(T, {size}) or ({size},)"
        raise ValueError(f"query: expected shape {forms}, got {array.shape}")
    steps_given = array.ndim > least
    queries = _steps_first(array, memory, steps_given)
    asked = Asked(readable(queries), memory, steps_given)
    batch = len(memory.values)
    if queries.shape[1] != batch:
        wanted = asked.order(len(queries), batch, size)
        check_shape("query", array, asked.letters("Q"), wanted)
    return asked
