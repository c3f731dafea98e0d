"""The way from a layer's parameters, by name, to what engines take, and back for gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from simdrnn.engine.kept_arrays import empty
from simdrnn.engine.protocol import ParameterArrays
from simdrnn.layers.parameters import Parameters
from simdrnn.spec.layer import LayerSpec
from simdrnn.spec.parameters import ParameterSpec
from simdrnn.validate import Array

__all__ = ["LearnedStates", "Passes"]


class _Places(NamedTuple):
    """What the parameters of a pass are called; "" is no parameter's name."""

    end: str
    weight_ih: str
    weight_hh: str
    bias_ih: str
    bias_hh: str
    weight_hr: str
    own: tuple[str, ...]


class Passes:
    """The passes of a layer: one for each of its L layers and D directions, at ``layer * D + d``.

    Parameters
    ----------
    spec, parameters : of the layer.

    Attributes
    ----------
    names : of the parameters of each.
    """

    __slots__ = ("_gradients", "_parameters", "_places", "_shared", "_spec", "names")

    def __init__(self, spec: LayerSpec, parameters: Parameters) -> None:
        self._spec, self._parameters = spec, parameters
        self.names = [[one.name for one in group] for group in spec.passes()]
        # Asked at every step of a training loop, which for small layers takes microseconds.
        hidden, specs = spec.sizes.hidden_size, parameters.specs
        self._shared = frozenset(name for name, one in specs.items() if one.letters == ("1",))
        self._gradients = [
            (name, (hidden,) if name in self._shared else one.shape) for name, one in specs.items()
        ]
        self._places = [self._places_of(names) for names in self.names]

    def __len__(self) -> int:
        """Return L*D."""
        return len(self.names)

    def packed(self) -> list[ParameterArrays]:
        """Return what the network is given for each."""
        arrays = self.per_unit()
        return [self.of_pass(arrays, index) for index in range(len(self))]

    def of_pass(
        self, arrays: Mapping[str, Array], index: int, *, gradients: bool = False
    ) -> ParameterArrays:
        """Pick what belongs to one layer and direction, as engines take it, from named arrays.

        Biases that stand side by side are one to an engine; `gradients` are written to the first.
        """
        places, pick = self._places[index], arrays.get
        cell_parameters = [pick(name) for name in places.own]
        biases = (pick(places.bias_ih), pick(places.bias_hh))
        norm = self._spec.options.placement
        if norm is not None:
            norms = [arrays[name + places.end] for name, *_ in norm.parameters(self._spec.info)]
            cell_parameters += norm.rows(self._spec.info, norms)
            biases = norm.biases_of(biases, norms, add=not gradients)
        return ParameterArrays(
            arrays[places.weight_ih], pick(places.weight_hh), *biases, tuple(cell_parameters),
            pick(places.weight_hr),
        )  # fmt: skip

    def _places_of(self, names: list[str]) -> _Places:
        """Return what the parameters of a pass are called; what it has not, a name of nothing."""
        end = names[0].removeprefix("weight_ih")  # as in weight_ih_l1_reverse

        def called(name: str) -> str:
            name += end
            return name if name in names else ""

        return _Places(
            end, names[0], called("weight_hh"), called("bias_ih"), called("bias_hh"),
            called("weight_hr"), tuple([called(one.name) for one in self._spec.info.own]),
        )  # fmt: skip

    def per_unit(self) -> dict[str, Array]:
        """Return the parameters as engines take them: what all units share for each of them."""
        hidden = self._spec.sizes.hidden_size
        return {
            name: np.repeat(array, hidden) if name in self._shared else array
            for name, array in self._parameters.arrays.items()
        }

    def gradient_arrays(self) -> tuple[dict[str, Array], list[ParameterArrays]]:
        """Allocate what an engine writes gradients of parameters to: by name, and by pass."""
        dtype = self._spec.dtype
        arrays = {name: empty(shape, dtype) for name, shape in self._gradients}
        passes = range(len(self))
        return arrays, [self.of_pass(arrays, index, gradients=True) for index in passes]

    def as_parameters(self, gradients: dict[str, Array]) -> dict[str, Array]:
        """Sum the units' gradients for what they share; the inverse of `per_unit`.

        And copy those of biases for what stands beside them.
        """
        if self._spec.sizes.bias and self._spec.options.placement is not None:
            for name in gradients:
                if name.startswith("bias_ln_") and (beside := name.replace("_ln", "")) in gradients:
                    np.copyto(gradients[name], gradients[beside])
        if not self._shared:
            return gradients
        return {
            name: array.sum(keepdims=True) if name in self._shared else array
            for name, array in gradients.items()
        }

    def is_shared(self, name: str) -> bool:
        """Tell whether a parameter is one number for all units."""
        return name in self._shared


class LearnedStates:
    """Initial states (L*D, B, H) made of parameters, where a call is given none.

    They are the same for every row of the batch.

    Parameters
    ----------
    specs : what `LayerSpec.learned_states` returned.
    read : calls a function with the parameters by name, all of one version, and returns what that
        makes of them.
    """

    def __init__(self, specs: list[tuple[ParameterSpec, ...]], read: Callable[..., Any]) -> None:
        self._names = [[spec.name for spec in group] for group in specs]
        self._read = read

    def states(self, batch: int) -> tuple[Array, ...]:
        """Return S arrays (L*D, B, H), fresh ones."""

        def stacked(arrays: Mapping[str, Array]) -> list[Array]:
            return [np.stack([arrays[name] for name in names]) for names in self._names]

        rows = self._read(stacked)
        return tuple([np.repeat(row[:, None], batch, axis=1) for row in rows])

    def backward(self, d_states: Sequence[Sequence[Array]], params: Mapping[str, Array]) -> None:
        """Write the gradients for the parameters: sums over the batch and over the uses.

        Parameters
        ----------
        d_states : for each use the gradients of what `states` returned. No use: zeros.
        params : the parameters' gradients by name, overwritten.
        """
        for index, names in enumerate(self._names):
            # Summed in float64: along the batch NumPy adds one by one, not pairwise.
            sums = [d_use[index].sum(axis=1, dtype=np.float64) for d_use in d_states]
            total = sum(sums, np.zeros((len(names), 1)))
            for name, value in zip(names, total, strict=True):
                params[name][...] = value
