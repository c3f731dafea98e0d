"""How calls treat subnormal numbers."""

from __future__ import annotations

from simdrnn import _core
from simdrnn.validate import as_bool

__all__ = ["set_flush_denormals"]


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
