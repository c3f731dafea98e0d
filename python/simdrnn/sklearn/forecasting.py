"""Running a network on from the end of series."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from simdrnn.sklearn.network import Network, apply_head
from simdrnn.sklearn.objectives import squared_error_of_steps
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.sequences import Sequences, batches_of
from simdrnn.sklearn.series import Panel
from simdrnn.sklearn.settings import Settings
from simdrnn.sklearn.windows import Plan, Windows
from simdrnn.validate import Array

__all__ = ["continue_series", "joined_features", "score_on"]


def continue_series(
    network: Network,
    plan: Plan,
    histories: Sequence[Array],
    scalings: Sequence[Scaling],
    features: Sequence[Array] | None,
    *,
    steps: int,
    window: int,
    num_threads: int | None,
) -> Array:
    """Return the next `steps` of every series, (N, steps, C) float64.

    Parameters
    ----------
    histories : (T_i, C) of each, in its own units.
    scalings : of each.
    features : (T_i + steps or more, F) of each, scaled; or None.
    window : steps before the end from which the network starts, at zero states.
    """
    dtype, count, chunk = network.dtype, len(histories), plan.chunk
    recent, ahead, rows = [], [], []
    for index, (values, scaling) in enumerate(zip(histories, scalings, strict=True)):
        z = scaling.apply("y", plan.differenced(values), dtype)
        x = None if features is None else features[index][plan.difference :].astype(dtype)
        first = max(max(plan.lags) - 1, len(z) - window)
        rows.append(plan.input_rows(z, x, first, len(z) - first))
        recent.append(z[len(z) - max(plan.lags) :])
        if x is not None:
            ahead.append(x[len(z) - max(plan.lags) : len(z) + steps + chunk])
    x_now, lengths = Sequences.of_list(rows).batch(np.arange(count))
    output, state = network.layers(x_now, lengths=lengths, num_threads=num_threads)
    ends = len(x_now) - 1 if lengths is None else lengths - 1
    last = output[ends, np.arange(count)]
    known, told = np.stack(recent), max(plan.lags)
    future = np.stack(ahead) if ahead else None
    while True:
        block = apply_head(network.head, last, num_threads).reshape(count, chunk, plan.targets)
        known = np.concatenate([known, block], axis=1)
        if known.shape[1] >= told + steps:
            break
        begin = known.shape[1] - chunk
        given = plan.input_rows(known, future, begin, chunk)
        output, state = network.layers(
            np.ascontiguousarray(given.swapaxes(0, 1)), state, num_threads=num_threads
        )
        last = output[-1]
    forecasts = known[:, told : told + steps].astype(np.float64)
    return np.stack(
        [
            plan.integrated(values, scaling.undo(forecast))
            for values, scaling, forecast in zip(histories, scalings, forecasts, strict=True)
        ]
    )


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
            where = f"X[{index}]" if past.form.many else "X"
            raise ValueError(
                f"{where}: expected features of at least {needed} steps, to tell {steps} in "
                f"blocks of {plan.chunk}, got {len(own)}"
            )
    known = past.features or []
    return [
        np.concatenate([before, own[:needed]]) for before, own in zip(known, ahead, strict=True)
    ]


def score_on(network: Network, held_out: Windows, settings: Settings) -> Callable[[], float]:
    """Return a function that runs the network over all windows and returns minus its error."""

    def score() -> float:
        total = shares = 0.0
        for indices in batches_of(held_out.lengths, settings.batch_size):
            batch = held_out.batch(indices)
            outputs = network(batch.x, batch.lengths, settings.num_threads)
            loss, _ = squared_error_of_steps(outputs, batch.targets, batch.weights)
            total += batch.share * loss
            shares += batch.share
        return -total / shares

    return score
