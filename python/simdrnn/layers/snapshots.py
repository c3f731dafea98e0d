"""Copies of parameters, as `state_dict` hands them out, that can be told from other arrays.

Training them would leave the layer as it is, without a sign. They are plain arrays in every other
way: only their memory's owner is of a class of its own, which views of them keep and pickles and
copies drop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simdrnn.validate import Array

__all__ = ["is_snapshot", "snapshot"]


class _Snapshot(np.ndarray[Any, Any]):
    """Owns the memory of a copy."""


def snapshot(array: Array) -> Array:
    """Return a writable copy of a parameter, C-contiguous.

    Examples
    --------
    >>> copied = snapshot(np.arange(3.0))
    >>> type(copied) is np.ndarray, is_snapshot(copied[1:]), is_snapshot(copied.copy())
    (True, True, False)
    """
    owner = np.ndarray.__new__(_Snapshot, array.shape, array.dtype)
    owner[...] = array
    return owner.view(np.ndarray)


def is_snapshot(array: Array) -> bool:
    """Tell whether an array is such a copy, or a view of one."""
    base: object = array.base
    while isinstance(base, np.ndarray) and not isinstance(base, _Snapshot):
        base = base.base
    return isinstance(base, _Snapshot)
