"""Training on several processes, each with its share of the data: what they agree on.

All goes through one function, `all_reduce`, which replaces a buffer by its mean over the workers:
gradients, in the optimiser's step, and here what decides when training ends: all end together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from simdrnn.optim.reduction import AllReduce, check_all_reduce
from simdrnn.validate import Array

__all__ = ["Workers"]

_HASH_BITS = 64  # that two different things agree in them by accident is beyond hoping for

# A mean of zeros and ones is either one of them or at least 1/workers away; this does for 500.
_UNANIMOUS = 1e-3


class Workers:
    """The processes that train together, or this one alone.

    Parameters
    ----------
    all_reduce : takes a flat float32 buffer and makes it the mean over all workers; None is alone.

    Raises
    ------
    TypeError : it is not callable, or returns something else than None and its buffer.
    """

    def __init__(self, all_reduce: AllReduce | None = None) -> None:
        self.all_reduce = check_all_reduce(all_reduce)

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.all_reduce is None

    def mean(self, values: Array) -> Array:
        """Return the mean of `values` (n,) over the workers, the same on every one, as float64."""
        if self.all_reduce is None:
            return values
        buffer = values.astype(np.float32)
        self._send(buffer)
        return buffer.astype(np.float64)

    def _send(self, buffer: Array) -> None:
        """Replace a flat float32 buffer by its mean over the workers."""
        result = self.all_reduce(buffer) if self.all_reduce is not None else None
        if result is not None and result is not buffer:
            found = type(result).__name__
            raise TypeError(
                f"all_reduce: expected None, with the buffer changed in place, got {found}"
            )

    def check_arguments(self, estimator: Any, kind: object) -> None:
        """Raise on every worker if estimators differ in their arguments, or in a `kind` of data."""
        arguments = {**estimator.get_params(), "n_jobs": None, "verbose": False}
        self.check_equal(
            {"arguments": repr(arguments).encode(), "kind of data": repr(kind).encode()}
        )

    def check_equal(self, things: Mapping[str, bytes]) -> None:
        """Raise on every worker if any of them has something else, so that none waits in vain.

        Parameters
        ----------
        things : what has to be equal -> bytes that stand for it.
        """
        if self.all_reduce is None:
            return
        bits = [
            np.unpackbits(np.frombuffer(hashlib.sha256(thing).digest()[: _HASH_BITS // 8], "u1"))
            for thing in things.values()
        ]
        means = np.concatenate(bits).astype(np.float32)
        self._send(means)
        unanimous = np.abs(means - means.round()) < _UNANIMOUS
        for name, agreed in zip(things, unanimous.reshape(-1, _HASH_BITS), strict=True):
            if not agreed.all():
                raise ValueError(
                    f"all_reduce: expected the same {name} on every worker, got different ones"
                )
