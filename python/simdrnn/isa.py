"""Instruction sets: which this build has, which this CPU runs, which is in use.

``SIMDRNN_ISA`` chooses one at import; every instruction set with FMA gives the same bits.
"""

from __future__ import annotations

import os

from simdrnn import _core

__all__ = ["active", "available", "compiled", "use"]


def compiled() -> list[str]:
    """Return the instruction sets in this build, best first."""
    return _core.compiled_isas()


def available() -> list[str]:
    """Return the instruction sets that this build has and this CPU runs, best first.

    Examples
    --------
    >>> import simdrnn as sr
    >>> sr.isa.active() in sr.isa.available()
    True
    """
    return _core.available_isas()


def active() -> str:
    """Return the instruction set in use."""
    return _core.active_isa()


def use(name: str) -> None:
    """Switch to another instruction set, for all layers and threads.

    Weights are packed again at a layer's next call. Calls that have begun, and tapes, go on as
    they began.

    Parameters
    ----------
    name : one of `available`.

    Raises
    ------
    TypeError : `name` is not a string.
    ValueError : it is not available here; the message lists what is.
    """
    if not isinstance(name, str):
        raise TypeError(f"name: expected a string, got {type(name).__name__}")
    _use("name", name)


def _choose_at_import() -> None:
    """Obey ``SIMDRNN_ISA``, or fail the import: a silent fallback would hide a wrong setting."""
    name = os.environ.get("SIMDRNN_ISA")
    if not name:
        return
    try:
        _use("SIMDRNN_ISA", name)
    except ValueError as error:
        raise ImportError(str(error)) from None


def _use(source: str, name: str) -> None:
    if name not in available():
        raise ValueError(
            f"{source}: expected one of {', '.join(available())} (what this build has and this "
            f"CPU runs), got {name!r}"
        )
    _core.use_isa(name)
