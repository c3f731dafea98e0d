"""Models for functions in C, as the engine hands them to Python."""

from __future__ import annotations

from simdrnn import _core

__all__ = ["model_of_bytes"]


def model_of_bytes(image: bytes) -> object:
    """Return a capsule that owns the model that a file of these bytes holds.

    Raises
    ------
    ValueError : there is none in it.
    """
    return _core.c_model(image)
