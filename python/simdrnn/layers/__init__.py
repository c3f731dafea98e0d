"""What users construct, call and record."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """Find what was a module's of this name in version 0.1.0, for pickles of it."""
    if name in {"GRU", "LSTM", "RNN"}:
        return getattr(import_module("simdrnn.layers.compiled"), name)
    raise AttributeError(f"module 'simdrnn.layers' has no attribute {name!r}")
