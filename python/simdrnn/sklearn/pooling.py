"""From the outputs of all steps to one vector for each sequence."""

from __future__ import annotations

import numpy as np

from simdrnn.validate import Array

__all__ = ["POOLINGS", "maximum", "maximum_backward", "mean", "mean_backward"]

POOLINGS = ("last", "mean", "max")


def _real(output: Array, lengths: Array) -> Array:
    """Return (T, B, 1) bool: which steps are real."""
    return (np.arange(len(output))[:, None] < lengths)[:, :, None]


def mean(output: Array, lengths: Array | None) -> Array:
    """Return the mean of `output` (T, B, H) over the real steps; the others hold zeros."""
    # Sums take the steps one by one, whatever the batch: NumPy would add a single number per step
    # in pairs, hence other bits.
    total = output.cumsum(axis=0)[-1] if output[0].size == 1 else output.sum(axis=0)
    count = len(output) if lengths is None else lengths[:, None].astype(output.dtype)
    return np.asarray(total / count)


def mean_backward(output: Array, lengths: Array | None, d_pooled: Array) -> Array:
    """Return the gradient (T, B, H) for what `mean` was given."""
    if lengths is None:
        return np.broadcast_to(d_pooled / len(output), output.shape)
    share = d_pooled / lengths[:, None].astype(d_pooled.dtype)
    return np.asarray(np.where(_real(output, lengths), share, d_pooled.dtype.type(0)))


def _highest(output: Array, lengths: Array | None) -> Array:
    """Return (1, B, H): the first real step of the largest value."""
    if lengths is not None:
        output = np.where(_real(output, lengths), output, -np.inf)
    return np.asarray(output.argmax(axis=0)[None])


def maximum(output: Array, lengths: Array | None) -> Array:
    """Return the maximum of `output` (T, B, H) over the real steps."""
    places = _highest(output, lengths)
    return np.asarray(np.take_along_axis(output, places, axis=0)[0])


def maximum_backward(output: Array, lengths: Array | None, d_pooled: Array) -> Array:
    """Return the gradient (T, B, H) for what `maximum` was given: at the first largest step."""
    d_output = np.zeros_like(output)
    np.put_along_axis(d_output, _highest(output, lengths), d_pooled[None], axis=0)
    return d_output
