"""What owns layers: their parameters under names of its own, for reading, loading and training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from simdrnn.layers.parametrised import IncompatibleKeys, Parametrised
from simdrnn.layers.savable import Savable
from simdrnn.validate import Array, as_bool

__all__ = ["Container"]


class Container(Savable):
    """Base of what owns layers or modules: one set of parameters, named ``{prefix}.{name}``.

    The members stay what they are: what changes one through the other is seen by both.
    """

    _members: dict[str, Parametrised]

    def _named(self) -> Iterator[tuple[str, Parametrised, str]]:
        """Yield for each parameter its name, its owner, and its name there."""
        for prefix, member in self._members.items():
            for name in member.parameters():
                yield f"{prefix}.{name}", member, name

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
        named = {full: (member, name) for full, member, name in self._named()}
        keys = IncompatibleKeys(
            [name for name in named if name not in state_dict],
            [name for name in state_dict if name not in named],
        )
        if strict and (keys.missing_keys or keys.unexpected_keys):
            raise ValueError(
                f"state_dict: expected exactly the names {list(named)}, "
                f"got missing {keys.missing_keys}, unexpected {keys.unexpected_keys}"
            )
        checked: dict[str, dict[str, Array]] = {prefix: {} for prefix in self._members}
        for full, (member, name) in named.items():
            if full in state_dict:
                prefix = full.removesuffix(f".{name}")
                checked[prefix][name] = member._check_parameter(name, state_dict[full], full)
        for prefix, values in checked.items():
            if values:  # what stays as it is should not count as changed
                self._members[prefix].load_state_dict(values, strict=False)
        return keys

    def _versions(self) -> tuple[int, ...]:
        """Return a number for each member that changes with its parameters."""
        return tuple(member._version for member in self._members.values())

    @contextmanager
    def _update_parameters(self) -> Iterator[dict[str, Array]]:
        """Lend the writable arrays by name, for an optimiser's step; counts as a change."""
        with ExitStack() as stack:
            lent: dict[str, Any] = {}
            for prefix, member in self._members.items():
                arrays = stack.enter_context(member._update_parameters())
                lent |= {f"{prefix}.{name}": array for name, array in arrays.items()}
            yield lent
