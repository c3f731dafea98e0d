"""A recurrent node as a step of a program: on our kernels, with its weights packed once.

Weights that are constants become layers when the program is made. Those that are computed or given
become layers when the node first runs, and stay so as long as they are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import NodeProto

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.onnx.attributes import NodeAttributes
from simdrnn.onnx.calls import attributes_of, node_label
from simdrnn.onnx.node import NodeCall, make_layers, run_layers
from simdrnn.onnx.operators import ARGUMENTS
from simdrnn.onnx.weights import NodeWeights
from simdrnn.validate import Array

__all__ = ["RecurrentStep"]


class RecurrentStep:
    """One recurrent node.

    Parameters
    ----------
    node : RNN, GRU or LSTM.
    constants : of the node's inputs those whose values are known, by the operator's names.
    num_threads : of our kernels; None leaves the choice to the engine.

    Attributes
    ----------
    places : names of the inputs that are no constants, by the operator's names.
    reads, writes : names of inputs and outputs.

    Raises
    ------
    ValueError : an attribute, or a weight that is a constant, is none of the operator's.
    """

    def __init__(
        self, node: NodeProto, constants: Mapping[str, Array], num_threads: int | None
    ) -> None:
        self._label = node_label(node)
        self._attributes = NodeAttributes.parse(self._label, node.op_type, attributes_of(node))
        self._num_threads = num_threads
        places = dict(zip(ARGUMENTS, node.input, strict=False))
        absent = [name for name in "XWR" if not places.get(name)]
        if absent:
            raise ValueError(f"{self._label}: expected X, W and R, got no {absent[0]}")
        self.places = {
            place: name for place, name in places.items() if name and place not in constants
        }
        self.reads = tuple(self.places.values())
        self.writes = tuple(node.output)
        self._constants = dict(constants)
        self._fixed: list[RecurrentLayer] | None = None
        self._made: tuple[NodeWeights, list[RecurrentLayer]] | None = None
        if not self.places.keys() & set("WRBP"):
            given = (self._constants.pop(name, None) for name in "WRBP")  # the layers keep them
            self._fixed = self._make(NodeWeights(*given))  # type: ignore[arg-type]
        unusual = self._attributes.layout or self._constants or len(self._fixed or ()) != 1
        self._layer = None if unusual or self._fixed is None else self._fixed[0]
        self._states = len(self._attributes.operator.states)

    def shapes(self) -> list[list[int | None]]:
        """Return the shapes of Y, Y_h and Y_c; sizes that are not known are None."""
        D, H = self._attributes.directions, self._attributes.hidden_size
        if self._attributes.layout:
            return [[None, None, D, H], [None, D, H], [None, D, H]]
        return [[None, D, None, H], [D, None, H], [D, None, H]]

    def run(self, values: dict[str, Any]) -> None:
        """Run the node on values by name, and put what it makes among them.

        Raises
        ------
        ValueError : an input does not fit; the sentence begins with the node's label.
        """
        made = self.made({place: values[name] for place, name in self.places.items()})
        values |= {name: one for name, one in zip(self.writes, made, strict=False) if name}

    def at_once(
        self, x: Array, h: Array | None = None, c: Array | None = None
    ) -> tuple[Array, ...] | None:
        """Do as `made` does without lengths; None where something is unusual about node or call."""
        layer = self._layer
        if layer is None or x.ndim != 3 or (self._states == 2 and (h is None) != (c is None)):
            return None
        if not all(state is None or state.ndim == 3 for state in (h, c)):
            return None
        state = None if h is None else h if self._states == 1 else (h, c)
        try:
            output, final = layer(x, state, num_threads=self._num_threads)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self._label}: {error}") from error
        T, B = output.shape[:2]
        Y = output.reshape(T, B, self._attributes.directions, layer.hidden_size).swapaxes(1, 2)
        return (Y, *final) if isinstance(final, tuple) else (Y, final)

    def made(self, inputs: Mapping[str, Any]) -> tuple[Array, ...]:
        """Return Y, Y_h and, of an LSTM, Y_c, of inputs by the operator's names.

        Raises
        ------
        ValueError : an input does not fit; the sentence begins with the node's label.
        """
        given: dict[str, Any] = dict.fromkeys(ARGUMENTS)
        given |= self._constants
        given |= inputs
        layers = self._fixed
        if layers is None:
            layers = self._layers(NodeWeights(*(given[name] for name in "WRBP")))
        call = NodeCall(*(given[name] for name in NodeCall._fields))
        return run_layers(layers, self._attributes, call, self._num_threads)

    def _layers(self, weights: NodeWeights) -> list[RecurrentLayer]:
        """Return the layers of the node, made anew if its weights changed."""
        made = self._made  # another thread may put others in its place
        if made is not None and all(map(_unchanged, made[0], weights)):
            return made[1]
        layers = self._make(weights)
        B, P = (one if one is None else one.copy() for one in weights[2:])
        self._made = NodeWeights(weights.W.copy(), weights.R.copy(), B, P), layers
        return layers

    def _make(self, weights: NodeWeights) -> list[RecurrentLayer]:
        node = self._attributes
        weights.check(node.label, node.operator, node.directions, node.hidden_size)
        return make_layers(node, weights)


def _unchanged(kept: Array | None, given: Array | None) -> bool:
    if kept is None or given is None:
        return kept is given
    return kept.dtype == given.dtype and np.array_equal(kept, given)
