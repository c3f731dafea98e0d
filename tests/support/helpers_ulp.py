"""Errors in units of last place."""

from __future__ import annotations

from typing import Any

import numpy as np

# A type of more precision, in which formulas without cancellation are exact for our purpose.
WIDER = {"float32": np.float64, "float64": np.longdouble}


def last_place(value: Any, dtype: str) -> Any:
    """Return the unit of last place that `value` would have in the type."""
    info = np.finfo(dtype)
    exponent = np.frexp(value)[1] - 1 - info.nmant
    return np.ldexp(np.ones_like(value), np.maximum(exponent, info.minexp - info.nmant))
