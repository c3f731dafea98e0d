"""The targets' points that the grid of cases and peers gives."""

from __future__ import annotations

from collections.abc import Iterator

from bench.acceptance.allowed import fraction_of_allowed
from bench.acceptance.reading import Bandwidths, over_model
from bench.acceptance.targets import Point
from simdrnn.bench.peers import BASELINE, OURS
from simdrnn.bench.run import Report
from simdrnn.bench.stats import PASSES, Band, CaseResult

__all__ = ["grid_points"]

# Rows and hidden units from which a fraction of the peak is promised, and the smaller H that has
# a promise of its own.
_BATCH, _HIDDEN, _SMALL_HIDDEN = 16, 128, 64


def grid_points(report: Report, bandwidths: Bandwidths) -> list[Point]:
    """Turn a run of the grid into points, whatever was measured of it."""
    return [
        Point(target, result.case.label, report.threads, band)
        for result in report.results
        for target, band in _bands(result, report.peers, bandwidths)
        if band is not None
    ]


def _bands(
    result: CaseResult, peers: tuple[str, ...], bandwidths: Bandwidths
) -> Iterator[tuple[str, Band | None]]:
    """Yield target and value of one case."""
    case = result.case
    for which, target in zip(PASSES, ("inference", "training"), strict=True):
        known = [result.ratio(peer, which) for peer in peers if peer != BASELINE]
        ratios = [band for band in known if band is not None]
        yield target, min(ratios, key=lambda band: band.median, default=None)
        if case.B >= _BATCH and case.H == _SMALL_HIDDEN:
            yield f"{which}_peak_{_SMALL_HIDDEN}", result.fraction(OURS, which)
            yield f"{which}_allowed_{_SMALL_HIDDEN}", fraction_of_allowed(result, which)
        elif case.B >= _BATCH and case.H >= _HIDDEN:
            yield f"{which}_peak", result.fraction(OURS, which)
            yield f"{which}_allowed", fraction_of_allowed(result, which)
    yield "pytorch", result.ratio("pytorch", "training")
    if case.B == 1:
        yield "single", over_model(result, bandwidths.of(case))
