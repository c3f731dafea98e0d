"""Whether an engine holds the values that parameters have now: the one mechanism that says so.

An engine packs parameters into a layout of its own: one version of them, which never changes. Calls
and tapes take a version when they begin and go on with it, whatever becomes of the parameters. The
next call takes another where the values or the instruction set are no longer those that the last
one was made for. A `Source` tells about values by a number; how it knows is its own affair:

* `simdrnn.layers.parameters.Parameters` cannot be written to without raising it;
* `ComparedArrays` belong to others, who may write to them by ways nobody sees: every element is
  compared, bit by bit, at every call;
* parameters whose owner promises not to change them are a source whose version never moves.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np

from simdrnn import _core
from simdrnn._core import Counter, Holding, ParameterLock
from simdrnn.validate import Array

__all__ = [
    "LATE_MODULES",
    "ComparedArrays",
    "Counter",
    "Holding",
    "Packing",
    "Packs",
    "ParameterLock",
    "Source",
    "Version",
]

# Modules that a call of a layer imports when it first needs them, whatever thread it is on.
# tests/layers/test_shared_layers_process.py looks for others.
LATE_MODULES = (
    "simdrnn.engine.borrowed",
    "simdrnn.engine.composed",
    "simdrnn.files",
    "simdrnn.layers.snapshots",
    "simdrnn.layers.stepped",
    "simdrnn.layers.streaming",
    "simdrnn.layers.version_0_1_0",
    "simdrnn.layers.weight_noise",
)


def _before_fork() -> None:
    """See to it that no other thread holds a module or parameters of ours, nor begins to.

    Threads are not in a child, but what they held is held there for ever.
    """
    if len(sys._current_frames()) > 1:  # else there is nobody who could
        for name in LATE_MODULES:
            import_module(name)  # waits for who is importing it
    _core.before_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_core.after_fork,
        after_in_child=_core.after_fork,
    )


class Source(Protocol):
    """Parameters that tell when they change."""

    @property
    def version(self) -> int:
        """A number that differs from all before whenever a value may have changed."""
        ...


class SharedSource(Source, Protocol):
    """Such as several threads may change, one at a time."""

    def hold(self) -> AbstractContextManager[Any]:
        """Keep the writers of other threads out."""

    def settled(self) -> int:
        """Return the last version that is whole: not one that is being written."""

    def written_here(self) -> bool:
        """Tell whether this very thread is writing: in what it interrupted, or on purpose."""


class _OneThreads:
    """How a source that is not shared answers the same."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def hold(self) -> AbstractContextManager[Any]:
        """Keep nobody out."""
        return nullcontext()

    def settled(self) -> int:
        """Return the version."""
        return self._source.version

    def written_here(self) -> bool:
        """Return False."""
        return False


class _NothingPacked:
    """What is there before the first version: fresh for no call."""

    version = made_for = None


_NOTHING = cast("Any", _NothingPacked())


class Version(Protocol):
    """What is packed: `simdrnn.engine.protocol.PackedNetwork`, and what else has versions."""

    version: int | None
    made_for: Hashable
    beside: Any


_Given = TypeVar("_Given", contravariant=True)
_Packed = TypeVar("_Packed", bound=Version, covariant=True)


class Packs(Protocol[_Given, _Packed]):
    """What packs parameters: `simdrnn.engine.protocol.Network`, and what else has versions."""

    def token(self) -> Hashable:
        """Return what packed parameters depend on besides their values."""

    def pack(self, passes: Sequence[_Given], token: Hashable) -> _Packed:
        """Return one version of them, for what `token` returned."""


_Parameters = TypeVar("_Parameters")
_Version = TypeVar("_Version", bound=Version)


class Packing(Generic[_Parameters, _Version]):
    """The last packed version of a network's parameters, and what it takes for the next.

    Parameters
    ----------
    network : which packs the parameters.
    source : of their values.
    passes : returns what each layer and direction is given.
    beside : returns what else of the parameters belongs to a version, its `beside`.
    pack_to_record : packs them as ``network.pack`` does, for a call that will be recorded; None
        where that is the same.
    """

    __slots__ = (
        "_beside", "_pack_to_record", "_packed", "_passes", "_shared", "_token", "network",
        "source",
    )  # fmt: skip

    def __init__(
        self,
        network: Packs[_Parameters, _Version],
        source: Source,
        passes: Callable[[], Iterable[_Parameters]],
        beside: Callable[[], object] = lambda: None,
        pack_to_record: Callable[[Sequence[_Parameters], Hashable], _Version] | None = None,
    ) -> None:
        self.network, self.source, self._passes = network, source, passes
        self._shared = cast(
            "SharedSource", source if hasattr(source, "hold") else _OneThreads(source)
        )
        self._beside, self._token = beside, network.token
        self._pack_to_record = pack_to_record or network.pack
        self._packed: _Version = _NOTHING

    def fresh(self) -> bool:
        """Tell whether the last version has the present parameters, packed as it would be now."""
        packed = self._packed
        return packed.version == self.source.version and packed.made_for == self._token()

    def ready(self, recorded: bool = False) -> _Version:
        """Return the version of the present parameters, or the one before an unfinished change.

        Any version serves any call; `recorded` says which kind this one is, so that a new version
        is packed at once for backward too, or not at all before it is needed.
        """
        # As `fresh` says, written out: this is asked at every call.
        packed = self._packed
        if packed.version != self.source.version or packed.made_for != self._token():
            del packed  # its memory may be that of the next
            return self._renew(recorded)
        return packed

    def _renew(self, recorded: bool) -> _Version:
        """Pack the present parameters; while another thread changes them, stay with those before.

        Versions are published when they are done, by one reference: nobody sees part of one.
        """
        token, shared = self._token(), self._shared
        kept: _Version = self._packed
        if kept.made_for == token and kept.version == shared.settled():
            return kept
        if kept is not _NOTHING and shared.written_here():
            return kept  # the last that is whole, for a signal handler that interrupted a change
        del kept
        with shared.hold():  # of several callers one packs, and no other thread writes meanwhile
            here = shared.written_here()
            if not here:
                if self.fresh() and self._packed.made_for == token:
                    return self._packed
                self._packed = _NOTHING  # its memory is free if no call and no tape has it
            while True:
                version = self.source.version
                pack = self._pack_to_record if recorded else self.network.pack
                packed = pack(list(self._passes()), token)
                packed.beside = self._beside()
                if self.source.version == version:
                    break  # else a signal handler of this thread has changed them
            packed.version, packed.made_for = version, token
            if not here:  # else it is half of a change: for this call alone
                self._packed = packed
            return packed


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

    __slots__ = ("_version", "_watched", "copies")

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
        if not self.same(arrays):
            self._take(arrays)

    def same(self, arrays: Sequence[Array]) -> bool:
        """Tell whether arrays of these shapes have the values of the present version."""
        return _core.same_bytes(self.copies, [np.ascontiguousarray(array) for array in arrays])

    def _take(self, arrays: Sequence[Array]) -> None:
        """Keep the values."""
        self.copies = [np.array(array, order="C") for array in arrays]
        self._version += 1
