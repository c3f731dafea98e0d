"""The table for people, and the sentence that says when not to switch."""

from __future__ import annotations

from collections.abc import Sequence

from simdrnn.bench.machine import cpu_model
from simdrnn.bench.peers import BASELINE, OURS
from simdrnn.bench.run import Report
from simdrnn.bench.stats import PASSES, Band, CaseResult, geometric_mean
from simdrnn.bench.table import TableCell, align, print_table

__all__ = ["advice", "plain_table", "print_report"]

_LEGEND = (
    "Medians of interleaved rounds, caches hot. GFLOP/s count the input and recurrent products,",
    "training as three times forward; the peak is the FMA peak measured in the same rounds.",
    "Peers: their time over ours. Above 1 ours is faster, below 1 ours is slower, ~ is undecided:",
    f"the rounds do not agree. {BASELINE} is NumPy in float64, a baseline.",
)

# A gain below this is not worth changing a working program for.
_WORTH_IT = 1.1


def print_report(report: Report) -> None:
    """Print table, legend, notes and mismatches; in colour if rich is installed."""
    title = _title(report)
    lines = [*_LEGEND, *_mismatches(report), *report.notes]
    print_table(title, _table(report), lines)


def plain_table(report: Report) -> str:
    """Align the table as text: two lines of headings, then one line per case."""
    return align(_table(report))


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


def _table(report: Report) -> list[list[TableCell]]:
    """Two-line headings, a row per timed case, and the geometric means."""
    header = ["\ncell T,B,I,H"]
    for which in PASSES:
        header += [f"{which}\nms", "\nGFLOP/s", "\nof peak"]
    for peer in report.peers:
        header += [f"{peer}\nforward", "\ntraining"]
    rows = [[TableCell(text) for text in header]]
    timed = [result for result in report.results if result.seconds]
    for result in timed:
        row = [TableCell(result.case.label)]
        for which in PASSES:
            row += [
                _number(result.time(OURS, which), scale=1e3),
                _number(result.speed(OURS, which)),
                _percent(result.fraction(OURS, which)),
            ]
        row += [_ratio(result.ratio(peer, which)) for peer in report.peers for which in PASSES]
        rows.append(row)
    if len(timed) > 1:
        blank = [TableCell("")] * (3 * len(PASSES))
        means = [_mean(timed, peer, which) for peer in report.peers for which in PASSES]
        rows.append([TableCell("geometric mean"), *blank, *means])
    return rows


def _number(band: Band | None, scale: float = 1.0) -> TableCell:
    """Three significant digits, without an exponent."""
    if band is None:
        return TableCell("-")
    value = band.median * scale
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return TableCell(f"{value:.{decimals}f}")


def _percent(band: Band | None) -> TableCell:
    return TableCell("-" if band is None else f"{100 * band.median:.0f} %")


def _ratio(band: Band | None) -> TableCell:
    """Show a ratio; bold only if every round agrees on who is faster."""
    if band is None:
        return TableCell("-")
    if not band.decided():
        return TableCell(f"~{band.median:.2f}")
    return TableCell(f"{band.median:.2f}", "bold green" if band.median > 1.0 else "bold red")


def _mean(results: Sequence[CaseResult], peer: str, which: str) -> TableCell:
    bands = (result.ratio(peer, which) for result in results)
    mean = geometric_mean(band.median for band in bands if band is not None)
    return TableCell("-" if mean is None else f"{mean:.2f}")


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
