"""Pictures of a run: bars for a few shapes, curves over H for the grid, under the measured peak."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simdrnn.bench.cases import QUICK
from simdrnn.bench.curves import COLORS, CURVES_LEGEND, plot_curves
from simdrnn.bench.machine import cpu_model
from simdrnn.bench.peers import OURS
from simdrnn.bench.run import Report
from simdrnn.bench.stats import PASSES, Band, CaseResult

__all__ = ["plot_reports", "plot_unavailable"]


def plot_unavailable() -> str | None:
    """Say what to install for plots; None if nothing is missing."""
    if find_spec("matplotlib") is None:
        return "--plot needs matplotlib: pip install matplotlib"
    return None


def plot_reports(reports: Sequence[Report], path: Path) -> None:
    """Write a PNG per number of threads: the first at `path`, the others beside it.

    Their names end in ``-2-threads`` and so on.
    """
    for number, report in enumerate(reports):
        results = [result for result in report.results if result.seconds]
        if len(results) <= len(QUICK):
            figure, legend = plot_bars(report, results), "Whiskers: range over the rounds."
        else:
            figure, legend = plot_curves(report, results), CURVES_LEGEND
        figure.suptitle(f"{_title(report, results)}\n{legend}", fontsize="medium")
        name = path.name if number == 0 else f"{path.stem}-{report.threads}-threads{path.suffix}"
        figure.savefig(path.with_name(name), format="png", dpi=150)


def _title(report: Report, results: Sequence[CaseResult]) -> str:
    """Name the dtypes, the threads, the machine and the day."""
    dtypes = " and ".join(dict.fromkeys(result.case.dtype for result in results))
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    facts = (dtypes, threads, cpu_model(), date.today().isoformat())
    return "Recurrent layers, " + ", ".join(fact for fact in facts if fact)


def plot_bars(report: Report, results: Sequence[CaseResult]) -> Any:
    """Draw GFLOP/s of ours and of every peer, and the peak: one panel per pass."""
    # Figure instead of pyplot: no window system, no state outside this function.
    figure_module: Any = import_module("matplotlib.figure")
    figure = figure_module.Figure(
        figsize=(max(7.5, 2.0 + 0.9 * len(results)), 7.0), layout="constrained"
    )
    panels = figure.subplots(len(PASSES), 1, sharex=True)
    for panel, which in zip(panels, PASSES, strict=True):
        _draw(panel, report, results, which)
    panels[-1].set_xticks(range(len(results)))
    labels = [result.case.label for result in results]
    panels[-1].set_xticklabels(labels, rotation=35, ha="right")
    panels[-1].set_xlabel("cell T,B,I,H")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize="small")
    return figure


def _draw(panel: Any, report: Report, results: Sequence[CaseResult], which: str) -> None:
    """Bars side by side per case, whiskers over the rounds, and a line at the peak."""
    names = (OURS, *report.peers)
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        shift = (number - (len(names) - 1) / 2) * width
        bands = [(k + shift, result.speed(name, which)) for k, result in enumerate(results)]
        known = [(position, band) for position, band in bands if band is not None]
        panel.bar(
            [position for position, _ in known],
            [band.median for _, band in known],
            width,
            yerr=[
                [band.median - band.low for _, band in known],
                [band.high - band.median for _, band in known],
            ],
            color=COLORS[name],
            label=name,
            error_kw={"linewidth": 0.8},
        )
    for k, result in enumerate(results):
        peak = Band.of(result.peak)
        if peak is not None:
            label = "FMA peak" if k == 0 else None
            panel.hlines(peak.median, k - 0.45, k + 0.45, colors="black", label=label)
    panel.set_ylabel(f"{which}, GFLOP/s")
    panel.set_ylim(bottom=0)
