"""What tests of initialisers share: biases by gate, and how far a mean of draws may be off."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers import CELLS, INFOS, bias_rows
from simdrnn.layers.bound import bound_layer

FORGETFUL = [cell for cell in CELLS if INFOS[cell].keep >= 0]

# Independent draws: a mean is off by more than six of its standard deviations with probability
# 2e-9. The seeds are fixed; this is what other seeds would have had to satisfy, too.
SIGMAS = 6.0
# And of n uniform draws the largest is within this over n of the range's end: (1 - 20 / n)^n.
SPARE = 20.0


def unit(dtype: Any) -> float:
    """Return the rounding of a dtype."""
    return float(np.finfo(dtype).eps) / 2


def total_bias(layer: Any, gate: int, suffix: str = "_l0") -> Any:
    """Return the sum of the biases of a gate, of which all but one are zero."""
    places = bias_rows(bound_layer(layer).info.name, gate, layer.hidden_size)
    first, *others = (getattr(layer, kind + suffix)[rows] for kind, rows in places.items())
    assert not any(other.any() for other in others)
    return first.astype("float64")
