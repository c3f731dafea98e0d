"""Regularisers: penalties on parameters and outputs, max-norm, and constraints on weights.

>>> import numpy as np, simdrnn as sr
>>> layer, x = sr.LSTM(3, 4, seed=0), np.ones((5, 2, 3), "float32")
>>> tape = layer.record(x)
>>> penalty = activation(tape.output, 2.0)
>>> grads = tape.backward(np.ones_like(tape.output) + penalty.d_output)
>>> add_(grads, l2(layer, 1e-4), orthogonality(layer, 1e-3, "weight_hh*"))
>>> sr.optim.SGD(layer, lr=0.1).step(grads)
>>> shortened = max_norm_(layer, 3.0)

Everything is computed in float64, and returned in the dtype of the layer.
"""

from __future__ import annotations

from simdrnn.regularizers.activations import OutputPenalty, activation, temporal_activation
from simdrnn.regularizers.connectivity import Bounded, Connectivity, Constraint, Dale, Fixed
from simdrnn.regularizers.constraints import max_norm_
from simdrnn.regularizers.names import Penalty, add_
from simdrnn.regularizers.weights import l1, l2, orthogonality

__all__ = [
    "Bounded",
    "Connectivity",
    "Constraint",
    "Dale",
    "Fixed",
    "OutputPenalty",
    "Penalty",
    "activation",
    "add_",
    "l1",
    "l2",
    "max_norm_",
    "orthogonality",
    "temporal_activation",
]
