"""`simdrnn.beam_search`: the likeliest sequences of a model that is fed its own output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.engine.activate import activate
from simdrnn.spec.parameters import check_memory
from simdrnn.training.modules import integer_array
from simdrnn.training.trainable import Trainable, as_number
from simdrnn.validate import Array, array_of, as_callable, as_count, as_positive

__all__ = ["Hypotheses", "beam_search"]

_LARGEST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Hypotheses:
    """What `beam_search` found for B sources, K hypotheses each, the best first.

    Attributes
    ----------
    tokens : (B, K, L) int64; behind a hypothesis stands the end token.
    lengths : (B, K), tokens of each, without the end.
    scores : (B, K) float64, what they are ranked by; -inf where there were no more.
    log_probabilities : (B, K) float64, of the tokens and the end.
    ended : (B, K) bool, whether the end token came; else the hypothesis was cut off.
    """

    __module__ = "simdrnn"

    tokens: Array
    lengths: Array
    scores: Array
    log_probabilities: Array
    ended: Array

    def best(self) -> list[list[int]]:
        """Return the best hypothesis of each source, as a list of tokens."""
        pairs = zip(self.tokens[:, 0], self.lengths[:, 0], strict=True)
        return [row[:length].tolist() for row, length in pairs]


def beam_search(
    step: Callable[[Array, Any], tuple[npt.ArrayLike, Any]],
    state: Any,
    start: npt.ArrayLike,
    end: int,
    *,
    max_length: int,
    beam: int = 4,
    length_penalty: float = 0.6,
) -> Hypotheses:
    """Return the likeliest sequences of tokens, as far as a beam sees.

    At every step each of the K best unfinished hypotheses of a source is continued by every token,
    and the K best of these are kept. One that ends, and is among the K best, is done; a source is
    done with K of them, or when all hypotheses have `max_length` tokens. With ``beam=1`` that is
    greedy: the likeliest token at every step, until the end token.

    Parameters
    ----------
    step : a function ``(tokens, state) -> (logits, state)`` of integers (N,), which returns (N, V),
        float32 or float64. N is B at the first step, and B * K later, the hypotheses of a source
        side by side. A logit of -inf rules its token out.
    state : what `step` is given first, of B rows: a `DecoderState`, or what else has ``take(rows)``
        for the state of some rows; or arrays whose last axis but one is of rows, as those of layers
        are, and tuples, lists and dicts of such; or None.
    start : (B,) integers, the token that each source begins with.
    end : the token that ends a sequence.
    max_length : how many tokens a hypothesis may have, the end counted; then it is cut off.
    beam : K.
    length_penalty : alpha: with n tokens, the end counted, a score is the log-probability divided
        by ``((5 + n) / 6) ** alpha``. 0 is none; the larger, the longer the hypotheses.

    Returns
    -------
    Hypotheses, for each source those that ended before those that were cut off, by score; of equal
    ones the one that was done first, of the better parent and the lesser token. So a call has one
    result, and a source's does not depend on the others.

    Raises
    ------
    TypeError, ValueError : an argument does not fit; logits are NaN or +inf, or all -inf.

    References
    ----------
    Wu et al. 2016, arXiv:1609.08144, equation 14 (the length penalty); Graves 2012,
    arXiv:1211.3711 (beam search of sequences).

    Examples
    --------
    >>> import numpy as np
    >>> def step(tokens, state):  # a chain: 0 -> 1 or 2, 1 -> 2, 2 -> the end, 3
    ...     p = np.array([[0, 0.6, 0.4, 0], [0, 0, 1, 0], [0, 0, 0.1, 0.9], [0, 0, 0, 1]])
    ...     with np.errstate(divide="ignore"):
    ...         return np.log(p[tokens]), state
    >>> found = beam_search(step, None, [0], end=3, max_length=5, beam=2, length_penalty=0.0)
    >>> found.tokens[0, :, :2].tolist(), found.lengths.tolist()
    ([[1, 2], [2, 3]], [[2, 1]])
    >>> np.exp(found.log_probabilities).round(2).tolist()
    [[0.54, 0.36]]
    """
    tokens = _as_start(start)
    longest, width = as_positive("max_length", max_length), as_positive("beam", beam)
    penalty = _as_penalty(length_penalty, longest)
    check_memory(len(tokens) * width, beam=width)
    ahead = _as_step(step)
    search = _Search(len(tokens), width, as_count("end", end), penalty)
    given, rows = tokens.astype(np.int64), len(tokens)
    for _ in range(longest):
        if search.finished():
            break
        answer = ahead(given.copy(), state)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise TypeError(f"step: expected (logits, state) of it, got {type(answer).__name__}")
        parents, given = search.go_on(_log_probabilities(answer[0], rows))
        state, rows = taken(answer[1], parents, rows), len(given)
    return search.hypotheses()


def _as_step(step: object) -> Callable[[Array, Any], Any]:
    """Return what is given as `step`; models and layers of ours take whole sequences."""
    expected = "a function (tokens, state) -> (logits, state)"
    if isinstance(step, Trainable) and type(step).__module__.split(".")[0] == "simdrnn":
        raise TypeError(
            f"step: expected {expected}, got {type(step).__name__}, which takes whole sequences"
        )
    return as_callable("step", step, expected)


def _as_start(start: object) -> Array:
    """Return the tokens that sources begin with, which int64 can hold."""
    tokens = integer_array("start", start)
    if tokens.ndim != 1:
        raise ValueError(f"start: expected shape (B,), got {tokens.shape}")
    if tokens.size and tokens.max() > _LARGEST:
        raise ValueError(f"start: expected integers of at most {_LARGEST}, got {tokens.max()}")
    return tokens


def _as_penalty(value: object, longest: int) -> float:
    """Return the length penalty, if what it divides by is finite however long a hypothesis is."""
    penalty = as_number("length_penalty", value)
    try:
        ((5.0 + min(longest, _LARGEST)) / 6.0) ** penalty
    except OverflowError:
        raise ValueError(
            "length_penalty: expected a number for which ((5 + max_length) / 6) ** length_penalty "
            f"is finite, got {value!r}"
        ) from None
    return penalty


class _Search:
    """The hypotheses of all sources: K unfinished ones each, and those that are done."""

    def __init__(self, sources: int, beam: int, end: int, penalty: float) -> None:
        self._beam, self._end, self._penalty = beam, end, penalty
        self._length = 0
        self._totals = np.zeros((sources, 1))
        self._tokens = np.empty((sources, 1, 0), np.int64)
        self._done: list[list[tuple[float, float, list[int], bool]]] = [[] for _ in range(sources)]
        self._open = np.ones(sources, bool)

    def finished(self) -> bool:
        """Tell whether no source has anything to go on with."""
        return not self._open.any()

    def _score(self, total: float, count: int) -> float:
        """Return what a hypothesis of so many tokens is ranked by."""
        return float(total / ((5.0 + count) / 6.0) ** self._penalty)

    def go_on(self, log_p: Array) -> tuple[Array, Array]:
        """Continue all hypotheses by (B * each, V) log-probabilities; return parents and tokens.

        Parents are rows of what was given, one for each hypothesis that is kept.
        """
        sources, each = self._totals.shape
        vocabulary = log_p.shape[1]
        if self._end >= vocabulary:
            raise ValueError(f"end: expected an integer in [0, {vocabulary}), got {self._end}")
        totals = self._totals[:, :, None] + log_p.reshape(sources, each, vocabulary)
        parents = np.zeros((sources, self._beam), np.int64)
        tokens = np.full((sources, self._beam), self._end, np.int64)
        after = np.full((sources, self._beam), -np.inf)
        for source in np.flatnonzero(self._open).tolist():
            kept = self._continue(source, totals[source])
            for place, (parent, token, total) in enumerate(kept):
                parents[source, place], tokens[source, place] = parent, token
                after[source, place] = total
            self._open[source] = len(kept) > 0 and len(self._done[source]) < self._beam
        chosen = np.take_along_axis(self._tokens, parents[:, :, None], axis=1)
        self._tokens = np.concatenate([chosen, tokens[:, :, None]], axis=2)
        self._totals = after
        self._length += 1
        rows = parents + np.arange(sources)[:, None] * each
        return rows.reshape(-1), tokens.reshape(-1)

    def _continue(self, source: int, totals: Array) -> list[tuple[int, int, float]]:
        """Return parent, token and total of the hypotheses of a source that go on."""
        flat, vocabulary = totals.reshape(-1), totals.shape[1]
        kept: list[tuple[int, int, float]] = []
        for rank, place in enumerate(best_places(flat, 2 * self._beam)):
            parent, token = divmod(int(place), vocabulary)
            total = float(flat[place])
            if token == self._end:
                if rank < self._beam:
                    self._finish(source, parent, total, ended=True)
            elif len(kept) < self._beam:
                kept.append((parent, token, total))
        return kept

    def _finish(self, source: int, parent: int, total: float, *, ended: bool) -> None:
        """Keep a hypothesis that is done."""
        count = self._length + int(ended)
        told = self._tokens[source, parent].tolist()
        self._done[source].append((self._score(total, count), total, told, ended))

    def hypotheses(self) -> Hypotheses:
        """Return the best of each source; what is unfinished yet is cut off."""
        for source in np.flatnonzero(self._open).tolist():
            for parent, total in enumerate(self._totals[source].tolist()):
                if self._length and total > -np.inf:
                    self._finish(source, parent, total, ended=False)
        shape = (len(self._done), self._beam)
        tokens = np.full((*shape, self._length), self._end, np.int64)
        lengths, ended = np.zeros(shape, np.int64), np.zeros(shape, bool)
        scores, totals = np.full(shape, -np.inf), np.full(shape, -np.inf)
        for source, done in enumerate(self._done):
            ranked = sorted(done, key=lambda one: (not one[3], -one[0]))[: self._beam]
            for place, (score, total, told, whole) in enumerate(ranked):
                at = source, place
                tokens[at][: len(told)], lengths[at] = told, len(told)
                scores[at], totals[at], ended[at] = score, total, whole
        longest = int(lengths.max(initial=0))
        return Hypotheses(tokens[:, :, :longest], lengths, scores, totals, ended)


def best_places(values: Array, count: int) -> Array:
    """Return the places of the largest finite values, the first of equal ones first.

    Examples
    --------
    >>> best_places(np.array([1.0, 3.0, -np.inf, 3.0, 2.0]), 3).tolist()
    [1, 3, 4]
    """
    places = np.flatnonzero(values > -np.inf)
    if len(places) > count:
        least = np.partition(values[places], len(places) - count)[len(places) - count]
        places = places[values[places] >= least]
    order = np.argsort(-values[places], kind="stable")
    return np.asarray(places[order][:count])


def _log_probabilities(logits: npt.ArrayLike, rows: int) -> Array:
    """Return the logarithms of the softmax of logits (N, V), in float64."""
    array = array_of("step", logits, "logits of float32 or float64")
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"step: expected logits of float32 or float64, got {array.dtype}")
    if array.ndim != 2 or len(array) != rows or not array.shape[1]:
        raise ValueError(f"step: expected logits of shape (N, V) = ({rows}, V), got {array.shape}")
    wide = array.astype(np.float64)
    most = wide.max(axis=1, keepdims=True)
    if not np.isfinite(most).all():
        row = int(np.flatnonzero(~np.isfinite(most[:, 0]))[0])
        raise ValueError(
            f"step: expected finite logits, got NaN, infinity or nothing else than -infinity in "
            f"row {row}"
        )
    largest = activate("softmax", wide).max(axis=1, keepdims=True)
    return np.asarray(wide - most + np.log(largest))


def taken(state: Any, rows: Array, before: int) -> Any:
    """Return the state of some rows, of `before` that there are."""
    if state is None:
        return None
    if hasattr(state, "take") and not isinstance(state, np.ndarray):
        return state.take(rows)
    if isinstance(state, dict):
        return {name: taken(one, rows, before) for name, one in state.items()}
    if isinstance(state, (tuple, list)):
        each = [taken(one, rows, before) for one in state]
        if hasattr(state, "_fields"):
            return type(state)(*each)
        return type(state)(each)
    array = array_of("state", state, "arrays")
    if array.ndim < 2 or array.shape[-2] != before:
        raise ValueError(
            f"state: expected arrays (..., N, H) of N = {before} rows, or what has take(rows), "
            f"got shape {array.shape}"
        )
    return array[..., rows, :]
