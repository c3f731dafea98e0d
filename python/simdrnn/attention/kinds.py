"""How a query is scored against the positions of a memory: the kinds, each both ways.

All arrays of queries are (N, B, ...), N queries for each row of a batch. A kind makes of them what
meets the memory, their projections (N, B, P), and on the way back gradients for these; what it sums
over all queries of a call comes last, in one product where it can.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, cast

import numpy as np

from simdrnn.attention.affine import PackedMaps, applied, applied_back, map_gradient, rows_of
from simdrnn.attention.memory import Memory
from simdrnn.engine.activate import activate
from simdrnn.engine.dense import batch_gradient
from simdrnn.engine.kept_arrays import empty
from simdrnn.spec.parameters import ParameterSpec
from simdrnn.validate import Array

__all__ = ["KINDS", "Kind", "WayBack"]

# Elements of (N, B, S, A) that an additive score makes at once: they stay in a core's cache.
_BLOCK = 1 << 18


class WayBack(ABC):
    """From gradients for scores to those for queries, memory and parameters.

    Stretches of a call's queries come in any order, each once; then `finish`.
    """

    @abstractmethod
    def step(self, projected: Array, d_scores: Array) -> Array:
        """Return the gradient for projections (n, B, P) from that for their scores (n, B, S)."""

    @abstractmethod
    def finish(
        self, query: Array, projected: Array, d_projected: Array, d_scores: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Return the gradients for the memory (B, S, M) and for the parameters, of all queries."""


class Kind(ABC):
    """A kind of score, with the parameters it has.

    Parameters
    ----------
    query_size, memory_size : Q and M.
    attention_size : A, where the kind has such.
    scale : what the score is multiplied by; None goes by the size of queries.
    """

    name: ClassVar[str]
    sizes: ClassVar[tuple[str, ...]] = ()  # arguments that it needs
    scaled: ClassVar[bool] = True  # whether it takes a `scale`
    usual_scale: ClassVar[float | None] = 1.0

    def __init__(
        self, query_size: int, memory_size: int, attention_size: int, scale: float | None
    ) -> None:
        self.query_size, self.memory_size = query_size, memory_size
        self.attention_size, self.scale = attention_size, scale

    def specs(self) -> list[ParameterSpec]:
        """Return the parameters, in order."""
        return []

    def bounds(self) -> dict[str, float]:
        """Return for each parameter the bound of its initial values, uniform around 0."""
        return {}

    @staticmethod
    def maps(arrays: Any) -> list[tuple[Array, Array | None]]:
        """Return the affine maps among the parameters."""
        return []

    @abstractmethod
    def project(self, packed: PackedMaps, query: Array, threads: int) -> Array:
        """Return the projections of queries (N, B, Q)."""

    @abstractmethod
    def project_back(self, packed: PackedMaps, d_projected: Array, threads: int) -> Array:
        """Return the gradient for queries."""

    def keys(self, packed: PackedMaps, memory: Memory, threads: int) -> Array | None:
        """Return what is made of a memory once for all queries, if anything is."""
        return None

    @abstractmethod
    def scores(
        self, packed: PackedMaps, projected: Array, memory: Memory, keys: Array | None,
        threads: int,
    ) -> Array:  # fmt: skip
        """Return the scores (N, B, S), C-contiguous, a fresh array."""

    @abstractmethod
    def way_back(
        self, packed: PackedMaps, memory: Memory, keys: Array | None, threads: int
    ) -> WayBack:
        """Return the way back for the queries of one call."""


class Dot(Kind):
    """``scale * (q . m)``."""

    name = "dot"
    usual_scale: ClassVar[float | None] = None

    def project(self, packed: PackedMaps, query: Array, threads: int) -> Array:
        """Return the queries, scaled."""
        return np.asarray(query * query.dtype.type(self._factor(query)))

    def project_back(self, packed: PackedMaps, d_projected: Array, threads: int) -> Array:
        """Return the gradient for queries."""
        return np.asarray(d_projected * d_projected.dtype.type(self._factor(d_projected)))

    def _factor(self, query: Array) -> float:
        """Return the scale."""
        return 1.0 / math.sqrt(query.shape[-1]) if self.scale is None else self.scale

    def scores(
        self, packed: PackedMaps, projected: Array, memory: Memory, keys: Array | None,
        threads: int,
    ) -> Array:  # fmt: skip
        """Return the products."""
        return memory.scores(projected, threads)

    def way_back(
        self, packed: PackedMaps, memory: Memory, keys: Array | None, threads: int
    ) -> WayBack:
        """Return the way back for the queries of one call."""
        return _Products(memory, threads)


class General(Dot):
    """``scale * (q . W^T m)``: the dot product with a projected query."""

    name = "general"
    usual_scale = 1.0
    sizes = ("query_size",)

    def specs(self) -> list[ParameterSpec]:
        """Return the parameter."""
        return [ParameterSpec("weight", ("M", "Q"), (self.memory_size, self.query_size))]

    def bounds(self) -> dict[str, float]:
        """Return the bound of its initial values."""
        return {"weight": 1.0 / math.sqrt(self.query_size)}

    @staticmethod
    def maps(arrays: Any) -> list[tuple[Array, Array | None]]:
        """Return the map of queries."""
        return [(arrays["weight"], None)]

    def project(self, packed: PackedMaps, query: Array, threads: int) -> Array:
        """Return the queries through W, scaled."""
        made = applied(packed.maps[0], query, self.memory_size, threads)
        return made if self.scale == 1.0 else super().project(packed, made, threads)

    def project_back(self, packed: PackedMaps, d_projected: Array, threads: int) -> Array:
        """Return the gradient for queries."""
        return applied_back(packed.maps[0], self.unscaled(d_projected), self.query_size, threads)

    def unscaled(self, d_projected: Array) -> Array:
        """Return the gradient for what W made."""
        return d_projected if self.scale == 1.0 else super().project_back(_NO_MAPS, d_projected, 0)

    def way_back(
        self, packed: PackedMaps, memory: Memory, keys: Array | None, threads: int
    ) -> WayBack:
        """Return the way back for the queries of one call."""
        return _ProjectedProducts(self, memory, threads)


class Additive(Kind):
    """``v . tanh(W q + U m + b)``."""

    name = "additive"
    sizes = ("query_size",)
    scaled = False

    def specs(self) -> list[ParameterSpec]:
        """Return the parameters."""
        size = self.attention_size
        return [
            ParameterSpec("weight_query", ("A", "Q"), (size, self.query_size)),
            ParameterSpec("weight_memory", ("A", "M"), (size, self.memory_size)),
            ParameterSpec("bias", ("A",), (size,)),
            ParameterSpec("weight_score", ("A",), (size,)),
        ]

    def bounds(self) -> dict[str, float]:
        """Return the bounds of their initial values."""
        sizes = {
            "weight_query": self.query_size, "weight_memory": self.memory_size,
            "bias": self.query_size, "weight_score": self.attention_size,
        }  # fmt: skip
        return {name: 1.0 / math.sqrt(size) for name, size in sizes.items()}

    @staticmethod
    def maps(arrays: Any) -> list[tuple[Array, Array | None]]:
        """Return the maps of queries, of the memory, and to the score."""
        query, memory, bias, score = (
            arrays[name] for name in ("weight_query", "weight_memory", "bias", "weight_score")
        )
        return [(query, bias), (memory, None), (score[None], None)]

    def project(self, packed: PackedMaps, query: Array, threads: int) -> Array:
        """Return W q + b."""
        return applied(packed.maps[0], query, self.attention_size, threads)

    def project_back(self, packed: PackedMaps, d_projected: Array, threads: int) -> Array:
        """Return the gradient for queries."""
        return applied_back(packed.maps[0], d_projected, self.query_size, threads)

    def keys(self, packed: PackedMaps, memory: Memory, threads: int) -> Array:
        """Return U m, (B, S, A)."""
        return applied(packed.maps[1], memory.values, self.attention_size, threads)

    def scores(
        self, packed: PackedMaps, projected: Array, memory: Memory, keys: Array | None,
        threads: int,
    ) -> Array:  # fmt: skip
        """Return the scores, block by block of queries."""
        keys = cast("Array", keys)  # made by the method of that name
        scores = empty((*projected.shape[:2], keys.shape[1]), projected.dtype)
        for block in blocks(len(projected), keys.size):
            made = bent(projected[block], keys)
            found = applied(packed.maps[2], made, 1, threads)
            scores[block] = found.reshape(scores[block].shape)
        return scores

    def way_back(
        self, packed: PackedMaps, memory: Memory, keys: Array | None, threads: int
    ) -> WayBack:
        """Return the way back for the queries of one call."""
        return _Bent(self, packed, memory, cast("Array", keys), threads)


_NO_MAPS = PackedMaps(())
KINDS: dict[str, type[Kind]] = {one.name: one for one in (Dot, General, Additive)}


class _Products(WayBack):
    """Of products of queries with the memory."""

    def __init__(self, memory: Memory, threads: int) -> None:
        self._memory, self._threads = memory, threads

    def step(self, projected: Array, d_scores: Array) -> Array:
        """Return the gradient for the queries of a stretch."""
        return self._memory.sums(d_scores, self._threads)

    def finish(
        self, query: Array, projected: Array, d_projected: Array, d_scores: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Return the gradient for the memory, chains over the queries."""
        y, x = d_scores.swapaxes(0, 1), projected.swapaxes(0, 1)
        return batch_gradient(y, x, threads=self._threads), {}


class _ProjectedProducts(_Products):
    """Of products of projected queries with the memory."""

    def __init__(self, kind: General, memory: Memory, threads: int) -> None:
        super().__init__(memory, threads)
        self._unscaled = kind.unscaled

    def finish(
        self, query: Array, projected: Array, d_projected: Array, d_scores: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Return the gradients for the memory and for W."""
        d_memory, _ = super().finish(query, projected, d_projected, d_scores)
        d_weight, _ = map_gradient(self._unscaled(d_projected), query, threads=self._threads)
        return d_memory, {"weight": d_weight}


class _Bent(WayBack):
    """Of sums of two projections that went through tanh."""

    def __init__(
        self, kind: Additive, packed: PackedMaps, memory: Memory, keys: Array, threads: int
    ) -> None:
        self._kind, self._packed, self._threads = kind, packed, threads
        self._memory, self._keys = memory, keys
        self._d_keys = np.zeros_like(keys)
        self._d_score = np.zeros(kind.attention_size, keys.dtype)

    def step(self, projected: Array, d_scores: Array) -> Array:
        """Return the gradient for the projections of a stretch, and add what is the keys'."""
        d_projected = np.empty_like(projected)
        for block in blocks(len(projected), self._keys.size):
            d_projected[block] = self._block(projected[block], d_scores[block])
        return d_projected

    def _block(self, projected: Array, d_scores: Array) -> Array:
        size = self._kind.attention_size
        made, d_each = bent(projected, self._keys), d_scores[..., None]
        d_score, _ = map_gradient(d_each, made, threads=self._threads)
        self._d_score += d_score[0]
        d_made = applied_back(self._packed.maps[2], d_each, size, self._threads)
        np.multiply(made, made, out=made)
        np.subtract(made.dtype.type(1), made, out=made)
        d_made *= made
        for one in d_made:
            self._d_keys += one
        rows = d_made.reshape(math.prod(d_made.shape[:2]), *d_made.shape[2:])
        ones = np.ones((*rows.shape[:2], 1), rows.dtype)
        return batch_gradient(ones, rows, threads=self._threads).reshape(projected.shape)

    def finish(
        self, query: Array, projected: Array, d_projected: Array, d_scores: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Return the gradients for the memory and for the parameters."""
        kind, threads = self._kind, self._threads
        d_memory = applied_back(self._packed.maps[1], self._d_keys, kind.memory_size, threads)
        d_query, d_bias = map_gradient(d_projected, query, bias=True, threads=threads)
        d_keys, _ = map_gradient(self._d_keys, self._memory.values, threads=threads)
        params = {"weight_query": d_query, "weight_memory": d_keys, "bias": d_bias}
        return d_memory, {**params, "weight_score": self._d_score}  # type: ignore[dict-item]


def blocks(queries: int, each: int) -> list[slice]:
    """Return stretches of queries, of which each makes so many numbers."""
    length = max(1, _BLOCK // max(each, 1))
    return [slice(first, first + length) for first in range(0, queries, length)]


def bent(projected: Array, keys: Array) -> Array:
    """Return tanh of the sums of projections (n, B, A) and keys (B, S, A): (n, B, S, A)."""
    sums = projected[:, :, None] + keys
    if not sums.size:
        return sums
    return activate("tanh", rows_of(sums)).reshape(sums.shape)
