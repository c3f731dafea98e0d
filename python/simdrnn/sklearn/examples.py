"""Sequences with targets, as training takes them, and a network run over many sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.sklearn.network import Network
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.sequences import Sequences
from simdrnn.sklearn.training import Batch
from simdrnn.validate import Array

__all__ = ["Labelled", "Tagged", "batches_of_outputs", "outputs_of", "taken"]

# What a call of inference may put out, over all steps: rows are taken so many at once.
_OUTPUT_BYTES = 1 << 26


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Examples for `simdrnn.sklearn.training`.

    Attributes
    ----------
    sequences, scaling : the inputs, and what is done to them.
    targets : (N,) integers, or (N, O) in the network's dtype.
    weights : (N,) float64, or None for equal ones.
    dtype : of the network.
    """

    sequences: Sequences
    scaling: Scaling
    targets: Array
    weights: Array | None
    dtype: np.dtype[np.floating]

    @property
    def lengths(self) -> Array:
        """(N,), by which mini-batches are put together."""
        return self.sequences.lengths

    def take(self, indices: Array) -> Labelled:
        """Return the examples at `indices`."""
        weights = None if self.weights is None else self.weights[indices]
        return Labelled(
            self.sequences.take(indices), self.scaling, self.targets[indices], weights, self.dtype
        )

    def batch(self, indices: Array) -> Batch:
        """Return the examples at `indices` side by side, scaled."""
        x, lengths = self.sequences.batch(indices)
        weights = None if self.weights is None else self.weights[indices]
        share = float(len(indices)) if weights is None else float(weights.sum())
        x = self.scaling.apply("X", x, self.dtype)
        return Batch(x, lengths, self.targets[indices], weights, share, share)


@dataclass(frozen=True, slots=True, eq=False)
class Tagged:
    """Examples for `simdrnn.sklearn.training`: sequences with a target for each step.

    Attributes
    ----------
    sequences, scaling : the inputs, and what is done to them.
    targets : integers, one for each step of `sequences`.
    weights : float64, what each step counts; or None for equal ones.
    dtype : of the network.
    """

    sequences: Sequences
    scaling: Scaling
    targets: Sequences
    weights: Sequences | None
    dtype: np.dtype[np.floating]

    @property
    def lengths(self) -> Array:
        """(N,), by which mini-batches are put together."""
        return self.sequences.lengths

    def take(self, indices: Array) -> Tagged:
        """Return the examples at `indices`."""
        weights = None if self.weights is None else self.weights.take(indices)
        targets = self.targets.take(indices)
        return Tagged(self.sequences.take(indices), self.scaling, targets, weights, self.dtype)

    def batch(self, indices: Array) -> Batch:
        """Return the examples at `indices` side by side, scaled."""
        x, lengths = self.sequences.batch(indices)
        x = self.scaling.apply("X", x, self.dtype)
        targets, _ = self.targets.batch(indices)
        real = None if lengths is None else np.arange(len(x))[:, None] < lengths
        own = self.lengths[indices]
        if self.weights is None:
            return Batch(x, lengths, targets, real, float(own.sum()), len(indices))
        weights, _ = self.weights.batch(indices)
        if real is not None:
            weights = np.where(real, weights, 0.0)
        # A sequence counts for penalties what its steps count on average.
        examples = float((weights.sum(axis=0) / own).sum())
        return Batch(x, lengths, targets, weights, float(weights.sum()), examples)


def taken(values: Any, indices: Array) -> Any:
    """Return the items of an array or of sequences at `indices`."""
    return values.take(indices) if isinstance(values, Sequences) else values[indices]


def batches_of_outputs(
    network: Network, sequences: Sequences, scaling: Scaling, num_threads: int | None
) -> Iterator[tuple[Array, Array, Array | None]]:
    """Yield indices of sequences (B,), their outputs, and their lengths or None.

    Outputs are (B, O), or (T, B, O) of a network without pooling.
    """
    for chosen in _side_by_side(network, sequences):
        x, lengths = sequences.batch(chosen)
        scaled = scaling.apply("X", x, network.dtype)
        yield chosen, network(scaled, lengths, num_threads), lengths


def _side_by_side(network: Network, sequences: Sequences) -> Iterator[Array]:
    """Yield the indices of all sequences, long ones together with long ones."""
    order = np.argsort(-sequences.lengths, kind="stable")
    start = 0
    while start < len(order):
        most = int(sequences.lengths[order[start]]) * network.head.in_features
        rows = _OUTPUT_BYTES // (most * network.dtype.itemsize)
        yield order[start : start + max(rows, 1)]
        start += max(rows, 1)


def outputs_of(
    network: Network, sequences: Sequences, scaling: Scaling, num_threads: int | None
) -> Array:
    """Return the network's outputs (N, O) for all sequences."""
    outputs = np.empty((len(sequences), network.head.out_features), network.dtype)
    for chosen, own, _ in batches_of_outputs(network, sequences, scaling, num_threads):
        outputs[chosen] = own
    return outputs
