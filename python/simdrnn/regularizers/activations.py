"""Penalties on outputs: how large they are, and how much they change from step to step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simdrnn.training.trainable import as_floats, as_number
from simdrnn.validate import Array, as_bool, as_flags

__all__ = ["OutputPenalty", "activation", "temporal_activation"]


class OutputPenalty(NamedTuple):
    """A penalty on outputs: what is added to the loss, and to the gradient for the output.

    Parameters
    ----------
    value : a Python float, accumulated in float64.
    d_output : gradient of `value`, of the shape and dtype of the output.
    """

    value: float
    d_output: Array


def activation(output: Array, strength: float, *, mask: Array | None = None) -> OutputPenalty:
    """Penalise large outputs: ``strength * mean(h**2)``, activation regularisation (AR).

    Parameters
    ----------
    output : (T, B, D*H), (B, T, D*H) or (T, D*H), float32 or float64.
    strength : factor, 0 or more; 2 in the paper.
    mask : the leading dimensions of `output`, bool, True where the step is real; None is all of
        them. For lengths: ``np.arange(T)[:, None] < lengths``.

    Returns
    -------
    An `OutputPenalty`: ``value`` and ``d_output``, to be added to the loss's. The mean is over the
    elements of the real steps; without any, the value is 0.

    Raises
    ------
    TypeError, ValueError : an argument does not fit.

    References
    ----------
    Merity, McCann and Socher 2017, "Revisiting activation regularization for language RNNs",
    arXiv:1708.01009; the mean as in Merity, Keskar and Socher 2018, arXiv:1708.02182.

    Examples
    --------
    >>> value, d_output = activation(np.array([[3.0], [4.0]]), 2.0)
    >>> value, d_output.tolist()
    (25.0, [[6.0], [8.0]])
    """
    factor = as_number("strength", strength)
    hidden, dtype = _checked(output)
    real = _flags("mask", mask, hidden, default=True)
    hidden = np.where(real, hidden, 0.0)  # padding may hold anything
    scale = factor / max(int(np.count_nonzero(real)) * hidden.shape[-1], 1)
    value = scale * float(np.square(hidden).sum())
    return OutputPenalty(value, (2.0 * scale * hidden).astype(dtype))


def temporal_activation(
    output: Array,
    strength: float,
    *,
    mask: Array | None = None,
    reset: Array | None = None,
    batch_first: bool = False,
) -> OutputPenalty:
    """Penalise fast changes: ``strength * mean((h[t+1] - h[t])**2)``, temporal AR (TAR).

    Parameters
    ----------
    output : (T, B, D*H), (B, T, D*H) with `batch_first`, or unbatched (T, D*H); float32 or float64.
    strength : factor, 0 or more; 1 in the paper.
    mask : the leading dimensions of `output`, bool, True where the step is real; None is all of
        them. Only neighbours that are both real count.
    reset : likewise, True where an episode begins: a change from the step before does not count.
    batch_first : layout of three-dimensional `output`.

    Returns
    -------
    An `OutputPenalty`: ``value`` and ``d_output``, to be added to the loss's. The mean is over the
    elements of the pairs that count; without any, the value is 0.

    Raises
    ------
    TypeError, ValueError : an argument does not fit.

    References
    ----------
    Merity, McCann and Socher 2017, "Revisiting activation regularization for language RNNs",
    arXiv:1708.01009; the mean as in Merity, Keskar and Socher 2018, arXiv:1708.02182.

    Examples
    --------
    >>> value, d_output = temporal_activation(np.array([[1.0], [3.0], [3.0]]), 1.0)
    >>> value, d_output.tolist()
    (2.0, [[-2.0], [2.0], [0.0]])
    """
    factor = as_number("strength", strength)
    as_bool("batch_first", batch_first)
    hidden, dtype = _checked(output)
    real = _flags("mask", mask, hidden, default=True)
    starts = _flags("reset", reset, hidden, default=False)
    if batch_first and hidden.ndim == 3:  # views, time first
        hidden, real, starts = (array.swapaxes(0, 1) for array in (hidden, real, starts))
    hidden = np.where(real, hidden, 0.0)
    pairs = real[1:] & real[:-1] & ~starts[1:]
    change = np.where(pairs, hidden[1:] - hidden[:-1], 0.0)
    scale = factor / max(int(np.count_nonzero(pairs)) * hidden.shape[-1], 1)
    gradient = np.zeros(hidden.shape)
    gradient[1:] += 2.0 * scale * change
    gradient[:-1] -= 2.0 * scale * change
    if batch_first and hidden.ndim == 3:
        gradient = gradient.swapaxes(0, 1)
    return OutputPenalty(scale * float(np.square(change).sum()), gradient.astype(dtype))


def _checked(output: object) -> tuple[Array, np.dtype[np.floating]]:
    """Return an output as float64, and the dtype it came in."""
    array = as_floats("output", output)
    if array.ndim not in (2, 3):
        raise ValueError(f"output: expected shape (T, B, D*H) or (T, D*H), got {array.shape}")
    return array.astype(np.float64), array.dtype


def _flags(name: str, value: object, hidden: Array, *, default: bool) -> Array:
    """Return `mask` or `reset`, with a last axis of 1."""
    shape = hidden.shape[:-1]
    if value is None:
        return np.full((*shape, 1), default)
    return as_flags(name, value, ("T", "B")[: len(shape)], shape)[..., np.newaxis]
