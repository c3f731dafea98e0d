"""What is handed to us and is no layer of Keras 3, and what to say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

__all__ = ["check_layer", "what_it_is"]

_WEIGHTS = (
    "weights: pass the model or layer itself, or see simdrnn.dialects.convert, which turns "
    "weights alone over"
)


def what_it_is(value: object) -> str:
    """Describe something that is not what was expected: its type, and what can be done with it."""
    found = type(value).__name__
    homes = {one.__module__.split(".")[0] for one in type(value).__mro__}
    if isinstance(value, Mapping):
        return f"{found} of {_WEIGHTS}"
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], np.ndarray):
        return f"{found} of {_WEIGHTS}"
    if homes & {"tf_keras", "tensorflow"}:
        return (
            f"{found} of Keras 2 (tf_keras), which is another package: convert its get_weights() "
            "by simdrnn.dialects.convert(weights, 'keras', 'simdrnn', cell=...); mind that its "
            "hard_sigmoid is ('hard_sigmoid', 0.2, 0.5), Keras 3's another"
        )
    return found


def check_layer(name: str, expected: str, value: Any) -> None:
    """Raise unless a value is a layer or model of Keras 3.

    Parameters
    ----------
    name : of the argument.
    expected : what it should be, in words.
    value : what came.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if not isinstance(value, keras.layers.Layer):
        raise TypeError(f"{name}: expected {expected}, got {what_it_is(value)}")
