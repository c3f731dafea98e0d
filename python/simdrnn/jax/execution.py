"""From a call inside a compiled program to the engine: through XLA's FFI, or a Python callback.

Measured (``bench/bridge_jax.py``, LSTM, T = B = 1, H = 32), a call takes 9 us through the FFI and
21 us through a callback, and with 8 MB of parameters 0.5 ms and 1 ms: a callback copies results and
makes arrays of arguments. The FFI's side is an extension of its own, which is built where
``SIMDRNN_JAX`` is on.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from typing import Any

import jax
import numpy as np
from jax.interpreters import mlir

from simdrnn.engine.pooled import run_arrays
from simdrnn.validate import Array

__all__ = ["choose", "chosen_way", "lower", "uses_ffi"]

_TARGET = "simdrnn_run"


@cache
def _registered() -> bool:
    """Tell XLA of the extension; whether there is one that this JAX takes."""
    try:
        _ffi = import_module("simdrnn.jax._ffi")
    except ImportError:
        return False
    # JAX only notes what is registered before it has a backend, and if that is refused then, it
    # has no backend at all. So this waits until a call is traced, and makes sure of one.
    jax.local_devices(backend="cpu")
    try:
        jax.ffi.register_ffi_target(_TARGET, _ffi.handler, platform="cpu")
    except Exception as error:  # of a type that differs from version to version
        warnings.warn(
            "simdrnn.jax: its extension was built for another version of jaxlib, so calls take the "
            f"slower way through Python callbacks; build simdrnn again ({error})",
            stacklevel=2,
        )
        return False
    return True


def uses_ffi() -> bool:
    """Return whether calls reach the engine through XLA's FFI, not through Python callbacks.

    Examples
    --------
    >>> uses_ffi() in (True, False)
    True
    """
    return _registered()


_chosen: str | None = None


def choose(way: str | None) -> None:
    """Have calls that are traced from now on take a way; None is the best there is. For tests."""
    global _chosen
    if way not in (None, "callback") and not (way == "ffi" and _registered()):
        raise ValueError(f"way: expected 'ffi', if it was built, or 'callback', got {way!r}")
    _chosen = way


def chosen_way() -> str:
    """Name the way that calls traced now take: ``"ffi"`` or ``"callback"``."""
    return _chosen or ("ffi" if _registered() else "callback")


def lower(context: Any, operands: Sequence[Any], way: str, fields: Sequence[int]) -> Sequence[Any]:
    """Put a call into the program that is being compiled, and return its results there.

    Parameters
    ----------
    context : of JAX's lowering rules.
    operands : the arguments, in the program.
    way : what `chosen_way` said.
    fields : the call; see ``csrc/python/buffer_call.hpp``.
    """
    made: Sequence[Any]
    if way == "ffi":
        rule = jax.ffi.ffi_lowering(_TARGET)
        made = rule(context, *operands, fields=np.array(fields, np.int64))
    else:
        shapes = [jax.ShapeDtypeStruct(one.shape, one.dtype) for one in context.avals_out]
        # jax.pure_callback would make arrays of JAX of what is NumPy's already, on the very threads
        # that wait for the callback: with large arrays and few threads it never ends.
        made, _, _ = mlir.emit_python_callback(
            context, partial(_callback, tuple(fields), shapes), None, list(operands),
            context.avals_in, context.avals_out, has_side_effect=False,
        )  # fmt: skip
    return made


def _callback(
    fields: tuple[int, ...], results: Sequence[jax.ShapeDtypeStruct], *arguments: Any
) -> tuple[Array, ...]:
    """Run a call on what JAX hands to a callback."""
    arrays = [np.ascontiguousarray(argument) for argument in arguments]
    made = [np.empty(result.shape, result.dtype) for result in results]
    run_arrays(fields, arrays, made)
    return tuple(made)
