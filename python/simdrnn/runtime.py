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
    "get_include",
    "get_num_threads",
    "keep_company",
    "release_memory",
    "set_flush_denormals",
    "set_num_threads",
    "set_threading",
    "show_config",
]


def get_include() -> str:
    """Return the folder that a C compiler finds ``simdrnn/simdrnn.h`` in; see ``docs/c_api.md``.

    Examples
    --------
    >>> import simdrnn as sr
    >>> from pathlib import Path
    >>> (Path(sr.get_include()) / "simdrnn" / "simdrnn.h").is_file()
    True
    """
    from pathlib import Path  # which importing the library does without

    return str(Path(__file__).parent / "include")


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
    """Obey ``SIMDRNN_NUM_THREADS`` and ``SIMDRNN_THREADING``, or fail the import."""
    text = os.environ.get("SIMDRNN_NUM_THREADS")
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise ImportError(f"SIMDRNN_NUM_THREADS: expected a positive integer, got {text!r}")
        set_num_threads(int(text))
    threading = os.environ.get("SIMDRNN_THREADING")
    if threading:
        if threading not in _core.threading_names:
            raise ImportError(
                f"SIMDRNN_THREADING: expected one of {_core.threading_names}, got {threading!r}"
            )
        set_threading(threading)


def set_threading(threading: str) -> None:
    """Choose whose threads run the parts of every later call; results never depend on it.

    Parameters
    ----------
    threading : ``"pool"``: threads of our own, which sleep 50 us after a call. ``"openmp"``: those
        of the OpenMP runtime that another library has brought into the process (PyTorch's after
        `simdrnn.torch` is imported), or else of the one that we are linked to. ``"auto"``: OpenMP
        as soon as `simdrnn.torch` or `simdrnn.sklearn` is imported, PyTorch's or scikit-learn's,
        whose threads are awake beside ours and are asked for as many; the pool otherwise.

    Notes
    -----
    ``SIMDRNN_THREADING`` chooses at import. A forked child always has a pool of its own, since no
    OpenMP runtime outlives a fork. Inside another library's OpenMP region, and while another thread
    is in a call, a call runs on its own thread.

    Raises
    ------
    TypeError, ValueError : `threading` is none of these, or OpenMP in a build without.

    Examples
    --------
    >>> import simdrnn as sr
    >>> from simdrnn.runtime import config
    >>> sr.set_threading("pool")
    >>> config()["threading"], config()["thread_runtime"]
    ('pool', 'own pool, counted by OpenMP')
    >>> sr.set_threading("auto")
    """
    if not isinstance(threading, str):
        raise TypeError(f"threading: expected a str, got {type(threading).__name__}")
    if threading not in _core.threading_names:
        raise ValueError(f"threading: expected one of {_core.threading_names}, got {threading!r}")
    if threading == "openmp":
        if not _core.has_openmp:
            raise ValueError(
                'threading: expected "auto" or "pool": this build has no OpenMP '
                '(SIMDRNN_OPENMP=OFF), got "openmp"'
            )
        _core.adopt_openmp("")
    _core.set_threading(threading)


def keep_company(library: str, *, instead: bool) -> bool:
    """Say that a library works beside us on OpenMP threads: ``"auto"`` then means its runtime.

    Parameters
    ----------
    library : the file that the process has loaded it from.
    instead : whether it takes the place of another library that keeps us company already.

    Returns
    -------
    bool : whether it has an OpenMP runtime and that is the one now; if not, nothing changes.
    """
    return _core.keep_company(library, instead)


def release_memory() -> int:
    """Give the memory that is kept between calls back to the system.

    Every thread that calls layers keeps one buffer, as large as its largest call needed but at most
    64 MiB, because mapping fresh memory takes longer than a small network. Buffers of threads that
    are in a call at the moment are left alone. For the same reason memory of large arrays that are
    gone (tapes, results of `Linear` and `Embedding`, gradients of losses) is kept for the next, at
    most 256 MiB of it, and as much of one loss. Packed weights belong to their layers and stay.

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
    return _core.release_memory() + _core.release_kept_arrays()


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
        "threading": _core.threading(),
        "thread_runtime": _core.thread_runtime(),
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
