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
    """

    inputs: Sequences
    targets: Sequences
    missing: bool = False

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
        return Batch(x, lengths, targets, lengths, share, len(indices))


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
    Windows to train on, and those held out or None. No target is in both.
    """
    inputs, targets = [], []
    spans: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    base, first = 0, max(plan.lags) - 1
    for own in series:
        rows = len(own.seen) - plan.chunk - first
        inputs.append(own.input_rows(plan, first, rows))
        targets.append(own.target_rows(plan, first, rows))
        border = rows - int(np.ceil(rows * held_out))
        spans[0].append((base, base + border))
        spans[1].append((base + border + plan.chunk - 1, base + rows))
        base += rows
    flat_inputs, flat_targets = np.concatenate(inputs), np.concatenate(targets)
    step = stride or min(max(base // _MANY_WINDOWS, 1), max(window // 2, 1))

    told = np.isfinite(flat_targets).any(axis=1)  # else a step teaches nothing

    def windows(own: list[tuple[int, int]]) -> Windows | None:
        starts, lengths = _places(own, window, step)
        if plan.missing:
            before = np.append(0, np.cumsum(told))
            some = before[starts + lengths] > before[starts]
            starts, lengths = starts[some], lengths[some]
        if not len(starts):
            return None
        of_inputs = Sequences(flat_inputs, starts, lengths)
        return Windows(of_inputs, Sequences(flat_targets, starts, lengths), plan.missing)

    training, validation = windows(spans[0]), windows(spans[1]) if held_out else None
    if not told.any():
        raise ValueError(
            "y: expected known targets after the lags, differences and horizon that are needed "
            "before them, got only missing ones there"
        )
    if training is None or (held_out and validation is None):
        raise ValueError(
            "validation_fraction: expected one that leaves steps to train on and holds some out, "
            f"got {held_out} of series with {base} steps to learn from in all"
        )
    return training, validation


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
