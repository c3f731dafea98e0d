"""Rows of the table: what the default number of threads costs, and what a second one brings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from bench.acceptance.alternate import Call, Settings, alternate
from bench.acceptance.layers import Say, input_of, layer_of, passes
from bench.acceptance.targets import Point
from simdrnn.bench.cases import GRID, Case
from simdrnn.bench.stats import PASSES

__all__ = ["measure_choice", "measure_stack"]

# (T, B, I, H)
_STACK = (100, 1, 256, 256)


def measure_choice(settings: Settings, say: Say, cases: Sequence[Case] = GRID) -> Iterator[Point]:
    """Time of a call that names no number of threads over that of the best number."""
    fixed = [str(threads) for threads in range(1, settings.threads + 1)]
    with _limit(settings.threads):
        for case in cases:
            layer, x = layer_of(case), input_of(case)
            calls = {"default": passes(layer, x)}
            for name in fixed:
                calls[name] = passes(layer, x, num_threads=int(name))
            for which in PASSES:
                label = f"{case.label} {which}"
                say(f"default number of threads: {label}")
                timed: dict[str, Call] = {name: call[which] for name, call in calls.items()}
                rounds = alternate(timed, settings)
                # The larger of the medians: the smaller of two noisy times of each round would
                # make the default look worse than it is.
                worst = max(
                    (rounds.ratio("default", name) for name in fixed), key=lambda band: band.median
                )
                yield Point("choice", label, settings.threads, worst)


@contextmanager
def _limit(threads: int) -> Iterator[None]:
    """Let calls choose among that many threads, whatever OMP_NUM_THREADS says."""
    import simdrnn

    simdrnn.set_num_threads(threads)
    try:
        yield
    finally:
        # Back to what it was at import: not a number, which would shut out OMP_NUM_THREADS.
        text = os.environ.get("SIMDRNN_NUM_THREADS")
        simdrnn.set_num_threads(int(text) if text else None)


def measure_stack(
    settings: Settings, say: Say, shape: tuple[int, int, int, int] = _STACK
) -> Iterator[Point]:
    """Time of one thread over that of all, where layers and directions can share the work."""
    for cell in ("lstm", "gru"):
        case = replace(Case(cell, *shape), layers=4, bidirectional=True)
        layer, x = layer_of(case), input_of(case)
        one, many = (passes(layer, x, num_threads=n) for n in (1, settings.threads))
        for which in PASSES:
            label = f"{case.label} {which}"
            say(f"one thread and {settings.threads}: {label}")
            rounds = alternate({"one": one[which], "many": many[which]}, settings)
            yield Point("stack", label, settings.threads, rounds.ratio("one", "many"))
