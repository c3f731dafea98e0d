"""Clipping of gradients after the backward pass, in place.

Both functions work on finished gradients: nothing flows through them, so they have no derivative.
Clipping *inside* backpropagation through time is the layers' `step_grad_clip` and `step_grad_norm`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from simdrnn.engine.updates import scale, sum_of_squares
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.snapshots import is_snapshot
from simdrnn.training.trainable import as_number
from simdrnn.validate import Array, as_bool, check_distinct_elements

__all__ = ["GradientTree", "clip_factor", "clip_grad_norm_", "clip_grad_value_"]

GradientTree: TypeAlias = "Gradients | Mapping[str, Array] | Array | Sequence[GradientTree]"

_BLOCK = 1 << 14  # elements per temporary of `_power_sum`: 128 KiB of float64, a level-2 cache


def clip_grad_norm_(
    grads_or_list: GradientTree,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients together so that their norm is at most `max_norm`.

    Parameters
    ----------
    grads_or_list : a `Gradients` (its ``params``; ``x`` and ``state`` are left alone), a dict of
        arrays, an array, or a list of these. float32 and float64 arrays of any shape, changed in
        place.
    max_norm : the largest norm let through.
    norm_type : p of the p-norm over all elements of all arrays; ``math.inf`` is the largest
        magnitude.
    error_if_nonfinite : raise, before anything is changed, where the norm is NaN or infinite.

    Returns
    -------
    The norm before clipping, a Python float.

    Raises
    ------
    ValueError, TypeError : an argument does not fit; then nothing has been changed.

    Notes
    -----
    Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063, in PyTorch's form: every element is
    multiplied by ``min(1, max_norm / (norm + 1e-6))``, always. The norm is accumulated in float64,
    so large float32 gradients do not overflow in it. As in PyTorch an infinite norm zeroes the
    finite elements and turns the infinite ones into NaN, and a NaN norm spreads to all of them.

    Examples
    --------
    >>> gradient = np.array([3.0, 4.0])
    >>> clip_grad_norm_(gradient, max_norm=1.0)
    5.0
    >>> gradient.round(3)
    array([0.6, 0.8])
    """
    limit = as_number("max_norm", max_norm, closed=True)
    p = as_number("norm_type", norm_type, closed=True)
    if p == 0.0:
        raise ValueError("norm_type: expected a number above 0, got 0")
    finite = "grads_or_list" if as_bool("error_if_nonfinite", error_if_nonfinite) else None
    arrays = list(_leaves("grads_or_list", grads_or_list))
    norm, factor = clip_factor(arrays, limit, p, finite)
    scale([array for array in arrays if _is_block(array)], factor)
    with np.errstate(all="ignore"):  # NaN and infinity are documented results, not accidents
        for array in arrays:
            if not _is_block(array):
                array *= factor
    return norm


def clip_factor(
    arrays: Sequence[Array], limit: float, p: float, finite: str | None
) -> tuple[float, float]:
    """Return the p-norm of all elements, and what to multiply them by, as `clip_grad_norm_` says.

    `finite` names the argument whose norm has to be finite; None allows any.
    """
    norm = _total_norm(arrays, p)
    if finite is not None and not math.isfinite(norm):
        raise ValueError(f"{finite}: expected a finite norm, got {norm}; nothing clipped")
    factor = limit / (norm + 1e-6)
    return norm, 1.0 if factor > 1.0 else factor  # spelt so that NaN stays NaN


def clip_grad_value_(grads_or_list: GradientTree, clip_value: float) -> None:
    """Clip every element to ``[-clip_value, clip_value]``, in place; NaN stays NaN.

    Parameters
    ----------
    grads_or_list : as for `clip_grad_norm_`.
    clip_value : the largest magnitude let through.

    Examples
    --------
    >>> gradient = np.array([-3.0, 0.5])
    >>> clip_grad_value_([gradient], 1.0)
    >>> gradient
    array([-1. ,  0.5])
    """
    limit = as_number("clip_value", clip_value, closed=True)
    arrays = list(_leaves("grads_or_list", grads_or_list))
    with np.errstate(over="ignore"):  # a limit beyond float32 is infinite there
        for array in arrays:
            np.clip(array, -limit, limit, out=array)


def _leaves(name: str, tree: object) -> Iterator[Array]:
    """Yield the arrays of `tree`, each checked to be a float array that can be written."""
    if isinstance(tree, Gradients):
        yield from _leaves(f"{name}.params", tree.params)
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(f"{name}[{key!r}]", value)
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from _leaves(f"{name}[{index}]", value)
    elif not isinstance(tree, np.ndarray) or isinstance(tree, np.ma.MaskedArray):
        kind = type(tree).__name__
        raise TypeError(f"{name}: expected Gradients, a dict, an array or a list, got {kind}")
    elif tree.dtype not in (np.dtype("float32"), np.dtype("float64")):
        raise TypeError(f"{name}: expected dtype float32 or float64, got {tree.dtype}")
    elif is_snapshot(tree):
        raise TypeError(
            f"{name}: expected gradients, got copies of parameters, from state_dict(); pass what "
            "backward returned"
        )
    elif not tree.flags.writeable:
        raise ValueError(
            f"{name}: expected a writable array, got a read-only one; pass what backward returned, "
            "not parameters()"
        )
    else:
        check_distinct_elements(name, tree)
        yield tree


def _total_norm(arrays: Sequence[Array], p: float) -> float:
    if p == 2.0:
        blocks = [array if _is_block(array) else array.copy() for array in arrays]
        return math.sqrt(sum_of_squares(blocks))
    with np.errstate(all="ignore"):
        if p == math.inf:
            # np.max and np.maximum, unlike Python's max, let NaN through.
            peaks = [np.maximum(array.max(), -array.min()) for array in arrays if array.size]
            return float(np.max(peaks)) if peaks else 0.0
        return float(np.float64(sum(_power_sum(array, p) for array in arrays)) ** (1.0 / p))


def _is_block(array: Array) -> bool:
    """Tell whether an array's elements lie one after the other in memory, in whatever order."""
    flags = array.flags
    return (flags.c_contiguous or flags.f_contiguous) and flags.aligned


def _power_sum(array: Array, p: float) -> float:
    """Return the sum of |a|**p in float64, without a temporary of the array's size."""
    flat = array.ravel(order="K")  # a view, unless the array has gaps
    total = 0.0
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK].astype(np.float64)
        np.abs(block, out=block)
        np.power(block, p, out=block)
        total += float(block.sum())
    return total
