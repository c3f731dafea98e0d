"""Where `simdrnn.cell_layers` was in version 0.1.0, for pickles of it."""

from simdrnn.layers.compiled import GRUCell, LSTMCell, RNNCell

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]
