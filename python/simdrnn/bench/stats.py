"""Results as data, and the few statistics drawn from them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from simdrnn.bench.cases import Case
from simdrnn.bench.peers import OURS

__all__ = ["PASSES", "Band", "CaseResult", "geometric_mean"]

# Name of a pass in results, and the call that runs it.
PASSES = {"forward": "forward", "training": "train"}


@dataclass(frozen=True, slots=True)
class Band:
    """Median and range over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Band | None:
        """Summarise values; None if there are none."""
        if not values:
            return None
        return cls(statistics.median(values), min(values), max(values))

    def decided(self) -> bool:
        """Whether a ratio is on the same side of 1 in every round."""
        return self.low > 1.0 or self.high < 1.0


@dataclass(slots=True)
class CaseResult:
    """What the rounds of one case measured.

    Parameters
    ----------
    case : what was run.
    seconds : per implementation and pass, seconds per call of each round, in order of rounds.
    peak : GFLOP/s of each round.
    mismatch : why nothing was timed, if so.
    """

    case: Case
    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    peak: list[float] = field(default_factory=list)
    mismatch: str | None = None

    def flops(self, which: str) -> int:
        """Operations of one call of a pass."""
        return self.case.forward_flops() if which == "forward" else self.case.training_flops()

    def time(self, name: str, which: str) -> Band | None:
        """Seconds per call of one implementation."""
        return Band.of(self.rounds(name, which))

    def speed(self, name: str, which: str) -> Band | None:
        """GFLOP/s of one implementation."""
        flops = self.flops(which)
        return Band.of([flops / seconds / 1e9 for seconds in self.rounds(name, which)])

    def fraction(self, name: str, which: str) -> Band | None:
        """Speed as a fraction of the FMA peak of the same round."""
        flops = self.flops(which)
        pairs = zip(self.rounds(name, which), self.peak, strict=False)
        return Band.of([flops / seconds / 1e9 / peak for seconds, peak in pairs])

    def ratio(self, peer: str, which: str) -> Band | None:
        """Time of a peer over ours, within each round both took part in: above 1, ours is faster.

        Within a round, so that a slow spell of the machine, which hits neighbours in time alike,
        cancels out.
        """
        pairs = zip(self.rounds(peer, which), self.rounds(OURS, which), strict=False)
        return Band.of([theirs / ours for theirs, ours in pairs])

    def rounds(self, name: str, which: str) -> list[float]:
        """Seconds per call of one implementation, in order of rounds."""
        return self.seconds.get(name, {}).get(which, [])


def geometric_mean(values: Iterable[float]) -> float | None:
    """Mean of ratios: the one under which 2x faster and 2x slower cancel; None without values."""
    logarithms = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logarithms)) if logarithms else None
