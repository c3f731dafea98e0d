"""A linear-chain conditional random field: tags of a sequence that are chosen together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.layers.gradients import Gradients
from simdrnn.layers.parametrised import Parametrised
from simdrnn.losses.base import Weighing
from simdrnn.losses.chain import Chain
from simdrnn.spec.parameters import ParameterSpec, check_memory
from simdrnn.training.modules import check_range, integer_array
from simdrnn.validate import (
    Array,
    as_array,
    as_dtype,
    as_finite_number,
    as_flags,
    as_lengths,
    as_positive,
    as_seed,
)

__all__ = ["CRF", "CRFTape"]


class CRF(Parametrised):
    """A linear-chain conditional random field on top of a network's scores of tags.

    Where softmax chooses each step's tag alone, this chooses all tags of a sequence together: a
    sequence's score is the sum of its steps' scores, of a learned number for each pair of tags that
    follow one another, and of learned numbers for the first tag and the last.

    Parameters
    ----------
    num_tags : K.
    dtype : float32 or float64, of the parameters and the scores.
    seed : non-negative integer that fixes the initial values, or None for different ones.

    Attributes
    ----------
    transitions : (K, K), from the row's tag to the column's. What is -inf is ruled out for ever:
        it gets no gradient.
    start, end : (K,), for the first tag and the last. All start uniform in ±0.1.

    Notes
    -----
    Everything is computed as logarithms in float64.

    References
    ----------
    Lafferty, McCallum and Pereira 2001, "Conditional random fields"; on recurrent networks, Huang,
    Xu and Yu 2015, "Bidirectional LSTM-CRF models for sequence tagging", arXiv:1508.01991.

    Examples
    --------
    >>> crf = CRF(3, seed=0)
    >>> scores = np.zeros((4, 2, 3), "float32")  # (T, B, K)
    >>> tape = crf.record(scores, np.zeros((4, 2), int), lengths=np.array([4, 2]))
    >>> round(tape.value, 2)
    1.04
    >>> grads = tape.backward()
    >>> grads.x.shape, grads.params["transitions"].shape
    ((4, 2, 3), (3, 3))
    >>> crf.decode(scores, lengths=np.array([4, 2])).shape
    (4, 2)
    """

    num_tags: int
    transitions: Array
    start: Array
    end: Array

    def __init__(
        self, num_tags: int, *, dtype: npt.DTypeLike = "float32", seed: int | None = None
    ) -> None:
        self.num_tags = count = as_positive("num_tags", num_tags)
        check_memory(count * count, num_tags=count)
        self.dtype = as_dtype(dtype)
        specs = [
            ParameterSpec("transitions", ("K", "K"), (count, count)),
            ParameterSpec("start", ("K",), (count,)),
            ParameterSpec("end", ("K",), (count,)),
        ]
        rng = np.random.default_rng(as_seed(seed))
        self._own_parameters(
            specs, lambda: {spec.name: rng.uniform(-0.1, 0.1, spec.shape) for spec in specs}
        )

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, less the seed of the initial values."""
        return {"num_tags": self.num_tags, "dtype": self.dtype.name}

    def __repr__(self) -> str:
        """Show the constructor's arguments that are not the default, as the layers do."""
        dtype = "" if self.dtype == np.float32 else f", dtype={self.dtype}"
        return f"CRF({self.num_tags}{dtype})"

    def record(
        self,
        scores: Array,
        tags: Array,
        *,
        lengths: Array | None = None,
        mask: Array | None = None,
        weights: Array | None = None,
    ) -> CRFTape:
        """Return the loss of tags, the mean of minus their log-likelihood over real steps.

        Parameters
        ----------
        scores : (T, B, K) in the dtype of the parameters.
        tags : (T, B), integers in [0, K); not looked at where a step is not real.
        lengths : (B,), how many of T steps are real; None is all of them.
        mask : (T, B), bool, True where the step is real; None is all of them. Tags follow one
            another over what it leaves out, wherever that is.
        weights : (B,), floats, 0 or more: how much the steps of a row count in the mean.

        Returns
        -------
        A tape with the loss as ``value`` and with ``backward``.

        Raises
        ------
        TypeError, ValueError : an argument is of another type, shape or range.
        """
        chain = self._chain(scores, lengths, mask)
        real = chain.real
        chosen = integer_array("tags", tags)
        if chosen.shape != real.shape:
            raise ValueError(f"tags: expected shape (T, B) = {real.shape}, got {chosen.shape}")
        check_range("tags", chosen[real], self.num_tags)
        rows = Weighing.of((real.shape[1],), real.any(axis=0), weights).weight
        total = math.fsum(rows * real.sum(axis=0))
        share = rows / total if total > 0 else np.zeros_like(rows)
        known = np.where(real, chosen, 0).astype(np.intp)
        with np.errstate(all="ignore"):
            surprise = chain.partition() - chain.score(known)
            value = float(np.where(share > 0, surprise * share, 0.0).sum())
        return CRFTape(value, chain, known, share, self.dtype)

    def decode(
        self, scores: Array, *, lengths: Array | None = None, mask: Array | None = None
    ) -> Array:
        """Return the tags of each row whose score is highest, found by Viterbi's algorithm.

        Parameters
        ----------
        scores : (T, B, K) in the dtype of the parameters.
        lengths, mask : as in `record`.

        Returns
        -------
        (T, B), int64; -1 where a step is not real.
        """
        chain = self._chain(scores, lengths, mask)
        wrong = np.argwhere(np.isnan(chain.unary).any(axis=2))
        if wrong.size:
            step, row = wrong[0]
            raise ValueError(f"scores: expected numbers, got NaN in row {row} at step {step}")
        with np.errstate(all="ignore"):
            return chain.best()

    def __call__(
        self, scores: Array, *, lengths: Array | None = None, mask: Array | None = None
    ) -> Array:
        """Return what `decode` does for `scores` (T, B, K), `lengths` and `mask`: tags (T, B)."""
        return self.decode(scores, lengths=lengths, mask=mask)

    def marginals(
        self, scores: Array, *, lengths: Array | None = None, mask: Array | None = None
    ) -> Array:
        """Return the probability of each tag at each step, over all sequences of tags.

        Parameters
        ----------
        scores : (T, B, K) in the dtype of the parameters.
        lengths, mask : as in `record`.

        Returns
        -------
        (T, B, K) in the dtype of `scores`; 0 where a step is not real.
        """
        with np.errstate(all="ignore"):
            return self._chain(scores, lengths, mask).expected(None)[0].astype(self.dtype)

    def _chain(self, scores: Array, lengths: object, mask: object) -> Chain:
        """Return the scores of all sequences of tags, with the parameters of now."""
        found = as_array("scores", scores, self.dtype)
        if found.ndim != 3 or found.shape[2] != self.num_tags:
            wanted = f"(T, B, K) = (T, B, {self.num_tags})"
            raise ValueError(f"scores: expected shape {wanted}, got {found.shape}")
        steps, batch = found.shape[:2]
        real = np.ones((steps, batch), np.bool_)
        if mask is not None:
            real &= as_flags("mask", mask, ("T", "B"), (steps, batch))
        if lengths is not None:
            real &= np.arange(steps)[:, np.newaxis] < as_lengths(lengths, steps, batch)
        own = {name: array.astype(np.float64) for name, array in self._own.copies().items()}
        unary = np.where(real[..., np.newaxis], found, 0.0).astype(np.float64)
        return Chain(unary, real, own["transitions"], own["start"], own["end"])


@dataclass(frozen=True, slots=True, eq=False)
class CRFTape:
    """A recorded loss of a `CRF`, with copies of all that it needs.

    Attributes
    ----------
    value : minus the log-likelihood of the tags per real step, in nats; 0.0 where none is real.
    """

    value: float
    _chain: Chain
    _tags: Array
    _share: Array
    _dtype: np.dtype[Any]

    def __float__(self) -> float:
        """Return `value`."""
        return self.value

    def backward(self, d_value: float = 1.0) -> Gradients:
        """Return ``d_value`` times the gradients of `value`; may be called more than once.

        ``x`` is that of the scores, (T, B, K), exactly 0 where a step is not real; ``params`` has
        those of ``transitions``, ``start`` and ``end``.
        """
        share = self._share * as_finite_number("d_value", d_value)
        with np.errstate(all="ignore"):
            d_scores, params = self._chain.expected(share)
        known, known_params = self._chain.counted(self._tags, share)
        d_scores = np.where(share[:, np.newaxis] != 0, d_scores * share[:, np.newaxis] - known, 0.0)
        return Gradients(
            d_scores.astype(self._dtype),
            None,
            {
                name: (array - known_params[name]).astype(self._dtype)
                for name, array in params.items()
            },
        )
