"""States of a step as a whole: chosen and added one by one."""

from __future__ import annotations

import numpy as np

from simdrnn.validate import Array

__all__ = ["Arrays", "add", "select"]

Arrays = tuple[Array, ...]


def select(condition: Array, chosen: Arrays, other: Arrays) -> Arrays:
    """Choose states row by row: condition is (B,), states are (B, H)."""
    rows = condition[:, None]
    return tuple(np.where(rows, a, b) for a, b in zip(chosen, other, strict=True))


def add(left: Arrays, right: Arrays) -> Arrays:
    """Add states one by one."""
    return tuple(a + b for a, b in zip(left, right, strict=True))
