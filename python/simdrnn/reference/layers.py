"""Layers and cells on the NumPy engine: the same front end, in float64 unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from simdrnn.layers.bound import EngineUser
from simdrnn.layers.constructors import GRULayer, LSTMLayer, RNNLayer, documented_as
from simdrnn.layers.single_step import GRUCellLayer, LSTMCellLayer, RNNCellLayer
from simdrnn.reference.network import Network, cell_infos
from simdrnn.spec.cell import CellInfo

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "Reference"]


class Reference(EngineUser):
    """Runs on the NumPy engine, by default in float64."""

    engine = Network

    def __init__(self, *args: Any, dtype: npt.DTypeLike = "float64", **kwargs: Any) -> None:
        # Next in line is the constructor of the kind of layer.
        super().__init__(*args, dtype=dtype, **kwargs)  # type: ignore[call-arg]

    @staticmethod
    def cell_infos() -> Mapping[str, CellInfo]:
        """Return the cells of the NumPy engine by name."""
        return cell_infos()


@documented_as(RNNLayer)
class RNN(Reference, RNNLayer):
    """Runs on the NumPy engine, by default in float64.

    Examples
    --------
    >>> import numpy as np
    >>> output, h = RNN(3, 4, seed=0)(np.zeros((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """


@documented_as(LSTMLayer)
class LSTM(Reference, LSTMLayer):
    """Runs on the NumPy engine, by default in float64.

    Examples
    --------
    >>> import numpy as np
    >>> output, (h, c) = LSTM(3, 4, bidirectional=True, seed=0)(np.zeros((5, 2, 3)))
    >>> output.shape, h.shape, c.shape
    ((5, 2, 8), (2, 2, 4), (2, 2, 4))
    """


@documented_as(GRULayer)
class GRU(Reference, GRULayer):
    """Runs on the NumPy engine, by default in float64.

    Examples
    --------
    >>> import numpy as np
    >>> output, h = GRU(3, 4, batch_first=True, seed=0)(np.zeros((2, 5, 3)))
    >>> output.shape, h.shape
    ((2, 5, 4), (1, 2, 4))
    """


@documented_as(RNNCellLayer)
class RNNCell(Reference, RNNCellLayer):
    """Runs on the NumPy engine, by default in float64."""


@documented_as(LSTMCellLayer)
class LSTMCell(Reference, LSTMCellLayer):
    """Runs on the NumPy engine, by default in float64."""


@documented_as(GRUCellLayer)
class GRUCell(Reference, GRUCellLayer):
    """Runs on the NumPy engine, by default in float64."""
