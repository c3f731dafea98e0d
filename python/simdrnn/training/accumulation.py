"""`simdrnn.accumulate`: gradients of several micro-batches as those of one large batch."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from simdrnn.layers.gradients import Gradients
from simdrnn.training.trainable import as_floats
from simdrnn.validate import Array, as_iterable

__all__ = ["accumulate"]

_END = object()


def accumulate(grads: Iterable[Any], weights: Iterable[float] | None = None) -> Any:
    """Add gradients of several calls, as if they were one large batch.

    Losses are means over their positions, so that the gradient of the mean over all micro-batches
    is a weighted sum: of the k-th with ``weights[k] = n_k / n``, its share of the positions. For k
    of the same size that is ``1 / k``.

    Parameters
    ----------
    grads : what `Optimizer.step` takes of each call: `Gradients`, a dict of arrays, an array, or a
        list of these, all of one structure. A generator will do: one after the other is asked for
        and added, so that no two of them need be in memory.
    weights : a number for each; None is 1 for all, which is the gradient of the sum of the losses.

    Returns
    -------
    The sum in the same structure and dtypes, of new arrays. Of `Gradients` only ``params`` are
    added, since all else belongs to one call: it is None.

    Raises
    ------
    ValueError, TypeError : there are none; or they are of different structures, shapes or dtypes;
        or weights are not as many, or no finite numbers.

    Notes
    -----
    Sums are made in float64 in the order given, and rounded once at the end: those of float32
    gradients are the exact sum, rounded, in all but rare cases (`optim.TreeMean` gives the same
    bits for any number of workers instead).

    Examples
    --------
    >>> import simdrnn as sr
    >>> layer, x = sr.GRU(3, 4, dtype="float64", seed=0), np.ones((5, 6, 3))
    >>> def gradients(rows):
    ...     tape = layer.record(x[:, rows])
    ...     return tape.backward(sr.mse(tape.output, np.zeros_like(tape.output)).backward())
    >>> parts = (gradients(rows) for rows in (slice(0, 4), slice(4, 6)))
    >>> total = sr.accumulate(parts, weights=[4 / 6, 2 / 6])
    >>> whole = gradients(slice(0, 6))
    >>> bool(np.allclose(total.params["weight_hh_l0"], whole.params["weight_hh_l0"]))
    True
    """
    if isinstance(grads, (Gradients, Mapping, np.ndarray)):
        kind = type(grads).__name__
        raise TypeError(f"grads: expected gradients of several calls, in a list, got one {kind}")
    total: Any = None
    first: Any = None
    grads = as_iterable("grads", grads, "gradients of several calls")
    shares = as_iterable(
        "weights", [] if weights is None else weights, "a number for each of grads"
    )
    pairs = zip_longest(grads, shares, fillvalue=_END)
    for index, (one, weight) in enumerate(pairs):
        if one is _END or (weight is _END and weights is not None):
            what = "more" if one is _END else "fewer"
            raise ValueError(f"weights: expected one for each of grads, got {what}")
        label, factor = f"grads[{index}]", 1.0 if weights is None else _weight(index, weight)
        if index == 0:
            first, total = one, _start(label, one)
        _add(label, total, one, factor)
    if first is None:
        raise ValueError("grads: expected those of one call or more, got none")
    return _finished(first, total)


def _weight(index: int, value: object) -> float:
    """Return a finite number."""
    real = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    if not real or not math.isfinite(float(value)):  # type: ignore[arg-type]
        raise ValueError(f"weights[{index}]: expected a finite number, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def _start(label: str, grads: Any) -> Any:
    """Return zeros in float64 in the structure of gradients, with the dtype of each."""
    if isinstance(grads, Gradients):
        return _start(f"{label}.params", grads.params)
    if isinstance(grads, Mapping):
        return {name: _start(f"{label}[{name!r}]", one) for name, one in grads.items()}
    if isinstance(grads, (list, tuple)):
        return [_start(f"{label}[{index}]", one) for index, one in enumerate(grads)]
    array = as_floats(label, grads)
    return np.zeros(array.shape, np.float64), array.dtype


def _add(label: str, total: Any, grads: Any, factor: float) -> None:
    """Add gradients to the sum, in place."""
    if isinstance(grads, Gradients):
        _add(f"{label}.params", total, grads.params, factor)
    elif isinstance(total, dict):
        if not isinstance(grads, Mapping) or grads.keys() != total.keys():
            found = sorted(grads) if isinstance(grads, Mapping) else type(grads).__name__
            raise ValueError(
                f"{label}: expected the names {sorted(total)} of the first, got {found}"
            )
        for name, own in total.items():
            _add(f"{label}[{name!r}]", own, grads[name], factor)
    elif isinstance(total, list):
        if not isinstance(grads, (list, tuple)) or len(grads) != len(total):
            count = str(len(grads)) if isinstance(grads, (list, tuple)) else type(grads).__name__
            raise ValueError(f"{label}: expected a list of {len(total)} as the first, got {count}")
        for index, own in enumerate(total):
            _add(f"{label}[{index}]", own, grads[index], factor)
    else:
        sums, dtype = total
        array: Array = as_floats(label, grads)
        if array.shape != sums.shape or array.dtype != dtype:
            wanted = f"shape {sums.shape} of {dtype} as the first"
            raise ValueError(f"{label}: expected {wanted}, got {array.shape} of {array.dtype}")
        with np.errstate(all="ignore"):  # what is not finite stays so, silently, as in a step
            sums += array if factor == 1.0 else factor * array.astype(np.float64, copy=False)


def _finished(first: Any, total: Any) -> Any:
    """Return the sums in the dtypes of the gradients, in the form of the first."""
    if isinstance(first, Gradients):
        return Gradients(None, None, _finished(None, total))
    if isinstance(total, dict):
        return {name: _finished(None, own) for name, own in total.items()}
    if isinstance(total, list):
        inner = first if isinstance(first, (list, tuple)) else [None] * len(total)
        return [_finished(own, sums) for own, sums in zip(inner, total, strict=True)]
    sums, dtype = total
    with np.errstate(all="ignore"):  # beyond float32
        return sums.astype(dtype)
