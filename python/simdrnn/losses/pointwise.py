"""Losses of single numbers: Huber's, that of quantiles, and that of yes or no."""

from __future__ import annotations

import numpy as np

from simdrnn.losses.base import Loss, Weighing, as_levels, mean_loss, same_floats, softplus
from simdrnn.training.trainable import as_floats
from simdrnn.validate import Array, as_array, as_positive_number

__all__ = ["binary_cross_entropy", "huber", "quantile"]


def huber(
    prediction: Array,
    target: Array,
    *,
    delta: float = 1.0,
    mask: Array | None = None,
    weights: Array | None = None,
) -> Loss:
    """Mean of Huber's loss: half the squared error up to `delta`, linear beyond.

    Parameters
    ----------
    prediction : (...), float32 or float64.
    target : (...), the shape and dtype of `prediction`.
    delta : above 0, where it becomes linear.
    mask : bool, the shape of `prediction` or its leading dimensions, say (T, B) for (T, B, O); True
        where the position is real; None is all of them.
    weights : floats, 0 or more, shaped as `mask` may be: the mean is weighted by them.

    Returns
    -------
    A `Loss`; its ``backward()`` has the shape and dtype of `prediction`.

    Raises
    ------
    TypeError, ValueError : an argument is of another type, shape or range.

    Notes
    -----
    Without weights it is what `torch.nn.functional.huber_loss` has.

    References
    ----------
    Huber 1964, "Robust estimation of a location parameter".

    Examples
    --------
    >>> loss = huber(np.array([0.5, 3.0]), np.zeros(2))
    >>> loss.value, loss.backward()
    (1.3125, array([0.25, 0.5 ]))
    """
    found, wanted = same_floats(prediction, target)
    bound = as_positive_number("delta", delta)
    weighing = Weighing.of(found.shape, mask, weights)
    with np.errstate(all="ignore"):  # padding may hold anything
        error = found.astype(np.float64) - wanted
        size = np.abs(error)
        terms = np.where(size <= bound, 0.5 * error * error, bound * (size - 0.5 * bound))
        slopes = np.clip(error, -bound, bound)
    return mean_loss(weighing, terms, slopes, found.dtype)


def quantile(
    prediction: Array,
    target: Array,
    quantiles: object,
    *,
    mask: Array | None = None,
    weights: Array | None = None,
) -> Loss:
    """Mean pinball loss, least where predictions are quantiles of the target.

    Parameters
    ----------
    prediction : (..., Q), float32 or float64: one for each of `quantiles`.
    target : (...), the dtype of `prediction`.
    quantiles : (Q,), numbers in (0, 1).
    mask : bool, the shape of `target` or its leading dimensions; True where the position is real;
        None is all of them.
    weights : floats, 0 or more, shaped as `mask` may be: the mean is weighted by them.

    Returns
    -------
    A `Loss`: the mean over quantiles and positions; its ``backward()`` is (..., Q).

    Raises
    ------
    TypeError, ValueError : an argument is of another type, shape or range.

    Notes
    -----
    For an error ``e = target - prediction`` the loss of quantile q is
    ``max(q e, (q - 1) e)``; where e is 0 the slope for the prediction is taken as 0.

    References
    ----------
    Koenker and Bassett 1978, "Regression quantiles".

    Examples
    --------
    >>> loss = quantile(np.array([[1.0, 3.0]]), np.array([2.0]), [0.1, 0.9])
    >>> round(loss.value, 6), loss.backward()
    (0.1, array([[-0.05,  0.05]]))
    """
    found, levels = as_floats("prediction", prediction), as_levels("quantiles", quantiles)
    if found.ndim == 0 or found.shape[-1] != levels.size:
        raise ValueError(
            f"prediction: expected shape (..., Q) = (..., {levels.size}), got {found.shape}"
        )
    wanted = as_array("target", target, found.dtype)
    if wanted.shape != found.shape[:-1]:
        raise ValueError(f"target: expected shape {found.shape[:-1]}, got {wanted.shape}")
    weighing = Weighing.of(wanted.shape, mask, weights)
    with np.errstate(all="ignore"):
        error = wanted[..., np.newaxis].astype(np.float64) - found
        terms = np.maximum(levels * error, (levels - 1.0) * error).mean(axis=-1)
        side = np.sign(error)  # NaN where the error is
        slopes = (0.5 * (np.abs(side) - side) - levels * np.abs(side)) / levels.size
    return mean_loss(weighing, terms, slopes, found.dtype)


def binary_cross_entropy(
    logits: Array,
    target: Array,
    *,
    positive_weight: float = 1.0,
    mask: Array | None = None,
    weights: Array | None = None,
) -> Loss:
    """Mean negative log-likelihood of yes or no under ``sigmoid(logits)``, in nats.

    Parameters
    ----------
    logits : (...), float32 or float64.
    target : (...), numbers in [0, 1] of the dtype of `logits`: 1 is yes, what is between are
        probabilities of yes.
    positive_weight : above 0, how much a yes counts against a no.
    mask : bool, the shape of `logits` or its leading dimensions; True where the position is real;
        None is all of them.
    weights : floats, 0 or more, shaped as `mask` may be: the mean is weighted by them.

    Returns
    -------
    A `Loss`; its ``backward()`` has the shape and dtype of `logits`.

    Raises
    ------
    TypeError, ValueError : an argument is of another type, shape or range.

    Notes
    -----
    ``-(w y log p + (1 - y) log(1 - p))`` with ``p = sigmoid(logit)``, from the logit: the logarithm
    of a rounded p is never taken. As in PyTorch's `binary_cross_entropy_with_logits`, whose
    ``pos_weight`` w is, `positive_weight` is not in what the mean is divided by.

    Examples
    --------
    >>> loss = binary_cross_entropy(np.zeros(2), np.array([1.0, 0.0]))
    >>> round(loss.value, 6), loss.backward()
    (0.693147, array([-0.25,  0.25]))
    """
    found, wanted = same_floats(logits, target, "logits")
    factor = as_positive_number("positive_weight", positive_weight)
    weighing = Weighing.of(found.shape, mask, weights)
    counted = wanted[weighing.counts]
    if not ((counted >= 0) & (counted <= 1)).all():
        raise ValueError("target: expected numbers in [0, 1] at real positions")
    with np.errstate(all="ignore"):
        yes, no = factor * wanted.astype(np.float64), 1.0 - wanted.astype(np.float64)
        against_no, probability = softplus(found)
        against_yes, improbability = softplus(-found)
        # A certain answer times an infinite loss of what it rules out is no loss.
        terms = np.where(yes > 0, yes * against_yes, 0.0) + np.where(no > 0, no * against_no, 0.0)
        terms[np.isnan(found)] = np.nan
        slopes = no * probability - yes * improbability
    return mean_loss(weighing, terms, slopes, found.dtype)
