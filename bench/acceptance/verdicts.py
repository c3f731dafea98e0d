"""The table of targets for people: what was to be reached, what was measured, where it is short."""

from __future__ import annotations

from collections.abc import Sequence

from bench.acceptance.run import Acceptance
from bench.acceptance.targets import Verdict, show
from simdrnn.bench.machine import cpu_model
from simdrnn.bench.report import print_report
from simdrnn.bench.table import TableCell, print_table

__all__ = ["print_acceptance", "verdict_table"]

_STYLES = {True: "bold green", False: "bold red", None: ""}

_LEGEND = (
    "Medians over rounds that alternate; ratios are taken within a round. The model of B=1 is the",
    "larger of FLOPs / peak and recurrent weights / bandwidth of the cache they fit, both measured",
    "in the same round, and 60 ns a step.",
)


def print_acceptance(acceptance: Acceptance) -> None:
    """Print a table of shapes per number of threads, then the targets, then what falls short."""
    for report in acceptance.reports:
        print_report(report)
        print()
    verdicts = acceptance.verdicts()
    title = f"{cpu_model()}: speed to reach"
    lines = [*_LEGEND, *acceptance.notes, "", *short_lines(verdicts)]
    print_table(title, verdict_table(verdicts), lines, left=(0, 5, 6))


def verdict_table(verdicts: Sequence[Verdict]) -> list[list[TableCell]]:
    """Two-line headings, and a row per target and number of threads."""
    header = [
        "\nwhat",
        "\nthreads",
        "\nto reach",
        "geometric\nmean",
        "\nworst",
        "\nat",
        "\nverdict",
    ]
    return [[TableCell(text) for text in header], *map(_row, verdicts)]


def _row(verdict: Verdict) -> list[TableCell]:
    target, mean, worst = verdict.target, verdict.mean, verdict.worst
    return [
        TableCell(target.what),
        TableCell(str(verdict.threads or "-")),
        TableCell(f"{'>=' if target.least else '<='} {show(target.bound, target.unit)}"),
        TableCell("-" if mean is None else show(mean, target.unit)),
        TableCell("-" if worst is None else show(worst.band.median, target.unit)),
        TableCell("-" if worst is None else worst.label),
        TableCell(verdict.text, _STYLES[verdict.reached]),
    ]


def short_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """List the points that fall short, worst first, under their targets."""
    lines = []
    for verdict in verdicts:
        if not verdict.short:
            continue
        target = verdict.target
        threads = f", threads {verdict.threads}" if verdict.threads else ""
        lines.append(f"{target.what}{threads}: short at {len(verdict.short)} points")
        lines += [
            f"  {show(point.band.median, target.unit):>8}  {point.label}" for point in verdict.short
        ]
    return ["Falling short:", *lines] if lines else []
