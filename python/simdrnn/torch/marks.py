"""Which steps of a call are real, and where states begin anew: keywords beyond PyTorch's."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from simdrnn.validate import as_lengths, check_choice

__all__ = ["Marks", "Sizes", "marks_of"]

_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)


class Marks(NamedTuple):
    """What is said of the steps of padded rows, in tensors of the call's own on the device of x.

    Parameters
    ----------
    lengths : (B,) int64, or None where every row has T steps.
    mask : bool, laid out like x without features: True where a step is real; or None.
    reset : the same: True where the state is replaced before the step; or None.
    to_given : whether resets go to the state that the call begins with, instead of to zero.
    """

    lengths: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    reset: torch.Tensor | None = None
    to_given: bool = False

    def or_none(self) -> Marks | None:
        """Return None where nothing is marked."""
        none = self.lengths is None and self.mask is None and self.reset is None
        return None if none else self


class Sizes(NamedTuple):
    """The sizes of a call; numbers may be symbolic.

    Parameters
    ----------
    steps, batch : T, B.
    batch_first : how x is laid out.
    batched : whether the caller's x has a batch axis.
    """

    steps: Any
    batch: Any
    batch_first: bool
    batched: bool


def marks_of(
    x: torch.Tensor,
    sizes: Sizes,
    lengths: Any,
    mask: Any,
    reset: Any,
    reset_state: Any,
    *,
    traced: bool,
) -> Marks | None:
    """Check the keywords of a call; None where none is given.

    Parameters
    ----------
    x : the sequence; what is returned is on its device.
    sizes : of the call.
    lengths, mask, reset, reset_state : as the layers take them.
    traced : whether somebody records operators: values are not looked at then.

    Raises
    ------
    TypeError, ValueError : an argument does not fit.
    """
    if reset_state is not None:
        if reset is None:
            raise ValueError("reset_state: expected reset= with it, got None")
        check_choice("reset_state", reset_state, ("zero", "given"))
    if lengths is None and mask is None and reset is None:
        return None
    return Marks(
        None if lengths is None else _lengths(x, sizes, lengths, traced=traced),
        None if mask is None else _flags("mask", x, sizes, mask),
        None if reset is None else _flags("reset", x, sizes, reset),
        reset_state == "given",
    )


def _tensor(name: str, value: Any) -> torch.Tensor:
    """Return a tensor of the call's own: the caller may use his again before backward."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    try:
        array = np.array(value)
        return torch.from_numpy(array)
    except (TypeError, ValueError) as error:
        found = type(value).__name__
        raise TypeError(f"{name}: expected a tensor or an array, got {found}: {error}") from error


def _lengths(x: torch.Tensor, sizes: Sizes, value: Any, *, traced: bool) -> torch.Tensor:
    """Return (B,) int64."""
    tensor = _tensor("lengths", value)
    if tensor.dtype not in _INTEGERS:
        raise TypeError(f"lengths: expected an integer dtype, got {tensor.dtype}")
    _check_shape("lengths", tensor, ("B",) if sizes.batched else (), sizes)
    numbers = None if traced else _numbers(value)
    if numbers is not None:
        as_lengths(numbers, sizes.steps, sizes.batch if sizes.batched else None)
    return tensor.to(x.device, torch.int64).reshape(sizes.batch)


def _numbers(value: Any) -> Any:
    """Return what NumPy can read; None where a transform hides it."""
    if not isinstance(value, torch.Tensor):
        return value
    try:
        return value.numpy() if value.device.type == "cpu" else value.cpu().numpy()
    except RuntimeError:
        return None


def _flags(name: str, x: torch.Tensor, sizes: Sizes, value: Any) -> torch.Tensor:
    """Return bool, laid out like x, with a batch axis."""
    tensor = _tensor(name, value)
    if tensor.dtype is not torch.bool:
        raise TypeError(
            f"{name}: expected dtype torch.bool, got {tensor.dtype}; convert it explicitly"
        )
    letters: tuple[str, ...] = ("T",)
    if sizes.batched:
        letters = ("B", "T") if sizes.batch_first else ("T", "B")
    _check_shape(name, tensor, letters, sizes)
    if not sizes.batched:
        tensor = tensor.unsqueeze(0 if sizes.batch_first else 1)
    return tensor.to(x.device)


def _check_shape(name: str, tensor: torch.Tensor, letters: tuple[str, ...], sizes: Sizes) -> None:
    """Raise unless a tensor has the shape that the letters stand for."""
    shape = tuple(sizes.steps if letter == "T" else sizes.batch for letter in letters)
    if tuple(tensor.shape) != shape:
        text = f"({', '.join(letters)}{',' if len(letters) == 1 else ''})"
        raise ValueError(f"{name}: expected shape {text} = {shape}, got {tuple(tensor.shape)}")
