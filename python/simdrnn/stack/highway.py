"""The gate of a highway connection, which mixes what a layer made with what it was given.

Its product runs on the engine, not on NumPy's BLAS, whose bits depend on the batch: one step of an
independently recurrent network from a zero state, with all steps and rows as its batch and a
sigmoid, is ``sigmoid(W x + b)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from simdrnn.engine.packing import Packing
from simdrnn.engine.protocol import (
    CheckedCall,
    GradientArrays,
    Network,
    PackedNetwork,
    ParameterArrays,
    TapeArrays,
)
from simdrnn.engine.steps import where_real
from simdrnn.layers.parametrised import Parametrised
from simdrnn.layers.recording import check_same
from simdrnn.layers.stepped import gate_of, named
from simdrnn.spec.cell import compiled_cells
from simdrnn.spec.options import Options
from simdrnn.spec.parameters import ParameterSpec, check_memory
from simdrnn.validate import Array

__all__ = ["Gated", "HighwayGate", "arrays_of"]

# A gate of a negative bias passes its input on at first, which is what lets deep stacks train.
# Srivastava et al. 2015, section 2.2, suggest -1 or -3; the deeper the more.
_INITIAL_BIAS = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class Gated:
    """What `HighwayGate.forward` keeps for `backward`: all (T, B, F) but the first three.

    `engine` is what it ran on, None on a copy, and `version` that of the parameters.
    """

    engine: PackedNetwork | None
    version: int | None
    run: CheckedCall
    gate: Array
    given: Array
    made: Array
    real: Array | None

    def __reduce__(self) -> tuple[type[Gated], tuple[Any, ...]]:
        """Copy and pickle all but what is packed."""
        return Gated, (None, self.version, self.run, self.gate, self.given, self.made, self.real)


def arrays_of(kept: Any) -> list[Array]:
    """Return the arrays of what a connection keeps: a gate's, or which steps are real."""
    if not isinstance(kept, Gated):
        return [kept]
    real = [] if kept.real is None else [kept.real]
    return [kept.run.x, *kept.run.states, kept.gate, kept.given, kept.made, *real]


_CELL = "ind_rnn"


def _options() -> Options:
    """Return the options of the network that a gate is."""
    return Options.parse(compiled_cells()[_CELL], {"activation": "sigmoid"})


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
        rng: np.random.Generator | None,
    ) -> None:
        check_memory(features * features, output_size=features)
        self.dtype = dtype
        self._engine, self._features = engine, features
        bound = 1.0 / math.sqrt(features)
        parameters = self._own_parameters(
            [
                ParameterSpec("weight", ("F", "F"), (features, features)),
                ParameterSpec("bias", ("F",), (features,)),
            ],
            lambda: {
                "weight": np.random.default_rng(rng).uniform(-bound, bound, (features, features)),
                "bias": np.full(features, _INITIAL_BIAS),
            },
        )
        network = engine(_CELL, dtype, features, features, 1, 1, _options())
        nothing = np.zeros(features, dtype)  # of the state, which is zero

        def packed() -> list[ParameterArrays]:
            weight, bias = parameters.arrays.values()
            return [ParameterArrays(weight, None, bias, None, (nothing,))]

        self.ready = Packing(
            network, parameters, packed, pack_to_record=partial(network.pack, recorded=True)
        ).ready

    def forward(
        self, given: Array, made: Array, real: Array | None, num_threads: int,
        engine: PackedNetwork | None = None,
    ) -> tuple[Array, Gated]:  # fmt: skip
        """Return the mixture and what `backward` needs.

        Parameters
        ----------
        given, made : (T, B, F), the layer's input and output.
        real : (T, B) bool, or None where every step is. At other steps the result is `made`.
        num_threads : 0 leaves the number to the engine.
        engine : what `ready` returned at the beginning of the call; None is now.
        """
        engine = self.ready() if engine is None else engine
        rows = given.shape[0] * given.shape[1]
        mask = None if real is None else np.ascontiguousarray(real).reshape(1, rows)
        zero = np.zeros((1, rows, self._features), self.dtype)
        x = np.ascontiguousarray(given).reshape(1, rows, self._features)
        run = CheckedCall(x, (zero,), mask=mask, num_threads=num_threads)
        output, final = np.empty_like(zero), np.empty_like(zero)
        engine.forward(run, output, (final,), tape=TapeArrays([_nothing(run)], [output]))
        given = where_real(real, given)
        kept = Gated(engine, engine.version, run, output.reshape(made.shape), given, made, real)
        mixed = kept.gate * made + (1 - kept.gate) * given
        return (mixed if real is None else np.where(real[..., None], mixed, made)), kept

    def backward(self, kept: Gated, d_mixed: Array) -> tuple[Array, Array, dict[str, Array]]:
        """Return the gradients for `given` and `made` (T, B, F), and for the parameters."""
        gate, d_real = kept.gate, where_real(kept.real, d_mixed)
        d_given, d_made = d_real * (1 - gate), d_real * gate
        if kept.real is not None:
            d_made = np.where(kept.real[..., None], d_made, d_mixed)
        shape = kept.run.x.shape
        d_gate = (d_real * (kept.made - kept.given)).reshape(shape)
        d_x, d_state = np.empty(shape, self.dtype), np.empty(shape, self.dtype)
        params = {name: np.empty_like(array) for name, array in self.parameters().items()}
        d_nothing = np.empty(self._features, self.dtype)
        engine = kept.engine
        if engine is None:
            engine = self.ready(True)
            check_same(engine.version, kept.version)
        engine.backward(
            kept.run, TapeArrays([_nothing(kept.run)], [gate.reshape(shape)]), d_gate,
            (np.zeros(shape, self.dtype),),
            GradientArrays(
                d_x, (d_state,),
                [ParameterArrays(params["weight"], None, params["bias"], None, (d_nothing,))],
            ),
        )  # fmt: skip
        return d_given + d_x.reshape(d_given.shape), d_made, params

    def stepped(self, prefix: str) -> Any:
        """Return what stands in for its network in `simdrnn.layers.stepped`."""
        weight, bias = named(f"{prefix}weight"), named(f"{prefix}bias")
        given = ParameterArrays(weight, None, bias, None, (None,))
        return gate_of(_CELL, _options(), self._features, given)

    _made = frozenset({"_engine", "_features", "ready"})

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's arguments; nothing is drawn where parameters are given."""
        sizes = {"engine": self._engine, "features": self._features, "dtype": self.dtype}
        return sizes | {"rng": None}

    def _document(self) -> dict[str, Any]:
        """Raise: a gate is saved with its stack."""
        raise TypeError(f"save: expected a layer, a module or a stack, got {type(self).__name__}")


def _nothing(run: CheckedCall) -> Array:
    """Return what the cell saves beside its output."""
    return np.empty((*run.x.shape[:2], 0), run.x.dtype)
