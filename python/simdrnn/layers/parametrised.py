"""What owns parameters: reading, assigning, saving, loading, and noticing every change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from simdrnn.layers.savable import Savable
from simdrnn.spec.parameters import ParameterSpec
from simdrnn.validate import Array, as_array, as_bool, check_shape

__all__ = ["IncompatibleKeys", "Parametrised", "check_names"]

_Self = TypeVar("_Self", bound="Parametrised")


class IncompatibleKeys(NamedTuple):
    """Names on which a layer and a loaded mapping disagree; PyTorch's form."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Parametrised(Savable):
    """Base of layers: a dict of named arrays that cannot change without being noticed.

    The arrays are read-only except inside `_update_parameters`, and every change raises
    `_version`. So copies of them, packed for a kernel, are never stale.
    """

    # Constructor arguments that stay as they are: those shown with their defaults, and the others.
    _defaults: ClassVar[dict[str, object]] = {}
    _fixed: ClassVar[frozenset[str]] = frozenset({"dtype"})

    dtype: np.dtype[Any]
    _specs: dict[str, ParameterSpec]
    _parameters: dict[str, Array]
    _views: dict[str, Array]
    _version: int

    @classmethod
    def _restored(
        cls: type[_Self], arguments: Mapping[str, Any], parameters: Mapping[str, Array]
    ) -> _Self:
        """Call the constructor and have it take these parameters; none are drawn.

        Raises
        ------
        TypeError, ValueError : an argument or a parameter does not fit. No memory but that of the
            parameters is asked for before they are known to fit.
        """
        made = cls.__new__(cls)
        made.__dict__["_given"] = parameters
        try:
            made.__init__(**arguments)  # type: ignore[misc]  # arguments are those of this class
        except MemoryError as error:
            if "_given" in made.__dict__:  # not for want of memory: sizes that no memory holds
                raise ValueError(str(error)) from error
            raise
        return made

    def _own_parameters(
        self, specs: list[ParameterSpec], draw: Callable[[], Mapping[str, Array]]
    ) -> None:
        """Take copies of what was given, or of what `draw` returns, in the order of `specs`."""
        self._specs = {spec.name: spec for spec in specs}
        given = self.__dict__.get("_given")
        if given is None:
            values = draw()
        else:
            check_names(self._specs, given)
            values = {name: self._check_parameter(name, given[name]) for name in self._specs}
            del self.__dict__["_given"]
        self._parameters = {
            spec.name: np.array(values[spec.name], self.dtype, order="C") for spec in specs
        }
        self._version = 0
        self._seal()

    def _seal(self) -> None:
        """Make the arrays read-only and hand out views, whose flag nobody can set again."""
        for array in self._parameters.values():
            array.flags.writeable = False
        self._views = {name: array.view() for name, array in self._parameters.items()}

    @contextmanager
    def _update_parameters(self) -> Iterator[dict[str, Array]]:
        """Lend the writable arrays by name, for an optimiser's step; counts as a change."""
        arrays = self._parameters
        try:
            for array in arrays.values():
                array.flags.writeable = True
            yield dict(arrays)
        finally:
            for array in arrays.values():
                array.flags.writeable = False
            self._version += 1

    def _check_parameter(self, name: str, value: object, label: str | None = None) -> Array:
        """Return `value` if it can become the parameter `name`; errors call it `label`."""
        spec, label = self._specs[name], label or name
        array = as_array(label, value, self.dtype)
        check_shape(label, array, spec.letters, spec.shape)
        return array

    def __getattr__(self, name: str) -> Array:
        """Find parameters by name; only called for what is no ordinary attribute."""
        views = self.__dict__.get("_views", {})  # absent while unpickling
        if name in views:
            return views[name]  # type: ignore[no-any-return]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        """Check and copy what is assigned to a parameter."""
        if name in self.__dict__.get("_specs", ()):
            array = self._check_parameter(name, value)
            with self._update_parameters() as arrays:
                np.copyto(arrays[name], array)
        elif name.startswith(("weight_", "bias_", "h_0_", "c_0_", "n_0_", "m_0_")):
            known = ", ".join(self._specs)
            raise AttributeError(f"{name}: unknown parameter; expected one of {known}")
        elif name in self.__dict__ and (name in self._fixed or name in self._defaults):
            raise AttributeError(f"{name}: fixed when the {type(self).__name__} was made")
        else:
            object.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        """List parameters among the attributes."""
        return [*super().__dir__(), *self._specs]

    @property
    def num_parameters(self) -> int:
        """Number of trainable values."""
        return sum(array.size for array in self._parameters.values())

    def parameters(self) -> dict[str, Array]:
        """Return read-only views of the parameters by name; they follow every later change."""
        return dict(self._views)

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the parameters by name; they stay as they are."""
        return {name: array.copy() for name, array in self._parameters.items()}

    def load_state_dict(
        self, state_dict: Mapping[str, object], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy parameters from a mapping name -> array; all is checked before any is written.

        Parameters
        ----------
        state_dict : arrays, or anything with ``__array__``, of the layer's dtype and shapes.
        strict : whether the names must be exactly the layer's. If not, what both have is loaded.

        Returns
        -------
        (missing_keys, unexpected_keys), both empty if `strict`.
        """
        as_bool("strict", strict)
        if not isinstance(state_dict, Mapping):
            found = type(state_dict).__name__
            raise TypeError(f"state_dict: expected a mapping name -> array, got {found}")
        keys = IncompatibleKeys(
            [name for name in self._specs if name not in state_dict],
            [name for name in state_dict if name not in self._specs],
        )
        if strict and (keys.missing_keys or keys.unexpected_keys):
            raise ValueError(
                f"state_dict: expected exactly the names {list(self._specs)}, "
                f"got missing {keys.missing_keys}, unexpected {keys.unexpected_keys}"
            )
        checked = {
            name: self._check_parameter(name, state_dict[name])
            for name in self._specs
            if name in state_dict
        }
        with self._update_parameters() as arrays:
            for name, array in checked.items():
                np.copyto(arrays[name], array)
        return keys

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickling and copying keep: all but the views, and the arrays as copies.

        Were they shared, a shallow copy would not notice changes made through the original.
        """
        state = {name: value for name, value in self.__dict__.items() if name != "_views"}
        return state | {"_parameters": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore, and protect the arrays again."""
        self.__dict__.update(state)
        self._seal()


def check_names(expected: Mapping[str, object], found: Mapping[str, object]) -> None:
    """Raise unless both have the same names; the message says the first few that differ."""
    missing = [name for name in expected if name not in found][:5]
    unexpected = [name for name in found if name not in expected][:5]
    if missing or unexpected:
        raise ValueError(
            f"parameters: expected the {len(expected)} names of the layer, got missing {missing}, "
            f"unexpected {unexpected}"
        )
