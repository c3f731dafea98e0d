"""Fast, exact recurrent networks on a CPU, from NumPy arrays.

Layers (`LSTM`, `GRU`, `RNN`, and those that `list_cells` names) are called for inference and
recorded for training; `reference` is their NumPy twin and specification.
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

from simdrnn import cell_kinds, isa, layers, threads
from simdrnn._version import __version__
from simdrnn.cell_kinds import list_cells
from simdrnn.cell_layers import GRUCell, LSTMCell, RNNCell
from simdrnn.config import show_config
from simdrnn.gradients import Gradients
from simdrnn.layers import GRU, LSTM, RNN
from simdrnn.memory import release_memory
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
    "Stack",
    "Tape",
    "__version__",
    "clip_grad_norm_",
    "clip_grad_value_",
    "diagnose",
    "dialects",
    "explain",
    "get_num_threads",
    "gradcheck",
    "init",
    "isa",
    "list_cells",
    "load",
    "mse",
    "optim",
    "parity_report",
    "reference",
    "regularizers",
    "release_memory",
    "set_flush_denormals",
    "set_num_threads",
    "show_config",
    "softmax_cross_entropy",
    "tbptt",
]

if TYPE_CHECKING:
    from simdrnn import dialects, init, optim, reference, regularizers
    from simdrnn.clip import clip_grad_norm_, clip_grad_value_
    from simdrnn.diagnosis import diagnose
    from simdrnn.explanation import explain
    from simdrnn.gradient_check import gradcheck
    from simdrnn.loading import load
    from simdrnn.losses import mse, softmax_cross_entropy
    from simdrnn.nn import Embedding, Linear
    from simdrnn.parity import parity_report
    from simdrnn.stack import Stack
    from simdrnn.truncated import tbptt

# What many programs never ask for: modules, and objects with the modules they are in. These have
# other names than the objects, which importing a module of that name would hide.
_MODULES = {"dialects", "init", "optim", "reference", "regularizers"}
_OBJECTS = {
    "Embedding": "nn",
    "Linear": "nn",
    "Stack": "stack",
    "clip_grad_norm_": "clip",
    "clip_grad_value_": "clip",
    "diagnose": "diagnosis",
    "explain": "explanation",
    "gradcheck": "gradient_check",
    "load": "loading",
    "mse": "losses",
    "parity_report": "parity",
    "softmax_cross_entropy": "losses",
    "tbptt": "truncated",
}


def __getattr__(name: str) -> Any:
    """Import or make what most programs never ask for when it is first asked for."""
    if name in _MODULES:
        return import_module(f"simdrnn.{name}")
    if name in _OBJECTS:
        return getattr(import_module(f"simdrnn.{_OBJECTS[name]}"), name)
    made = cell_kinds.cell_class(name, layers.Compiled, __name__)
    if made is not None:
        return made
    raise AttributeError(f"module 'simdrnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what is imported or made when it is asked for among the attributes."""
    made = cell_kinds.class_names(layers.Compiled.cell_infos())
    return sorted({*globals(), *_MODULES, *_OBJECTS, *made})


isa._choose_at_import()
threads._choose_at_import()
