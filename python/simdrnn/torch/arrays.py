"""Tensors as NumPy sees them: the one place where a tensor becomes an array of the engine's."""

from __future__ import annotations

import torch

from simdrnn.validate import Array, dense, readable

__all__ = ["array_of", "dense_of", "view_of"]


def view_of(tensor: torch.Tensor) -> Array:
    """View a tensor on the CPU as an array of contiguous rows, which may not be aligned.

    It is copied where its rows are not contiguous, and where its values are not in memory as they
    are: with the negative bit (``z.conj().imag``), or where PyTorch knows that all are zero.
    """
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.stride(-1) != 1 and tensor.shape[-1] > 1:
        tensor = tensor.contiguous()
    try:
        array: Array = tensor.numpy()
    except RuntimeError:
        array = tensor.numpy(force=True)  # makes the values first
    return array


def array_of(tensor: torch.Tensor) -> Array:
    """View a tensor as `view_of` does, or copy it where kernels could not read it."""
    return readable(view_of(tensor))


def dense_of(tensor: torch.Tensor) -> Array:
    """View a contiguous and aligned tensor as an array, or copy it."""
    return dense(view_of(tensor.contiguous()))
