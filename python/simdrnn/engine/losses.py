"""Losses on the compiled engine: rows over threads, each with the same bits wherever it stands.

The exponentials are the engine's, and those of a row are summed in double precision, in sixteen
parts on every instruction set. The rows' terms are added in a fixed order too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simdrnn import _core
from simdrnn.engine.kept_arrays import empty
from simdrnn.validate import Array

__all__ = ["CrossEntropy"]

_CLASSES = {"float32": _core.CrossEntropyF32, "float64": _core.CrossEntropyF64}


class CrossEntropy:
    """Cross entropy of rows of logits under softmax.

    Parameters
    ----------
    logits : (N, V), C-contiguous rows.
    targets : (N,) int64, C-contiguous.
    real : (N,) bool, C-contiguous, or None.

    Attributes
    ----------
    value : the mean over the real rows.

    Raises
    ------
    IndexError : a target of a real row is none of the classes.
    """

    __slots__ = ("_core", "_dtype", "_shape", "value")

    def __init__(self, logits: Array, targets: Array, real: Array | None) -> None:
        self._core: Any = _CLASSES[logits.dtype.name](logits, targets, real, 0)
        self._shape, self._dtype = logits.shape, logits.dtype
        self.value: float = self._core.value

    def gradient(self, scale: float) -> Array:
        """Return `scale` times the gradient of the value, (N, V), as a new array."""
        d_logits = empty((self._shape[0], self._shape[1]), np.dtype(self._dtype))
        self._core.backward(scale, d_logits, 0)
        return d_logits
