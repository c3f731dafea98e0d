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

from simdrnn import isa, runtime
from simdrnn._version import __version__
from simdrnn.layers.compiled import COMPILED, GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.tape import Tape
from simdrnn.runtime import (
    get_num_threads,
    release_memory,
    set_flush_denormals,
    set_num_threads,
    show_config,
)

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
    from simdrnn.diagnosis import diagnose
    from simdrnn.files.loading import load
    from simdrnn.layers.explanation import explain
    from simdrnn.layers.from_table import list_cells
    from simdrnn.parity import parity_report
    from simdrnn.stack.stack import Stack
    from simdrnn.training.clip import clip_grad_norm_, clip_grad_value_
    from simdrnn.training.gradcheck.check import gradcheck
    from simdrnn.training.losses import mse, softmax_cross_entropy
    from simdrnn.training.modules import Embedding, Linear
    from simdrnn.training.truncated import tbptt

# Pickles made by version 0.1.0 name modules by the places they had then.
__path__.append(f"{__path__[0]}/former_places")

# What many programs never ask for: modules, and objects with the modules they are in. These have
# other names than the objects, which importing a module of that name would hide.
_MODULES = {"dialects", "init", "optim", "reference", "regularizers"}
_OBJECTS = {
    "Embedding": "training.modules",
    "Linear": "training.modules",
    "Stack": "stack.stack",
    "clip_grad_norm_": "training.clip",
    "clip_grad_value_": "training.clip",
    "diagnose": "diagnosis",
    "explain": "layers.explanation",
    "gradcheck": "training.gradcheck.check",
    "list_cells": "layers.from_table",
    "load": "files.loading",
    "mse": "training.losses",
    "parity_report": "parity",
    "softmax_cross_entropy": "training.losses",
    "tbptt": "training.truncated",
}


def __getattr__(name: str) -> Any:
    """Import or make what most programs never ask for when it is first asked for."""
    if name in _MODULES:
        return import_module(f"simdrnn.{name}")
    if name in _OBJECTS:
        return getattr(import_module(f"simdrnn.{_OBJECTS[name]}"), name)
    made = _table().cell_class(name, COMPILED, _equations_of)
    if made is not None:
        return made
    raise AttributeError(f"module 'simdrnn' has no attribute {name!r}")


def _table() -> Any:
    """Return the module that makes classes of the table of cells."""
    return import_module("simdrnn.layers.from_table")


def _equations_of(cell: str) -> str | None:
    """Return what a cell's NumPy twin says of it, which is imported for that."""
    from simdrnn.reference.layers import equations_of

    return equations_of(cell)


def __dir__() -> list[str]:
    """List what is imported or made when it is asked for among the attributes."""
    made = _table().class_names(COMPILED.cells())
    return sorted({*globals(), *_MODULES, *_OBJECTS, *made})


isa._choose_at_import()
runtime._choose_at_import()
