"""Whether an engine holds the values that parameters have now: the one mechanism that says so.

An engine packs parameters into a layout of its own. Packed copies are right as long as the values
and the instruction set are those that they were made for. A `Source` tells about values by a
number, its version; how it knows is its own affair:

* `simdrnn.layers.parametrised.Parameters` cannot be written to without raising it;
* `ComparedArrays` belong to others, who may write to them by ways nobody sees: every element is
  compared, bit by bit, at every call;
* parameters whose owner promises not to change them are a source whose version never moves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Protocol

import numpy as np

from simdrnn.engine.protocol import Network, ParameterArrays
from simdrnn.validate import Array

__all__ = ["ComparedArrays", "Packing", "Source"]


class Source(Protocol):
    """Parameters that tell when they change."""

    @property
    def version(self) -> int:
        """A number that differs from all before whenever a value may have changed."""
        ...


class Packing:
    """A network, and what it takes for it to hold the present parameters.

    Parameters
    ----------
    network : which is given the parameters, here only.
    source : of their values.
    passes : returns what each layer and direction is given.
    """

    __slots__ = ("_lock", "_passes", "_token", "_version", "network", "source")

    def __init__(
        self, network: Network, source: Source, passes: Callable[[], Iterable[ParameterArrays]]
    ) -> None:
        self.network, self.source, self._passes = network, source, passes
        self._version: int | None = None
        self._token: Hashable = None
        self._lock = threading.Lock()

    def fresh(self) -> bool:
        """Tell whether the network holds the present parameters, packed as it would do it now."""
        return self._version == self.source.version and self._token == self.network.token()

    def ready(self) -> Network:
        """Return the network, holding the present parameters."""
        # As `fresh` says, written out: this is asked at every call.
        if self._version != self.source.version or self._token != self.network.token():
            self._pack()
        return self.network

    def _pack(self) -> None:
        """Hand the present parameters to the network."""
        with self._lock:  # of several first callers one packs; the others must not again
            # Asked before the values are read: what changes meanwhile is packed again.
            version, token = self.source.version, self.network.token()
            if self._version == version and self._token == token:
                return
            self._version = None  # so that nothing is taken for packed if this fails half-way
            for index, parameters in enumerate(self._passes()):
                self.network.set_parameters(index, *parameters)
            self._version, self._token = version, token


class ComparedArrays:
    """Arrays of others, who may write to them unseen: all elements are compared at every call.

    Comparing costs reading them and a copy of them once. Bits are compared, so a NaN is what it
    was, and 0 is not -0.

    Parameters
    ----------
    arrays : the values to begin with.
    watched : whether these are views of what others own, and looked at whenever the version is
        asked for; else `compare` is called with the arrays of every call.

    Attributes
    ----------
    copies : the values of the present version, C-contiguous, to be packed: so what was packed is
        what later calls are compared with, whoever writes meanwhile.
    """

    __slots__ = ("_kept", "_version", "_watched", "copies")

    def __init__(self, arrays: Sequence[Array], *, watched: bool = False) -> None:
        self._watched = arrays if watched else None
        self._version = -1
        self._take(arrays)

    @property
    def version(self) -> int:
        """The number of times that values were found to be others."""
        if self._watched is not None:
            self.compare(self._watched)
        return self._version

    def compare(self, arrays: Sequence[Array]) -> None:
        """Compare arrays of these shapes with the values of the present version."""
        # A bytearray is compared with any buffer at the speed of memory, and without a copy.
        same = len(arrays) == len(self._kept) and all(
            kept == (array if array.flags.c_contiguous else np.ascontiguousarray(array))
            for kept, array in zip(self._kept, arrays, strict=True)
        )
        if not same:
            self._take(arrays)

    def _take(self, arrays: Sequence[Array]) -> None:
        """Keep the values."""
        self._kept = [bytearray(np.ascontiguousarray(array).data) for array in arrays]
        self.copies = [
            np.frombuffer(kept, array.dtype).reshape(array.shape)
            for kept, array in zip(self._kept, arrays, strict=True)
        ]
        self._version += 1
