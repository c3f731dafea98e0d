"""Arrays for results and tapes, in memory that others of a step before have left.

A fresh array costs about as much as what is computed into it: the system clears its pages one by
one. The C library keeps memory too, but gives the end of its heap back where that has come to twice
the largest block that it has ever mapped: a training loop whose arrays are of 0.1 to 1 MB then gets
fresh pages at every step (bench/README.md). `simdrnn.release_memory` gives back what is kept,
256 MiB at most.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simdrnn.validate import Array

try:
    from simdrnn._core import LEAST_KEPT, kept_array
except ImportError:  # the reference does without the compiled part
    LEAST_KEPT, kept_array = 0, np.empty

__all__ = ["empty", "empty_like"]


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a C-contiguous array that holds anything."""
    if math.prod(shape) * dtype.itemsize < LEAST_KEPT:
        return np.empty(shape, dtype)
    return kept_array(shape, dtype)


def empty_like(array: Array) -> Array:
    """Return one of the same shape and dtype."""
    return empty(array.shape, array.dtype)
