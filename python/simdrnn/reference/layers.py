"""Layers and cells on the NumPy engine: the same front end, in float64 unless told otherwise."""

from __future__ import annotations

import sys

from simdrnn.layers.constructors import Binding, bound_to
from simdrnn.layers.kinds import GRULayer, LSTMLayer, RNNLayer
from simdrnn.layers.single_step import GRUCellLayer, LSTMCellLayer, RNNCellLayer
from simdrnn.reference.network import CELLS, Network, cell_infos

__all__ = ["GRU", "LSTM", "REFERENCE", "RNN", "GRUCell", "LSTMCell", "RNNCell", "equations_of"]

REFERENCE = Binding(
    Network,
    cell_infos,
    "float64",
    "simdrnn.reference",
    "Runs on the NumPy engine, by default in float64.",
)


def equations_of(cell: str) -> str | None:
    """Return what a cell's module says of it: equations and source."""
    return sys.modules[type(CELLS[cell]).__module__].__doc__


@bound_to(REFERENCE)
class RNN(RNNLayer):
    """Runs on the NumPy engine, by default in float64.

    Examples
    --------
    >>> import numpy as np
    >>> output, h = RNN(3, 4, seed=0)(np.zeros((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """


@bound_to(REFERENCE)
class LSTM(LSTMLayer):
    """Runs on the NumPy engine, by default in float64.

    Examples
    --------
    >>> import numpy as np
    >>> output, (h, c) = LSTM(3, 4, bidirectional=True, seed=0)(np.zeros((5, 2, 3)))
    >>> output.shape, h.shape, c.shape
    ((5, 2, 8), (2, 2, 4), (2, 2, 4))
    """


@bound_to(REFERENCE)
class GRU(GRULayer):
    """Runs on the NumPy engine, by default in float64.

    Examples
    --------
    >>> import numpy as np
    >>> output, h = GRU(3, 4, batch_first=True, seed=0)(np.zeros((2, 5, 3)))
    >>> output.shape, h.shape
    ((2, 5, 4), (1, 2, 4))
    """


@bound_to(REFERENCE)
class RNNCell(RNNCellLayer):
    """Runs on the NumPy engine, by default in float64."""


@bound_to(REFERENCE)
class LSTMCell(LSTMCellLayer):
    """Runs on the NumPy engine, by default in float64."""


@bound_to(REFERENCE)
class GRUCell(GRUCellLayer):
    """Runs on the NumPy engine, by default in float64."""
