"""A run against the targets as plain data, for a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.acceptance.reading import Bandwidths, over_model
from bench.acceptance.run import Acceptance
from bench.acceptance.targets import Point, Verdict
from simdrnn.bench.machine import as_json, band_as_json
from simdrnn.bench.run import Report

__all__ = ["acceptance_as_json"]


def acceptance_as_json(acceptance: Acceptance, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the file of `simdrnn bench`, its cases with ceilings, and verdicts with their points.

    Parameters
    ----------
    acceptance : a run, perhaps not finished.
    facts : from `simdrnn.bench.machine.machine_facts`.
    """
    data = as_json(acceptance.reports, facts)
    for run, (report, bandwidths) in zip(data["runs"], acceptance.grids, strict=True):
        _add_ceilings(run["cases"], report, bandwidths)
    points = acceptance.points()
    return {
        **data,
        "targets": [_verdict(verdict, points) for verdict in acceptance.verdicts()],
        "notes": list(acceptance.notes),
    }


def _add_ceilings(cases: Sequence[dict[str, Any]], report: Report, bandwidths: Bandwidths) -> None:
    for case, result in zip(cases, report.results, strict=True):
        known = bandwidths.of(result.case)
        case["bandwidth_gbytes"] = list(known)
        case["time_over_model"] = band_as_json(over_model(result, known))


def _verdict(verdict: Verdict, points: Sequence[Point]) -> dict[str, Any]:
    target, threads = verdict.target, verdict.threads
    judged = [p for p in points if p.target == target.source and p.threads == threads]
    return {
        "target": target.key,
        "row": target.row,
        "what": target.what,
        "bound": target.bound,
        "at_least": target.least,
        "judged_by_mean": target.mean,
        "unit": target.unit,
        "threads": threads or None,
        "geometric_mean": verdict.mean,
        "reached": verdict.reached,
        "points": {point.label: band_as_json(point.band) for point in judged},
    }
