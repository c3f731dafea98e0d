"""The layers people use: recurrent layers on the compiled engine."""

from __future__ import annotations

from collections.abc import Mapping

from simdrnn.engine.compiled import Network
from simdrnn.layers.bound import EngineUser
from simdrnn.layers.constructors import GRULayer, LSTMLayer, RNNLayer, documented_as
from simdrnn.spec.cell import CellInfo, compiled_cells

__all__ = ["GRU", "LSTM", "RNN", "Compiled"]


class Compiled(EngineUser):
    """Runs on the compiled engine."""

    engine = Network

    @staticmethod
    def cell_infos() -> Mapping[str, CellInfo]:
        """Return the cells of the compiled engine by name."""
        return compiled_cells()


@documented_as(RNNLayer)
class RNN(Compiled, RNNLayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.RNN(3, 4, nonlinearity="relu", seed=0)
    >>> output, h = layer(np.zeros((5, 2, 3), "float32"))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """


@documented_as(LSTMLayer)
class LSTM(Compiled, LSTMLayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.LSTM(3, 4, num_layers=2, bidirectional=True, seed=0)
    >>> output, (h, c) = layer(np.zeros((5, 2, 3), "float32"), lengths=[5, 2])
    >>> output.shape, h.shape, c.shape
    ((5, 2, 8), (4, 2, 4), (4, 2, 4))
    """


@documented_as(GRULayer)
class GRU(Compiled, GRULayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.GRU(3, 4, seed=0)
    >>> tape = layer.record(np.zeros((5, 2, 3), "float32"))
    >>> sorted(tape.backward(d_output=np.ones_like(tape.output)).params)
    ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']
    """
