"""The comparison for people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.builds.compare import BOUND, Comparison, Result
from simdrnn.bench.machine import machine_facts
from simdrnn.bench.stats import geometric_mean
from simdrnn.bench.table import TableCell, print_table

__all__ = ["as_json", "means", "print_comparison"]

Builds = dict[str, dict[str, str]]

_LEGEND = (
    "Time before over time after, medians over rounds that alternate: above 1 the new build is",
    "faster. half: where the middle half of the rounds lies. fastest: ratio of the fastest rounds.",
    f"* measured again in four times the rounds, as the first time gave less than {BOUND}.",
)


def print_comparison(builds: Builds, comparison: Comparison) -> None:
    """Print a line per row, geometric means, and the rows on which the new build is slower."""
    title = "\n".join(f"{name}: {_told(facts)}" for name, facts in builds.items())
    header = ["\nwhat", "\npass", "\nthreads", "before\nus", "after\nus", "\nratio", "\nhalf",
              "\nfastest"]  # fmt: skip
    rows = [[TableCell(text) for text in header], *map(_row, comparison.results)]
    for name, (count, mean) in means(comparison.results).items():
        style = "bold red" if mean < 1 else ""
        rows.append([TableCell(f"geometric mean of {count}: {name}"), *_blank(4),
                     TableCell(f"{mean:.3f}", style), *_blank(2)])  # fmt: skip
    lines = [*_LEGEND, *comparison.notes, "", *_short(comparison)]
    print_table(title, rows, lines, left=(0, 1))


def means(results: Sequence[Result]) -> dict[str, tuple[int, float]]:
    """Count and geometric mean of the ratios of each section, pass and number of threads."""
    groups: dict[str, list[float]] = {}
    for result in results:
        row = result.row
        threads = "" if row.threads is None else f", threads {row.threads}"
        for name in (f"{row.section}, {row.which}{threads}", "everything"):
            groups.setdefault(name, []).append(result.ratio)
    everything = groups.pop("everything", None)
    if everything is not None:
        groups["everything"] = everything  # last
    found = {name: (len(values), geometric_mean(values)) for name, values in groups.items()}
    return {name: (count, mean) for name, (count, mean) in found.items() if mean is not None}


def as_json(builds: Builds, comparison: Comparison) -> dict[str, Any]:
    """Turn a comparison into plain data: every round of every row, and what the table shows."""
    return {
        "schema": 1,
        "machine": {name: fact for name, fact in machine_facts().items() if name != "simdrnn"},
        "builds": builds,
        "bound": BOUND,
        "rows": [_as_data(result) for result in comparison.results],
        "geometric_means": {name: mean for name, (_, mean) in means(comparison.results).items()},
        "notes": comparison.notes,
    }


def _told(facts: dict[str, str]) -> str:
    return (
        f"simdrnn {facts['version']} ({facts['isa']}) of {facts['place']}, "
        f"Python {facts['python']}, NumPy {facts['numpy']}"
    )


def _row(result: Result) -> list[TableCell]:
    before, after = result.medians()
    low, high = result.spread
    style = "bold red" if high < 1 else "bold green" if low > 1 else ""
    ratio = f"{'*' if result.first else ''}{result.ratio:.3f}"
    return [
        TableCell(result.row.label),
        TableCell(result.row.which),
        TableCell("-" if result.row.threads is None else str(result.row.threads)),
        TableCell(f"{1e6 * before:.2f}"),
        TableCell(f"{1e6 * after:.2f}"),
        TableCell(ratio, style),
        TableCell(f"{low:.3f}-{high:.3f}"),
        TableCell(f"{result.fastest:.3f}"),
    ]


def _blank(count: int) -> list[TableCell]:
    return [TableCell("")] * count


def _short(comparison: Comparison) -> list[str]:
    """List what the new build is slower on, worst first."""
    short = comparison.short()
    if not short:
        return [f"No row below {BOUND}."]
    return [f"Below {BOUND}:"] + [
        f"  {result.ratio:.3f} (fastest {result.fastest:.3f})  {result.row.label}, "
        f"{result.row.which}, threads {result.row.threads or '-'}"
        for result in short
    ]


def _as_data(result: Result) -> dict[str, Any]:
    low, high = result.spread
    return {
        **result.row.as_dict(),
        "label": result.row.label,
        "rounds_seconds": result.rounds,
        "first_rounds_seconds": result.first,
        "ratio": result.ratio,
        "half": [low, high],
        "fastest": result.fastest,
    }
