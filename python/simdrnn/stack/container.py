"""What owns layers: their parameters under names of its own, for reading, loading and training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np

from simdrnn.engine.packing import Counter, Holding
from simdrnn.layers.parametrised import IncompatibleKeys, Parametrised, parameters_of
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.savable import c_handle, described, document_of, go_on, recorded_calls, save
from simdrnn.layers.snapshots import snapshot
from simdrnn.validate import Array

__all__ = ["Container", "held", "named", "versions_of", "written"]


class Container:
    """Base of what owns layers or modules: one set of parameters, named ``{prefix}.{name}``.

    The members stay what they are: what changes one through the other is seen by both.
    """

    # What the constructor makes of its arguments.
    _made: ClassVar[frozenset[str]]

    _members: dict[str, Parametrised]
    _calls: Counter

    save = save
    c_handle = c_handle

    def _stepped(self) -> dict[str, Any]:
        """Return what it is to those who step it, as `simdrnn.layers.stepped` has it."""
        raise NotImplementedError

    @property
    def layers(self) -> tuple[RecurrentLayer, ...]:
        """The layers, the first one at the bottom."""
        raise NotImplementedError

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, less the layers."""
        raise NotImplementedError

    def _rebuild(self, layers: Sequence[RecurrentLayer], configuration: Mapping[str, Any]) -> None:
        """Build it as the constructor does, of what it was told then."""
        raise NotImplementedError

    @property
    def num_parameters(self) -> int:
        """Number of trainable values."""
        return sum(member.num_parameters for member in self._members.values())

    def parameters(self) -> dict[str, Array]:
        """Return read-only views of the parameters by name; they follow every later change."""
        views = {prefix: member.parameters() for prefix, member in self._members.items()}
        return {
            f"{prefix}.{name}": view for prefix, own in views.items() for name, view in own.items()
        }

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the parameters by name, all of one version; they stay as they are."""
        with held(self._members):
            return {name: snapshot(view) for name, view in self.parameters().items()}

    def load_state_dict(
        self, state_dict: Mapping[str, object], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy parameters from a mapping name -> array; all is checked before any is written.

        Parameters
        ----------
        state_dict : arrays, or anything with ``__array__``, of the parameters' dtype and shapes.
        strict : whether the names must be exactly the container's. If not, what both have is
            loaded.

        Returns
        -------
        (missing_keys, unexpected_keys), both empty if `strict`.
        """
        owners = {full: (member, name) for full, member, name in named(self._members)}
        keys = IncompatibleKeys.between(owners, state_dict, strict)
        checked: dict[str, dict[str, Array]] = {prefix: {} for prefix in self._members}
        for full, (member, name) in owners.items():
            if full in state_dict:
                prefix = full.removesuffix(f".{name}")
                checked[prefix][name] = parameters_of(member).check(name, state_dict[full], full)
        # What stays as it is should not count as changed.
        changed = {prefix: self._members[prefix] for prefix, values in checked.items() if values}
        with written(changed) as arrays:
            for prefix in changed:
                for name, value in checked[prefix].items():
                    np.copyto(arrays[f"{prefix}.{name}"], value)
        return keys

    def _update_parameters(self) -> AbstractContextManager[dict[str, Array]]:
        """Lend the writable arrays by name, for an optimiser's step; counts as a change."""
        return written(self._members)

    def _hold_parameters(self) -> AbstractContextManager[Any]:
        """Keep writers of other threads out."""
        return held(self._members)

    @property
    def _recorded(self) -> tuple[int, ...]:
        """How many training calls the stack and its layers have recorded: it decides dropout."""
        return (self._calls.value, *map(recorded_calls, self.layers))

    @_recorded.setter
    def _recorded(self, counts: tuple[int, ...]) -> None:
        own, *inner = counts
        self._calls = Counter(own)
        for layer, count in zip(self.layers, inner, strict=True):
            go_on(layer, count)

    def _document(self) -> dict[str, Any]:
        """Return what the stack and its layers are built of, beside the parameters."""
        found = described(self, self._configuration()) | {"recorded": self._recorded}
        return found | {"members": [document_of(layer) for layer in self.layers]}

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickling and copying keep: the layers, and what the constructor was told."""
        return {
            "layers": list(self.layers),
            "configuration": self._configuration(),
            "gates": {
                f"{prefix}.{name}": array
                for prefix, owner in self._members.items()
                if owner not in self.layers
                for name, array in owner.state_dict().items()
            },
            "recorded": self._calls.value,
            "attributes": {name: one for name, one in vars(self).items() if name not in self._made},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build it as the constructor does."""
        if "configuration" not in state:
            from simdrnn.layers import version_0_1_0

            state = version_0_1_0.stack(state)
        self._rebuild(state["layers"], state["configuration"])
        self.load_state_dict(state["gates"], strict=False)
        self._calls = Counter(state["recorded"])
        for name, value in state["attributes"].items():
            self.__dict__.setdefault(name, value)


def named(members: Mapping[str, Parametrised]) -> Iterator[tuple[str, Parametrised, str]]:
    """Yield for each parameter its name, its owner, and its name there."""
    for prefix, member in members.items():
        for name in member.parameters():
            yield f"{prefix}.{name}", member, name


def versions_of(owner: object) -> tuple[int, ...]:
    """Return the last whole versions of the parameters of a layer, module or stack."""
    if isinstance(owner, Parametrised):
        return (parameters_of(owner).settled(),)
    members = owner._members.values() if isinstance(owner, Container) else ()
    return tuple(parameters_of(member).settled() for member in members)


def written(members: Mapping[str, Parametrised]) -> AbstractContextManager[dict[str, Array]]:
    """Lend the writable arrays of all members, by the container's names; counts as a change."""
    owned = {prefix: parameters_of(member) for prefix, member in members.items()}
    lent = {
        f"{prefix}.{name}": array for prefix, own in owned.items()
        for name, array in own.arrays.items()
    }  # fmt: skip
    return Holding.together([own.update() for own in owned.values()], lent)


def held(members: Mapping[str, Parametrised]) -> AbstractContextManager[Any]:
    """Keep writers of other threads out of all members."""
    return Holding.together([parameters_of(member).hold() for member in members.values()])
