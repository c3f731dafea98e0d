"""What an optimiser keeps true of parameters, inside its step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from simdrnn.optim.tree import Owner
from simdrnn.validate import Array

__all__ = ["Constraining", "HeldParameters"]


@runtime_checkable
class Constraining(Protocol):
    """What is asked of a constraint; those of `simdrnn.regularizers` have it."""

    @property
    def layer(self) -> Any:
        """Whose parameters it is about: one of those that the optimiser trains."""

    @property
    def names(self) -> Sequence[str]:
        """Names of these parameters."""

    def begin(self, arrays: Mapping[str, Array]) -> None:
        """Look at the layer's parameters by name before an update."""

    def gradient(self, name: str, gradient: Array) -> Array:
        """Return a gradient as far as it may change the parameter; it is not written to."""

    def end(self, arrays: Mapping[str, Array]) -> None:
        """Make the updated parameters obey, in place."""


class HeldParameters:
    """Constraints, each with the place of its owner among those that an optimiser trains."""

    def __init__(self, constraints: object, owners: Sequence[Owner]) -> None:
        given = constraints if isinstance(constraints, (list, tuple)) else None
        if given is None:
            found = type(constraints).__name__
            raise TypeError(f"constraints: expected a list of constraints, got {found}")
        self._pairs: list[tuple[int, Constraining]] = []
        for index, constraint in enumerate(given):
            label = f"constraints[{index}]"
            if not isinstance(constraint, Constraining):
                found = type(constraint).__name__
                raise TypeError(f"{label}: expected one of sr.regularizers', got {found}")
            place = next((n for n, one in enumerate(owners) if one is constraint.layer), None)
            if place is None:
                raise ValueError(
                    f"{label}: expected one on what is trained, got one on {constraint.layer!r}"
                )
            self._pairs.append((place, constraint))

    def gradients(self, places: Sequence[tuple[int, str]], gradients: list[Array]) -> list[Array]:
        """Return gradients, of what has these owners and names, as far as they may act."""
        if not self._pairs:
            return gradients
        found = dict(zip(places, gradients, strict=True))
        for owner, constraint in self._pairs:
            for name in constraint.names:
                if (owner, name) in found:
                    found[owner, name] = constraint.gradient(name, found[owner, name])
        return [found[place] for place in places]

    def begin(self, arrays: Sequence[Mapping[str, Array]]) -> None:
        """Show all constraints the parameters, by owner and name, before the update."""
        for owner, constraint in self._pairs:
            constraint.begin(arrays[owner])

    def end(self, arrays: Sequence[Mapping[str, Array]], trained: set[tuple[int, str]]) -> None:
        """Have all constraints kept, in their order; what is not trained stays as it is."""
        for owner, constraint in self._pairs:
            own = arrays[owner]
            frozen = [name for name in constraint.names if (owner, name) not in trained]
            constraint.end({**own, **{name: own[name].copy() for name in frozen}})
