"""What a pass over one direction of one layer works with, and what it returns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from simdrnn.engine.protocol import ParameterArrays
from simdrnn.reference.states import Arrays
from simdrnn.spec.cell import CellInfo
from simdrnn.validate import Array

__all__ = ["PassGradients", "PassResult", "Weights"]


class Weights(NamedTuple):
    """Parameters by gate (G of them): input (G, H, I), recurrent (G, H, P), biases (G, 1, H).

    Then the cell's own (params, 1, H), followed by those of layer normalisation, and the projection
    (P, H), without which P is H. With heads, recurrent is (G, H, H / heads): see `heads.py`. Not
    every gate is in each; see `CellInfo`.
    """

    input: Array
    recurrent: Array
    bias_ih: Array
    bias_hh: Array
    own: Array
    projection: Array | None = None

    @classmethod
    def by_gate(cls, arrays: ParameterArrays, info: CellInfo, hidden: int) -> Weights:
        """Cut the parameters of a layer and direction by gate, in float64; what is None is 0."""

        def cut(array: Array | None, blocks: int, *shape: int) -> Array:
            given = np.zeros(blocks * math.prod(shape)) if array is None else array
            return given.astype(np.float64).reshape(blocks, *shape)

        own, weight_hr = arrays.cell_parameters, arrays.weight_hr
        seen = hidden if arrays.weight_hh is None else arrays.weight_hh.shape[1]
        return cls(
            cut(arrays.weight_ih, info.input_blocks, hidden, arrays.weight_ih.shape[1]),
            cut(arrays.weight_hh, info.recurrent_blocks, hidden, seen),
            cut(arrays.bias_ih, info.input_blocks, 1, hidden),
            cut(arrays.bias_hh, info.recurrent_gates, 1, hidden),
            np.array([cut(one, 1, hidden) for one in own]).reshape(len(own), 1, hidden),
            None if weight_hr is None else weight_hr.astype(np.float64),
        )

    def each(self, function: Callable[[Array], Array]) -> Weights:
        """Apply a function to each of them."""
        return Weights(
            function(self.input),
            function(self.recurrent),
            function(self.bias_ih),
            function(self.bias_hh),
            function(self.own),
            None if self.projection is None else function(self.projection),
        )


class PassResult(NamedTuple):
    """Output (T, B, H), S final states (B, H), saved values (T, saved, B, H)."""

    output: Array
    final: Arrays
    saved: Array


class PassGradients(NamedTuple):
    """Gradients for x (T, B, I), for S initial states and S reset states (B, H), and weights.

    Then for what the cell takes of every step beside x, (step_inputs, T, B).
    """

    x: Array
    initial: Arrays
    reset: Arrays
    weights: Weights
    step_inputs: Array
