"""What a model owns: parts under names, their parameters under names of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from simdrnn.engine.packing import Holding
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.parametrised import Parametrised, parameters_of
from simdrnn.stack.container import versions_of
from simdrnn.training.trainable import kept_still, lend
from simdrnn.validate import Array, as_array

__all__ = ["Parts", "matching"]


Result = TypeVar("Result")


@runtime_checkable
class Versioned(Protocol):
    """A part that has parts itself."""

    def versions(self) -> tuple[Any, ...]:
        """Return numbers that differ wherever a parameter has changed."""
        ...


class Parts:
    """Parts under names.

    Attributes
    ----------
    members : name -> part, in the order given.
    tied : name of a parameter -> of the one that it is, of those with an array of their own.
    frozen : names of the parameters that are not trained.
    """

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.members = dict(members)
        # Once for each part: asking whether something follows a protocol costs more than a step.
        self._versions = [_versions_teller(part) for part in self.members.values()]
        self.tied: dict[str, str] = {}
        self.frozen: set[str] = set()

    def parameters(self) -> dict[str, Array]:
        """Return read-only views by name; what is tied comes once."""
        return {
            full: view
            for prefix, part in self.members.items()
            for name, view in part.parameters().items()
            if (full := f"{prefix}.{name}") not in self.tied
        }

    def place(self, label: str, name: object) -> tuple[Any, str]:
        """Return the part that has a parameter, and the name there; `label` is the argument's."""
        if not isinstance(name, str):
            found = type(name).__name__
            raise TypeError(f"{label}: expected the name of a parameter, got {found}")
        prefix, _, inner = name.partition(".")
        if prefix not in self.members or inner not in self.members[prefix].parameters():
            known = ", ".join(self.parameters())
            raise ValueError(f"{label}: expected a parameter, one of {known}; got {name!r}")
        return self.members[prefix], inner

    def tie(self, name: str, to: str) -> None:
        """Have a parameter be the array that is called `to`; see `Model.tie`."""
        (part, inner), (other, there) = self.place("name", name), self.place("to", to)
        for label, owner in (("name", part), ("to", other)):
            if not isinstance(owner, Parametrised):
                found = type(owner).__name__
                raise TypeError(
                    f"{label}: expected a parameter of a layer or module, got one of {found}"
                )
        if to in self.tied or name in self.tied or name in self.tied.values() or name == to:
            raise ValueError(f"name: expected two that are not tied yet, got {name!r} and {to!r}")
        own, theirs = part.parameters()[inner], other.parameters()[there]
        if own.shape != theirs.shape or own.dtype != theirs.dtype:
            wanted = f"{name!r} of the shape and dtype of {to!r}, {theirs.shape} of {theirs.dtype}"
            raise ValueError(f"name: expected {wanted}, got {own.shape} of {own.dtype}")
        parameters_of(part).share(inner, parameters_of(other), there)
        self.tied[name] = to
        self.frozen.discard(name)

    def lend(self) -> AbstractContextManager[dict[str, Array]]:
        """Lend the writable arrays by name, all at once; counts as a change."""
        lent = {prefix: lend(part) for prefix, part in self.members.items()}
        if not all(isinstance(one, Holding) for one in lent.values()):
            return self._lent(lent)
        holdings: list[Any] = list(lent.values())
        arrays = {prefix: one.lent for prefix, one in zip(lent, holdings, strict=True)}
        return Holding.together(holdings, self._named(arrays))

    @contextmanager
    def _lent(
        self, lent: Mapping[str, AbstractContextManager[dict[str, Array]]]
    ) -> Iterator[dict[str, Array]]:
        """Lend those of parts that are not all ours, one part after the other."""
        with ExitStack() as stack:
            yield self._named({p: stack.enter_context(one) for p, one in lent.items()})

    def _named(self, arrays: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
        """Return arrays of parts by the model's names; what is tied comes once."""
        return {
            full: array
            for prefix, own in arrays.items()
            for name, array in own.items()
            if (full := f"{prefix}.{name}") not in self.tied
        }

    def hold(self) -> AbstractContextManager[Any]:
        """Keep writers of other threads out."""
        held = [kept_still(part) for part in self.members.values()]
        ours = [one for one in held if isinstance(one, Holding)]
        return Holding.together(ours, None)

    def versions(self) -> tuple[Any, ...]:
        """Return numbers that differ wherever a parameter of ours has changed."""
        return tuple([tell() for tell in self._versions])

    def at_one_version(self, run: Callable[[], Result]) -> Result:
        """Return what `run` makes of the parts, all of it with parameters of one moment.

        Parts take their parameters one after the other: where another thread has written
        meanwhile, all is done again, and at last with writers kept out.
        """
        for _ in range(2):
            before = self.versions()
            result = run()
            if self.versions() == before:
                return result
        with self.hold():
            return run()

    def load(self, values: Mapping[str, object]) -> None:
        """Write parameters; all are checked before any is written."""
        present = self.parameters()
        checked = {}
        for name, value in values.items():
            array = as_array(name, value, present[name].dtype)
            if array.shape != present[name].shape:
                raise ValueError(f"{name}: expected shape {present[name].shape}, got {array.shape}")
            checked[name] = array
        with self.lend() as arrays:
            for name, array in checked.items():
                np.copyto(arrays[name], array)

    def idle(self, prefix: str) -> bool:
        """Tell whether nothing of a part is trained."""
        names = [f"{prefix}.{name}" for name in self.members[prefix].parameters()]
        return all(self.tied.get(name, name) in self.frozen for name in names)

    def gradients(self, grads: Mapping[str, Gradients]) -> dict[str, Array]:
        """Return the gradients of what is trained by the model's names, those of tied ones added.

        `grads` has those of each part that has any.
        """
        found: dict[str, Array] = {}
        for prefix, own in grads.items():
            for name, gradient in own.params.items():
                full = f"{prefix}.{name}"
                target = self.tied.get(full, full)
                found[target] = gradient if target not in found else found[target] + gradient
        return {
            name: found[name] for name in self.parameters() if name in found.keys() - self.frozen
        }


def _versions_teller(part: Any) -> Callable[[], tuple[Any, ...]]:
    """Return what tells the versions of a part's parameters."""
    return part.versions if isinstance(part, Versioned) else partial(versions_of, part)


def matching(names: Sequence[str], patterns: Sequence[object]) -> list[str]:
    """Return the names that match a pattern, or are of a part that does, in their order.

    Raises
    ------
    TypeError, ValueError : there is no pattern, or one that no name matches.
    """
    if not patterns:
        raise TypeError("patterns: expected one or more, got none")
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"patterns: expected strings, got {pattern!r}")
        if not any(_matches(name, pattern) for name in names):
            known = ", ".join(names)
            raise ValueError(f"patterns: expected some of {known}; got {pattern!r}")
    return [name for name in names if any(_matches(name, str(p)) for p in patterns)]


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")
