"""Products with recurrent matrices that are whole, or blocks along the diagonal: one for each head.

Of a matrix R (H, H) in blocks, only these are kept, one below the other: (H, d) with d = H / heads.
A unit then sees only the h of its own head.
"""

from __future__ import annotations

import numpy as np

from simdrnn.validate import Array

__all__ = ["product", "whole"]


def product(h: Array, recurrent: Array) -> Array:
    """Return R h for every gate, (G, B, H), of R (G, H, d) and h as each or any sees it.

    h is (G, B, P) or (1, B, P).
    """
    gates, hidden, seen = recurrent.shape
    several, batch, size = h.shape
    if seen == size:
        return h @ recurrent.swapaxes(1, 2)
    heads = hidden // seen
    blocks = recurrent.reshape(gates, heads, seen, seen)
    by_head = h.reshape(several, batch, heads, seen).swapaxes(1, 2)
    made = by_head @ blocks.swapaxes(2, 3)  # (G, heads, B, d)
    return made.swapaxes(1, 2).reshape(gates, batch, hidden)


def whole(recurrent: Array) -> Array:
    """Return matrices (G, H, d) as (G, H, H), with the zeros that are not kept.

    Examples
    --------
    >>> whole(np.array([[[1.0], [2.0]]])).tolist()
    [[[1.0, 0.0], [0.0, 2.0]]]
    """
    gates, hidden, seen = recurrent.shape
    full = np.zeros((gates, hidden, hidden))
    for first in range(0, hidden, seen):
        block = slice(first, first + seen)
        full[:, block, block] = recurrent[:, block]
    return full
