"""Arrays of the caller that a tape refers to: whether they still hold what was recorded.

Backward reads the arguments of the call again. One that was written to since, as a buffer that the
next batch is read into, would give gradients of neither call, without a sign. So each array leaves
a number of 64 bits, made of all its bytes, their places and its layout, at the speed of memory
(``csrc/engine/fingerprint.cpp``), and is compared with it before it is read again.

Numbers are made in the way that the CPU is fast at, so they stay in the process: a copy or a pickle
takes along which arrays had changed, and new numbers of the others where it arrives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simdrnn.validate import Array

try:
    from simdrnn._core import fingerprints
except ImportError:  # the reference does without the compiled part, at the speed of a good hash

    def fingerprints(arrays: Sequence[Array], num_threads: int = 0) -> list[int]:
        """Return a number of 64 bits for each array."""
        from hashlib import blake2b

        del num_threads
        found = []
        for array in arrays:
            digest = blake2b(f"{array.shape} {array.strides}".encode(), digest_size=8)
            digest.update(array.tobytes())
            found.append(int.from_bytes(digest.digest(), "little"))
        return found


__all__ = ["Borrowed"]


class Borrowed:
    """Arrays by the names of the arguments they came as, none of them a copy.

    Parameters
    ----------
    named : the arrays.
    threads : that may look at them, as in the call that they were given to.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(6.0).reshape(2, 3)
    >>> borrowed = Borrowed({"x": x})
    >>> x[:] = x[::-1].copy()
    >>> borrowed.check()
    Traceback (most recent call last):
    ValueError: x: expected what was recorded, got values that changed since; record a copy
    """

    __slots__ = ("_arrays", "_names", "_prints", "_threads")

    def __init__(self, named: Mapping[str, Array], threads: int = 0) -> None:
        self._names, self._arrays, self._threads = tuple(named), list(named.values()), threads
        self._prints: list[int | None] = [*self._found()]

    def _found(self) -> list[int]:
        return fingerprints(self._arrays, self._threads)

    def __getstate__(self) -> tuple[tuple[str, ...], list[Array], int, list[bool]]:
        """Copy and pickle the arrays, and which of them have changed."""
        found = self._found()
        changed = [before != after for before, after in zip(self._prints, found, strict=True)]
        return self._names, self._arrays, self._threads, changed

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take what was copied or pickled; what had changed then is never as it was."""
        self._names, self._arrays, self._threads, changed = state
        found = self._found()
        self._prints = [None if was else one for was, one in zip(changed, found, strict=True)]

    def check(self, instead: str = "record a copy") -> None:
        """Raise if one of them changed; `instead` says what to do."""
        found = self._found()
        if found == self._prints:
            return
        for name, before, after in zip(self._names, self._prints, found, strict=True):
            if before != after:
                raise ValueError(
                    f"{name}: expected what was recorded, got values that changed since; {instead}"
                )
