"""The gate of a highway connection, which mixes what a layer made with what it was given.

Its product runs on the engine, not on NumPy's BLAS, whose bits depend on the batch: a sigmoid is a
tanh, ``sigmoid(a) = (1 + tanh(a / 2)) / 2``, and an Elman network of one step from a zero state,
with all steps and rows as its batch, is ``tanh(W x + b)``.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.engine.protocol import Network, ParameterArrays, Run, TapeArrays
from simdrnn.layers.parametrised import Parametrised
from simdrnn.spec.cell import compiled_cells
from simdrnn.spec.options import Options
from simdrnn.spec.parameters import ParameterSpec, check_memory
from simdrnn.validate import Array

__all__ = ["Gated", "HighwayGate"]

# A gate of a negative bias passes its input on at first, which is what lets deep stacks train.
# Srivastava et al. 2015, section 2.2, suggest -1 or -3; the deeper the more.
_INITIAL_BIAS = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class Gated:
    """What `HighwayGate.forward` keeps for `backward`: all (T, B, F) but the run."""

    run: Run
    activation: Array
    given: Array
    made: Array
    real: Array | None


class HighwayGate(Parametrised):
    """``y = g * made + (1 - g) * given`` with ``g = sigmoid(W given + b)``.

    Srivastava, Greff and Schmidhuber 2015, "Highway networks", arXiv:1505.00387; between recurrent
    layers Zhang et al. 2016, arXiv:1510.08983.

    Parameters
    ----------
    engine : whose product it is.
    features : F.
    dtype : float32 or float64.
    rng : source of the initial weights.

    Attributes
    ----------
    weight : W (F, F), at first uniform in ``±1 / sqrt(F)`` as the layers' are.
    bias : b (F,), at first -1.
    """

    weight: Array
    bias: Array

    def __init__(
        self,
        engine: type[Network],
        features: int,
        dtype: np.dtype[Any],
        rng: np.random.Generator,
    ) -> None:
        check_memory(features * features, output_size=features)
        self.dtype = dtype
        self._engine_type, self._features = engine, features
        bound = 1.0 / math.sqrt(features)
        self._own_parameters(
            [
                ParameterSpec("weight", ("F", "F"), (features, features)),
                ParameterSpec("bias", ("F",), (features,)),
            ],
            lambda: {
                "weight": rng.uniform(-bound, bound, (features, features)),
                "bias": np.full(features, _INITIAL_BIAS),
            },
        )
        self._connect()

    def _connect(self) -> None:
        """Build the engine, which takes the parameters when it first runs."""
        size = self._features
        options = Options.parse(compiled_cells()["rnn_tanh"], {})
        self._network = self._engine_type("rnn_tanh", self.dtype, size, size, 1, 1, options)
        self._lock = threading.Lock()
        self._stamp: tuple[int, Hashable] | None = None

    def _ready(self) -> Network:
        """Return the engine, holding the present parameters."""
        with self._lock:  # of several first callers one prepares; the others must not again
            stamp = (self._version, self._network.token())
            if self._stamp != stamp:
                half = self.dtype.type(0.5)
                weight, bias = self.weight * half, self.bias * half
                none, no_bias = np.zeros_like(weight), np.zeros_like(bias)
                self._network.set_parameters(0, weight, none, bias, no_bias)
                self._stamp = stamp
        return self._network

    def forward(
        self, given: Array, made: Array, real: Array | None, num_threads: int
    ) -> tuple[Array, Gated]:
        """Return the mixture and what `backward` needs.

        Parameters
        ----------
        given, made : (T, B, F), the layer's input and output.
        real : (T, B) bool, or None where every step is. At other steps the result is `made`.
        num_threads : 0 leaves the number to the engine.
        """
        rows = given.shape[0] * given.shape[1]
        mask = None if real is None else np.ascontiguousarray(real).reshape(1, rows)
        zero = np.zeros((1, rows, self._features), self.dtype)
        x = np.ascontiguousarray(given).reshape(1, rows, self._features)
        run = Run(x, (zero,), mask=mask, num_threads=num_threads)
        output, final = np.empty_like(zero), np.empty_like(zero)
        self._ready().forward(run, output, (final,), tape=TapeArrays([_nothing(run)], [output]))
        given = _where(real, given)
        kept = Gated(run, output.reshape(made.shape), given, made, real)
        gate = self._gate(kept)
        mixed = gate * made + (1 - gate) * given
        return (mixed if real is None else np.where(real[..., None], mixed, made)), kept

    def _gate(self, kept: Gated) -> Array:
        """Return g."""
        half = self.dtype.type(0.5)
        gate: Array = half + half * kept.activation
        return gate

    def backward(self, kept: Gated, d_mixed: Array) -> tuple[Array, Array, dict[str, Array]]:
        """Return the gradients for `given` and `made` (T, B, F), and for the parameters."""
        half = self.dtype.type(0.5)
        gate, d_real = self._gate(kept), _where(kept.real, d_mixed)
        d_given, d_made = d_real * (1 - gate), d_real * gate
        if kept.real is not None:
            d_made = np.where(kept.real[..., None], d_made, d_mixed)
        shape = kept.run.x.shape
        d_activation = (d_real * (kept.made - kept.given) * half).reshape(shape)
        d_x, d_state = np.empty(shape, self.dtype), np.empty(shape, self.dtype)
        params = {name: np.empty_like(array) for name, array in self._parameters.items()}
        # Of the recurrent part, which stays zero.
        d_none, d_no_bias = (np.empty_like(value) for value in params.values())
        output = kept.activation.reshape(shape)
        self._ready().backward(
            kept.run, TapeArrays([_nothing(kept.run)], [output]), d_activation,
            (np.zeros(shape, self.dtype),), d_x, (d_state,),
            [ParameterArrays(params["weight"], d_none, params["bias"], d_no_bias)],
        )  # fmt: skip
        for value in params.values():
            value *= half
        return d_given + d_x.reshape(d_given.shape), d_made, params

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickling and copying keep: the engine is built anew."""
        state = super().__getstate__()
        rebuilt = ("_lock", "_network", "_stamp")
        return {name: value for name, value in state.items() if name not in rebuilt}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore, with an engine of its own."""
        super().__setstate__(state)
        self._connect()


def _nothing(run: Run) -> Array:
    """Return what an Elman cell saves beside its output."""
    return np.empty((*run.x.shape[:2], 0), run.x.dtype)


def _where(real: Array | None, sequence: Array) -> Array:
    """Return a (T, B, F) sequence with 0 at steps that are not real, which may hold NaN."""
    if real is None:
        return sequence
    return np.where(real[..., None], sequence, sequence.dtype.type(0))
