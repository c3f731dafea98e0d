"""From series to what a network sees: differences, scales, lags, windows; and back."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.sequences import Sequences
from simdrnn.sklearn.training import Batch
from simdrnn.validate import Array, as_count, as_positive, check_choice

__all__ = ["Plan", "Windows", "cut"]

# Windows that training aims at: less overlap in a long series, where every step is seen often
# enough anyway.
_MANY_WINDOWS = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes in and out at every step.

    After step t of the (differenced, scaled) series z, the network is given z[t + 1 - lag] for
    every lag and the features of the steps t + 1 to t + chunk, and tells z[t + 1] to z[t + chunk].

    Attributes
    ----------
    lags : 1 is the last known step.
    chunk : steps told at once.
    difference : how many times differences are taken.
    targets, features : C and F.
    horizon : steps of a forecast unless others are asked for.
    """

    lags: tuple[int, ...]
    chunk: int
    difference: int
    targets: int
    features: int
    horizon: int

    @classmethod
    def of(cls, estimator: Any, targets: int, features: int) -> Plan:
        """Check the arguments of a forecaster of C targets and F features."""
        horizon = as_positive("horizon", estimator.horizon)
        check_choice("strategy", estimator.strategy, ("recursive", "direct"))
        lags = estimator.lags
        if isinstance(lags, numbers.Integral):
            chosen = tuple(range(1, as_positive("lags", lags) + 1))
        elif isinstance(lags, (Sequence, np.ndarray)) and not isinstance(lags, str) and len(lags):
            chosen = tuple(as_positive(f"lags[{k}]", lag) for k, lag in enumerate(lags))
        else:
            raise TypeError(f"lags: expected a positive integer or a list of such, got {lags!r}")
        if len(set(chosen)) < len(chosen):
            raise ValueError(f"lags: expected each lag once, got {lags!r}")
        chunk = horizon if estimator.strategy == "direct" else 1
        difference = as_count("difference", estimator.difference)
        return cls(chosen, chunk, difference, targets, features, horizon)

    @property
    def inputs(self) -> int:
        """I of the network."""
        return len(self.lags) * self.targets + self.chunk * self.features

    @property
    def outputs(self) -> int:
        """O of the network."""
        return self.chunk * self.targets

    @property
    def least_history(self) -> int:
        """Steps that have to be known before the first forecast."""
        return self.difference + max(self.lags)

    def differenced(self, values: Array) -> Array:
        """Return the differences of (T, C) that are modelled: (T - difference, C)."""
        return np.diff(values, n=self.difference, axis=0)

    def integrated(self, history: Array, forecast: Array) -> Array:
        """Undo `differenced` for what follows `history` (T, C): (h, C) -> (h, C)."""
        for order in reversed(range(self.difference)):
            last = np.diff(history, n=order, axis=0)[-1]
            forecast = last + np.cumsum(forecast, axis=0)
        return forecast

    def input_rows(self, z: Array, x: Array | None, first: int, count: int) -> Array:
        """Return what the network is given after steps `first` and the next: (..., count, I).

        Parameters
        ----------
        z : (..., T, C).
        x : (..., T', F), up to step ``first + count - 1 + chunk`` at least; None is no features.
        """
        parts = [z[..., first + 1 - lag : first + 1 - lag + count, :] for lag in self.lags]
        if x is not None:
            ahead = range(first + 1, first + 1 + self.chunk)
            parts += [x[..., start : start + count, :] for start in ahead]
        return np.concatenate(parts, axis=-1)

    def target_rows(self, z: Array, first: int, count: int) -> Array:
        """Return what the network is to tell after steps `first` and the next: (count, O)."""
        ahead = range(first + 1, first + 1 + self.chunk)
        return np.concatenate([z[start : start + count] for start in ahead], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Examples for `simdrnn.sklearn.training`: pieces of series, with targets at every step.

    Attributes
    ----------
    inputs, targets : in the network's dtype; cut at the same places.
    """

    inputs: Sequences
    targets: Sequences

    @property
    def lengths(self) -> Array:
        """(N,), by which mini-batches are put together."""
        return self.inputs.lengths

    def batch(self, indices: Array) -> Batch:
        """Return windows side by side."""
        x, lengths = self.inputs.batch(indices)
        targets, _ = self.targets.batch(indices)
        share = float(self.lengths[indices].sum())
        return Batch(x, lengths, targets, lengths, share)


def cut(
    plan: Plan,
    series: Sequence[Array],
    features: Sequence[Array] | None,
    scalings: Sequence[Scaling],
    dtype: np.dtype[Any],
    *,
    window: int,
    stride: int | None,
    held_out: float,
) -> tuple[Windows, Windows | None]:
    """Cut series into windows.

    Parameters
    ----------
    series : (T_i, C) of each, in its own units.
    features : (T_i, F) of each, scaled; or None.
    scalings : of each.
    dtype : of the network.
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
    for index, (values, scaling) in enumerate(zip(series, scalings, strict=True)):
        z = scaling.apply("y", plan.differenced(values), dtype)
        x = None if features is None else features[index][plan.difference :].astype(dtype)
        rows = len(z) - plan.chunk - first
        inputs.append(plan.input_rows(z, x, first, rows))
        targets.append(plan.target_rows(z, first, rows))
        border = rows - int(np.ceil(rows * held_out))
        spans[0].append((base, base + border))
        spans[1].append((base + border + plan.chunk - 1, base + rows))
        base += rows
    flat_inputs, flat_targets = np.concatenate(inputs), np.concatenate(targets)
    step = stride or min(max(base // _MANY_WINDOWS, 1), max(window // 2, 1))

    def windows(own: list[tuple[int, int]]) -> Windows | None:
        starts, lengths = _places(own, window, step)
        if not len(starts):
            return None
        return Windows(
            Sequences(flat_inputs, starts, lengths), Sequences(flat_targets, starts, lengths)
        )

    training, validation = windows(spans[0]), windows(spans[1]) if held_out else None
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
