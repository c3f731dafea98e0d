"""The table for people, and the sentence that says when not to switch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from simdrnn.bench.machine import cpu_model
from simdrnn.bench.peers import BASELINE, OURS
from simdrnn.bench.run import Report
from simdrnn.bench.stats import PASSES, Band, CaseResult, geometric_mean

__all__ = ["advice", "plain_table", "print_report"]

_LEGEND = (
    "Medians of interleaved rounds, caches hot. GFLOP/s count the input and recurrent products,",
    "training as three times forward; the peak is the FMA peak measured in the same rounds.",
    "Peers: their time over ours. Above 1 ours is faster, below 1 ours is slower, ~ is undecided:",
    f"the rounds do not agree. {BASELINE} is NumPy in float64, a baseline.",
)

# A gain below this is not worth changing a working program for.
_WORTH_IT = 1.1


@dataclass(frozen=True, slots=True)
class _Cell:
    """Text of one table cell, and how to colour it where there is colour."""

    text: str
    style: str = ""


def print_report(report: Report) -> None:
    """Print table, legend, notes and mismatches; in colour if rich is installed."""
    title = _title(report)
    lines = [*_LEGEND, *_mismatches(report), *report.notes]
    if find_spec("rich") is None:
        print("\n".join([title, "", plain_table(report), "", *lines]))
        return
    console_module: Any = import_module("rich.console")
    table_module: Any = import_module("rich.table")
    text_module: Any = import_module("rich.text")
    header, *rows = _table(report)
    table = table_module.Table(box=None, pad_edge=False)
    for number, cell in enumerate(header):
        table.add_column(cell.text, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(text_module.Text(cell.text, cell.style) for cell in row))
    # A table wider than the terminal is left to wrap: cut numbers would be worse.
    wanted = max(len(line) for line in plain_table(report).splitlines())
    console = console_module.Console(highlight=False)
    console.width = max(console.width, wanted)
    console.print(title, "", markup=False, sep="\n")
    console.print(table)
    console.print("", *lines, markup=False, sep="\n", soft_wrap=True)


def plain_table(report: Report) -> str:
    """Align the table as text: two lines of headings, then one line per case."""
    header, *body = [[cell.text for cell in row] for row in _table(report)]
    headings = [text.split("\n") for text in header]
    lines = [[upper for upper, _ in headings], [lower for _, lower in headings], *body]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if k == 0 else text.rjust(width)
            for k, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def advice(result: CaseResult, peers: Sequence[str]) -> list[str]:
    """Say in words, for each pass, whether the shape is worth switching for.

    The NumPy reference does not count: nobody runs it for its speed.
    """
    if result.mismatch is not None:
        return [f"Do not switch: {result.mismatch}."]
    if OURS not in result.seconds:
        return ["Nothing was timed, so there is no advice."]
    sentences = []
    for which in PASSES:
        bands = {peer: result.ratio(peer, which) for peer in peers if peer != BASELINE}
        known = {peer: band for peer, band in bands.items() if band is not None}
        if not known:
            sentences.append(f"For {which} there is nothing installed to compare with.")
            continue
        best = min(known, key=lambda peer: known[peer].median)
        sentences.append(_verdict(which, best, known[best]))
    return sentences


def _verdict(which: str, peer: str, band: Band) -> str:
    span = f"its time is {band.low:.2f} to {band.high:.2f} times ours"
    if band.high < 1.0:
        return f"Do not switch for {which}: {peer} is faster here, {span}."
    if not band.decided():
        return f"No reason to switch for {which}: {peer} is as fast here, {span}."
    if band.median < _WORTH_IT:
        return f"Hardly worth switching for {which}: {peer} is nearly as fast here, {span}."
    return f"Switching pays for {which}: {peer} is the fastest of the others, {span}."


def _table(report: Report) -> list[list[_Cell]]:
    """Two-line headings, a row per timed case, and the geometric means."""
    header = ["\ncell T,B,I,H"]
    for which in PASSES:
        header += [f"{which}\nms", "\nGFLOP/s", "\nof peak"]
    for peer in report.peers:
        header += [f"{peer}\nforward", "\ntraining"]
    rows = [[_Cell(text) for text in header]]
    timed = [result for result in report.results if result.seconds]
    for result in timed:
        row = [_Cell(result.case.label)]
        for which in PASSES:
            row += [
                _number(result.time(OURS, which), scale=1e3),
                _number(result.speed(OURS, which)),
                _percent(result.fraction(OURS, which)),
            ]
        row += [_ratio(result.ratio(peer, which)) for peer in report.peers for which in PASSES]
        rows.append(row)
    if len(timed) > 1:
        blank = [_Cell("")] * (3 * len(PASSES))
        means = [_mean(timed, peer, which) for peer in report.peers for which in PASSES]
        rows.append([_Cell("geometric mean"), *blank, *means])
    return rows


def _number(band: Band | None, scale: float = 1.0) -> _Cell:
    """Three significant digits, without an exponent."""
    if band is None:
        return _Cell("-")
    value = band.median * scale
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return _Cell(f"{value:.{decimals}f}")


def _percent(band: Band | None) -> _Cell:
    return _Cell("-" if band is None else f"{100 * band.median:.0f} %")


def _ratio(band: Band | None) -> _Cell:
    """Show a ratio; bold only if every round agrees on who is faster."""
    if band is None:
        return _Cell("-")
    if not band.decided():
        return _Cell(f"~{band.median:.2f}")
    return _Cell(f"{band.median:.2f}", "bold green" if band.median > 1.0 else "bold red")


def _mean(results: Sequence[CaseResult], peer: str, which: str) -> _Cell:
    bands = (result.ratio(peer, which) for result in results)
    mean = geometric_mean(band.median for band in bands if band is not None)
    return _Cell("-" if mean is None else f"{mean:.2f}")


def _title(report: Report) -> str:
    """Name the machine and what was compared."""
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    versions = (f"{name} {version}" for name, version in report.versions.items())
    return f"{cpu_model()}, {threads}: {', '.join(versions)}"


def _mismatches(report: Report) -> list[str]:
    return [
        f"{result.case.label}: {result.mismatch}"
        for result in report.results
        if result.mismatch is not None
    ]
