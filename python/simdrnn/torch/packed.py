"""Weights packed for the engine: kept as long as the tensors they were made of stay as they are."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from simdrnn.engine.compiled import Network
from simdrnn.engine.packing import ComparedArrays, Packing
from simdrnn.spec.cell import compiled_cells
from simdrnn.spec.options import Options
from simdrnn.torch.spec import Spec

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


class _Seen:
    """A tensor as it was when its values were packed: what of it can tell quickly of a change."""

    __slots__ = ("pointer", "ref", "version")

    def __init__(self, weight: torch.Tensor) -> None:
        self.ref = weakref.ref(weight)
        # Tensors made in inference mode have no version: they are packed at every call.
        self.version = -1 if weight.is_inference() else weight._version
        self.pointer = weight.data_ptr()

    def is_still(self, weight: torch.Tensor) -> bool:
        """Tell whether it is this very tensor, and nothing says that it has changed."""
        known = self.ref()
        return (
            known is not None
            and known is weight
            and self.version >= 0
            and known._version == self.version
            and known.data_ptr() == self.pointer
        )


class Packed:
    """A network that holds the values of certain weights; it is never given others.

    Much writes to a weight without raising its version: ``weight.data``, NumPy, another process.
    So where the version says that nothing changed, the values are compared, all of them:
    `simdrnn.engine.packing` says how, and what that costs.

    Attributes
    ----------
    network : the engine.
    widths : H, and the width of h.
    """

    __slots__ = ("_packing", "_seen", "_spares", "_spec", "network", "widths")

    def __init__(
        self, spec: Spec, weights: Sequence[torch.Tensor], spares: list[Network] | None = None
    ) -> None:
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
        self._seen = [_Seen(weight) for weight in weights]
        values = ComparedArrays([weight.detach().numpy() for weight in weights], watched=True)
        self._packing = Packing(network, values, lambda: spec.by_pass(values.copies))
        self._packing.ready()
        self.network = network

    def holds(self, spec: Spec, weights: Sequence[Any]) -> bool:
        """Tell whether it was made of these very tensors, and they have not changed since."""
        return (
            len(weights) == len(self._seen)
            and spec == self._spec
            and all(map(_Seen.is_still, self._seen, weights))
            and self._packing.fresh()
        )

    def __del__(self, most: int = _MOST_SPARES) -> None:
        """Leave the network to the next, now that no call and no graph needs these weights."""
        network = getattr(self, "network", None)
        if network is not None and len(self._spares) < most:
            self._spares.append(network)


class _Entry:
    """What is kept for a layer, as long as its first weight lives."""

    __slots__ = ("kind", "packed", "ref", "spares")

    def __init__(self, weight: torch.Tensor, kind: tuple[Any, ...]) -> None:
        key = id(weight)
        self.ref = weakref.ref(weight, lambda _: _ENTRIES.pop(key, None))
        self.kind = kind
        self.packed: Packed | None = None
        self.spares: list[Network] = []


_ENTRIES: dict[int, _Entry] = {}  # by id of the first weight


def packed_for(spec: Spec, weights: Sequence[torch.Tensor]) -> Packed | None:
    """Return a network that holds these weights; None where the engine cannot take them.

    Parameters
    ----------
    spec : the layer.
    weights : its parameters, in PyTorch's order.
    """
    first = weights[0]
    entry = _ENTRIES.get(id(first))
    if entry is not None and entry.packed is not None and entry.packed.holds(spec, weights):
        return entry.packed
    if not takes(spec, weights):
        return None
    kind = (spec, first.shape, first.dtype)
    if entry is None or entry.kind != kind or entry.ref() is not first:
        entry = _ENTRIES[id(first)] = _Entry(first, kind)
    entry.packed = None  # its network is free, if nobody else has it
    packed = entry.packed = Packed(spec, weights, entry.spares)
    return packed


def forget(weights: Sequence[Any]) -> None:
    """Drop what is kept for a layer: its next call packs the weights again."""
    if weights:
        _ENTRIES.pop(id(weights[0]), None)
