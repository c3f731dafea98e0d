"""The machine: threads that calls may use, memory kept between them, subnormals, the build.

Every setting acts on later calls of the whole process; none but `set_flush_denormals` changes a
result.
"""

from __future__ import annotations

import os

import numpy as np

from simdrnn import _core, isa
from simdrnn._version import __version__
from simdrnn.validate import MOST_THREADS, as_bool, as_count

__all__ = [
    "config",
    "get_num_threads",
    "release_memory",
    "set_flush_denormals",
    "set_num_threads",
    "show_config",
]


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


def set_flush_denormals(on: bool) -> None:
    """Choose whether layers treat subnormal numbers (below 1e-38, 1e-308 in float64) as zeros.

    On by default: states that decay end in subnormals, and arithmetic on those takes up to a
    hundred times longer on many CPUs. The setting acts inside our calls only, on their threads;
    the floating-point environment of the program is as it was when a call returns.

    Parameters
    ----------
    on : False for strict IEEE arithmetic.

    Raises
    ------
    TypeError : `on` is not a bool.

    Examples
    --------
    >>> import simdrnn as sr
    >>> sr.set_flush_denormals(True)
    """
    _core.set_flush_denormals(as_bool("on", on))


def config() -> dict[str, str | int | list[str]]:
    """Return version, compiler, instruction sets and threads, ready for JSON."""
    import platform  # half a millisecond, and only for this

    return {
        "version": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiler": _core.compiler,
        "flags": _core.flags,
        "isas_compiled": isa.compiled(),
        "isas_detected": isa.available(),
        "isa_active": isa.active(),
        "thread_runtime": _core.thread_runtime,
        "num_threads": get_num_threads(),
    }


def show_config() -> None:
    """Print version, compiler, instruction sets compiled, detected and active, and threads.

    Examples
    --------
    >>> import simdrnn as sr
    >>> sr.show_config()  # doctest: +ELLIPSIS
    version         ...
    """
    for key, value in config().items():
        print(f"{key:<16}{' '.join(value) if isinstance(value, list) else value}")
