"""Dialects: the same weights as PyTorch, Keras, ONNX and others name and arrange them.

`convert` turns one package's weights into another's; `gate_order` and `permute_gates` are for code
that handles single matrices. `DIALECTS` is the table behind them.
"""

from __future__ import annotations

from simdrnn.dialects.arrays import permute_gates
from simdrnn.dialects.conversion import convert, gate_order
from simdrnn.dialects.table import DIALECTS

__all__ = ["DIALECTS", "convert", "gate_order", "permute_gates"]
