"""Weights that a recorded training call changes at random: DropConnect, and Gaussian noise.

Both are drawn once per call, not per step or row, so no kernel knows of them: the call runs on a
copy of the layer that holds the changed weights. That costs copying and packing them.

Wan et al. 2013, "Regularization of neural networks using DropConnect"; on recurrent weights:
Merity, Keskar and Socher 2017, arXiv:1708.02182. Noise: Graves 2011, "Practical variational
inference for neural networks"; Graves 2013, arXiv:1308.0850.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simdrnn.engine.random_words import Feature, happens, normals
from simdrnn.validate import Array

if TYPE_CHECKING:
    from simdrnn.layers.recurrent import RecurrentLayer

__all__ = ["ChangedWeights"]


@dataclass(frozen=True, slots=True, eq=False)
class ChangedWeights:
    """What one recorded training call made of a layer's weights.

    Attributes
    ----------
    layer : a copy of the layer, with an engine of its own, that holds the changed weights.
    dropped : which recurrent weights were dropped, bool arrays by the parameters' names.
    """

    layer: RecurrentLayer
    dropped: Mapping[str, Array]

    @classmethod
    def draw(cls, layer: RecurrentLayer, key: int) -> ChangedWeights | None:
        """Change the weights of one call, whose random numbers `key` decides.

        Noise comes first, so what is dropped is 0. Learned initial states are no weights.

        Returns
        -------
        None if the layer's options leave the weights alone.
        """
        chance, deviation = layer.options.weight_dropout, layer.options.weight_noise
        if not chance and deviation is None:
            return None
        changed, dropped = copy.copy(layer), {}
        with changed._update_parameters() as arrays:
            for stream, group in enumerate(layer._groups):
                for number, spec in enumerate(group):
                    array = arrays[spec.name]
                    if deviation is not None:
                        noise = _noise(array.shape, number, stream, deviation, key)
                        array += noise.astype(array.dtype)
                    if chance and spec.name.startswith("weight_hh"):
                        mask = happens(
                            (1, *array.shape), Feature.WEIGHT_DROPOUT, stream, chance, key
                        )
                        dropped[spec.name] = mask[0]
                        _drop(array, mask[0], chance)
        return cls(changed, dropped)

    def backward(self, params: Mapping[str, Array]) -> None:
        """Take gradients for the changed weights, by name, to those for the layer's, in place."""
        for name, mask in self.dropped.items():
            _drop(params[name], mask, self.layer.options.weight_dropout or 0.0)


def _noise(shape: tuple[int, ...], number: int, stream: int, deviation: float, key: int) -> Array:
    """Draw the noise of the parameter with this number among those of its layer and direction."""
    rows, width = shape if len(shape) == 2 else (1, *shape)
    drawn = normals((1, rows, width), Feature.WEIGHT_NOISE, stream, key, first=number)
    return deviation * drawn.reshape(shape)


def _drop(array: Array, mask: Array, chance: float) -> None:
    """Multiply by 0 where dropped and by 1 / (1 - chance) elsewhere."""
    array *= array.dtype.type(1.0 / (1.0 - chance))
    array[mask] = 0.0
