"""What optimisers and losses ask of what they are given."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, runtime_checkable

import numpy as np

from simdrnn.validate import Array, array_of, as_array

__all__ = [
    "Trainable",
    "as_floats",
    "as_number",
    "check_trainable",
    "frozen_names",
    "kept_still",
    "lend",
]


@runtime_checkable
class Trainable(Protocol):
    """What an optimiser needs of a layer or module; `layers.parametrised` has it.

    It is all they know of each other: anything with these two methods can be trained.
    """

    def parameters(self) -> dict[str, Array]:
        """Name -> read-only view."""
        ...

    def _update_parameters(self) -> AbstractContextManager[dict[str, Array]]:
        """Name -> writable array, valid inside the ``with``; on exit the layer knows it changed."""
        ...


def check_trainable(name: str, value: object, expected: str) -> None:
    """Raise unless this can be trained: a class has the methods, too, but no parameters.

    Examples
    --------
    >>> check_trainable("model", 3, "a model")
    Traceback (most recent call last):
    TypeError: model: expected a model, got int
    """
    if isinstance(value, type):
        raise TypeError(f"{name}: expected {expected}, got the class {value.__name__}")
    if not isinstance(value, Trainable):
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__}")


def lend(owner: Trainable) -> AbstractContextManager[dict[str, Array]]:
    """Lend the arrays of what is trained for writing, by name."""
    return owner._update_parameters()


def frozen_names(owner: object) -> frozenset[str]:
    """Return the names of parameters that are not to be trained; only a model tells any."""
    found = getattr(owner, "frozen", None)
    return found if isinstance(found, frozenset) else frozenset()


def kept_still(owner: Trainable) -> AbstractContextManager[Any]:
    """Keep other threads from writing to what is trained; what is not ours has no such promise."""
    hold: Callable[[], AbstractContextManager[Any]] = getattr(
        owner, "_hold_parameters", nullcontext
    )
    return hold()


def as_floats(name: str, value: object) -> Array:
    """Return `value` as a float32 or a float64 array, whichever it is; nothing is converted.

    Examples
    --------
    >>> as_floats("logits", np.zeros(2, "int64"))
    Traceback (most recent call last):
    TypeError: logits: expected dtype float32 or float64, got int64; convert it explicitly
    """
    array = array_of(name, value, "an array of floats")
    dtype = array.dtype.newbyteorder("=")
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(
            f"{name}: expected dtype float32 or float64, got {array.dtype}; convert it explicitly"
        )
    return as_array(name, array, dtype)


def as_number(name: str, value: object, high: float = math.inf, closed: bool = False) -> float:
    """Return a real number in [0, high) as float, or in [0, high] where `closed`.

    Examples
    --------
    >>> as_number("lr", -1)
    Traceback (most recent call last):
    ValueError: lr: expected a number in [0, inf), got -1
    """
    wanted = f"a number in [0, {high:g}{']' if closed else ')'}"
    if not isinstance(value, numbers.Real) or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected {wanted}, got {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an integer too large for a float
        number = math.inf
    if not (0.0 <= number < high or (closed and number == high)):  # NaN is not
        raise ValueError(f"{name}: expected {wanted}, got {value!r}")
    return number
