"""How the directions of a layer join, and the gradient of that."""

from __future__ import annotations

import numpy as np

from simdrnn.engine.kept_arrays import empty_like
from simdrnn.validate import Array

__all__ = ["join", "join_backward"]


def join(merge: str, both: Array) -> Array:
    """Join the outputs of two directions, or pass on those of one.

    Parameters
    ----------
    merge : one of `simdrnn.spec.structure.MERGES`.
    both : (..., D*H), the directions one after the other.

    Returns
    -------
    (..., D*H) for ``"concat"`` and ``"none"``, the array itself; else (..., H).

    Examples
    --------
    >>> both = np.array([1.0, 2.0, 3.0, 5.0])
    >>> join("sum", both).tolist(), join("mul", both).tolist(), join("ave", both).tolist()
    ([4.0, 7.0], [3.0, 10.0], [2.0, 3.5])
    """
    if merge in ("concat", "none"):
        return both
    forward, reverse = np.split(both, 2, axis=-1)
    if merge == "mul":
        product: Array = forward * reverse
        return product
    total: Array = forward + reverse
    if merge == "ave":
        total *= total.dtype.type(0.5)
    return total


def join_backward(merge: str, both: Array, d_joined: Array) -> Array:
    """Return the gradient (..., D*H) for `both`, given that for ``join(merge, both)``."""
    if merge in ("concat", "none"):
        return d_joined
    # Not np.concatenate, which lays its result out like its parts: a gradient of zeros is one row,
    # broadcast, and engines want whole rows.
    d_both = empty_like(both)
    d_forward, d_reverse = np.split(d_both, 2, axis=-1)
    if merge == "mul":
        forward, reverse = np.split(both, 2, axis=-1)
        np.multiply(d_joined, reverse, out=d_forward)
        np.multiply(d_joined, forward, out=d_reverse)
    else:
        d_forward[...] = d_joined
        if merge == "ave":
            d_forward *= d_both.dtype.type(0.5)
        d_reverse[...] = d_forward
    return d_both
