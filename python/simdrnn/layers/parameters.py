"""Named arrays that one thread changes at a time, and nobody unnoticed.

Who packs parameters, or copies them, does so while no other thread may write; see
``csrc/python/holding.cpp``. NumPy, which reads the arrays themselves, computes again where a writer
came in between.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from simdrnn.engine.packing import Holding, ParameterLock
from simdrnn.spec.parameters import ParameterSpec
from simdrnn.validate import Array, as_array, check_shape

__all__ = ["Parameters", "check_parameter", "this_thread"]

_Result = TypeVar("_Result")


class _Thread:
    """A thread, told apart from all before it; numbers of threads are given out again."""

    __slots__ = ("__weakref__",)

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        """Copy and pickle what a thread has: then it is that of the thread that has the copy."""
        return this_thread, ()


class _Local(threading.local):
    """What every thread has of its own."""

    def __init__(self) -> None:
        self.thread = _Thread()


_LOCAL = _Local()


class Parameters:
    """Named arrays that cannot change without being noticed.

    The arrays are read-only except inside `update`, and every change raises `version`. So copies
    of them, packed for a kernel, are never stale.

    Parameters
    ----------
    specs : names and shapes, in order.
    values : by name; copies are taken.
    dtype : of the arrays.
    version : to begin with.

    Attributes
    ----------
    arrays, views : by name. Views are handed out: nobody can set their flag again.
    lock : who has them to himself.
    sharing : this one and all that share arrays with it; empty where it has its own alone.
    """

    __slots__ = (
        "_before", "_changes", "arrays", "dtype", "lock", "sharing", "specs", "version", "views",
    )  # fmt: skip

    def __init__(
        self,
        specs: Iterable[ParameterSpec],
        values: Mapping[str, Any],
        dtype: np.dtype[Any],
        version: int = 0,
    ) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.dtype, self.version = dtype, version
        self.arrays = {name: np.array(values[name], dtype, order="C") for name in self.specs}
        for array in self.arrays.values():
            array.flags.writeable = False
        self.views = {name: array.view() for name, array in self.arrays.items()}
        self.lock = ParameterLock()
        self._before: int | None = None  # the version that is whole, while somebody writes another
        self._changes: weakref.WeakKeyDictionary[_Thread, int] = weakref.WeakKeyDictionary()
        self.sharing: list[Parameters] = []

    def update(self) -> Holding:
        """Lend the writable arrays by name inside a ``with``; counts as a change.

        Writers come one after the other. Whatever happens inside, and wherever, the arrays are
        protected afterwards, and what was written until then is what calls use.
        """
        own = Holding(self.lock, self, list(self.arrays.values()), dict(self.arrays))
        if not self.sharing:
            return own
        # What is written here are parameters of theirs, too: their versions count it as well.
        everyone = [Holding(one.lock, one, list(one.arrays.values()), {}) for one in self.sharing]
        return Holding.together(everyone, own.lent)

    def share(self, name: str, other: Parameters, name_there: str) -> None:
        """Have the array `name_there` of another owner in place of the one called `name`.

        From now on both are one, whoever writes to it. Views of the old one stay as they are.
        Copies and pickles of an owner have arrays of their own.
        """
        with Holding.together([self.update(), other.update()], None):
            self.arrays[name] = other.arrays[name_there]
            self.views[name] = self.arrays[name].view()
            self.views[name].flags.writeable = False
            everyone = list(dict.fromkeys([self, other, *self.sharing, *other.sharing]))
            for one in everyone:
                one.sharing = everyone

    def _begin(self) -> None:
        """Count a change, before anything is written; called by what `update` returns."""
        if self._before is None:
            self._before = self.version
        self.version += 1
        self._changes[_LOCAL.thread] = self.version

    def hold(self) -> Holding:
        """Keep writers of other threads out inside a ``with``."""
        return Holding(self.lock)

    def settled(self) -> int:
        """Return the last version that is whole: not one that is being written."""
        version = self.version
        if not self.lock.writer():
            return version
        before = self._before
        return self.version if before is None else before

    def written_here(self) -> bool:
        """Tell whether this very thread is in `update`: in what it interrupted, or on purpose."""
        return self.lock.writer() == ParameterLock.HERE

    def changed_by(self, thread: object, since: int | None) -> bool:
        """Tell whether a thread has changed the parameters since a version."""
        last: int | None = self._changes.get(thread)  # type: ignore[call-overload]
        return last is not None and (since is None or last > since)

    def read(self, compute: Callable[[Mapping[str, Array]], _Result]) -> _Result:
        """Return what a function makes of the arrays by name, all of one version."""
        for _ in range(2):
            version = self.version
            if self.lock.writer() == ParameterLock.ELSEWHERE:
                break
            result = compute(self.arrays)
            if self.version == version:
                return result
        with self.hold():
            return compute(self.arrays)

    def check(self, name: str, value: object, label: str | None = None) -> Array:
        """Return `value` if it can become the parameter `name`; errors call it `label`."""
        return check_parameter(self.specs[name], value, label or name, self.dtype)

    def __reduce__(self) -> tuple[type[Parameters], tuple[Any, ...]]:
        """Copy and pickle the values, and protect them again."""
        with self.hold():
            values = {name: array.copy() for name, array in self.arrays.items()}
            return Parameters, (list(self.specs.values()), values, self.dtype, self.version)

    def copies(self) -> dict[str, Array]:
        """Return copies by name, all of one version."""
        return self.snapshot()[1]

    def snapshot(self) -> tuple[int, dict[str, Array]]:
        """Return the version and copies by name."""
        from simdrnn.layers.snapshots import snapshot  # who only infers needs none of it

        with self.hold():
            return self.version, {name: snapshot(array) for name, array in self.arrays.items()}

    def copy(self) -> Parameters:
        """Return others of the same values."""
        with self.hold():
            return Parameters(self.specs.values(), self.arrays, self.dtype, self.version)


def check_parameter(spec: ParameterSpec, value: object, label: str, dtype: np.dtype[Any]) -> Array:
    """Return `value` if it can become the parameter of `spec`."""
    array = as_array(label, value, dtype)
    check_shape(label, array, spec.letters, spec.shape)
    return array


def this_thread() -> object:
    """Return what tells the calling thread from all others, also from those that have ended."""
    return _LOCAL.thread
