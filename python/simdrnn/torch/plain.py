"""Between our modules and PyTorch's: which class stands for which, and how one becomes the other.

Ours have no attributes of their own. So a module changes its class and stays the object it is:
whoever holds it, or its parameters, need not be told.
"""

from __future__ import annotations

from torch import nn

__all__ = ["plain_class", "plain_copy"]

_CLASSES: tuple[type[nn.Module], ...] = (
    nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell,
)  # fmt: skip


def plain_class(ours: type[nn.Module]) -> type[nn.Module]:
    """Return the class of PyTorch's that one of ours stands for."""
    return next(base for base in ours.__mro__ if base in _CLASSES)


def plain_copy(module: nn.Module) -> nn.Module:
    """Return PyTorch's module with the same parameters, buffers, hooks and attributes."""
    plain: nn.Module = object.__new__(plain_class(type(module)))
    plain.__dict__.update(module.__dict__)
    return plain
