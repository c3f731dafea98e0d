"""What is minimised: a loss of one mini-batch, with weights for its sequences, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from simdrnn import losses
from simdrnn.layers.gradients import Gradients
from simdrnn.losses import mse
from simdrnn.losses.base import Weighing
from simdrnn.validate import Array

__all__ = [
    *("Objective", "cross_entropy", "squared_error"),
    *("cross_entropy_of_steps", "likelihood_of_tags"),
    *("squared_error_of_counted", "squared_error_of_known", "squared_error_of_steps"),
]

# The second of what is returned is what the network's tape takes in `backward`.
Objective: TypeAlias = Callable[[Array, Array, "Array | None"], tuple[float, Any]]


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
    loss = losses.cross_entropy(scores, targets, weights=weights)
    return loss.value, loss.backward()


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


def squared_error_of_known(
    found: Array, targets: Array, lengths: Array | None
) -> tuple[float, Array]:
    """Return the mean of ``(found - target)**2`` where targets are not NaN, and its gradient.

    Parameters
    ----------
    found, targets : (T, B, O).
    lengths : not looked at: what is no step has no target either.
    """
    loss = mse(found, targets, mask=np.isfinite(targets))
    return loss.value, loss.backward()


def squared_error_of_counted(found: Array, targets: Array, weights: Array) -> tuple[float, Array]:
    """Return the weighted mean of ``(found - target)**2``, and its gradient.

    Parameters
    ----------
    found, targets : (T, B, O); targets may be anything where they do not count.
    weights : (T, B, O), 0 where a target does not count.
    """
    counted = weights > 0
    each = weights[counted]
    if (each == each[0]).all():  # also in what is rounded as without weights
        loss = mse(found, targets, mask=counted)
        return loss.value, loss.backward()
    weighing = Weighing.of(found.shape, counted, weights)
    error = np.where(counted, found.astype(np.float64) - targets, 0.0)
    return weighing.mean(np.square(error)), weighing.gradient(2.0 * error, found.dtype, 1.0)


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


def cross_entropy_of_steps(
    scores: Array, targets: Array, weights: Array | None
) -> tuple[float, Array]:
    """Return the weighted mean of ``-log softmax(scores)[target]`` over steps, and its gradient.

    Parameters
    ----------
    scores : (T, B, K).
    targets : (T, B) integers in [0, K).
    weights : (T, B), bool where steps are real or alike, else what they count, 0 where none is; or
        None where all are real and alike.
    """
    mask = weights if weights is not None and weights.dtype == np.bool_ else None
    counts = None if mask is not None else weights
    loss = losses.cross_entropy(scores, targets, mask=mask, weights=counts)
    return loss.value, loss.backward()


def likelihood_of_tags(crf: losses.CRF) -> Objective:
    """Return what is minimised with a conditional random field: minus the log-likelihood of tags.

    It takes what `cross_entropy_of_steps` takes, with weights that are alike in a row, and returns
    the mean over real steps and the field's gradients.
    """

    def objective(scores: Array, targets: Array, weights: Array | None) -> tuple[float, Gradients]:
        real = None if weights is None else weights > 0
        rows = None
        if weights is not None and weights.dtype != np.bool_:
            rows = weights.max(axis=0)
        tape = crf.record(scores, targets, mask=real, weights=rows)
        return tape.value, tape.backward()

    return objective
