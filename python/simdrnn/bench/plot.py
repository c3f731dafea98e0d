"""A picture of a run: bars under the measured peak."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simdrnn.bench.cases import QUICK
from simdrnn.bench.machine import cpu_model
from simdrnn.bench.peers import OURS
from simdrnn.bench.run import Report
from simdrnn.bench.stats import PASSES, Band, CaseResult
from simdrnn.files.atomic import replacing

__all__ = [
    "BARS_LEGEND",
    "COLORS",
    "plot_bars",
    "plot_report",
    "plot_unavailable",
    "save_figure",
]

# Okabe and Ito's palette, distinguishable also without full colour vision; grey for the baseline.
COLORS = {
    OURS: "#0072B2",
    "pytorch": "#D55E00",
    "onnxruntime": "#E69F00",
    "jax": "#009E73",
    "reference": "#999999",
}

# What a reader of the picture has to be told.
BARS_LEGEND = "Whiskers: range over the rounds."


def plot_unavailable() -> str | None:
    """Say what to install for plots; None if nothing is missing."""
    if find_spec("matplotlib") is None:
        return "--plot needs matplotlib: pip install matplotlib"
    return None


def plot_report(report: Report, path: Path) -> None:
    """Write a PNG of bars."""
    results = [result for result in report.results if result.seconds]
    save_figure(plot_bars(report, results), report, results, BARS_LEGEND, path)


def save_figure(
    figure: Any, report: Report, results: Sequence[CaseResult], legend: str, path: Path
) -> None:
    """Write a figure under a title: dtypes, threads, machine, day, and how to read it."""
    dtypes = " and ".join(dict.fromkeys(result.case.dtype for result in results))
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    facts = (dtypes, threads, cpu_model(), date.today().isoformat())
    title = "Recurrent layers, " + ", ".join(fact for fact in facts if fact)
    figure.suptitle(f"{title}\n{legend}", fontsize="medium")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def plot_bars(report: Report, results: Sequence[CaseResult]) -> Any:
    """Draw GFLOP/s of ours and of every peer, and the peak: a panel per pass.

    More cases than the quick list has get panels of their own for each cell.
    """
    # Figure instead of pyplot: no window system, no state outside this function.
    figure_module: Any = import_module("matplotlib.figure")
    groups = [list(results)]
    if len(results) > len(QUICK):
        cells = dict.fromkeys(result.case.cell for result in results)
        groups = [[r for r in results if r.case.cell == cell] for cell in cells]
    widest = max(len(group) for group in groups)
    figure = figure_module.Figure(
        figsize=(max(7.5, 2.0 + 0.9 * widest), 7.0 * len(groups)), layout="constrained"
    )
    panels = list(figure.subplots(len(PASSES) * len(groups), 1))
    for number, group in enumerate(groups):
        own = panels[number * len(PASSES) : (number + 1) * len(PASSES)]
        for panel, which in zip(own, PASSES, strict=True):
            _draw(panel, report, group, which)
            panel.set_xticks(range(len(group)), [""] * len(group))
        labels = [result.case.label for result in group]
        own[-1].set_xticks(range(len(group)), labels, rotation=35, ha="right")
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
