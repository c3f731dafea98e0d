"""Losses: what they return holds the value and, on request, the gradient.

>>> import numpy as np
>>> loss = mse(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
>>> loss.value
2.0
>>> loss.backward()
array([ 0., -2.])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simdrnn.engine.losses import CrossEntropy
from simdrnn.training.modules import as_indices, check_range, integer_array
from simdrnn.training.trainable import as_floats
from simdrnn.validate import Array, as_array, as_finite_number, check_shape, readable

__all__ = ["Loss", "mse", "softmax_cross_entropy"]


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """A recorded loss.

    Attributes
    ----------
    value : the mean over the real positions, a Python float accumulated in float64; 0.0 where no
        position is real, so that a batch of padding trains nothing and breaks nothing.
    """

    value: float
    _gradient: Callable[[float], Array]

    def __float__(self) -> float:
        """Return `value`."""
        return self.value

    def backward(self, d_value: float = 1.0) -> Array:
        """Return ``d_value`` times the gradient of `value` for the first argument, as a new array.

        May be called more than once. At a position that `mask` leaves out it is exactly 0.
        """
        return self._gradient(as_finite_number("d_value", d_value))


def softmax_cross_entropy(logits: Array, targets: Array, *, mask: Array | None = None) -> Loss:
    """Mean negative log-likelihood of `targets` under ``softmax(logits)``, in nats.

    Parameters
    ----------
    logits : (..., V), float32 or float64.
    targets : (...), integers in [0, V); not looked at where `mask` is False.
    mask : (...), bool, True where the position is real; None is all of them.

    Returns
    -------
    A `Loss`; its ``backward()`` has the shape and dtype of `logits`.

    Notes
    -----
    With ``p = softmax(logits)`` over n real positions the value is ``-sum(log p[target]) / n`` and
    the gradient ``(p - onehot(target)) / n``. The maximum of each row is taken off before exp, so
    no logit is too large; a logit of -inf rules its class out. A position's term and gradient have
    the same bits whatever the positions beside it, on any number of threads.

    Examples
    --------
    >>> loss = softmax_cross_entropy(np.zeros((3, 2, 4)), np.zeros((3, 2), "int64"))
    >>> round(loss.value, 6)
    1.386294
    >>> loss.backward().shape
    (3, 2, 4)
    """
    scores = as_floats("logits", logits)
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise ValueError(f"logits: expected shape (..., V) with V >= 1, got {scores.shape}")
    classes, positions = scores.shape[-1], scores.shape[:-1]
    chosen = integer_array("targets", targets)
    if chosen.shape != positions:
        raise ValueError(f"targets: expected shape {positions}, got {chosen.shape}")
    real = _check_mask(mask, positions)
    rows = readable(scores.reshape(math.prod(positions), classes))
    flags = None if real is None else real.reshape(-1)
    try:
        core = CrossEntropy(rows, as_indices(chosen), flags)
    except IndexError:
        check_range("targets", chosen if real is None else chosen[real], classes)
        raise

    def gradient(d_value: float) -> Array:
        return core.gradient(d_value).reshape(scores.shape)

    return Loss(core.value, gradient)


def mse(prediction: Array, target: Array, *, mask: Array | None = None) -> Loss:
    """Mean squared error over all elements of the real positions.

    Parameters
    ----------
    prediction : (...), float32 or float64.
    target : (...), the shape and dtype of `prediction`.
    mask : bool, the leading dimensions of `prediction`, say (T, B) for (T, B, O); True where the
        position is real; None is all of them.

    Returns
    -------
    A `Loss`; its ``backward()`` has the shape and dtype of `prediction`.

    Notes
    -----
    Over n real elements the value is ``sum((prediction - target)**2) / n`` and the gradient
    ``2 * (prediction - target) / n``.

    Examples
    --------
    >>> mse(np.ones((3, 2)), np.zeros((3, 2)), mask=np.array([True, False, True])).backward()[:, 0]
    array([0.5, 0. , 0.5])
    """
    found = as_floats("prediction", prediction)
    wanted = as_array("target", target, found.dtype)
    if wanted.shape != found.shape:
        raise ValueError(f"target: expected shape {found.shape}, got {wanted.shape}")
    real = _check_mask(mask, found.shape, leading=True)

    with np.errstate(all="ignore"):  # as above
        error = np.asarray(found - wanted)
    count = error.size
    if real is not None:
        error[~real] = 0.0
        count = int(np.count_nonzero(real)) * math.prod(error.shape[real.ndim :])
    flat = error.reshape(-1)
    value = float(np.einsum("i,i->", flat, flat, dtype=np.float64)) / count if count else 0.0

    def gradient(d_value: float) -> Array:
        return np.asarray(error * error.dtype.type(2.0 * d_value / max(count, 1)))

    return Loss(value, gradient)


def _check_mask(
    mask: Array | None, positions: tuple[int, ...], *, leading: bool = False
) -> Array | None:
    """Check that a mask has the shape `positions`, or that of its `leading` dimensions."""
    if mask is None:
        return None
    real = as_array("mask", mask, np.dtype(np.bool_))
    check_shape("mask", real, ("...",), positions[: real.ndim] if leading else positions)
    return real.copy()  # the gradient reads it again
