"""Reading labels from what a network trained by `ctc` says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simdrnn.losses.classes import log_softmax
from simdrnn.losses.ctc import check_blank, log_add, real_scores
from simdrnn.validate import Array, as_positive

__all__ = ["Reading", "ctc_beam_search", "ctc_greedy"]


class Reading(NamedTuple):
    """Labels that were read, (N,) integers, and the logarithm of their probability."""

    labels: Array
    score: float


def ctc_greedy(logits: Array, input_lengths: Array | None = None, *, blank: int = 0) -> list[Array]:
    """Return for each row the labels of the likeliest class at every step.

    Parameters
    ----------
    logits : (T, B, V), float32 or float64.
    input_lengths : (B,), how many of T steps are real; None is all of them.
    blank : the class that stands for no label.

    Returns
    -------
    B arrays of integers: repeats are joined and blanks left out.

    Examples
    --------
    >>> scores = np.eye(3)[[1, 1, 0, 1, 2]][:, None]  # says 1 1 - 1 2
    >>> ctc_greedy(scores)
    [array([1, 1, 2])]
    """
    scores, steps = _decidable(logits, input_lengths)
    blank = check_blank(blank, scores.shape[2])
    best = scores.argmax(axis=2)
    new = np.ones(best.shape, np.bool_)
    new[1:] = best[1:] != best[:-1]
    new &= (best != blank) & (np.arange(len(best))[:, np.newaxis] < steps)
    return [best[new[:, row], row] for row in range(best.shape[1])]


def _decidable(logits: Array, input_lengths: Array | None) -> tuple[Array, Array]:
    """Return real scores and lengths; of NaN or of two infinities none is the largest."""
    scores, steps = real_scores(logits, input_lengths)
    wrong = np.argwhere(~np.isfinite(scores.max(axis=2)))
    if wrong.size:
        step, row = wrong[0]
        raise ValueError(
            "logits: expected finite numbers, got NaN, infinity or nothing else than -infinity in "
            f"row {row} at step {step}"
        )
    return scores, steps


def ctc_beam_search(
    logits: Array,
    input_lengths: Array | None = None,
    *,
    beam_width: int = 16,
    n_best: int = 1,
    blank: int = 0,
) -> list[list[Reading]]:
    """Return for each row the likeliest labels, each over all ways to place them in time.

    Parameters
    ----------
    logits : (T, B, V), float32 or float64.
    input_lengths : (B,), how many of T steps are real; None is all of them.
    beam_width : how many beginnings are kept at each step; with all there are, it is exact.
    n_best : how many readings of each row come back, at most `beam_width`.
    blank : the class that stands for no label.

    Returns
    -------
    B lists of at most `n_best` readings, the best first: each has ``labels`` and ``score``, the
    logarithm of its probability, which the beam can only make smaller.

    Notes
    -----
    Greedy reading takes the best single placement of labels, which need not be that of the best
    labels.

    References
    ----------
    Graves and Jaitly 2014, "Towards end-to-end speech recognition with recurrent neural networks".

    Examples
    --------
    >>> scores = np.log([[[0.4, 0.35, 0.25]], [[0.4, 0.35, 0.25]]])
    >>> ctc_greedy(scores)
    [array([], dtype=int64)]
    >>> best = ctc_beam_search(scores)[0][0]
    >>> best.labels, round(float(np.exp(best.score)), 4)
    (array([1]), 0.4025)
    """
    scores, steps = _decidable(logits, input_lengths)
    blank = check_blank(blank, scores.shape[2])
    width = as_positive("beam_width", beam_width)
    wanted = as_positive("n_best", n_best)
    if wanted > width:
        raise ValueError(f"n_best: expected at most beam_width, {width}, got {wanted}")
    with np.errstate(all="ignore"):
        logarithm = log_softmax(scores)
        return [
            _search(logarithm[: steps[row], row], width, blank)[:wanted]
            for row in range(scores.shape[1])
        ]


def _search(steps: Array, width: int, blank: int) -> list[Reading]:
    """Return what one row (T, V) of logarithms reads as, best first."""
    beginnings: list[tuple[int, ...]] = [()]
    # Of each beginning: that it was said and a blank is last, and that its label is.
    paused, said = np.zeros(1), np.full(1, -np.inf)
    for step in steps:
        lasts = np.array([one[-1] if one else blank for one in beginnings])
        either = log_add(paused, said)
        longer = either[:, np.newaxis] + step
        # The same label again is another one only behind a blank; else it is the last one, held.
        rows = np.arange(len(beginnings))
        longer[rows, lasts] = paused + step[lasts]
        longer[:, blank] = -np.inf
        held = np.where(lasts == blank, -np.inf, said + step[lasts])
        places = {one: index for index, one in enumerate(beginnings)}
        for index, one in enumerate(beginnings):
            shorter = places.get(one[:-1]) if one else None
            if shorter is not None:  # two ways to the same labels
                held[index] = log_add(held[index], longer[shorter, one[-1]])
                longer[shorter, one[-1]] = -np.inf
        paused, said, beginnings = _best(either + step[blank], held, longer, beginnings, width)
    scores = log_add(paused, said)
    order = np.argsort(-scores, kind="stable")
    return [Reading(np.array(beginnings[at], np.intp), float(scores[at])) for at in order]


def _best(
    paused: Array, held: Array, longer: Array, beginnings: list[tuple[int, ...]], width: int
) -> tuple[Array, Array, list[tuple[int, ...]]]:
    """Return the best beginnings of those that stayed (N,) and those one label longer (N, V)."""
    count, classes = longer.shape
    values = np.concatenate([log_add(paused, held), longer.ravel()])
    order = np.argsort(-values, kind="stable")[:width]
    order = order[values[order] > -np.inf]
    kept: list[tuple[int, ...]] = []
    for at in order:
        before, label = divmod(int(at) - count, classes)
        kept.append(beginnings[at] if at < count else (*beginnings[before], label))
    stayed = order < count
    none = np.full(len(order), -np.inf)
    at = np.where(stayed, order, 0)
    return (
        np.where(stayed, paused[at], none),
        np.where(stayed, held[at], values[order]),
        kept,
    )
