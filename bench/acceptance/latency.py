"""Row of the table: what one call of one step from Python takes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from timeit import Timer
from typing import Any

import numpy as np

from bench.acceptance.alternate import Settings
from bench.acceptance.layers import Say, layer_of
from bench.acceptance.targets import Point
from simdrnn.bench.cases import CELLS, Case
from simdrnn.bench.stats import Band

__all__ = ["measure_latency"]

# Long against the timer, short enough for many of them between two interruptions.
_BATCH_CALLS = 200

_MICROSECONDS = 1e6


def measure_latency(
    settings: Settings, say: Say, sizes: Sequence[int] = (8, 16, 32, 64)
) -> Iterator[Point]:
    """One step of one row through a layer, and through a cell with the state handed on."""
    import simdrnn

    for cell in CELLS:
        for hidden in sizes:
            say(f"one call: {cell}, H={hidden}")
            x = np.ones((1, 1, hidden), np.float32)
            layer = layer_of(Case(cell, 1, 1, hidden, hidden))
            single: Any = getattr(simdrnn, f"{cell.upper()}Cell")(hidden, hidden, seed=0)
            names = {"layer": layer, "x": x, "cell": single, "row": x[0], "state": single(x[0])}
            for target, call in (("layer_call", "layer(x)"), ("cell_call", "cell(row, state)")):
                # No number of threads to name: one step of one row is never shared.
                band = _band(Timer(call, globals=names), settings)
                yield Point(target, f"{cell} H={hidden}", 0, band)


def _band(timer: Timer, settings: Settings) -> Band:
    """Microseconds: the least of the rounds' medians counts, as nothing makes a call faster."""
    once = min(timer.repeat(3, _BATCH_CALLS))
    batches = max(3, round(settings.seconds / once))
    scale = _MICROSECONDS / _BATCH_CALLS
    medians = [
        scale * statistics.median(timer.repeat(batches, _BATCH_CALLS))
        for _ in range(settings.rounds)
    ]
    return Band(min(medians), min(medians), max(medians))
