"""Between our modules and PyTorch's: which class stands for which, and how one becomes the other.

Ours add nothing to a module but what is undone here. So a module changes its class and stays the
object it is: whoever holds it, or its parameters, need not be told.
"""

from __future__ import annotations

from torch import nn

from simdrnn.torch.flat_weights import FlatWeights

__all__ = ["OWN_BASE", "make_plain", "plain_class", "plain_copy"]

# The attribute of a class made by `simdrnn.torch.subclassing` that names the class it was made for.
OWN_BASE = "_simdrnn_base"

_CLASSES: tuple[type[nn.Module], ...] = (
    nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell,
)  # fmt: skip


def plain_class(ours: type[nn.Module]) -> type[nn.Module]:
    """Return the class of PyTorch's that one of ours, or a subclass of either, stands for."""
    return next(base for base in ours.__mro__ if base in _CLASSES)


def _origin(ours: type[nn.Module]) -> type[nn.Module]:
    """Return the class that `convert` made one of ours of: PyTorch's, or somebody's own."""
    own: type[nn.Module] | None = vars(ours).get(OWN_BASE)
    return own or plain_class(ours)


def make_plain(module: nn.Module) -> None:
    """Let a module of ours be what it was before `convert`: of PyTorch's class or a subclass."""
    if isinstance(module, FlatWeights):
        FlatWeights.restore_references(module)
    module.__dict__.pop("frozen_weights", None)
    module.__class__ = _origin(type(module))


def plain_copy(module: nn.Module) -> nn.Module:
    """Return PyTorch's module with the same parameters, buffers, hooks and attributes."""
    plain: nn.Module = object.__new__(_origin(type(module)))
    if isinstance(module, FlatWeights):
        FlatWeights.restore_references(module)
    plain.__dict__.update(module.__dict__)
    plain.__dict__.pop("frozen_weights", None)
    if isinstance(module, FlatWeights):
        FlatWeights.drop_references(module)
    return plain
