"""Arrays for results: the large ones in memory that others of a step before have left.

A fresh array of tens of megabytes costs more than what is computed into it: the system clears its
pages one by one. `simdrnn.release_memory` gives back what is kept, 256 MiB at most.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simdrnn._core import kept_array
from simdrnn.validate import Array

__all__ = ["empty", "empty_like"]

_LARGE = 1 << 20  # bytes; what is smaller comes out of a heap that NumPy's arrays leave and take


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a C-contiguous array that holds anything."""
    if math.prod(shape) * dtype.itemsize < _LARGE:
        return np.empty(shape, dtype)
    return kept_array(shape, dtype)


def empty_like(array: Array) -> Array:
    """Return one of the same shape and dtype."""
    return empty(array.shape, array.dtype)
