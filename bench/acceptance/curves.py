"""The picture of the grid: speed over the hidden size, with the ceilings of the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.acceptance.reading import Bandwidths
from simdrnn.bench.cases import CELLS, QUICK, Case
from simdrnn.bench.peers import OURS
from simdrnn.bench.plot import BARS_LEGEND, COLORS, plot_bars, save_figure
from simdrnn.bench.run import Report
from simdrnn.bench.stats import PASSES, Band, CaseResult, geometric_mean

__all__ = ["plot_reports"]

_MARKERS = {OURS: "o", "pytorch": "s", "onnxruntime": "^", "jax": "D", "reference": "x"}

# What a reader of the picture has to be told.
_LEGEND = "Lines: geometric mean over the shapes of a size. Dots: those shapes."

# Names of the ceilings in the legend.
_PEAK, _READING = "FMA peak", "reading the recurrent weights"

# GFLOP/s by hidden size; where there are several shapes of one size, all of them.
Speeds = dict[int, list[float]]


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of panels: which shapes, which pass."""

    title: str
    which: str
    wanted: Callable[[Case], bool]


def _columns() -> tuple[_Column, ...]:
    """B = 1, where weights are read for one row, and batches that fill the register tiles."""
    batches: dict[str, Callable[[Case], bool]] = {
        "B = 1": lambda case: case.B == 1,
        "B >= 16": lambda case: case.B >= 16,
    }
    return tuple(
        _Column(f"{batch}, {which}", which, wanted)
        for batch, wanted in batches.items()
        for which in PASSES
    )


def plot_reports(reports: Sequence[tuple[Report, Bandwidths]], path: Path) -> None:
    """Write a PNG per number of threads: the first at `path`, the others beside it.

    Their names end in ``-2-threads`` and so on.
    """
    for number, (report, bandwidths) in enumerate(reports):
        results = [result for result in report.results if result.seconds]
        if len(results) <= len(QUICK):
            figure, legend = plot_bars(report, results), BARS_LEGEND
        else:
            figure, legend = _plot_curves(report, results, bandwidths), _LEGEND
        name = path.name if number == 0 else f"{path.stem}-{report.threads}-threads{path.suffix}"
        save_figure(figure, report, results, legend, path.with_name(name))


def _plot_curves(report: Report, results: Sequence[CaseResult], bandwidths: Bandwidths) -> Any:
    """Draw a row of panels per cell, a column per batch size and pass; return the figure."""
    figure_module: Any = import_module("matplotlib.figure")
    cells = [cell for cell in CELLS if any(result.case.cell == cell for result in results)]
    columns = [
        column for column in _columns() if any(column.wanted(result.case) for result in results)
    ]
    figure = figure_module.Figure(
        figsize=(1.0 + 3.5 * len(columns), 1.4 + 3.0 * len(cells)), layout="constrained"
    )
    grid = figure.subplots(len(cells), len(columns), squeeze=False)
    for cell, panels in zip(cells, grid, strict=True):
        for column, panel in zip(columns, panels, strict=True):
            chosen = [r for r in results if r.case.cell == cell and column.wanted(r.case)]
            _draw(panel, report, chosen, column.which)
            _draw_ceilings(panel, chosen, column.which, bandwidths)
            _set_ticks(panel)
            panel.set_title(f"{cell.upper()}, {column.title}", fontsize="medium")
        panels[0].set_ylabel("GFLOP/s")
    for batch in range(0, len(columns), len(PASSES)):
        _share_axes(list(grid[:, batch : batch + len(PASSES)].flat))
    for panel in grid[-1]:
        panel.set_xlabel("hidden units H")
    known = {
        name: handle
        for panel in grid.flat
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    names = sorted(known, key=[OURS, *report.peers, _PEAK, _READING].index)
    handles = [known[name] for name in names]
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure


def _share_axes(panels: Sequence[Any]) -> None:
    """Give panels that show the same batch sizes the same limits."""
    for axis in ("x", "y"):
        limits = [getattr(panel, f"get_{axis}lim")() for panel in panels]
        low, high = min(limit[0] for limit in limits), max(limit[1] for limit in limits)
        for panel in panels:
            getattr(panel, f"set_{axis}lim")(low, high)


def _draw(panel: Any, report: Report, results: Sequence[CaseResult], which: str) -> None:
    """Draw a line through the means over the shapes of each size, and a marker per shape."""
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    for name in (*report.peers[::-1], OURS):  # ours is drawn last, on top
        speeds = _by_size((r.case.H, r.speed(name, which)) for r in results)
        color, marker = COLORS[name], _MARKERS[name]
        if not speeds:
            continue
        width = 2.2 if name == OURS else 1.3
        panel.plot(*_means(speeds), color=color, marker=marker, ms=5, lw=width, label=name)
        several = [(size, v) for size, values in speeds.items() for v in values if len(values) > 1]
        panel.scatter(*zip(*several, strict=True) if several else ((), ()), s=9, color=color)


def _set_ticks(panel: Any) -> None:
    """Write plain numbers at both logarithmic axes, and draw the grid."""
    panel.grid(visible=True, which="major", lw=0.4, alpha=0.6)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    ticker: Any = import_module("matplotlib.ticker")
    panel.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_minor_locator(ticker.NullLocator())
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _draw_ceilings(
    panel: Any, results: Sequence[CaseResult], which: str, bandwidths: Bandwidths
) -> None:
    """Dashed: the FMA peak, and for inference of one row what reading the weights allows."""
    peaks = Band.of([value for result in results for value in result.peak])
    if peaks is not None:
        panel.axhline(peaks.median, color="black", ls="--", lw=1.2, label=_PEAK)
    if which != "forward":
        return
    roof = _by_size((r.case.H, _roof(r.case, bandwidths)) for r in results)
    if roof:
        panel.plot(*_means(roof), color="#CC79A7", ls="--", lw=1.5, label=_READING)


def _roof(case: Case, bandwidths: Bandwidths) -> Band | None:
    """GFLOP/s at which the recurrent weights are read as fast as their cache delivers them."""
    flops_per_byte = case.forward_flops() / (case.steps() * case.recurrent_bytes())
    return Band.of([flops_per_byte * bandwidth for bandwidth in bandwidths.of(case)])


def _by_size(pairs: Iterable[tuple[int, Band | None]]) -> Speeds:
    """Collect what was measured, in ascending order of size."""
    speeds: Speeds = {}
    for size, band in sorted(pairs, key=lambda pair: pair[0]):
        if band is not None:
            speeds.setdefault(size, []).append(band.median)
    return speeds


def _means(speeds: Speeds) -> tuple[list[int], list[float | None]]:
    """Sizes, and the geometric mean at each."""
    return list(speeds), [geometric_mean(values) for values in speeds.values()]
