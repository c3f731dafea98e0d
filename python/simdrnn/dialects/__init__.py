"""Dialects: the same weights as PyTorch, Keras, ONNX and others name and arrange them.

`convert` turns one package's weights into another's; `gate_order` and `permute_gates` are for code
that handles single matrices. `DIALECTS` is the table behind them. `load_rtneural` and
`load_nam` read whole files of RTNeural and of NAM, as a `Chain` of layers.
"""

from __future__ import annotations

from simdrnn.dialects.arrays import permute_gates
from simdrnn.dialects.chain import Chain
from simdrnn.dialects.conversion import convert, gate_order
from simdrnn.dialects.nam import load_nam
from simdrnn.dialects.rtneural import load_rtneural
from simdrnn.dialects.table import DIALECTS

__all__ = [
    "DIALECTS",
    "Chain",
    "convert",
    "gate_order",
    "load_nam",
    "load_rtneural",
    "permute_gates",
]
