"""The layers and single steps people use, on the compiled engine."""

from __future__ import annotations

from simdrnn.engine.compiled import Network
from simdrnn.layers.constructors import Binding, bound_to
from simdrnn.layers.kinds import GRULayer, LSTMLayer, RNNLayer
from simdrnn.layers.single_step import GRUCellLayer, LSTMCellLayer, RNNCellLayer
from simdrnn.spec.cell import compiled_cells

__all__ = ["COMPILED", "GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]

COMPILED = Binding(Network, compiled_cells, "float32", "simdrnn", "Runs on the compiled engine.")


@bound_to(COMPILED)
class RNN(RNNLayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.RNN(3, 4, nonlinearity="relu", seed=0)
    >>> output, h = layer(np.zeros((5, 2, 3), "float32"))
    >>> output.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """


@bound_to(COMPILED)
class LSTM(LSTMLayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.LSTM(3, 4, num_layers=2, bidirectional=True, seed=0)
    >>> output, (h, c) = layer(np.zeros((5, 2, 3), "float32"), lengths=[5, 2])
    >>> output.shape, h.shape, c.shape
    ((5, 2, 8), (4, 2, 4), (4, 2, 4))
    """


@bound_to(COMPILED)
class GRU(GRULayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.GRU(3, 4, seed=0)
    >>> tape = layer.record(np.zeros((5, 2, 3), "float32"))
    >>> sorted(tape.backward(d_output=np.ones_like(tape.output)).params)
    ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']
    """


@bound_to(COMPILED)
class RNNCell(RNNCellLayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> sr.RNNCell(3, 4, seed=0)(np.zeros((2, 3), "float32")).shape
    (2, 4)
    """


@bound_to(COMPILED)
class LSTMCell(LSTMCellLayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> h, c = sr.LSTMCell(3, 4, seed=0)(np.zeros((2, 3), "float32"))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """


@bound_to(COMPILED)
class GRUCell(GRUCellLayer):
    """Runs on the compiled engine.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> sr.GRUCell(3, 4, seed=0)(np.zeros((2, 3), "float32")).shape
    (2, 4)
    """
