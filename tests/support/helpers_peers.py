"""What comparisons with other libraries share: how far results may lie apart, lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers import tolerance


def allowed(layer: Any, T: int, B: int, *, backward: bool = False) -> float:
    """Return how far two results may lie apart, each within the tolerance of the exact one."""
    hidden, directions = layer.hidden_size, 2 if layer.bidirectional else 1
    longest = max(layer.input_size, directions * hidden) + hidden
    if backward:  # a gradient of h sums over gates, a gradient of a weight over steps and rows
        longest = max(longest, 4 * hidden, T * B)
    return 2 * tolerance(layer.dtype, T * layer.num_layers, longest)


def unsorted_lengths(T: int, B: int, rng: np.random.Generator, shortest: int = 1) -> Any:
    """Draw lengths in [1, T] in no order; of the first rows, one is full and one is `shortest`."""
    lengths = rng.integers(1, T + 1, B)
    lengths[:3] = [shortest, T, T - 1][:B]
    return lengths
