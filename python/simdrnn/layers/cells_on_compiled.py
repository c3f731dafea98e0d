"""Single cells on the compiled engine."""

from __future__ import annotations

from simdrnn.layers.constructors import documented_as
from simdrnn.layers.on_compiled import Compiled
from simdrnn.layers.single_step import GRUCellLayer, LSTMCellLayer, RNNCellLayer

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


@documented_as(RNNCellLayer)
class RNNCell(Compiled, RNNCellLayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> sr.RNNCell(3, 4, seed=0)(np.zeros((2, 3), "float32")).shape
    (2, 4)
    """


@documented_as(LSTMCellLayer)
class LSTMCell(Compiled, LSTMCellLayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> h, c = sr.LSTMCell(3, 4, seed=0)(np.zeros((2, 3), "float32"))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """


@documented_as(GRUCellLayer)
class GRUCell(Compiled, GRUCellLayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> sr.GRUCell(3, 4, seed=0)(np.zeros((2, 3), "float32")).shape
    (2, 4)
    """
