"""Running a network on from the end of series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np

from simdrnn.sklearn.network import Network
from simdrnn.sklearn.objectives import Objective
from simdrnn.sklearn.plan import Plan
from simdrnn.sklearn.preparation import Prepared
from simdrnn.sklearn.sequences import Sequences, batches_of
from simdrnn.sklearn.series import Panel
from simdrnn.sklearn.settings import Settings
from simdrnn.sklearn.telling import Telling
from simdrnn.sklearn.windows import Windows
from simdrnn.validate import Array

__all__ = [
    *("Ends", "continue_series", "joined_features", "points_of_block", "quantiles_of_block"),
    *("quantiles_of_paths", "sample_paths", "score_on"),
]

# Rows that paths are drawn of at once, series times paths: states of all would be too many.
_ROWS = 1 << 16

# Sample paths that quantiles are taken of.
_PATHS = 1000

# From what the network tells of blocks of steps, (rows, chunk, C, numbers), and which series each
# row continues, to values (rows, chunk, C).
Choice = Callable[[Array, int], Array]


class Ends:
    """Where a network stands after the last known step of every series.

    Parameters
    ----------
    series : prepared, with features for all steps to come.
    window : steps before the end from which the network starts, at zero states.
    """

    def __init__(
        self,
        network: Network,
        plan: Plan,
        series: Sequence[Prepared],
        window: int,
        num_threads: int | None,
    ) -> None:
        self.network, self.plan, self.series = network, plan, series
        self._num_threads = num_threads
        rows = []
        for own in series:
            first = max(max(plan.lags) - 1, len(own.seen) - window)
            rows.append(own.input_rows(plan, first, len(own.seen) - first))
        count = len(series)
        x, lengths = Sequences.of_list(rows).batch(np.arange(count))
        output, self._state = network.layers(x, lengths=lengths, num_threads=num_threads)
        ends = len(x) - 1 if lengths is None else lengths - 1
        self._last = output[ends, np.arange(count)]

    def part(self, start: int, stop: int) -> Ends:
        """Return the same for the series from `start` to before `stop`."""
        made = copy(self)
        made.series, made._last = self.series[start:stop], self._last[start:stop]
        made._state = _each(self._state, lambda own: own[:, start:stop])
        return made

    def block(self) -> Array:
        """Return what is told of the next steps: (N, chunk, C, numbers)."""
        return self._told(self._last)

    def _told(self, last: Array) -> Array:
        outputs = self.network.head(last, num_threads=self._num_threads)
        plan = self.plan
        return np.asarray(outputs.reshape(len(last), plan.chunk, plan.targets, plan.numbers))

    def continued(self, steps: int, choose: Choice, paths: int = 1) -> Array:
        """Return the next `steps` of every series, as the network sees them: (N paths, steps, C).

        Parameters
        ----------
        choose : makes values of what is told; they are fed back for more.
        paths : how many of each series, one after the other.
        """
        plan, network = self.plan, self.network
        deepest, dtype = max(plan.lags), network.dtype
        recent = np.stack([own.seen[len(own.seen) - deepest :] for own in self.series])
        state, last, known = self._state, self._last, recent
        if paths > 1:
            known, last = np.repeat(recent, paths, axis=0), np.repeat(last, paths, axis=0)
            state = _each(state, lambda own: np.repeat(own, paths, axis=1))
        future, static = self._ahead(deepest, steps, paths)
        # What was constant goes in as 0 (see `Scaling`), also where it is fed back.
        constant = np.stack([own.scaling.constant for own in self.series])
        constant = np.repeat(constant, paths, axis=0)[:, None]
        while True:
            block = np.where(constant, dtype.type(0), choose(self._told(last), paths))
            if plan.missing:  # which nothing is that was told
                block = np.concatenate([block, np.zeros_like(block)], axis=-1)
            known = np.concatenate([known, block], axis=1)
            if known.shape[1] >= deepest + steps:
                return known[:, deepest : deepest + steps, : plan.targets]
            begin = known.shape[1] - plan.chunk
            given = plan.input_rows(known, future, begin, plan.chunk, None, static)
            output, state = network.layers(
                np.ascontiguousarray(given.swapaxes(0, 1)), state, num_threads=self._num_threads
            )
            last = output[-1]

    def _ahead(self, deepest: int, steps: int, paths: int) -> tuple[Array | None, Array | None]:
        """Return the features of the last known steps and those to come, and what is static."""
        features, static = [], []
        for own in self.series:
            if own.features is not None:
                end = len(own.seen)
                features.append(own.features[end - deepest : end + steps + self.plan.chunk])
            if own.static is not None:
                static.append(own.static)
        return (
            np.repeat(np.stack(features), paths, axis=0) if features else None,
            np.repeat(np.stack(static), paths, axis=0) if static else None,
        )


def _each(state: Any, change: Callable[[Array], Array]) -> Any:
    """Return arrays, in tuples of any depth, each of them changed."""
    if isinstance(state, tuple):
        return tuple(_each(part, change) for part in state)
    return change(state)


def continue_series(ends: Ends, steps: int, choose: Choice, paths: int = 1) -> Array:
    """Return the next `steps` of every series in its own units: (N, steps, C, paths) float64."""
    found = ends.continued(steps, choose, paths).astype(np.float64)
    made = []
    for index, own in enumerate(ends.series):
        forecasts = own.scaling.undo(found[index * paths : (index + 1) * paths])
        made.append(ends.plan.integrated(own.values[..., None], np.moveaxis(forecasts, 0, -1)))
    return np.stack(made)


def sample_paths(ends: Ends, telling: Telling, steps: int, count: int, seed: int) -> Array:
    """Return `count` paths of the next `steps` of every series: (N, steps, C, count) float64.

    Every step is drawn knowing those before. Draws of a series depend on `seed` and its place.
    """
    at_once = max(_ROWS // count, 1)
    made = []
    for start in range(0, len(ends.series), at_once):
        part = ends.part(start, start + at_once)
        places = range(start, start + len(part.series))
        sources = [np.random.default_rng([seed, place]) for place in places]

        def drawn(block: Array, paths: int, sources: Any = sources) -> Array:
            own = (block[k * paths : (k + 1) * paths] for k in range(len(sources)))
            return np.concatenate(
                [telling.draw(rows, rng) for rows, rng in zip(own, sources, strict=True)]
            )

        made.append(continue_series(part, steps, drawn, count))
    paths = np.concatenate(made)
    return np.rint(paths) if telling.whole else paths


def quantiles_of_paths(ends: Ends, telling: Telling, steps: int, levels: Array) -> Array:
    """Return quantiles of the next `steps`, told one by one: (N, steps, C, Q)."""
    paths = sample_paths(ends, telling, steps, _PATHS, seed=0)
    method: Any = "inverted_cdf" if telling.whole else "linear"
    found = np.moveaxis(np.quantile(paths, levels, axis=-1, method=method), 0, -1)
    found[:, :1] = quantiles_of_block(ends, telling, 1, levels)  # of which there is no doubt
    return np.asarray(found)


def quantiles_of_block(ends: Ends, telling: Telling, steps: int, levels: Array) -> Array:
    """Return quantiles of the next `steps`, told at once, in units of series: (N, steps, C, Q)."""
    blocks = telling.quantiles(ends.block()[:, :steps], levels)
    made = np.stack(
        [
            ends.plan.levels(own.values, own.scaling, block)
            for own, block in zip(ends.series, blocks, strict=True)
        ]
    )
    return np.rint(made) if telling.whole else made


def points_of_block(ends: Ends, telling: Telling, steps: int) -> Array:
    """Return one number for each of the next `steps`, told at once: (N, steps, C, 1)."""
    blocks = telling.point(ends.block()[:, :steps])[..., None]
    pairs = zip(ends.series, blocks, strict=True)
    return np.stack([ends.plan.levels(own.values, own.scaling, block) for own, block in pairs])


def joined_features(plan: Plan, past: Panel, ahead: Sequence[Array], steps: int) -> list[Array]:
    """Return the features of each series, those of the steps to come after those of the past.

    Parameters
    ----------
    past : the series that are continued.
    ahead : (h_i, F) of each.
    steps : to be told; blocks that are told at once need the features of all their steps.
    """
    needed = -(-steps // plan.chunk) * plan.chunk
    for index, own in enumerate(ahead):
        if len(own) < needed:
            raise ValueError(
                f"{past.called('X', index)}: expected features of at least {needed} steps, to "
                f"tell {steps} in blocks of {plan.chunk}, got {len(own)}"
            )
    known = past.features or []
    return [
        np.concatenate([before, own[:needed]]) for before, own in zip(known, ahead, strict=True)
    ]


def score_on(
    network: Network, held_out: Windows, objective: Objective, settings: Settings
) -> Callable[[], float]:
    """Return a function that runs the network over all windows and returns minus its loss."""

    def score() -> float:
        total = shares = 0.0
        for indices in batches_of(held_out.lengths, settings.batch_size):
            batch = held_out.batch(indices)
            outputs = network(batch.x, batch.lengths, settings.num_threads)
            loss, _ = objective(outputs, batch.targets, batch.weights)
            total += batch.share * loss
            shares += batch.share
        return -total / shares

    return score
