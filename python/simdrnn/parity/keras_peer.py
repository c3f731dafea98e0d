"""Keras's layers and models as what a layer is compared with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from simdrnn.dialects import convert
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.parity.cells import cell_of
from simdrnn.parity.peers import Peer, as_result, flatten
from simdrnn.parity.probes import Constants, constants_of_code
from simdrnn.validate import Array

__all__ = ["KerasPeer"]


class KerasPeer(Peer):
    """A recurrent layer, both directions of one, or a model from a sequence to a sequence."""

    batch_first = True

    def __init__(self, thing: Any) -> None:
        keras = sys.modules["keras"]
        super().__init__(thing)
        self._keras = keras
        self.name = f"keras {type(thing).__name__} {thing.name!r}"
        self.dtype = np.dtype(thing.compute_dtype)
        recurrent = isinstance(thing, (keras.layers.RNN, keras.layers.Bidirectional))
        # Stacked cells take states nested by cell; they begin as by default.
        self.takes_state = recurrent and not hasattr(getattr(thing, "cell", None), "cells")
        backend = keras.backend.backend()
        if backend == "torch":
            self.why_no_gradients = ""
        else:
            self.why_no_gradients = f"gradients: not compared on Keras's {backend} backend"

    def constants(self) -> Constants:
        """Return numbers of the configuration of layers, and of functions in them."""
        layers = getattr(self.thing, "layers", None) or [self.thing]
        found: list[Any] = []
        for layer in layers:
            found += layer.get_config().values()
            found += constants_of_code(getattr(layer, "function", None))
            if not type(layer).__module__.startswith("keras."):
                found += constants_of_code(type(layer).call)
        return Constants.among(found)

    def _call(self, x: Any, states: Sequence[Any]) -> list[Any]:
        """Run the layer on tensors; states are by direction, and within that h, c."""
        given = {"initial_state": [*states]} if states else {}
        return [*flatten(self.thing(x, training=False, **given), lambda tensor: tensor)]

    @staticmethod
    def _by_direction(states: tuple[Array, ...]) -> list[Array]:
        """Return initial states (D, B, H) as Keras takes them."""
        return [one[d] for d in range(len(states[0])) for one in states] if states else []

    def run(self, x: Array, states: tuple[Array, ...]) -> list[Array]:
        """Run the layer."""
        convert = self._keras.ops.convert_to_tensor
        first, *rest = (convert(one) for one in (x, *self._by_direction(states)))
        return [*map(as_result, self._call(first, rest))]

    def gradients(
        self, x: Array, states: tuple[Array, ...], d_results: list[Array | None]
    ) -> dict[str, Array]:
        """Run the layer there and back on PyTorch."""
        from simdrnn.parity.torch_peer import differentiate

        torch = sys.modules["torch"]
        device = self._keras.ops.convert_to_tensor(x).device
        initial = self._by_direction(states)
        with torch.enable_grad():
            tensors = [
                torch.tensor(one, device=device, requires_grad=True) for one in (x, *initial)
            ]
            results = self._call(tensors[0], tensors[1:])
            by = {"gradient of x": tensors[0]}
            by |= {f"initial {k}": one for k, one in enumerate(tensors[1:])}
            by |= {f"weights {k}": one.value for k, one in enumerate(self.thing.trainable_weights)}
            found = differentiate(results, d_results, by)
        kept = {"gradient of x": found["gradient of x"]}
        for k, name in enumerate("hc"[: len(states)]):
            parts = [found[f"initial {d * len(states) + k}"] for d in range(len(states[0]))]
            kept[f"gradient of initial {name}"] = np.stack(parts)
        weights = {name: one for name, one in found.items() if name.startswith("weights")}
        if len(weights) == len(self.thing.trainable_weights):
            kept |= {f"gradient of {name}": one for name, one in weights.items()}
        return kept

    def renamed(self, gradients: dict[str, Array], layer: RecurrentLayer) -> dict[str, Array]:
        """Return gradients of our parameters in the order of Keras's weights."""
        kept = {name: one for name, one in gradients.items() if "weight" not in name}
        kept = {name: one for name, one in kept.items() if "bias" not in name}
        cell = cell_of(layer)
        if cell is None:
            return kept
        prefix = "gradient of "
        values = {name: gradients[prefix + name] for name in layer.parameters()}
        apart = cell == ("gru", True)
        for name in values:
            # Where Keras has one bias, its gradient is that of each of ours.
            if name.startswith("bias_hh") and not apart:
                values[name] = np.zeros_like(values[name])
        try:
            weights = convert(values, "simdrnn", "keras", cell=cell[0], reset_after=cell[1])
        except ValueError:  # peepholes, which Keras lacks
            return kept
        return kept | {f"{prefix}weights {k}": one for k, one in enumerate(weights)}
