"""Connectionist temporal classification: labels whose places in time nobody told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrnn.losses.base import Loss, Weighing, single_integer
from simdrnn.losses.classes import log_softmax
from simdrnn.training.modules import check_range, integer_array
from simdrnn.training.trainable import as_floats
from simdrnn.validate import Array, as_bool, as_lengths

__all__ = ["check_blank", "ctc", "log_add", "real_scores"]


def ctc(
    logits: Array,
    targets: Array,
    input_lengths: Array | None = None,
    target_lengths: Array | None = None,
    *,
    blank: int = 0,
    zero_infinity: bool = False,
    mask: Array | None = None,
    weights: Array | None = None,
) -> Loss:
    """Mean of what the labels of a sequence are worth, over all ways to place them in time.

    Each step says one of V classes under ``softmax(logits)``. What is said is read by joining what
    repeats and leaving out blanks; the loss is minus the logarithm of the probability that it reads
    as the targets.

    Parameters
    ----------
    logits : (T, B, V), float32 or float64, not normalised.
    targets : (B, S), integers in [0, V) other than `blank`, padded with anything.
    input_lengths : (B,), how many of T steps are real; None is all of them.
    target_lengths : (B,), how many of S labels are real; None is all of them.
    blank : the class that stands for no label.
    zero_infinity : what to do with a row that has fewer steps than its labels need, which are one
        each and one more between two that are the same. False refuses it; True makes its loss and
        its gradient 0, as it does if classes are ruled out by logits of -inf.
    mask : (B,), bool, True where the row is real; None is all of them.
    weights : (B,), floats, 0 or more: the mean is weighted by them.

    Returns
    -------
    A `Loss`; its ``backward()`` has the shape and dtype of `logits`, and is 0 behind the lengths.

    Raises
    ------
    TypeError, ValueError : an argument is of another type, shape or range; or a row is too short.

    Notes
    -----
    A row's loss is divided by the number of its labels (by 1 where there are none), and the mean is
    taken over rows: what `torch.nn.functional.ctc_loss` makes of ``log_softmax(logits)`` with
    ``reduction="mean"``. Forward and backward variables are logarithms in float64, all rows at
    once.

    References
    ----------
    Graves, Fernandez, Gomez and Schmidhuber 2006, "Connectionist temporal classification".

    Examples
    --------
    >>> loss = ctc(np.zeros((2, 1, 3)), np.array([[1]]))  # 1 1, 1 - and - 1 of nine
    >>> round(loss.value, 6)
    1.098612
    >>> loss.backward()[:, 0].round(6)
    array([[ 0.      , -0.333333,  0.333333],
           [ 0.      , -0.333333,  0.333333]])
    """
    scores, steps = real_scores(logits, input_lengths)
    blank = check_blank(blank, scores.shape[2])
    weighing = Weighing.of((scores.shape[1],), mask, weights)
    zero = as_bool("zero_infinity", zero_infinity)
    labels, counts = _labels(targets, target_lengths, scores, blank, weighing.real)
    steps = np.where(weighing.real, steps, 0)
    lattice = _Lattice.of(scores, labels, steps, counts, blank)
    if not zero:
        _check_long_enough(labels, counts, steps, weighing.real)

    with np.errstate(all="ignore"):
        forward = lattice.forward()
        likelihood = lattice.likelihood(forward)
        terms = -likelihood / np.maximum(counts, 1)
    impossible = np.isneginf(likelihood)
    if zero:
        terms = np.where(impossible, 0.0, terms)

    def gradient(d_value: float) -> Array:
        with np.errstate(all="ignore"):
            slopes = lattice.slopes(forward, likelihood) / np.maximum(counts, 1)[:, np.newaxis]
        if zero:
            slopes[:, impossible] = 0.0
        by_rows = weighing.gradient(slopes.transpose(1, 0, 2), scores.dtype, d_value)
        found = np.ascontiguousarray(by_rows.transpose(1, 0, 2))
        found[np.arange(len(found))[:, np.newaxis] >= steps] = 0.0
        return found

    return Loss(weighing.mean(terms), gradient)


@dataclass(frozen=True, slots=True, eq=False)
class _Lattice:
    """The states that a row can be in: its labels, with blanks before, between and behind.

    Attributes
    ----------
    log_probability : (T, B, V), of the classes.
    states : (B, L), each state's class; L = 2 S + 1.
    emitted : (T, B, L), the logarithm of the probability that a state says its class.
    leaps : (B, L), 0 where a state may be reached from two before, else -inf.
    steps, counts : (B,), how many steps and labels each row has.
    """

    log_probability: Array
    states: Array
    emitted: Array
    leaps: Array
    steps: Array
    counts: Array

    @classmethod
    def of(cls, scores: Array, labels: Array, steps: Array, counts: Array, blank: int) -> _Lattice:
        """Lay out the states of labels (B, S)."""
        batch, most = labels.shape
        states = np.full((batch, 2 * most + 1), blank, np.intp)
        states[:, 1::2] = labels
        leaps = np.full(states.shape, -np.inf)
        leaps[:, 3::2] = np.where(labels[:, 1:] != labels[:, :-1], 0.0, -np.inf)
        with np.errstate(all="ignore"):
            logarithm = log_softmax(scores)
        emitted = np.take_along_axis(logarithm, states[np.newaxis], axis=2)
        return cls(logarithm, states, emitted, leaps, steps, counts)

    def forward(self) -> Array:
        """Return (T + 1, B, L): of having said so much and being there; 0 is before any step."""
        length, batch, states = self.emitted.shape
        found = np.full((length + 1, batch, states + 2), -np.inf)
        # Before the first step a row is where the first blank and the first label can be reached.
        found[0, :, 1] = 0.0
        for step in range(length):
            before = found[step]
            stays = before[:, 2:]
            moved = before[:, 1:-1]
            leapt = before[:, :-2] + self.leaps
            reached = log_add(log_add(stays, moved), leapt)
            if step == 0:
                reached[:, 1:2] = 0.0
            found[step + 1, :, 2:] = reached + self.emitted[step]
        return found[:, :, 2:]

    def likelihood(self, forward: Array) -> Array:
        """Return (B,), the logarithm of the probability of each row's labels."""
        rows = np.arange(len(self.steps))
        last = forward[self.steps, rows]
        behind = np.take_along_axis(last, 2 * self.counts[:, np.newaxis], axis=1)[:, 0]
        label = np.maximum(2 * self.counts - 1, 0)[:, np.newaxis]
        at = np.take_along_axis(last, label, axis=1)[:, 0]
        found = log_add(behind, np.where(self.counts > 0, at, -np.inf))
        # Without a step nothing is said, which is right where there is nothing to say.
        nothing = np.where(self.counts == 0, 0.0, -np.inf)
        return np.where(self.steps == 0, nothing, found)

    def slopes(self, forward: Array, likelihood: Array) -> Array:
        """Return (T, B, V), the slopes of minus `likelihood` for the scores."""
        length, batch, states = self.emitted.shape
        classes = self.log_probability.shape[2]
        places = np.arange(states)
        ends = np.abs(2 * self.counts[:, np.newaxis] - 0.5 - places) < 1.0  # the last two states
        last = np.where(ends, 0.0, -np.inf)
        leaps = np.full((batch, states + 2), -np.inf)
        leaps[:, :states] = self.leaps
        following = np.full((batch, states + 2), -np.inf)
        held = np.empty((length, batch, states))
        for step in reversed(range(length)):
            stays, moves = following[:, :-2], following[:, 1:-1]
            left = log_add(log_add(stays, moves), following[:, 2:] + leaps[:, 2:])
            left = np.where(np.equal(self.steps - 1, step)[:, np.newaxis], last, left)
            held[step] = forward[step + 1] + left - likelihood[:, np.newaxis]
            following[:, :-2] = left + self.emitted[step]
        rows = np.arange(length * batch).reshape(length, batch, 1) * classes
        share = np.bincount(
            (rows + self.states).ravel(), np.exp(held).ravel(), length * batch * classes
        )
        found: Array = np.exp(self.log_probability) - share.reshape(length, batch, classes)
        return found


def log_add(one: Array, other: Array) -> Array:
    """Return ``log(exp(one) + exp(other))``, where -inf is the logarithm of 0."""
    most = np.maximum(one, other)
    least = np.minimum(one, other)
    found: Array = np.where(np.isneginf(least), most, most + np.log1p(np.exp(least - most)))
    return found


def real_scores(logits: Array, input_lengths: Array | None) -> tuple[Array, Array]:
    """Return logits (T, B, V), with zeros where no step is real, and lengths (B,)."""
    scores = as_floats("logits", logits)
    if scores.ndim != 3 or scores.shape[2] == 0:
        raise ValueError(f"logits: expected shape (T, B, V) with V >= 1, got {scores.shape}")
    length, batch, _ = scores.shape
    if input_lengths is None:
        return scores, np.full(batch, length)
    steps = as_lengths(input_lengths, length, batch, name="input_lengths")
    padding = np.arange(length)[:, np.newaxis] >= steps
    return np.where(padding[..., np.newaxis], scores.dtype.type(0), scores), steps


def check_blank(blank: object, classes: int) -> int:
    """Return the number of the blank, if it is one of the classes."""
    return int(check_range("blank", single_integer("blank", blank), classes))


def _labels(
    targets: object, lengths: object, scores: Array, blank: int, real: Array
) -> tuple[Array, Array]:
    """Return labels (B, S), blanks where they are padding, and how many there are (B,)."""
    _, batch, classes = scores.shape
    given = integer_array("targets", targets)
    if given.ndim != 2 or len(given) != batch:
        raise ValueError(f"targets: expected shape (B, S) = ({batch}, S), got {given.shape}")
    most = given.shape[1]
    counts = (
        np.full(batch, most)
        if lengths is None
        else as_lengths(lengths, most, batch, "S", "target_lengths")
    )
    counts = np.where(real, counts, 0)
    held = np.arange(most) < counts[:, np.newaxis]
    check_range("targets", given[held], classes)
    if (given[held] == blank).any():
        raise ValueError(f"targets: expected labels other than the blank, got {blank}")
    return np.where(held, given, blank).astype(np.intp), counts


def _check_long_enough(labels: Array, counts: Array, steps: Array, real: Array) -> None:
    """Raise if a row has fewer steps than its labels need."""
    held = np.arange(1, labels.shape[1]) < counts[:, np.newaxis]
    needed = counts + ((labels[:, 1:] == labels[:, :-1]) & held).sum(axis=1)
    short = np.flatnonzero((steps < needed) & real)
    if short.size:
        row = short[0]
        raise ValueError(
            f"input_lengths: expected at least {needed[row]} steps for the {counts[row]} labels of "
            f"row {row}, got {steps[row]}; zero_infinity=True leaves such rows out"
        )
