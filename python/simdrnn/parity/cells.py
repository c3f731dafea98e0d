"""Which cell of the table of dialects a layer has."""

from __future__ import annotations

from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer

__all__ = ["cell_of"]

_CELLS = {
    "lstm": ("lstm", None),
    "lstm_peephole": ("lstm", None),
    "gru": ("gru", True),
    "gru_reset_before": ("gru", False),
    "rnn_tanh": ("rnn", None),
    "rnn_relu": ("rnn", None),
}


def cell_of(layer: RecurrentLayer) -> tuple[str, bool | None] | None:
    """Return the cell and the form of its reset gate, or None where no dialect has such a cell."""
    return _CELLS.get(bound_layer(layer).info.name)
