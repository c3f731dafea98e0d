"""What this build is and what it found: for bug reports and benchmark records."""

from __future__ import annotations

import numpy as np

from simdrnn import _core, isa
from simdrnn._version import __version__
from simdrnn.threads import get_num_threads

__all__ = ["config", "show_config"]


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
