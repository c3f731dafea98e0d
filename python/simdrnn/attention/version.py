"""An attention with one version of its parameters, run over queries, and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simdrnn.attention.affine import PackedMaps
from simdrnn.attention.kinds import Kind
from simdrnn.attention.memory import Memory
from simdrnn.attention.softmax import softmax, softmax_backward
from simdrnn.engine.dense import batch_gradient
from simdrnn.validate import Array

__all__ = ["Attended", "AttentionVersion", "Back", "ReadyMemory"]


class ReadyMemory(NamedTuple):
    """A memory, and what one version of the parameters makes of it for all queries.

    Attributes
    ----------
    memory, keys : see `Memory` and `Kind.keys`.
    threads : of calls; 0 leaves their number to the engine.
    """

    memory: Memory
    keys: Array | None
    threads: int


class Attended(NamedTuple):
    """What queries (N, B, Q) found: what was made of them, the weights, and the sums."""

    version: AttentionVersion
    ready: ReadyMemory
    projected: Array
    weights: Array
    context: Array


class AttentionVersion(NamedTuple):
    """A kind of attention and a version of its parameters, which never changes."""

    kind: Kind
    packed: PackedMaps

    def ready(self, memory: Array, real: Array | None, threads: int) -> ReadyMemory:
        """Make a memory (B, S, M) ready for queries."""
        packed = Memory.of(memory, real)
        return ReadyMemory(packed, self.kind.keys(self.packed, packed, threads), threads)

    def rows(self, ready: ReadyMemory, rows: Array) -> ReadyMemory:
        """Return what is ready of some rows of the batch, in that order."""
        keys = None if ready.keys is None else ready.keys[rows]
        return ReadyMemory(ready.memory.rows(rows), keys, ready.threads)

    def attend(self, query: Array, ready: ReadyMemory) -> Attended:
        """Answer queries (N, B, Q)."""
        memory, keys, threads = ready
        projected = self.kind.project(self.packed, query, threads)
        scores = self.kind.scores(self.packed, projected, memory, keys, threads)
        weights = softmax(scores, memory.real)
        return Attended(self, ready, projected, weights, memory.sums(weights, threads))


class Back:
    """The way back through queries that were answered, stretch by stretch, each once.

    Parameters
    ----------
    attended : all of them.
    query : (N, B, Q), as they were.
    """

    def __init__(self, attended: Attended, query: Array) -> None:
        version, ready = attended.version, attended.ready
        self._attended, self._query = attended, query
        self._way = version.kind.way_back(version.packed, ready.memory, ready.keys, ready.threads)
        self._d_scores = np.empty_like(attended.weights)
        self._d_projected = np.empty_like(attended.projected)
        self._d_context = np.empty_like(attended.context)

    def step(self, at: slice, d_context: Array, d_weights: Array | None = None) -> Array:
        """Return the gradient for the queries of a stretch, from those for what they found."""
        version, ready, projected, weights, _ = self._attended
        threads = ready.threads
        self._d_context[at] = d_context
        d_found = ready.memory.scores(self._d_context[at], threads)
        if d_weights is not None:
            d_found += d_weights
        d_scores = softmax_backward(weights[at], d_found, ready.memory.real, threads)
        d_projected = self._way.step(projected[at], d_scores)
        self._d_scores[at], self._d_projected[at] = d_scores, d_projected
        return version.kind.project_back(version.packed, d_projected, threads)

    def finish(self) -> tuple[Array, dict[str, Array]]:
        """Return the gradients for the memory (B, S, M) and for the parameters."""
        attended, threads = self._attended, self._attended.ready.threads
        d_memory, params = self._way.finish(
            self._query, attended.projected, self._d_projected, self._d_scores
        )
        weights, d_context = attended.weights.swapaxes(0, 1), self._d_context.swapaxes(0, 1)
        return batch_gradient(weights, d_context, add_to=d_memory, threads=threads), params
