"""From series to what a network is trained on: windows, with targets at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simdrnn.sklearn.plan import Plan
from simdrnn.sklearn.preparation import Prepared
from simdrnn.sklearn.sequences import Sequences
from simdrnn.sklearn.training import Batch
from simdrnn.validate import Array

__all__ = ["Windows", "cut"]

# Windows that training aims at: less overlap in a long series, where every step is seen often
# enough anyway.
_MANY_WINDOWS = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Examples for `simdrnn.sklearn.training`: pieces of series, with targets at every step.

    Attributes
    ----------
    inputs, targets : in the network's dtype; cut at the same places.
    missing : whether some targets may be missing. They are NaN, and so is what follows the end of
        a shorter window.
    weights : float64, what each target counts, of the form of `targets`; or None for equal ones.
    """

    inputs: Sequences
    targets: Sequences
    missing: bool = False
    weights: Sequences | None = None

    @property
    def lengths(self) -> Array:
        """(N,), by which mini-batches are put together."""
        return self.inputs.lengths

    def batch(self, indices: Array) -> Batch:
        """Return windows side by side."""
        x, lengths = self.inputs.batch(indices)
        targets, _ = self.targets.batch(indices)
        share = float(self.lengths[indices].sum())
        if self.missing:
            if lengths is not None:
                targets[np.arange(len(x))[:, None] >= lengths] = np.nan
            share = float(np.count_nonzero(np.isfinite(targets))) / targets.shape[2]
        if self.weights is None:
            return Batch(x, lengths, targets, lengths, share, len(indices))
        weights, _ = self.weights.batch(indices)
        if lengths is not None:
            weights[np.arange(len(x))[:, None] >= lengths] = 0.0
        weights[~np.isfinite(targets)] = 0.0
        # A window counts for penalties what its targets that count do on average.
        sums, counts = weights.sum(axis=(0, 2)), np.count_nonzero(weights, axis=(0, 2))
        share = float(sums.sum()) / targets.shape[2]
        return Batch(x, lengths, targets, weights, share, float((sums / counts).sum()))


def cut(
    plan: Plan, series: Sequence[Prepared], *, window: int, stride: int | None, held_out: float
) -> tuple[Windows, Windows | None]:
    """Cut series into windows.

    Parameters
    ----------
    series : prepared.
    window : steps of one, at most.
    stride : steps from one to the next; None chooses.
    held_out : the part at the end of every series that goes into windows of its own; 0 is none.

    Returns
    -------
    Windows to train on, and those held out or None. No target is in both. What follows the last
    step of a series that counts is in none, and no window is without a target that counts.
    """
    spans: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    base, first = 0, max(plan.lags) - 1
    taught: list[tuple[Prepared, int]] = []
    for own in series:
        rows = own.taught - plan.chunk - first
        if rows < 1:
            continue
        taught.append((own, rows))
        border = rows - int(np.ceil(rows * held_out))
        spans[0].append((base, base + border))
        spans[1].append((base + border + plan.chunk - 1, base + rows))
        base += rows
    rows_of = _Rows.of(plan, taught, first)
    step = stride or min(max(base // _MANY_WINDOWS, 1), max(window // 2, 1))
    training = rows_of.windows(spans[0], window, step)
    validation = rows_of.windows(spans[1], window, step) if held_out else None
    if training is None or (held_out and validation is None):
        raise ValueError(
            "validation_fraction: expected one that leaves steps to train on and holds some out, "
            f"got {held_out} of series with {base} steps to learn from in all{rows_of.of_weight}"
        )
    return training, validation


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What a network is given and is to tell at all steps of all series, one after the other.

    Attributes
    ----------
    inputs, targets, weights : (M, ...), the last None for equal ones.
    missing : whether targets may be.
    """

    inputs: Array
    targets: Array
    weights: Array | None
    missing: bool

    @classmethod
    def of(cls, plan: Plan, taught: Sequence[tuple[Prepared, int]], first: int) -> _Rows:
        """Make so many rows of each series, the first of which is of the step `first`."""
        weighted = bool(taught) and taught[0][0].weights is not None
        if not taught:
            raise _nothing_to_learn(weighted=True)
        made = cls(
            np.concatenate([own.input_rows(plan, first, rows) for own, rows in taught]),
            np.concatenate([own.target_rows(plan, first, rows) for own, rows in taught]),
            np.concatenate([own.weight_rows(plan, first, rows) for own, rows in taught])
            if weighted else None,
            plan.missing,
        )  # fmt: skip
        if not made.told.any():
            raise _nothing_to_learn(weighted)
        return made

    @property
    def told(self) -> Array:
        """(M,), whether there is a target that counts; else a step teaches nothing."""
        known = np.isfinite(self.targets)
        return np.asarray((known if self.weights is None else known & (self.weights > 0)).any(1))

    @property
    def of_weight(self) -> str:
        """What a message adds where some steps may have no weight."""
        return "" if self.weights is None else ", both of them with a weight above zero"

    def windows(self, spans: list[tuple[int, int]], window: int, stride: int) -> Windows | None:
        """Return windows that cover `spans`, without those in which no target counts."""
        starts, lengths = _places(spans, window, stride)
        if self.missing or self.weights is not None:
            before = np.append(0, np.cumsum(self.told))
            some = before[starts + lengths] > before[starts]
            starts, lengths = starts[some], lengths[some]
        if not len(starts):
            return None
        weights = None if self.weights is None else Sequences(self.weights, starts, lengths)
        inputs, targets = (Sequences(rows, starts, lengths) for rows in (self.inputs, self.targets))
        return Windows(inputs, targets, self.missing, weights)


def _nothing_to_learn(weighted: bool) -> ValueError:
    what = "known targets with a weight above zero" if weighted else "known targets"
    instead = "none" if weighted else "only missing ones"
    return ValueError(
        f"{'sample_weight' if weighted else 'y'}: expected {what} after the lags, differences and "
        f"horizon that are needed before them, got {instead} there"
    )


def _places(spans: list[tuple[int, int]], window: int, stride: int) -> tuple[Array, Array]:
    """Return starts and lengths of windows that cover all rows of every span."""
    starts: list[int] = []
    lengths: list[int] = []
    for begin, end in spans:
        size = min(window, end - begin)
        if size < 1:
            continue
        own = list(range(begin, end - size + 1, stride))
        own += [end - size] if own[-1] != end - size else []
        starts += own
        lengths += [size] * len(own)
    return np.array(starts, int), np.array(lengths, int)
