"""Weights of scores: softmax over the positions that are real, and its way back.

Sums are chains over the positions, in their order. One that is not real adds 0 to each, so that a
row's weights have the same bits whatever the padding behind it.
"""

from __future__ import annotations

import numpy as np

from simdrnn.engine.activate import activate
from simdrnn.engine.dense import batch_gradient
from simdrnn.validate import Array

__all__ = ["softmax", "softmax_backward"]


def softmax(scores: Array, real: Array | None) -> Array:
    """Return the weights of scores (N, B, S), which are overwritten; exactly 0 at other positions.

    Parameters
    ----------
    scores : C-contiguous.
    real : (B, S) bool, or None where all positions are. A row without any has no weights but 0.
    """
    if not scores.size:
        return scores
    if real is None:
        return activate("softmax", scores)
    some = np.asarray(real.any(axis=1))
    np.copyto(scores, -np.inf, where=~real & some[:, None])
    scores[:, ~some] = 0.0
    weights = activate("softmax", scores)
    weights[:, ~some] = 0.0
    return weights


def softmax_backward(
    weights: Array, d_weights: Array, real: Array | None, threads: int = 0
) -> Array:
    """Return the gradient for the scores, from that for the weights, both (N, B, S)."""
    if not weights.size:
        return weights.copy()
    if real is not None:  # what stands at other positions may be anything
        d_weights = np.where(real, d_weights, weights.dtype.type(0))
    rows = (weights.shape[0] * weights.shape[1], weights.shape[2], 1)
    mean = batch_gradient(weights.reshape(rows), d_weights.reshape(rows), threads=threads)
    d_scores = weights * (d_weights - mean.reshape(*weights.shape[:2], 1))
    return np.asarray(d_scores)
