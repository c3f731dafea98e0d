"""The network of every estimator: recurrent layers, pooling over time, a linear head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import simdrnn as sr
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.sklearn import pooling
from simdrnn.spec.cell import compiled_cells
from simdrnn.stack.stack import Stack
from simdrnn.training.modules import Linear
from simdrnn.validate import Array, as_positive, check_choice

__all__ = ["Network", "cell_names", "make_layers"]

Layers = RecurrentLayer | Stack


# Arguments of layers that estimators have themselves, or that would turn their arrays around.
_TAKEN = (
    *("input_size", "hidden_size", "num_layers", "batch_first", "dropout", "bidirectional"),
    *("dtype", "seed"),
)


def cell_names() -> dict[str, str]:
    """Return the layers that estimators can be made of: names in lower case -> of classes.

    Estimators have nothing to hand to a layer that takes more than x at every step.
    """
    infos = sorted(compiled_cells().values(), key=lambda info: info.layer or "")
    return {i.layer.lower(): i.layer for i in infos if i.layer and not i.step_inputs}


def _layer_class(cell: object) -> Any:
    """Return the class of layers that `cell` names."""
    known = cell_names()
    if not isinstance(cell, str) or cell.lower() not in known:
        raise ValueError(f"cell: expected one of {', '.join(map(repr, known))}, got {cell!r}")
    return getattr(sr, known[cell.lower()])


def make_layers(
    cell: object,
    input_size: int,
    hidden_size: object,
    num_layers: object,
    *,
    bidirectional: bool,
    dropout: float,
    dtype: Any,
    options: Mapping[str, Any] | None,
    rng: np.random.RandomState,
) -> Layers:
    """Build the recurrent part.

    Parameters
    ----------
    cell : name of a layer, in any case.
    input_size : I.
    hidden_size : H, or a tuple with that of each layer.
    num_layers : L; with a tuple 1, which says nothing, or its length.
    bidirectional, dropout, dtype : as for `simdrnn.LSTM`.
    options : further arguments of the layers.
    rng : source of the seeds.
    """
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"layer_options: expected a dict or None, got {type(options).__name__}")
    for name in _TAKEN:
        if options and name in options:
            raise ValueError(
                f"layer_options: expected arguments that the estimator has not, got {name!r}"
            )
    layer_class = _layer_class(cell)
    layers = as_positive("num_layers", num_layers)
    shared = {"bidirectional": bidirectional, "dtype": dtype, **(options or {})}

    def seed() -> int:
        return int(rng.randint(np.iinfo(np.int32).max))

    if not isinstance(hidden_size, (tuple, list)):
        made: Layers = layer_class(
            input_size, hidden_size, layers, dropout=dropout, seed=seed(), **shared
        )
        return made
    if not hidden_size or layers not in (1, len(hidden_size)):
        raise ValueError(
            f"hidden_size: expected a tuple with the size of each of num_layers={layers} layers, "
            f"got {hidden_size!r}"
        )
    stacked: list[RecurrentLayer] = []
    for size in hidden_size:
        stacked.append(layer_class(input_size, size, seed=seed(), **shared))
        input_size = _features(stacked[-1], input_size)
    if len(stacked) == 1:
        return stacked[0]
    return Stack(stacked, dropout=dropout, seed=seed())


def _features(layers: Layers, input_size: int) -> int:
    """Return how many numbers a step puts out."""
    output = layers(np.zeros((1, 1, input_size), layers.dtype))[0]
    return int(output.size)


class Network:
    """Recurrent layers, pooling, and a `Linear`.

    Parameters
    ----------
    layers : the recurrent part.
    outputs : O.
    pooled : ``"last"``, ``"mean"``, ``"max"``, or ``"none"`` for an output at every step.
    rng : source of the head's seed.

    Attributes
    ----------
    layers, head : with their parameters.
    """

    def __init__(
        self, layers: Layers, outputs: int, pooled: str, rng: np.random.RandomState
    ) -> None:
        check_choice("pooling", pooled, (*pooling.POOLINGS, "none"))
        self.layers, self.pooling = layers, pooled
        seed = int(rng.randint(np.iinfo(np.int32).max))
        size = _features(layers, layers.input_size)
        self.head = Linear(size, outputs, dtype=layers.dtype, seed=seed)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Floating-point type of the network."""
        return self.layers.dtype

    @property
    def parts(self) -> list[Any]:
        """The modules, in the order of gradients."""
        return [self.layers, self.head]

    def state(self) -> list[dict[str, Array]]:
        """Return copies of all parameters."""
        return [part.state_dict() for part in self.parts]

    def restore(self, state: list[dict[str, Array]]) -> None:
        """Set all parameters to what `state` returned."""
        for part, values in zip(self.parts, state, strict=True):
            part.load_state_dict(values)

    def bytes(self) -> bytes:
        """Return all parameters in one row of bytes."""
        return b"".join(value.tobytes() for part in self.state() for value in part.values())

    def __call__(self, x: Array, lengths: Array | None, num_threads: int | None) -> Array:
        """Return the outputs of sequences (T, B, I): (B, O), or (T, B, O) without pooling.

        The bits of a row do not depend on the others.
        """
        layers: Any = self.layers  # a layer's overloads want to know what is returned
        options: dict[str, Any] = {"lengths": lengths, "num_threads": num_threads}
        if self.pooling != "last":
            vectors = self._pool(_flat(layers(x, **options)[0]), lengths)
        elif isinstance(layers, RecurrentLayer) and layers.structure.residual:
            # The output is more than the state, and a state is all that a call keeps of the end.
            vectors = layers.record(x, training=False, **options).last_output
        else:
            vectors = layers.last_output(layers(x, **options)[1])
        size = self.head.in_features
        outputs = self.head(vectors.reshape(-1, size), num_threads=num_threads)
        return (
            outputs.reshape(*x.shape[:2], outputs.shape[-1]) if self.pooling == "none" else outputs
        )

    def _pool(self, output: Array, lengths: Array | None) -> Array:
        if self.pooling == "none":
            return output
        pool = pooling.mean if self.pooling == "mean" else pooling.maximum
        return pool(output, lengths)

    def record(self, x: Array, lengths: Array | None, num_threads: int | None) -> NetworkTape:
        """Run forward for training."""
        tape = self.layers.record(x, lengths=lengths, num_threads=num_threads)
        if self.pooling == "last":
            vectors = tape.last_output
            vectors = vectors.reshape(len(vectors), math.prod(vectors.shape[1:]))
        else:
            vectors = self._pool(_flat(tape.output), lengths)
        head = self.head.record(vectors, num_threads=num_threads)
        return NetworkTape(head.output, self.pooling, tape, head, lengths)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkTape:
    """A recorded call; `output` is (B, O), or (T, B, O) without pooling."""

    output: Array
    _pooling: str
    _layers: Any
    _head: Any
    _lengths: Array | None

    def backward(self, d_output: Array) -> list[Gradients]:
        """Return the gradients of the layers and the head."""
        d_head = self._head.backward(d_output)
        output = self._layers.output
        if self._pooling == "last":
            last = d_head.x.reshape(d_head.x.shape[0], *output.shape[2:])
            return [self._layers.backward(d_last_output=last), d_head]
        d_flat = d_head.x
        if self._pooling != "none":
            mean = self._pooling == "mean"
            pool = pooling.mean_backward if mean else pooling.maximum_backward
            d_flat = pool(_flat(output), self._lengths, d_head.x)
        d_steps = np.ascontiguousarray(d_flat).reshape(output.shape)
        return [self._layers.backward(d_steps), d_head]


def _flat(output: Array) -> Array:
    """View (T, B, ...) as (T, B, F)."""
    return output.reshape(*output.shape[:2], math.prod(output.shape[2:]))
