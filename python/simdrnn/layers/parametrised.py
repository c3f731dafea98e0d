"""What owns parameters: reading, assigning, saving, loading, and noticing every change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, NamedTuple

import numpy as np

from simdrnn.layers.parameters import Parameters, check_parameter
from simdrnn.layers.savable import c_handle, described, save
from simdrnn.spec.parameters import ParameterSpec
from simdrnn.validate import Array, as_bool

__all__ = [
    "IncompatibleKeys",
    "Parameters",
    "Parametrised",
    "check_names",
    "parameters_of",
    "restored",
]


class IncompatibleKeys(NamedTuple):
    """Names on which a layer and a loaded mapping disagree; PyTorch's form."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    @classmethod
    def between(cls, names: Collection[str], state_dict: object, strict: bool) -> IncompatibleKeys:
        """Compare the `names` that there are with those of a mapping that is to be loaded.

        Raises
        ------
        TypeError, ValueError : `state_dict` is no mapping; its names are others and `strict`.
        """
        as_bool("strict", strict)
        if not isinstance(state_dict, Mapping):
            found = type(state_dict).__name__
            raise TypeError(f"state_dict: expected a mapping name -> array, got {found}")
        keys = cls(
            [name for name in names if name not in state_dict],
            [name for name in state_dict if name not in names],
        )
        if strict and (keys.missing_keys or keys.unexpected_keys):
            raise ValueError(
                f"state_dict: expected exactly the names {list(names)}, "
                f"got missing {keys.missing_keys}, unexpected {keys.unexpected_keys}"
            )
        return keys


class Parametrised:
    """Base of what owns parameters: layers, single cells and modules."""

    # Constructor arguments that stay as they are: those shown with their defaults, and the others.
    _defaults: ClassVar[dict[str, object]] = {}
    _fixed: ClassVar[frozenset[str]] = frozenset()

    dtype: np.dtype[Any]
    _own: Parameters
    # How many training calls were recorded, where dropout is drawn by it: it goes on from there.
    _recorded: int | None = None

    save = save
    c_handle = c_handle

    def _construct_with(
        self, cls: type[Parametrised], arguments: Mapping[str, Any], parameters: Mapping[str, Array]
    ) -> None:
        """Call the constructor of a class of ours, which takes these parameters; none are drawn.

        Raises
        ------
        TypeError, ValueError : an argument or a parameter does not fit. No memory but that of the
            parameters is asked for before they are known to fit.
        """
        self.__dict__["_given"] = parameters
        try:
            cls.__init__(self, **arguments)
        except MemoryError as error:
            if "_given" in self.__dict__:  # not for want of memory: sizes that no memory holds
                raise ValueError(str(error)) from error
            raise

    def _own_parameters(
        self, specs: list[ParameterSpec], draw: Callable[[], Mapping[str, Array]]
    ) -> Parameters:
        """Take copies of what was given, or of what `draw` returns, in the order of `specs`."""
        given = self.__dict__.get("_given")
        if given is None:
            values = draw()
        else:
            check_names({spec.name: spec for spec in specs}, given)
            values = {s.name: check_parameter(s, given[s.name], s.name, self.dtype) for s in specs}
            del self.__dict__["_given"]
        self._own = Parameters(specs, values, self.dtype)
        return self._own

    def _update_parameters(self) -> AbstractContextManager[dict[str, Array]]:
        """Lend the writable arrays by name, for an optimiser's step; counts as a change."""
        return self._own.update()

    def _hold_parameters(self) -> AbstractContextManager[Any]:
        """Keep writers of other threads out."""
        return self._own.hold()

    def __getattr__(self, name: str) -> Array:
        """Find parameters by name; only called for what is no ordinary attribute."""
        own = self.__dict__.get("_own")  # absent while unpickling
        if own is not None and name in own.views:
            return own.views[name]  # type: ignore[no-any-return]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        """Check and copy what is assigned to a parameter."""
        own = self.__dict__.get("_own")
        if own is not None and name in own.specs:
            array = own.check(name, value)
            with self._update_parameters() as arrays:
                np.copyto(arrays[name], array)
        elif name.startswith(("weight_", "bias_", "h_0_", "c_0_", "n_0_", "m_0_")):
            known = ", ".join(self._own.specs)
            raise AttributeError(f"{name}: unknown parameter; expected one of {known}")
        elif name in self.__dict__ and name in {"dtype", *self._fixed, *self._defaults}:
            raise AttributeError(f"{name}: fixed when the {type(self).__name__} was made")
        else:
            object.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        """List parameters among the attributes."""
        return [*super().__dir__(), *self._own.specs]

    @property
    def num_parameters(self) -> int:
        """Number of trainable values."""
        return sum(array.size for array in self._own.arrays.values())

    def parameters(self) -> dict[str, Array]:
        """Return read-only views of the parameters by name; they follow every later change."""
        return dict(self._own.views)

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the parameters by name; they stay as they are."""
        return self._own.copies()

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
        keys = IncompatibleKeys.between(self._own.specs, state_dict, strict)
        checked = {
            name: self._own.check(name, state_dict[name])
            for name in self._own.specs
            if name in state_dict
        }
        with self._own.update() as arrays:
            for name, array in checked.items():
                np.copyto(arrays[name], array)
        return keys

    def _document(self) -> dict[str, Any]:
        """Return what `simdrnn.files.loading` builds an equal object of, beside the parameters."""
        found = described(self, self._configuration())
        return found if self._recorded is None else found | {"recorded": self._recorded}

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, as JSON values, less initial parameters'."""
        raise TypeError(f"save: expected a layer, a module or a stack, got {type(self).__name__}")

    def _stepped(self) -> dict[str, Any]:
        """Return what it is to those who step it, as `simdrnn.layers.stepped` has it."""
        raise ValueError(f"expected a layer, a Linear or a stack, got {type(self).__name__}")

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickling and copying keep: no object that only this version has.

        Were arrays shared, a shallow copy would not notice changes made through the original.
        """
        configuration = self._configuration()
        made = {*configuration, *self._made, "dtype", "_own", "_recorded"}
        version, parameters = self._own.snapshot()
        return {
            "configuration": configuration,
            "parameters": parameters,
            "version": version,
            "recorded": self._recorded,
            "attributes": {name: one for name, one in vars(self).items() if name not in made},
        }

    # Attributes that the constructor makes of its arguments, beside those of their names.
    _made: ClassVar[frozenset[str]] = frozenset()

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Build it as the constructor does."""
        if "configuration" not in state:
            from simdrnn.layers import version_0_1_0

            state = version_0_1_0.parametrised(type(self), state)
        self._construct_with(self._constructed_as(), state["configuration"], state["parameters"])
        self._own.version = state["version"]
        if state["recorded"] is not None:
            self._recorded = state["recorded"]
        for name, value in state["attributes"].items():
            self.__dict__.setdefault(name, value)

    @classmethod
    def _constructed_as(cls) -> type[Parametrised]:
        """Return the class of ours that this is, or is a subclass of."""
        ours = (one for one in cls.__mro__ if one.__module__.partition(".")[0] == "simdrnn")
        return next(ours)


def restored(
    cls: type[Parametrised], arguments: Mapping[str, Any], parameters: Mapping[str, Array]
) -> Parametrised:
    """Make an object of a class of ours that has these parameters; none are drawn.

    Raises
    ------
    TypeError, ValueError : an argument or a parameter does not fit.
    """
    made = cls.__new__(cls)
    cls._construct_with(made, cls, arguments, parameters)
    return made


def parameters_of(owner: Parametrised) -> Parameters:
    """Return what owns the arrays of a layer, cell or module."""
    return owner._own


def check_names(expected: Mapping[str, object], found: Mapping[str, object]) -> None:
    """Raise unless both have the same names; the message says the first few that differ."""
    missing = [name for name in expected if name not in found][:5]
    unexpected = [name for name in found if name not in expected][:5]
    if missing or unexpected:
        raise ValueError(
            f"parameters: expected the {len(expected)} names of the layer, got missing {missing}, "
            f"unexpected {unexpected}"
        )
