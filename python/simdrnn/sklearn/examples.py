"""Sequences with targets, as training takes them, and a network run over many sequences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrnn.sklearn.network import Network
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.sequences import Sequences
from simdrnn.sklearn.training import Batch
from simdrnn.validate import Array

__all__ = ["Labelled", "outputs_of"]

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
        return Batch(
            self.scaling.apply("X", x, self.dtype), lengths, self.targets[indices], weights, share
        )


def outputs_of(
    network: Network, sequences: Sequences, scaling: Scaling, num_threads: int | None
) -> Array:
    """Return the network's outputs (N, O) for all sequences, long ones together with long ones."""
    order = np.argsort(-sequences.lengths, kind="stable")
    outputs = np.empty((len(sequences), network.head.out_features), network.dtype)
    start = 0
    while start < len(order):
        most = int(sequences.lengths[order[start]]) * network.head.in_features
        rows = _OUTPUT_BYTES // (most * network.dtype.itemsize)
        chosen = order[start : start + max(rows, 1)]
        x, lengths = sequences.batch(chosen)
        outputs[chosen] = network(scaling.apply("X", x, network.dtype), lengths, num_threads)
        start += len(chosen)
    return outputs
