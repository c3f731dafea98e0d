"""Activations of whole arrays on the compiled engine, as a chain of layers has them."""

from __future__ import annotations

import numpy as np

from simdrnn import _core
from simdrnn.validate import Array

__all__ = ["activate"]

_FUNCTIONS = {"float32": _core.activate_f32, "float64": _core.activate_f64}


def activate(name: str, x: Array, alpha: float = 0.0, beta: float = 0.0) -> Array:
    """Return f(x), with the same bits on every instruction set, and in C.

    Parameters
    ----------
    name : one of `simdrnn.spec.activations.ACTIVATIONS`, or ``"softmax"``, over the last axis.
    x : (..., F).
    alpha, beta : what the activation takes.

    Examples
    --------
    >>> activate("relu", np.array([-1.0, 2.0]))
    array([0., 2.])
    >>> activate("softmax", np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    rows = np.ascontiguousarray(x).reshape(-1, np.shape(x)[-1])
    found = np.empty_like(rows)
    _FUNCTIONS[rows.dtype.name](name, alpha, beta, rows, found)
    return found.reshape(np.shape(x))
