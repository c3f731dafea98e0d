"""How many threads calls may use."""

from __future__ import annotations

import os

from simdrnn import _core
from simdrnn.validate import MOST_THREADS, as_count

__all__ = ["get_num_threads", "set_num_threads"]


def set_num_threads(n: int | None) -> None:
    """Limit the threads of every later call; results never depend on it.

    Parameters
    ----------
    n : at least 1, or None for no limit of ours (nor that of ``SIMDRNN_NUM_THREADS``).

    Raises
    ------
    TypeError, ValueError : `n` is not a positive integer or None.
    """
    if n is None:
        _core.set_thread_limit(0)
        return
    count = as_count("n", n)
    if count < 1:
        raise ValueError(f"n: expected at least 1 thread, got {count}")
    _core.set_thread_limit(min(count, MOST_THREADS))


def get_num_threads() -> int:
    """Return how many threads a call may use now.

    The smallest of: what `set_num_threads` or ``SIMDRNN_NUM_THREADS`` said, or else OpenMP's own
    setting (``OMP_NUM_THREADS``, threadpoolctl); the CPUs this process may run on; the container's
    CPU quota. A call with little work uses fewer.
    """
    return _core.thread_limit()


def _choose_at_import() -> None:
    """Obey ``SIMDRNN_NUM_THREADS``, or fail the import."""
    text = os.environ.get("SIMDRNN_NUM_THREADS")
    if not text:
        return
    if not text.isdecimal() or int(text) < 1:
        raise ImportError(f"SIMDRNN_NUM_THREADS: expected a positive integer, got {text!r}")
    set_num_threads(int(text))
