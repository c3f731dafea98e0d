"""A picture of a run: speed of everybody per case, under the measured peak."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simdrnn.bench.peers import BASELINE, OURS
from simdrnn.bench.run import Report
from simdrnn.bench.stats import PASSES, Band, CaseResult

__all__ = ["plot_report", "plot_unavailable"]

# Okabe and Ito's palette, distinguishable also without full colour vision; grey for the baseline.
_COLORS = ("#0072B2", "#D55E00", "#E69F00", "#009E73", "#CC79A7")
_GREY = "#999999"


def plot_unavailable() -> str | None:
    """Say what to install for plots; None if nothing is missing."""
    if find_spec("matplotlib") is None:
        return "--plot needs matplotlib: pip install matplotlib"
    return None


def plot_report(report: Report, path: Path) -> None:
    """Write a PNG: GFLOP/s of ours and of every peer, and the peak, one panel per pass."""
    # Figure instead of pyplot: no window system, no state outside this function.
    figure_module: Any = import_module("matplotlib.figure")
    results = [result for result in report.results if result.seconds]
    figure = figure_module.Figure(
        figsize=(max(6.0, 2.0 + 0.9 * len(results)), 7.0), layout="constrained"
    )
    panels = figure.subplots(len(PASSES), 1, sharex=True)
    for panel, which in zip(panels, PASSES, strict=True):
        _draw(panel, report, results, which)
    panels[-1].set_xticks(range(len(results)))
    labels = [result.case.label for result in results]
    panels[-1].set_xticklabels(labels, rotation=35, ha="right")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", fontsize="small")
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    figure.suptitle(f"Recurrent layers on {threads}: cell T,B,I,H")
    figure.savefig(path, format="png", dpi=150)


def _draw(panel: Any, report: Report, results: list[CaseResult], which: str) -> None:
    """Bars side by side per case, whiskers over the rounds, and a line at the peak."""
    names = (OURS, *report.peers)
    colors = iter(_COLORS)
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        color = _GREY if name == BASELINE else next(colors)
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
            color=color,
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
