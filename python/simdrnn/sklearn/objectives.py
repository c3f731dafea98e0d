"""What is minimised: a loss of one mini-batch, with weights for its sequences, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from simdrnn.training.losses import mse, softmax_cross_entropy
from simdrnn.validate import Array

__all__ = ["Objective", "cross_entropy", "squared_error", "squared_error_of_steps"]

Objective: TypeAlias = Callable[[Array, Array, "Array | None"], tuple[float, Array]]


def _shares(weights: Array) -> Array | None:
    """Return weights (B,) whose mean is 1, or None if they are all 0."""
    total = weights.sum()
    return None if total == 0 else np.asarray(weights * (len(weights) / total))


def cross_entropy(scores: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
    """Return the weighted mean of ``-log softmax(scores)[target]``, in nats, and its gradient.

    Parameters
    ----------
    scores : (B, K).
    targets : (B,) integers in [0, K).
    weights : (B,), or None for equal ones.
    """
    loss = softmax_cross_entropy(scores, targets)
    gradient = loss.backward()
    if weights is None:
        return loss.value, gradient
    shares = _shares(weights)
    if shares is None:
        return 0.0, np.zeros_like(gradient)
    wide = scores.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    at_target = np.take_along_axis(wide, targets[:, None], axis=1)[:, 0]
    rows = np.log(np.exp(wide).sum(axis=1)) - at_target
    return float(np.mean(shares * rows)), gradient * shares[:, None].astype(scores.dtype)


def squared_error(found: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
    """Return the weighted mean of ``(found - target)**2`` over rows and outputs, and its gradient.

    Parameters
    ----------
    found, targets : (B, O).
    weights : (B,), or None for equal ones.
    """
    loss = mse(found, targets)
    if weights is None:
        return loss.value, loss.backward()
    shares = _shares(weights)
    if shares is None:
        return 0.0, np.zeros_like(found)
    rows = np.square(found.astype(np.float64) - targets).mean(axis=1)
    gradient = loss.backward() * shares[:, None].astype(found.dtype)
    return float(np.mean(shares * rows)), gradient


def squared_error_of_steps(
    found: Array, targets: Array, lengths: Array | None
) -> tuple[float, Array]:
    """Return the mean of ``(found - target)**2`` over real steps and outputs, and its gradient.

    Parameters
    ----------
    found, targets : (T, B, O).
    lengths : (B,), or None where all steps are real.
    """
    mask = None if lengths is None else np.arange(len(found))[:, None] < lengths
    loss = mse(found, targets, mask=mask)
    return loss.value, loss.backward()
