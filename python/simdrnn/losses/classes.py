"""Cross entropy of classes, with weights of classes and smoothed labels."""

from __future__ import annotations

import math

import numpy as np

from simdrnn.losses.base import Loss, Weighing, single_integer
from simdrnn.training.losses import softmax_cross_entropy
from simdrnn.training.modules import check_range, integer_array
from simdrnn.training.trainable import as_floats
from simdrnn.validate import Array, as_chance, as_reals, check_shape

__all__ = ["cross_entropy", "log_softmax"]


def cross_entropy(
    logits: Array,
    targets: Array,
    *,
    mask: Array | None = None,
    weights: Array | None = None,
    class_weights: object = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Loss:
    """Mean negative log-likelihood of `targets` under ``softmax(logits)``, in nats.

    Parameters
    ----------
    logits : (..., V), float32 or float64.
    targets : (...), integers in [0, V), or `ignore_index`; not looked at where `mask` is False.
    mask : bool, (...) or its leading dimensions; True where the position is real; None is all of
        them.
    weights : floats, 0 or more, shaped as `mask` may be: the mean is weighted by them.
    class_weights : (V,), numbers, 0 or more: how much a position of each class counts.
    ignore_index : positions with this target are not real, as in padded batches; None: there are no
        such.
    label_smoothing : in [0, 1): this share of each target is spread over all classes alike.

    Returns
    -------
    A `Loss`; its ``backward()`` has the shape and dtype of `logits`.

    Raises
    ------
    TypeError, ValueError : an argument is of another type, shape or range.

    Notes
    -----
    The mean is PyTorch's: with class weights w, positions' weights u and smoothing s it is
    ``sum(u ((1 - s) w[target] nll[target] + s / V sum(w nll))) / sum(u w[target])``, where ``nll``
    is ``-log softmax(logits)``. Without weights and smoothing it is `softmax_cross_entropy`, on the
    compiled engine, bit for bit.

    References
    ----------
    The smoothing: Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision",
    arXiv:1512.00567.

    Examples
    --------
    >>> logits, targets = np.zeros((3, 2)), np.array([0, 1, -100])
    >>> loss = cross_entropy(logits, targets, class_weights=[1.0, 3.0], ignore_index=-100)
    >>> round(loss.value, 6)
    0.693147
    >>> loss.backward()
    array([[-0.125,  0.125],
           [ 0.375, -0.375],
           [ 0.   ,  0.   ]])
    """
    scores = as_floats("logits", logits)
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise ValueError(f"logits: expected shape (..., V) with V >= 1, got {scores.shape}")
    positions, classes = scores.shape[:-1], scores.shape[-1]
    chosen = integer_array("targets", targets)
    if chosen.shape != positions:
        raise ValueError(f"targets: expected shape {positions}, got {chosen.shape}")
    smoothing = as_chance("label_smoothing", label_smoothing)
    weighing = Weighing.of(positions, mask, weights)
    real = weighing.real & (chosen != _as_ignored(ignore_index))
    if weights is None and class_weights is None and smoothing == 0.0:
        return softmax_cross_entropy(scores, chosen, mask=None if real.all() else real)

    check_range("targets", chosen[real], classes)
    at = np.where(real, chosen, 0).astype(np.intp)
    each = _as_class_weights(class_weights, classes)
    weight = np.where(real, weighing.weight, 0.0)
    weighing = Weighing(weight, real, math.fsum((weight * each[at]).ravel()))
    return _weighted(scores, at, weighing, each, smoothing)


def _weighted(scores: Array, at: Array, weighing: Weighing, each: Array, smoothing: float) -> Loss:
    """Return the loss of targets `at` with weights of classes `each` (V,)."""
    spread = each * (smoothing / len(each))  # what every position asks of all classes
    asked = (1.0 - smoothing) * each[at]  # and, beside that, of its target
    with np.errstate(all="ignore"):  # padding may hold anything
        below = scores - scores.max(axis=-1, keepdims=True)
        raised = np.exp(below)
        total = raised.sum(axis=-1, dtype=np.float64)
        own = np.take_along_axis(below, at[..., np.newaxis], -1)[..., 0]
        terms = np.where(asked > 0, asked * (np.log(total) - own), 0.0)
        if smoothing > 0:
            # A class that counts nothing may be ruled out.
            held = np.where(spread > 0, below, 0.0)
            terms += spread.sum() * np.log(total) - np.einsum("...v,v->...", held, spread)
        towards = (asked + spread.sum()) / total

    def gradient(d_value: float) -> Array:
        share = weighing.weight * (d_value / weighing.total if weighing.total else 0.0)
        with np.errstate(all="ignore"):
            found: Array = raised * (share * towards)[..., np.newaxis].astype(scores.dtype)
            if smoothing > 0:
                found -= share[..., np.newaxis].astype(scores.dtype) * spread.astype(scores.dtype)
            last = np.take_along_axis(found, at[..., np.newaxis], -1)
            last -= (share * asked)[..., np.newaxis].astype(scores.dtype)
        np.put_along_axis(found, at[..., np.newaxis], last, -1)
        found[~weighing.counts] = 0.0
        return found

    return Loss(weighing.mean(terms), gradient)


def log_softmax(scores: Array) -> Array:
    """Return the logarithm of the softmax over the last axis, in float64."""
    wide = scores.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    found: Array = wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return found


def _as_ignored(value: object) -> int | float:
    """Return the target that is ignored: NaN, which no integer is, if none is."""
    return math.nan if value is None else int(single_integer("ignore_index", value))


def _as_class_weights(value: object, classes: int) -> Array:
    """Return weights of classes, the largest of them 1."""
    if value is None:
        return np.ones(classes)
    given = as_reals("class_weights", value)
    check_shape("class_weights", given, ("V",), (classes,))
    if not (np.isfinite(given).all() and (given >= 0).all() and (given > 0).any()):
        raise ValueError("class_weights: expected finite numbers, 0 or more and not all 0")
    return np.asarray(given / given.max())
