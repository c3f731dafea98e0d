"""What owns layers: their parameters under names of its own, for reading, loading and training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

import numpy as np

from simdrnn.layers.parametrised import IncompatibleKeys, Parametrised, parameters_of
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.savable import described, document_of, go_on, recorded_calls, save
from simdrnn.validate import Array, as_bool

__all__ = ["Container", "named", "versions"]


class Container:
    """Base of what owns layers or modules: one set of parameters, named ``{prefix}.{name}``.

    The members stay what they are: what changes one through the other is seen by both.
    """

    # What the constructor makes of its arguments.
    _made: ClassVar[frozenset[str]]

    _members: dict[str, Parametrised]
    _own_recorded: int

    save = save

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
        """Return copies of the parameters by name; they stay as they are."""
        return {name: np.array(view) for name, view in self.parameters().items()}

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
        as_bool("strict", strict)
        if not isinstance(state_dict, Mapping):
            found = type(state_dict).__name__
            raise TypeError(f"state_dict: expected a mapping name -> array, got {found}")
        owners = {full: (member, name) for full, member, name in named(self._members)}
        keys = IncompatibleKeys(
            [name for name in owners if name not in state_dict],
            [name for name in state_dict if name not in owners],
        )
        if strict and (keys.missing_keys or keys.unexpected_keys):
            raise ValueError(
                f"state_dict: expected exactly the names {list(owners)}, "
                f"got missing {keys.missing_keys}, unexpected {keys.unexpected_keys}"
            )
        checked: dict[str, dict[str, Array]] = {prefix: {} for prefix in self._members}
        for full, (member, name) in owners.items():
            if full in state_dict:
                prefix = full.removesuffix(f".{name}")
                checked[prefix][name] = parameters_of(member).check(name, state_dict[full], full)
        for prefix, values in checked.items():
            if values:  # what stays as it is should not count as changed
                self._members[prefix].load_state_dict(values, strict=False)
        return keys

    @contextmanager
    def _update_parameters(self) -> Iterator[dict[str, Array]]:
        """Lend the writable arrays by name, for an optimiser's step; counts as a change."""
        with ExitStack() as stack:
            lent: dict[str, Any] = {}
            for prefix, member in self._members.items():
                arrays = stack.enter_context(parameters_of(member).update())
                lent |= {f"{prefix}.{name}": array for name, array in arrays.items()}
            yield lent

    @property
    def _recorded(self) -> tuple[int, ...]:
        """How many training calls the stack and its layers have recorded: it decides dropout."""
        return (self._own_recorded, *map(recorded_calls, self.layers))

    @_recorded.setter
    def _recorded(self, counts: tuple[int, ...]) -> None:
        self._own_recorded, *inner = counts
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
                name: np.array(parameters_of(owner).arrays[inner])
                for name, owner, inner in named(self._members)
                if owner not in self.layers
            },
            "recorded": self._own_recorded,
            "attributes": {name: one for name, one in vars(self).items() if name not in self._made},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build it as the constructor does."""
        if "configuration" not in state:
            from simdrnn.layers import version_0_1_0

            state = version_0_1_0.stack(state)
        self._rebuild(state["layers"], state["configuration"])
        self.load_state_dict(state["gates"], strict=False)
        self._own_recorded = state["recorded"]
        for name, value in state["attributes"].items():
            self.__dict__.setdefault(name, value)


def named(members: Mapping[str, Parametrised]) -> Iterator[tuple[str, Parametrised, str]]:
    """Yield for each parameter its name, its owner, and its name there."""
    for prefix, member in members.items():
        for name in member.parameters():
            yield f"{prefix}.{name}", member, name


def versions(members: Mapping[str, Parametrised]) -> tuple[int, ...]:
    """Return a number for each member that changes with its parameters."""
    return tuple(parameters_of(member).version for member in members.values())
