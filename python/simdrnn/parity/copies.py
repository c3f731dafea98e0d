"""Copies of a layer with something changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simdrnn.layers.constructors import configuration
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.validate import Array

__all__ = ["copy_of"]


def copy_of(
    layer: RecurrentLayer,
    dtype: str | None = None,
    parameters: Mapping[str, Array] | None = None,
    **changed: Any,
) -> RecurrentLayer:
    """Make a layer like another, without dropout between layers.

    Parameters
    ----------
    layer : the original; it stays as it is.
    dtype : of the copy, into which parameters are cast; None for the same.
    parameters : by name; None for those of the original.
    changed : constructor arguments that differ.
    """
    arguments = configuration(layer) | {"dtype": dtype or layer.dtype.name, "dropout": 0.0}
    kind: type[Any] = type(layer)
    made: RecurrentLayer = kind(**(arguments | changed))
    values = layer.parameters() if parameters is None else parameters
    made.load_state_dict({name: np.asarray(value, made.dtype) for name, value in values.items()})
    return made
