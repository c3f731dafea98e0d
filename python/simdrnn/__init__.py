"""Fast, exact recurrent networks on a CPU, from NumPy arrays.

Layers (`LSTM`, `GRU`, `RNN`) are called for inference and recorded for training; `reference` is
their NumPy twin and specification.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    from simdrnn import _core  # noqa: F401 (only whether it loads)
except ImportError as error:  # the usual cause: running beside a source tree that is not built
    raise ImportError(
        f"simdrnn: the compiled part is missing or does not load; was it built? ({error})"
    ) from error

from simdrnn import isa, optim, threads
from simdrnn._version import __version__
from simdrnn.cell_layers import GRUCell, LSTMCell, RNNCell
from simdrnn.clip import clip_grad_norm_, clip_grad_value_
from simdrnn.config import show_config
from simdrnn.gradients import Gradients
from simdrnn.layers import GRU, LSTM, RNN
from simdrnn.losses import mse, softmax_cross_entropy
from simdrnn.nn import Embedding, Linear
from simdrnn.numerics import set_flush_denormals
from simdrnn.tape import Tape
from simdrnn.threads import get_num_threads, set_num_threads

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Embedding",
    "GRUCell",
    "Gradients",
    "LSTMCell",
    "Linear",
    "RNNCell",
    "Tape",
    "__version__",
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_num_threads",
    "isa",
    "mse",
    "optim",
    "reference",
    "set_flush_denormals",
    "set_num_threads",
    "show_config",
    "softmax_cross_entropy",
]

if TYPE_CHECKING:
    from simdrnn import reference


def __getattr__(name: str) -> Any:
    """Import the reference when it is first asked for: most programs never do."""
    if name == "reference":
        return import_module("simdrnn.reference")
    raise AttributeError(f"module 'simdrnn' has no attribute {name!r}")


isa._choose_at_import()
threads._choose_at_import()
