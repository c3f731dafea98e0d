"""The NumPy twin of the compiled engine: the specification of the library, written to be read.

Start with a cell (`lstm.py`, `gru.py`, `elman.py`, ...), then `sequence.py`, which runs one over a
sequence, then `network.py`, which stacks them. None of them says how gradients go back: the tape of
`autodiff.py` does. The layers take the same arguments as the compiled ones and share their front
end.
"""

from __future__ import annotations

from typing import Any

from simdrnn.layers.from_table import cell_class, class_names
from simdrnn.reference.layers import (
    GRU,
    LSTM,
    REFERENCE,
    RNN,
    GRUCell,
    LSTMCell,
    RNNCell,
    equations_of,
)
from simdrnn.reference.network import CELLS, Network, cell_infos

__all__ = ["CELLS", "GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "Network", "RNNCell"]


def __getattr__(name: str) -> type[Any]:
    """Make the layer or single cell of this name, when it is first asked for."""
    made = cell_class(name, REFERENCE, equations_of)
    if made is None:
        raise AttributeError(f"module 'simdrnn.reference' has no attribute {name!r}")
    return made


def __dir__() -> list[str]:
    """List what is made when it is asked for among the attributes."""
    return sorted({*globals(), *class_names(cell_infos())})
