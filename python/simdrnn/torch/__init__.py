"""PyTorch's recurrent layers and cells, run by our engine; needs PyTorch.

Each class is a subclass of PyTorch's own: same constructor, parameters, results and errors. Where
the engine cannot do what is asked (other devices and dtypes, autocast, functorch's transforms),
PyTorch's path runs.

    >>> import torch
    >>> from simdrnn.torch import convert
    >>> model = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(3, 4), "out": torch.nn.Linear(4, 2)})
    >>> convert(model)["rnn"]
    LSTM(3, 4)
    >>> type(model["rnn"]).__module__.split(".")[0]
    'simdrnn'
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("simdrnn.torch needs PyTorch: pip install torch") from error

from simdrnn.torch.cells import GRUCell, LSTMCell, RNNCell
from simdrnn.torch.conversion import Conversion, convert, revert
from simdrnn.torch.layers import GRU, LSTM, RNN
from simdrnn.torch.threads import share_threads

__all__ = [
    "GRU", "LSTM", "RNN", "Conversion", "GRUCell", "LSTMCell", "RNNCell", "convert", "revert",
]  # fmt: skip

share_threads()
