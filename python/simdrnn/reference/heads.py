"""Products with recurrent matrices that are whole, or blocks along the diagonal: one for each head.

Of a matrix R (H, H) in blocks, only these are kept, one below the other: (H, d) with d = H / heads.
A unit then sees only the h of its own head.
"""

from __future__ import annotations

import numpy as np

from simdrnn.validate import Array

__all__ = ["product", "product_backward", "weight_gradients", "whole"]


def _blocks(recurrent: Array) -> Array:
    """View matrices (G, H, d) as blocks (G, heads, d, d)."""
    gates, hidden, seen = recurrent.shape
    return recurrent.reshape(gates, hidden // seen, seen, seen)


def _by_head(values: Array, seen: int) -> Array:
    """View (..., B, H) as (..., heads, B, d)."""
    parts = values.reshape(*values.shape[:-1], -1, seen)
    return np.moveaxis(parts, -2, -3)


def _joined(parts: Array) -> Array:
    """Bring (..., heads, B, d) back to (..., B, H)."""
    moved = np.moveaxis(parts, -3, -2)
    return np.asarray(moved.reshape(*moved.shape[:-2], -1))


def product(h: Array, recurrent: Array) -> Array:
    """Return R h for every gate, (G, B, H), of what each sees, h (G, B, P), and R (G, H, d)."""
    if recurrent.shape[2] == h.shape[2]:
        return h @ recurrent.swapaxes(1, 2)
    blocks = _blocks(recurrent)
    return _joined(_by_head(h, blocks.shape[-1]) @ blocks.swapaxes(-2, -1))


def product_backward(d_product: Array, recurrent: Array, size: int) -> Array:
    """Return the gradients for h as each gate saw it, (G, B, P), of `d_product` (G, B, H).

    `size` is P.
    """
    if recurrent.shape[2] == size:
        return d_product @ recurrent
    blocks = _blocks(recurrent)
    return _joined(_by_head(d_product, blocks.shape[-1]) @ blocks)


def weight_gradients(d_product: Array, operands: Array, seen: int) -> Array:
    """Return the gradients (G, H, d) for R, of sequences (T, G, B, H); `seen` is d."""
    if seen == operands.shape[-1]:
        return np.asarray(np.einsum("tgbh,tgbk->ghk", d_product, operands))
    blocks = np.einsum("tgjbh,tgjbk->gjhk", _by_head(d_product, seen), _by_head(operands, seen))
    return np.asarray(blocks.reshape(blocks.shape[0], -1, seen))


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
