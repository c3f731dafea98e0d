"""Working memory kept between calls."""

from __future__ import annotations

from simdrnn import _core

__all__ = ["release_memory"]


def release_memory() -> int:
    """Give the working memory that is kept between calls back to the system.

    Every thread that calls layers keeps one buffer, as large as its largest call needed but at most
    64 MiB, because mapping fresh memory takes longer than a small network. Buffers of threads that
    are in a call at the moment are left alone. Packed weights belong to their layers and stay.

    Returns
    -------
    int : how many bytes were given back.

    Examples
    --------
    >>> import numpy as np
    >>> import simdrnn as sr
    >>> _ = sr.GRU(8, 16, seed=0)(np.ones((10, 4, 8), np.float32))
    >>> sr.release_memory() > 0
    True
    >>> sr.release_memory()
    0
    """
    return _core.release_memory()
