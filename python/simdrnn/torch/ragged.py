"""Rows of different lengths, one step after the other: what is in a PackedSequence."""

from __future__ import annotations

import numpy as np
import torch

from simdrnn.validate import Array

__all__ = ["Ragged"]


class Ragged:
    """Where the rows of packed data are in a padded (T, B, ...) array.

    The engine walks padded arrays, in which it never touches what is behind a row's end, so that
    memory there is not even mapped. Data are copied there and back, once each way; that is a few
    per cent of the time of a small layer.

    Parameters
    ----------
    batch_sizes : (T,) int64: how many rows have a step t; never more than at the step before.

    Examples
    --------
    >>> ragged = Ragged(torch.tensor([2, 2, 1]))
    >>> ragged.steps, ragged.batch, ragged.lengths.tolist()
    (3, 2, [3, 2])
    >>> ragged.pack(ragged.pad(np.arange(5.0)[:, None])).ravel().tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """

    __slots__ = ("_real", "_rows", "batch", "full", "lengths", "steps")

    def __init__(self, batch_sizes: torch.Tensor) -> None:
        sizes = batch_sizes.numpy()
        self.steps, self.batch = len(sizes), int(sizes[0])
        self.full = int(sizes[-1]) == self.batch
        self._real = np.arange(self.batch) < sizes[:, None]
        self.lengths = self._real.sum(0, dtype=np.int64)
        self._rows = np.flatnonzero(self._real)

    def pad(self, data: Array) -> Array:
        """Return packed (N, F) data as (T, B, F), undefined behind each row's end."""
        shape = (self.steps, self.batch, data.shape[1])
        if self.full:
            return data.reshape(shape)
        padded = np.empty(shape, data.dtype)
        padded[self._real] = data
        return padded

    def pack(self, padded: Array) -> Array:
        """Return what is real of a (T, B, F) array, packed: (N, F)."""
        rows = padded.reshape(self.steps * self.batch, padded.shape[2])
        return rows if self.full else rows.take(self._rows, axis=0)


def is_packed(batch_sizes: torch.Tensor, rows: int) -> bool:
    """Tell whether these can be the batch sizes of packed data with so many rows."""
    sizes = batch_sizes.numpy()
    return (
        sizes.ndim == 1
        and len(sizes) > 0
        and sizes.dtype == np.int64
        and int(sizes[-1]) > 0
        and int(sizes.sum()) == rows
        and bool((sizes[1:] <= sizes[:-1]).all())
    )
