"""Weights packed for the engine: kept as long as the memory they were read from is as it was."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch._C._functorch import is_functorch_wrapped_tensor

from simdrnn.engine.compiled import Network
from simdrnn.engine.packing import ComparedArrays, Packing
from simdrnn.spec.cell import compiled_cells
from simdrnn.spec.options import Options
from simdrnn.torch.spec import Spec
from simdrnn.validate import Array

__all__ = ["DTYPES", "Packed", "forget", "packed_for", "takes"]

DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}

# Networks without owner that are kept for a layer. In a training loop the graph of the last step is
# often still there when the next one packs its weights: two take turns then.
_MOST_SPARES = 2


@lru_cache(maxsize=64)
def _options(cell: str, dropout: float) -> Options:
    """Return the engine's options."""
    return Options.parse(compiled_cells()[cell], {}, dropout)


def takes(spec: Spec, weights: Sequence[Any]) -> bool:
    """Tell whether these are tensors that the engine can be given as the layer's parameters."""
    first = weights[0]
    if not isinstance(first, torch.Tensor) or first.dtype not in DTYPES or first.dim() != 2:
        return False
    if len(weights) != spec.passes * spec.weights_each or weights[1].dim() != 2:
        return False
    widths = spec.widths(weights)
    shapes = spec.weight_shapes(first.shape[1], widths)
    return (spec.projected or widths.hidden == widths.output) and all(
        isinstance(weight, torch.Tensor)
        and weight.shape == shape
        and weight.dtype == first.dtype
        and weight.device.type == "cpu"
        and weight.layout == torch.strided
        for weight, shape in zip(weights, shapes, strict=True)
    )


class _Place:
    """Where the values of a weight are: what a later call's weight has to have in common with it.

    The tensor itself is not kept, nor its memory: PyTorch does not exchange tensors that weak
    references point to (`torch.utils.swap_tensors`), nor resize memory that NumPy has seen.

    Attributes
    ----------
    version : autograd's, raised by every write that it knows of; -1 where a tensor was made in
        inference mode, and has none.
    """

    __slots__ = ("contiguous", "dtype", "pointer", "shape", "strides", "version")

    def __init__(self, weight: torch.Tensor) -> None:
        self.pointer = weight.data_ptr()
        self.dtype, self.shape, self.strides = weight.dtype, weight.shape, weight.stride()
        self.contiguous = weight.is_contiguous()
        self.version = _version(weight)

    def is_of(self, weight: torch.Tensor) -> bool:
        """Tell whether the values of a weight are here, laid out as they were."""
        return (
            weight.data_ptr() == self.pointer
            and weight.dtype is self.dtype
            and weight.shape == self.shape
            and (weight.is_contiguous() if self.contiguous else weight.stride() == self.strides)
            and not weight.is_neg()
        )

    def values(self) -> Array:
        """View the memory; to be read only while `is_of` holds for a weight that is alive."""
        numpy_type = DTYPES[self.dtype]
        if 0 in self.shape:
            return np.empty(self.shape, numpy_type)
        last = sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        size = numpy_type.itemsize
        memory = (ctypes.c_char * ((last + 1) * size)).from_address(self.pointer)
        steps = tuple(stride * size for stride in self.strides)
        return np.ndarray(self.shape, numpy_type, memory, 0, steps)


def _version(weight: torch.Tensor) -> int:
    """Return how often autograd has seen a tensor being written to."""
    return -1 if weight.is_inference() else weight._version


def _in_memory(weight: torch.Tensor) -> bool:
    """Tell whether a weight's values are what its memory holds.

    They are not where it has the negative bit, or where PyTorch only knows that all are zero.
    """
    parts = zip(weight.shape, weight.stride(), strict=True)
    last = weight.storage_offset() + sum((n - 1) * stride for n, stride in parts)
    held = weight.untyped_storage().nbytes()
    if weight.numel() and (last + 1) * weight.element_size() > held:
        raise RuntimeError(
            f"weights: expected memory for shape {tuple(weight.shape)}, got a storage of {held} "
            "bytes, as it is after storage.resize_(0)"
        )
    return not weight.is_neg() and (weight.data_ptr() != 0 or not weight.numel())


class Packed:
    """A network that holds the values of certain weights; it is never given others.

    Much writes to a weight without raising its version: ``weight.data``, NumPy, another process.
    So the values are compared, all of them, at every call: `simdrnn.engine.packing` says how, and
    what that costs. Where their owner has promised not to change them the version will do.

    Attributes
    ----------
    description : the engine, whatever its weights.
    network : the same with these weights.
    widths : H, and the width of h.
    """

    __slots__ = ("_packing", "_places", "_spares", "_spec", "description", "network", "widths")

    def __init__(
        self, spec: Spec, weights: Sequence[torch.Tensor], spares: list[Network] | None = None,
        *, recorded: bool = False,
    ) -> None:  # fmt: skip
        self._spec = spec
        self._spares = [] if spares is None else spares
        self.widths = widths = spec.widths(weights)
        try:
            network = self._spares.pop()
        except IndexError:
            network = Network(
                spec.cell, DTYPES[weights[0].dtype], weights[0].shape[1], widths.hidden,
                spec.num_layers, spec.directions, _options(spec.cell, spec.dropout),
                widths.output if spec.projected else 0,
            )  # fmt: skip
        self.description = network
        self._places = [_Place(weight) for weight in weights]
        arrays = [place.values() for place in self._places]
        values = ComparedArrays(arrays, watched=True)
        self._packing = Packing(
            network, values, lambda: spec.by_pass(values.copies),
            pack_to_record=partial(network.pack, recorded=True),
        )  # fmt: skip
        self.network = self._packing.ready(recorded)

    def holds(self, spec: Spec, weights: Sequence[Any], *, frozen: bool = False) -> bool:
        """Tell whether it was made of the values that these weights have now.

        With `frozen` those that were written to unseen pass, too.
        """
        if len(weights) != len(self._places) or spec != self._spec:
            return False
        if not all(map(_Place.is_of, self._places, weights)):
            return False
        if frozen and all(
            place.version == _version(weight)
            for place, weight in zip(self._places, weights, strict=True)
        ):
            return self.network.made_for == self.description.token()
        return self._packing.fresh()

    def workspace_bytes(self, steps: int, batch: int) -> int:
        """Return the bytes of working memory of a recorded call besides arguments and results."""
        return self.description.workspace_bytes(steps, batch, True, 0)

    def __del__(self, most: int = _MOST_SPARES) -> None:
        """Leave the network to the next, now that no call and no graph needs these weights."""
        packing = getattr(self, "_packing", None)
        if packing is not None and len(self._spares) < most:
            self._spares.append(packing.network)


class _Entry:
    """What is kept for a layer, as long as the memory of its first weight lives."""

    __slots__ = ("kind", "packed", "place", "ref", "spares")

    def __init__(self, weight: torch.Tensor, kind: tuple[Any, ...]) -> None:
        storage, key = weight.untyped_storage(), weight.data_ptr()
        self.place = id(storage), weight.storage_offset()
        self.ref = weakref.ref(storage, lambda ref: _forget(key, ref))
        self.kind = kind
        self.packed: Packed | None = None
        self.spares: list[Network] = []
        for other, entry in list(_ENTRIES.items()):  # whose memory was exchanged since
            if entry.place == self.place and entry.ref() is storage:
                del _ENTRIES[other]
        _ENTRIES[key] = self


_ENTRIES: dict[int, _Entry] = {}  # by the address of the first weight's values


def _forget(key: int, ref: weakref.ref[Any]) -> None:
    """Drop what was kept for a layer whose memory is gone; it may be another's by now."""
    entry = _ENTRIES.get(key)
    if entry is not None and entry.ref is ref:
        del _ENTRIES[key]


def packed_for(
    spec: Spec, weights: Sequence[torch.Tensor], *, frozen: bool = False, recorded: bool = False
) -> Packed | None:
    """Return a network that holds these weights; None where the engine cannot take them.

    Parameters
    ----------
    spec : the layer.
    weights : its parameters, in PyTorch's order.
    frozen : whether their owner promises not to write to them unseen.
    recorded : whether backward will follow.
    """
    first = weights[0]
    if first.layout is not torch.strided:
        return None
    entry = _ENTRIES.get(first.data_ptr())
    packed = None if entry is None else entry.packed
    if packed is not None and packed.holds(spec, weights, frozen=frozen):
        return packed
    if not takes(spec, weights):
        return None
    if not all(map(_in_memory, weights)):
        copies = [weight if _in_memory(weight) else weight + 0 for weight in weights]
        return Packed(spec, copies, recorded=recorded)
    kind = (spec, first.shape, first.dtype)
    if entry is None or entry.kind != kind or entry.ref() is not first.untyped_storage():
        entry = _Entry(first, kind)
    entry.packed = None  # its network is free, if nobody else has it
    packed = entry.packed = Packed(spec, weights, entry.spares, recorded=recorded)
    return packed


def forget(weights: Sequence[Any]) -> None:
    """Drop what is kept for a layer: its next call packs the weights again.

    Weights inside a transform (``torch.func.grad`` of a function of the weights) have no memory
    of their own, and nothing is kept for them.
    """
    first: Any = weights[0] if weights else None
    if type(first) not in (torch.Tensor, torch.nn.Parameter) or is_functorch_wrapped_tensor(first):
        return
    if first.layout is torch.strided:
        _ENTRIES.pop(first.data_ptr(), None)
