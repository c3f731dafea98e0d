"""Gradients that come many at a time: one call of the way back for each of them.

``is_grads_batched=True``, ``jacobian(vectorize=True)`` and ``torch.vmap`` over
`torch.autograd.grad` send gradients back in tensors that hide an axis. The engine reads memory,
which these do not show: so the axis is taken off, the way back is gone for each gradient, and the
results are put together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

# None of this has a public name; each is asked as PyTorch's own library asks it.
import torch
from torch import _add_batch_dim, _remove_batch_dim
from torch._C import _functorch, _vmapmode_decrement_nesting, _vmapmode_increment_nesting
from torch._C._functorch import _add_batch_dim as _add_functorch_dim

__all__ = ["one_by_one", "outside_transforms"]

_Maybe: TypeAlias = torch.Tensor | None
_Function: TypeAlias = Callable[[Sequence[_Maybe]], Sequence[_Maybe]]


def one_by_one(function: _Function, gradients: Sequence[_Maybe]) -> Sequence[_Maybe]:
    """Call a function of gradients, once for each where they hide an axis.

    Parameters
    ----------
    function : of tensors or None, as many as there are `gradients`; returns tensors or None.
    gradients : tensors or None.

    Returns
    -------
    what the function returns, with the hidden axis where there was one.
    """
    given = [gradient for gradient in gradients if gradient is not None]
    if any(map(_functorch.is_batchedtensor, given)):
        return _of_functorch(function, gradients)
    if any(map(_functorch.is_legacy_batchedtensor, given)):
        return _of_autograd(function, gradients)
    return function(gradients)


def _of_functorch(function: _Function, gradients: Sequence[_Maybe]) -> Sequence[_Maybe]:
    """Take the innermost axis off that ``torch.vmap`` hides."""
    level = max(_functorch.maybe_get_level(g) for g in gradients if g is not None)
    parts = []
    for gradient in gradients:
        hides = gradient is not None and _functorch.maybe_get_level(gradient) == level
        if gradient is None or not hides:
            parts.append((gradient, False))
            continue
        place = _functorch.maybe_get_bdim(gradient)
        parts.append((_functorch.get_unwrapped(gradient).movedim(place, 0), True))
    with _outside_one():  # there may be another axis around this one
        results = _each(lambda row: one_by_one(function, row), parts)
    return [None if r is None else _add_functorch_dim(r, 0, level) for r in results]


def _of_autograd(function: _Function, gradients: Sequence[_Maybe]) -> Sequence[_Maybe]:
    """Take the axis off that `torch.autograd.grad` hides."""
    level = _vmapmode_increment_nesting() - 1
    _vmapmode_decrement_nesting()
    parts: list[tuple[_Maybe, bool]] = []
    for gradient in gradients:
        hides = gradient is not None and _functorch.is_legacy_batchedtensor(gradient)
        whole: Any = _remove_batch_dim(gradient, level, 0, 0) if hides else gradient
        parts.append((whole, hides))
    results = _each(function, parts)
    return [None if r is None else _add_batch_dim(r, 0, level) for r in results]


def _each(function: _Function, parts: Sequence[tuple[_Maybe, bool]]) -> list[_Maybe]:
    """Call the function for each row of those parts that have rows, and stack what it returns."""
    count = next(len(whole) for whole, rows in parts if rows and whole is not None)
    split: list[Sequence[_Maybe]] = []
    for whole, rows in parts:
        if whole is None or not rows:
            split.append([whole] * max(count, 1))
        elif count:
            split.append(whole.unbind(0))
        else:  # nobody's row tells the shapes of results, too
            split.append([whole.new_zeros(whole.shape[1:])])
    made = [function(row) for row in zip(*split, strict=True)]
    return [
        None if columns[0] is None else torch.stack(columns)[:count]
        for columns in zip(*made, strict=True)
    ]


@contextmanager
def _outside_one() -> Iterator[None]:
    """Leave the innermost transform, whose axis has been taken off."""
    from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack

    with temporarily_pop_interpreter_stack():
        yield


@contextmanager
def outside_transforms() -> Iterator[None]:
    """Leave all of functorch's transforms, for work on tensors that none of them transforms."""
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

    with temporarily_clear_interpreter_stack():
        yield
