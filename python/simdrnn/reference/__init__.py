"""The NumPy twin of the compiled engine: the specification of the library, written to be read.

Start with a cell (`lstm.py`, `gru.py`, `elman.py`), then `sequence.py`, which runs one over a
sequence, then `network.py`, which stacks them. The layers take the same arguments as the compiled
ones and share their front end.
"""

from __future__ import annotations

from simdrnn.reference.layers import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from simdrnn.reference.network import CELLS, Network

__all__ = ["CELLS", "GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "Network", "RNNCell"]
