"""States of a step as a whole."""

from __future__ import annotations

import numpy as np

from simdrnn.validate import Array

__all__ = ["Arrays", "select"]

Arrays = tuple[Array, ...]


def select(condition: Array, chosen: Arrays, other: Arrays) -> Arrays:
    """Choose states row by row: condition is (B,), states are (B, H)."""
    rows = condition[:, None]
    return tuple(np.where(rows, a, b) for a, b in zip(chosen, other, strict=True))
