"""What memory delivers: the ceiling of one row, whose every step reads its recurrent weights."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from simdrnn.bench.cases import Case
from simdrnn.bench.peak import PEAK_SECONDS
from simdrnn.bench.peers import OURS
from simdrnn.bench.run import Report
from simdrnn.bench.stats import Band, CaseResult

__all__ = ["STEP_SECONDS", "Bandwidths", "ReadingError", "measure_bandwidth", "over_model"]

# What a step costs beside products and weights: activations, calls, meeting of threads.
STEP_SECONDS = 60e-9

_LIBRARY = Path(__file__).parents[1] / "native" / "reading.so"


class ReadingError(RuntimeError):
    """The bandwidth cannot be measured; the message is one line."""


def measure_bandwidth(size: int, threads: int, seconds: float = PEAK_SECONDS) -> float:
    """Measure in GB/s how fast `size` bytes, cut among the threads, are read again and again.

    With the size of the weights that a step reads, it is the bandwidth of the cache they fit, and
    nobody has to know the sizes of the caches.
    """
    for name, value in (("size", size), ("threads", threads)):
        if value < 1:
            raise ValueError(f"{name}: expected a positive integer, got {value}")
    rate = float(_library(_LIBRARY).simdrnn_bench_read(size, seconds, threads))
    if rate == 0.0:
        raise ReadingError(f"no memory for reading {size} bytes on {threads} threads")
    return rate / 1e9


@cache
def _library(path: Path) -> Any:
    """Load what is built of `bench/native`."""
    if not path.exists():
        build = "cmake -S bench/native -B build/bench && cmake --build build/bench"
        raise ReadingError(f"bench/native is not built ({build})")
    library = ctypes.CDLL(str(path))
    library.simdrnn_bench_read.argtypes = [ctypes.c_longlong, ctypes.c_double, ctypes.c_int]
    library.simdrnn_bench_read.restype = ctypes.c_double
    return library


class Bandwidths:
    """GB/s of each round of each case of one row: a ceiling of `simdrnn.bench.run.run_cases`.

    Parameters
    ----------
    report : of the run; told where nothing can be measured.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._rounds: dict[Case, list[float]] = {}

    def __call__(self, result: CaseResult) -> None:
        """Measure one round, where the case has one row."""
        if result.case.B != 1:
            return
        try:
            size, threads = result.case.recurrent_bytes(), self._report.threads
            self.add(result.case, measure_bandwidth(size, threads))
        except ReadingError as error:
            self._report.note(f"the bandwidth is missing: {error}")

    def add(self, case: Case, *gigabytes: float) -> None:
        """Add rounds of a case."""
        self._rounds.setdefault(case, []).extend(gigabytes)

    def of(self, case: Case) -> Sequence[float]:
        """Return the rounds of a case, in order; none where nothing was measured."""
        return self._rounds.get(case, ())


def over_model(result: CaseResult, bandwidths: Sequence[float]) -> Band | None:
    """Our forward time over the model of a single row, with the ceilings of the same round.

    A step takes as long as its multiply-adds at the peak, or as reading the recurrent weights
    from the cache they fit, whichever is longer, and `STEP_SECONDS` for what neither counts.
    """
    case, rounds = result.case, result.rounds(OURS, "forward")
    ratios = []
    for seconds, peak, bandwidth in zip(rounds, result.peak, bandwidths, strict=False):
        arithmetic = case.forward_flops() / (peak * 1e9)
        reading = case.steps() * case.recurrent_bytes() / (bandwidth * 1e9)
        ratios.append(seconds / (max(arithmetic, reading) + case.steps() * STEP_SECONDS))
    return Band.of(ratios)
