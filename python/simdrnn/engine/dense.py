"""Affine maps of rows on the compiled engine: ``y = x @ weight.T + bias`` and the way back.

Each result is one chain of FMAs, bias first, then ascending k; a weight's gradient is one chain
over the rows in their order. So they are what the layers' are: the same bits for a row whatever
rows are beside it, on any number of threads and every instruction set.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from simdrnn import _core
from simdrnn.engine.kept_arrays import empty
from simdrnn.validate import Array

__all__ = ["DenseBatch", "DenseNetwork", "PackedDense", "batch_gradient", "weight_gradient"]

_CLASSES = {"float32": _core.DenseVersionsF32, "float64": _core.DenseVersionsF64}
_GRADIENTS = {
    "float32": _core.dense_weight_gradient_f32,
    "float64": _core.dense_weight_gradient_f64,
}
_BATCHES = {"float32": _core.DenseBatchF32, "float64": _core.DenseBatchF64}
_BATCH_GRADIENTS = {
    "float32": _core.dense_batch_gradient_f32,
    "float64": _core.dense_batch_gradient_f64,
}


class PackedDense:
    """One version of the weights: `simdrnn.engine.packing.Version`.

    Attributes
    ----------
    forward : writes y (N, O) from x (N, I), given both and a number of threads, 0 for any.
    backward : writes dL/dx (N, I) from dL/dy (N, O), in the same way.
    core : what streams of the compiled engine are made of.
    """

    __slots__ = ("backward", "beside", "core", "forward", "made_for", "version")

    def __init__(self, core: Any) -> None:
        self.version: int | None = None
        self.made_for: Hashable = None
        self.beside: Any = None
        self.core, self.forward, self.backward = core, core.forward, core.backward


class DenseNetwork:
    """What packs weights of this dtype."""

    __slots__ = ("_versions",)

    token = staticmethod(_core.active_isa)

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._versions: Any = _CLASSES[dtype.name]()

    def pack(self, passes: Sequence[tuple[Array, Array | None]], token: Hashable) -> PackedDense:
        """Return the map of one weight (O, I) and its bias (O,) or None."""
        ((weight, bias),) = passes
        return PackedDense(self._versions.pack(weight, bias, str(token)))


def weight_gradient(
    d_rows: Array, rows: Array, *, bias: bool, threads: int = 0
) -> tuple[Array, Array | None]:
    """Return the sum over N of dL/dy (N, O) times x (N, I): (O, I); with `bias` also of dL/dy.

    The latter is summed in double precision and rounded once: a long chain would lose digits.
    """
    gradient = empty((d_rows.shape[1], rows.shape[1]), rows.dtype)
    of_bias = np.empty(d_rows.shape[1], rows.dtype) if bias else None
    _GRADIENTS[rows.dtype.name](d_rows, rows, gradient, of_bias, threads)
    return gradient, of_bias


class DenseBatch:
    """A matrix (M, K) for each row of a batch, packed once for many products: attention's memory.

    Parameters
    ----------
    matrices : (B, M, K), any strides but the last, which is one element: so (T, B, K) outputs of a
        layer, transposed to (B, T, K), are no copy.

    Notes
    -----
    Scores of queries q (B, N, K) are ``rows_times(q)``, contexts of weights a (B, N, M) are
    ``sums_of_rows(a)``; the gradient for q is ``sums_of_rows(d_scores)``, that for a is
    ``rows_times(d_contexts)``, and those for the matrices are of `batch_gradient`.
    """

    __slots__ = ("_core", "_shape")

    def __init__(self, matrices: Array) -> None:
        self._core = _BATCHES[matrices.dtype.name](matrices)
        self._shape = matrices.shape

    def rows_times(self, x: Array, threads: int = 0, out: Array | None = None) -> Array:
        """Return each of x (B, N, K) times all rows of its matrix: (B, N, M), chains over K.

        It is `out` where that is given, of any strides but the last.
        """
        shape = (x.shape[0], x.shape[1], self._shape[1])
        products = empty(shape, x.dtype) if out is None else out
        self._core.forward(x, products, threads)
        return products

    def sums_of_rows(self, y: Array, threads: int = 0, out: Array | None = None) -> Array:
        """Return the sums of each matrix's rows times y (B, N, M): (B, N, K), chains over M.

        It is `out` where that is given, of any strides but the last.
        """
        shape = (y.shape[0], y.shape[1], self._shape[2])
        sums = empty(shape, y.dtype) if out is None else out
        self._core.backward(y, sums, threads)
        return sums


def batch_gradient(y: Array, x: Array, add_to: Array | None = None, threads: int = 0) -> Array:
    """Return the sums over N of y (B, N, M) times x (B, N, K): (B, M, K), chains over N.

    Into `add_to`, which is C-contiguous, they are added, and it is returned.
    """
    shape = (y.shape[0], y.shape[2], x.shape[2])
    to = empty(shape, x.dtype) if add_to is None else add_to
    _BATCH_GRADIENTS[x.dtype.name](y, x, to, add_to is not None, threads)
    return to
