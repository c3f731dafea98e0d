"""Times of calls of one process, in rounds whose order alternates."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simdrnn.bench.stats import Band
from simdrnn.bench.worker import seconds_per_call

__all__ = ["Call", "Rounds", "Settings", "alternate"]

Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Parameters
    ----------
    threads : how many a call may use.
    rounds : rounds of every comparison, even, so that both orders are as frequent.
    seconds : length of one call's turn in a round; a longer call is made once.
    """

    threads: int
    rounds: int = 8
    seconds: float = 0.04


class Rounds:
    """Seconds per call by name, in order of rounds."""

    def __init__(self, names: Sequence[str]) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in names}

    def ratio(self, above: str, below: str, scale: float = 1.0) -> Band:
        """Summarise the time of one call over another's in the same round, times `scale`."""
        pairs = zip(self.seconds[above], self.seconds[below], strict=True)
        band = Band.of([scale * a / b for a, b in pairs])
        assert band is not None  # there are at least two rounds
        return band

    def median(self, name: str) -> float:
        """Median over the rounds."""
        return statistics.median(self.seconds[name])


def alternate(calls: Mapping[str, Call], settings: Settings) -> Rounds:
    """Time calls side by side; every other round in reverse order."""
    counts = {}
    for name, call in calls.items():
        call()  # packs weights, wakes threads, touches memory
        once = seconds_per_call(call, 1)
        counts[name] = max(1, round(settings.seconds / once))
    rounds = Rounds(list(calls))
    for number in range(settings.rounds):
        order = list(calls) if number % 2 == 0 else list(calls)[::-1]
        for name in order:
            calls[name]()  # its weights and data, which the one before pushed out of the caches
            rounds.seconds[name].append(seconds_per_call(calls[name], counts[name]))
    return rounds
