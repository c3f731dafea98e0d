"""The way from a layer's parameters, by name, to what engines take, and back for gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from simdrnn.engine.protocol import ParameterArrays
from simdrnn.layers.parametrised import Parameters
from simdrnn.spec.layer import LayerSpec
from simdrnn.spec.parameters import ParameterSpec
from simdrnn.validate import Array

__all__ = ["LearnedStates", "Passes"]


class Passes:
    """The passes of a layer: one for each of its L layers and D directions, at ``layer * D + d``.

    Parameters
    ----------
    spec, parameters : of the layer.

    Attributes
    ----------
    names : of the parameters of each.
    """

    __slots__ = ("_parameters", "_spec", "names")

    def __init__(self, spec: LayerSpec, parameters: Parameters) -> None:
        self._spec, self._parameters = spec, parameters
        self.names = [[one.name for one in group] for group in spec.passes()]

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
        names = self.names[index]
        end = names[0].removeprefix("weight_ih")  # as in weight_ih_l1_reverse

        def pick(name: str) -> Array | None:
            name += end
            return arrays[name] if name in names else None

        cell_parameters = [pick(parameter.name) for parameter in self._spec.info.own]
        biases = (pick("bias_ih"), pick("bias_hh"))
        norm = self._spec.options.placement
        if norm is not None:
            norms = [arrays[name + end] for name, *_ in norm.parameters(self._spec.info)]
            cell_parameters += norm.rows(self._spec.info, norms)
            biases = norm.biases_of(biases, norms, add=not gradients)
        return ParameterArrays(
            arrays[names[0]], pick("weight_hh"), *biases, tuple(cell_parameters), pick("weight_hr")
        )

    def per_unit(self) -> dict[str, Array]:
        """Return the parameters as engines take them: what all units share for each of them."""
        hidden = self._spec.sizes.hidden_size
        return {
            name: np.repeat(array, hidden) if self.is_shared(name) else array
            for name, array in self._parameters.arrays.items()
        }

    def gradient_arrays(self) -> tuple[dict[str, Array], list[ParameterArrays]]:
        """Allocate what an engine writes gradients of parameters to: by name, and by pass."""
        hidden = self._spec.sizes.hidden_size
        arrays = {
            name: np.empty(hidden if self.is_shared(name) else spec.shape, self._spec.dtype)
            for name, spec in self._parameters.specs.items()
        }
        passes = range(len(self))
        return arrays, [self.of_pass(arrays, index, gradients=True) for index in passes]

    def as_parameters(self, gradients: dict[str, Array]) -> dict[str, Array]:
        """Sum the units' gradients for what they share; the inverse of `per_unit`.

        And copy those of biases for what stands beside them.
        """
        if self._spec.sizes.bias:
            for name in gradients:
                if name.startswith("bias_ln_") and (beside := name.replace("_ln", "")) in gradients:
                    np.copyto(gradients[name], gradients[beside])
        return {
            name: array.sum(keepdims=True) if self.is_shared(name) else array
            for name, array in gradients.items()
        }

    def is_shared(self, name: str) -> bool:
        """Tell whether a parameter is one number for all units."""
        return self._parameters.specs[name].letters == ("1",)


class LearnedStates:
    """Initial states (L*D, B, H) made of parameters, where a call is given none.

    They are the same for every row of the batch.

    Parameters
    ----------
    specs : what `LayerSpec.learned_states` returned.
    parameters : the layer's, which the states follow.
    """

    def __init__(
        self, specs: list[tuple[ParameterSpec, ...]], parameters: Mapping[str, Array]
    ) -> None:
        self._names = [[spec.name for spec in group] for group in specs]
        self._parameters = parameters

    def states(self, batch: int) -> tuple[Array, ...]:
        """Return S arrays (L*D, B, H), fresh ones."""
        rows = (np.stack([self._parameters[name] for name in names]) for names in self._names)
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
