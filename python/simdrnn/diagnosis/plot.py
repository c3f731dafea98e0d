"""A picture of a diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from simdrnn.diagnosis.findings import LayerDiagnosis

__all__ = ["draw"]

_STYLES = {"h": "-", "c": "--"}  # of curves, by state


def draw(report: Any, figure: Any = None) -> Any:
    """Draw `report` into `figure`, or a new one; panels without anything to show are left out."""
    panels: list[Callable[[Any, Any], None]] = [_norms]
    if any(layer.saturation for layer in report.layers):
        panels.append(_saturation)
    if any(layer.jacobian_radius.size for layer in report.layers):
        panels.append(_jacobians)
    if any(layer.clips for layer in report.layers):
        panels.append(_clips)
    columns = 1 if len(panels) == 1 else 2
    rows = -(-len(panels) // columns)
    if figure is None:
        figure = _new_figure(columns, rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, panel in zip(axes, panels, strict=False):
        panel(axis, report)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    figure.suptitle(str(report).split("\n", 1)[0])
    return figure


def _new_figure(columns: int, rows: int) -> Any:
    """Make a figure without a window system and without state outside it."""
    try:
        module: Any = import_module("matplotlib.figure")
    except ImportError as error:
        raise ImportError("plot needs matplotlib: pip install matplotlib") from error
    return module.Figure(figsize=(6.0 * columns, 3.8 * rows), layout="constrained")


def _color(number: int) -> str:
    """Return the color of a layer and direction: matplotlib's cycle."""
    return f"C{number % 10}"


def _norms(axis: Any, report: Any) -> None:
    """Norms of the gradients over time, one curve per layer, direction and state."""
    for number, layer in enumerate(report.layers):
        for state in layer.gradient:
            curve = layer.curve(state)
            shown = np.where(curve > 0, curve, np.nan)  # a logarithm has no place for 0
            style = _STYLES.get(state, ":")
            label = f"{layer.name}: dL/d{state}"
            axis.plot(shown, style, color=_color(number), label=label, linewidth=1.2)
    axis.set_yscale("log")
    axis.set_title("Norm of the gradient for each state")
    axis.set_xlabel("step t")
    axis.set_ylabel("root mean square over rows")
    axis.legend(fontsize="small")


def _saturation(axis: Any, report: Any) -> None:
    """Shares of saturated values: left end downwards, right end upwards."""
    labels: list[str] = []
    for number, layer in enumerate(report.layers):
        for name, gate in layer.saturation.items():
            place = len(labels)
            axis.bar(place, np.nan_to_num(gate.right), color=_color(number))
            axis.bar(place, -np.nan_to_num(gate.left), color=_color(number), alpha=0.5)
            labels.append(f"{name} {_short(layer)}")
    axis.axhline(0.0, color="black", linewidth=0.8)
    axis.set_ylim(-1.0, 1.0)
    axis.set_yticks([-1.0, -0.5, 0.0, 0.5, 1.0], ["100 %", "50 %", "0", "50 %", "100 %"])
    axis.set_xticks(range(len(labels)), labels, rotation=45 if len(labels) > 8 else 0)
    axis.set_title("Saturated gate values: right end above, left end below")
    axis.set_ylabel("share of steps, rows, units")


def _short(layer: LayerDiagnosis) -> str:
    """Name a layer and direction in a few characters."""
    part = layer.part.replace("level ", "").replace(", ", ".")
    return f"{part} l{layer.layer}".strip() + ("r" if layer.reverse else "")


def _jacobians(axis: Any, report: Any) -> None:
    """Spectral radius of the step's Jacobian: median over rows, and their range."""
    for number, layer in enumerate(report.layers):
        radius, times = layer.jacobian_radius, layer.jacobian_steps
        known = ~np.isnan(radius).all(axis=1)
        if not known.any():
            continue
        radius, times, color = radius[known], times[known], _color(number)
        axis.plot(times, np.nanmedian(radius, axis=1), ".-", color=color, label=layer.name)
        low, high = np.nanmin(radius, axis=1), np.nanmax(radius, axis=1)
        axis.fill_between(times, low, high, color=color, alpha=0.2, linewidth=0)
    axis.axhline(1.0, color="black", linewidth=0.8)
    axis.set_title("Spectral radius of the step's Jacobian: median and range over rows")
    axis.set_xlabel("step t")
    axis.set_ylabel("largest |eigenvalue|")
    axis.legend(fontsize="small")


def _clips(axis: Any, report: Any) -> None:
    """Share of values that reached each clip over time."""
    styles = ("-", "--", ":", "-.", (0, (1, 3)))
    for number, layer in enumerate(report.layers):
        for k, (name, shares) in enumerate(layer.clips.items()):
            style, label = styles[k % len(styles)], f"{layer.name}: {name}"
            axis.plot(shares, linestyle=style, color=_color(number), label=label, linewidth=1.2)
    axis.set_ylim(bottom=0.0)
    axis.set_title("Share of values that reached a clip")
    axis.set_xlabel("step t")
    axis.set_ylabel("share")
    axis.legend(fontsize="small")
