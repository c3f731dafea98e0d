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
    get_include,
    get_num_threads,
    release_memory,
    set_flush_denormals,
    set_num_threads,
    set_threading,
    show_config,
)

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Attention",
    "AttentionDecoder",
    "AttentionGradients",
    "DecoderState",
    "Dropout",
    "Embedding",
    "GRUCell",
    "Gradients",
    "Hypotheses",
    "LSTMCell",
    "Linear",
    "Model",
    "Pooling",
    "RNNCell",
    "Stack",
    "Stream",
    "Tape",
    "Trainer",
    "__version__",
    "accumulate",
    "beam_search",
    "clip_grad_norm_",
    "clip_grad_value_",
    "diagnose",
    "dialects",
    "explain",
    "generate",
    "get_include",
    "get_num_threads",
    "gradcheck",
    "init",
    "isa",
    "list_cells",
    "load",
    "losses",
    "mse",
    "optim",
    "parity_report",
    "reference",
    "regularizers",
    "release_memory",
    "set_flush_denormals",
    "set_num_threads",
    "set_threading",
    "show_config",
    "softmax_cross_entropy",
    "tbptt",
]

if TYPE_CHECKING:
    from simdrnn import dialects, init, losses, optim, reference, regularizers
    from simdrnn.attention.attention import Attention
    from simdrnn.attention.beam import Hypotheses, beam_search
    from simdrnn.attention.decoder import AttentionDecoder
    from simdrnn.attention.decoder_run import DecoderState
    from simdrnn.attention.tape import AttentionGradients
    from simdrnn.diagnosis import diagnose
    from simdrnn.files.loading import load
    from simdrnn.layers.explanation import explain
    from simdrnn.layers.from_table import list_cells
    from simdrnn.layers.streaming import Stream
    from simdrnn.model import Model, Pooling, Trainer
    from simdrnn.parity import parity_report
    from simdrnn.stack.stack import Stack
    from simdrnn.training.accumulation import accumulate
    from simdrnn.training.clip import clip_grad_norm_, clip_grad_value_
    from simdrnn.training.dropout import Dropout
    from simdrnn.training.generation import generate
    from simdrnn.training.gradcheck.check import gradcheck
    from simdrnn.training.losses import mse, softmax_cross_entropy
    from simdrnn.training.modules import Embedding, Linear
    from simdrnn.training.truncated import tbptt

# Pickles made by version 0.1.0 name modules by the places they had then.
__path__.append(f"{__path__[0]}/former_places")

# What many programs never ask for: modules, and objects with the modules they are in. These have
# other names than the objects, which importing a module of that name would hide.
_MODULES = {"dialects", "init", "losses", "optim", "reference", "regularizers"}
_OBJECTS = {
    "Dropout": "training.dropout",
    "Attention": "attention.attention",
    "AttentionDecoder": "attention.decoder",
    "AttentionGradients": "attention.tape",
    "DecoderState": "attention.decoder_run",
    "Embedding": "training.modules",
    "Hypotheses": "attention.beam",
    "Linear": "training.modules",
    "Model": "model.model",
    "Pooling": "model.pooling",
    "Stack": "stack.stack",
    "Stream": "layers.streaming",
    "Trainer": "model.trainer",
    "accumulate": "training.accumulation",
    "beam_search": "attention.beam",
    "clip_grad_norm_": "training.clip",
    "clip_grad_value_": "training.clip",
    "diagnose": "diagnosis",
    "explain": "layers.explanation",
    "generate": "training.generation",
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
