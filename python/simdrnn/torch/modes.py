"""What PyTorch is doing while we are called: nothing special, tracing, or what needs its own path.

Most of this has no public name; each is asked as PyTorch's own library asks it.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch.autograd import forward_ad

__all__ = ["Mode", "below_autograd", "mode", "transformed"]

_C = torch._C
_dispatch_modes = _C._len_torch_dispatch_stack
_functorch = _C._are_functorch_transforms_active
_autocast = _C._is_any_autocast_enabled
_tracing = _C._get_tracing_state

# A context in which operators run as if there were no autograd.
below_autograd = _C._AutoDispatchBelowAutograd


class Mode(IntEnum):
    """How a call is to be made."""

    EAGER = 0  # nobody looks: the shortest way
    TRACED = 1  # somebody records operators: by ours
    FOREIGN = 2  # by PyTorch's own: somebody needs operators that can be transformed


def mode() -> Mode:
    """Tell how a call is to be made now.

    Functorch's transforms (``vmap``, ``torch.func.grad``), forward-mode differentiation and
    autocast know rules for PyTorch's own operators only.
    """
    if torch.compiler.is_compiling():  # first: compilers follow what comes here
        foreign = torch.is_autocast_enabled("cpu") or torch.onnx.is_in_onnx_export()
        return Mode.FOREIGN if foreign else Mode.TRACED
    if transformed() or _autocast():
        return Mode.FOREIGN
    if _dispatch_modes() or _tracing() is not None:
        return Mode.FOREIGN if torch.onnx.is_in_onnx_export() else Mode.TRACED
    return Mode.EAGER


def transformed() -> bool:
    """Tell whether functorch's transforms or forward-mode differentiation act on what runs now.

    Grad mode says nothing of these: forward mode differentiates under ``torch.no_grad``, too, and
    where no parameter requires gradients.
    """
    return bool(_functorch() or forward_ad._current_level >= 0)
