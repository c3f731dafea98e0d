"""One call of a layer: which way it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from simdrnn.torch import calls
from simdrnn.torch.calls import Arguments
from simdrnn.torch.gradient import Recurrent
from simdrnn.torch.marks import Marks
from simdrnn.torch.modes import Mode
from simdrnn.torch.operators import recurrent
from simdrnn.torch.packed import DTYPES, packed_for, takes
from simdrnn.torch.spec import Spec

__all__ = ["fits", "run"]

_PLAIN = {torch.Tensor, torch.nn.Parameter}
# One more than the largest key that PyTorch draws.
_KEYS = 2**63 - 1


def fits(tensor: Any, weights: Sequence[Any]) -> bool:
    """Tell whether the engine can read a tensor beside these weights, whatever its shape."""
    first = weights[0]
    return (
        isinstance(tensor, torch.Tensor)
        and isinstance(first, torch.Tensor)
        and tensor.dtype is first.dtype
        and tensor.dtype in DTYPES
        and tensor.device.type == "cpu"
        and tensor.layout is torch.strided
    )


def run(
    spec: Spec, given: Arguments, how: Mode, *, training: bool = False, frozen: bool = False
) -> tuple[torch.Tensor, list[torch.Tensor]] | None:
    """Return output and final states; None where the engine cannot take the weights.

    Parameters
    ----------
    spec : the layer.
    given : checked arguments, without key.
    how : by the shortest way or by operators.
    training : whether dropout acts; its key is drawn from PyTorch's generator.
    frozen : whether the owner of the weights promises not to write to them unseen.
    """
    x, states, weights = given.x, given.states, given.weights
    tensors = (*weights, x, *states)
    traced = how is Mode.TRACED or not {type(tensor) for tensor in tensors} <= _PLAIN
    record = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    # Who asks for their gradients is about to change them, by whatever way.
    frozen = frozen and not (record and any(weight.requires_grad for weight in weights))
    packed = None if traced else packed_for(spec, weights, frozen=frozen, recorded=record)
    if packed is None and not (traced and takes(spec, weights)):
        return None
    key = None
    if training and spec.dropout and spec.num_layers > 1:
        key = torch.randint(_KEYS, ())
    if packed is None:
        output, *finals, _ = recurrent(
            x, list(states), list(weights), given.batch_sizes, key, False, *spec,
            *(given.marks or Marks()),
        )  # fmt: skip
        return output, finals
    if record:
        apply: Any = Recurrent.apply  # has no type in PyTorch
        output, *finals = apply(
            spec, packed, given.batch_sizes, key, given.marks, len(states), x, *states, *weights
        )
        return output, finals
    given = given if key is None else given._replace(key=key)
    output, finals, _ = calls.forward(spec, packed, given, record=False)
    return output, finals
