"""Weights that a recorded training call changes at random: DropConnect, and Gaussian noise.

Both are drawn once per call, not per step or row, so no kernel knows of them: the call runs on a
copy of the bound layer that holds the changed weights. That costs copying and packing them.

Wan et al. 2013, "Regularization of neural networks using DropConnect"; on recurrent weights:
Merity, Keskar and Socher 2017, arXiv:1708.02182. Noise: Graves 2011, "Practical variational
inference for neural networks"; Graves 2013, arXiv:1308.0850.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simdrnn.engine.random_words import Feature, happens, normals
from simdrnn.layers.bound import BoundLayer
from simdrnn.validate import Array

__all__ = ["ChangedWeights"]


@dataclass(frozen=True, slots=True, eq=False)
class ChangedWeights:
    """What one recorded training call made of a layer's weights.

    Attributes
    ----------
    bound : a copy of the layer, with a network of its own, that holds the changed weights.
    version : of the layer's parameters that were changed.
    dropped : which recurrent weights were dropped, bool arrays by the parameters' names.
    """

    bound: BoundLayer
    version: int
    dropped: Mapping[str, Array]

    @classmethod
    def draw(cls, bound: BoundLayer, key: int) -> ChangedWeights:
        """Change the weights of one call, whose random numbers `key` decides.

        Noise comes first, so what is dropped is 0. Learned initial states are no weights, and what
        must be positive is no sum of such.
        """
        chance, deviation = bound.options.weight_dropout, bound.options.weight_noise
        changed, dropped = bound.copy(), {}
        spared = tuple(own.name for own in bound.info.own if own.positive)
        version = changed.parameters.version
        with changed.parameters.update() as arrays:
            for stream, names in enumerate(bound.passes.names):
                for number, name in enumerate(names):
                    array = arrays[name]
                    if deviation is not None and not name.startswith(spared):
                        noise = _noise(array.shape, number, stream, deviation, key)
                        array += noise.astype(array.dtype)
                    if chance and name.startswith("weight_hh"):
                        mask = happens(
                            (1, *array.shape), Feature.WEIGHT_DROPOUT, stream, chance, key
                        )
                        dropped[name] = mask[0]
                        _drop(array, mask[0], chance)
        return cls(changed, version, dropped)

    def backward(self, params: Mapping[str, Array]) -> None:
        """Take gradients for the changed weights, by name, to those for the layer's, in place."""
        for name, mask in self.dropped.items():
            _drop(params[name], mask, self.bound.options.weight_dropout or 0.0)


def _noise(shape: tuple[int, ...], number: int, stream: int, deviation: float, key: int) -> Array:
    """Draw the noise of the parameter with this number among those of its layer and direction."""
    rows, width = shape if len(shape) == 2 else (1, *shape)
    drawn = normals((1, rows, width), Feature.WEIGHT_NOISE, stream, key, first=number)
    return deviation * drawn.reshape(shape)


def _drop(array: Array, mask: Array, chance: float) -> None:
    """Multiply by 0 where dropped and by 1 / (1 - chance) elsewhere."""
    array *= array.dtype.type(1.0 / (1.0 - chance))
    array[mask] = 0.0
