"""A diagnosis in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from simdrnn.diagnosis.findings import Findings, LayerDiagnosis, NonFinite
from simdrnn.validate import Array

__all__ = ["describe", "describe_network"]

# Lyapunov exponents nearer to 0 than this change a difference by less than 1 % per step.
_NEUTRAL = 0.01

_VERDICTS = {
    "vanish": "gradients vanish",
    "explode": "gradients explode",
    "steady": "gradients neither vanish nor explode",
    "unknown": "too few steps, or no gradient, to tell",
}


def describe(report: Findings, suggestions: Sequence[str]) -> str:
    """Return a paragraph per layer and direction, then what to try."""
    lines = [f"{report.cell}: {_VERDICTS[report.verdict]}."]
    lines += _nonfinite(report.first_nonfinite)
    for layer in report.layers:
        lines.append(f"{layer.name}: {_VERDICTS[layer.verdict]}.")
        lines += [f"  {line}" for line in _paragraph(layer)]
    return "\n".join([*lines, *_advice(suggestions)])


def describe_network(
    parts: Mapping[str, Findings],
    verdict: str,
    first: NonFinite | None,
    suggestions: Sequence[str],
) -> str:
    """Return what is wrong in which part, a paragraph per layer of each, then what to try."""
    cells = ", ".join(f"{name} {found.cell}" for name, found in parts.items())
    lines = [f"{cells}: {_VERDICTS[verdict]}.", *_nonfinite(first)]
    for found in parts.values():
        for layer in found.layers:
            lines.append(f"{layer.name} ({found.cell}): {_VERDICTS[layer.verdict]}.")
            lines += [f"  {line}" for line in _paragraph(layer)]
    return "\n".join([*lines, *_advice(suggestions)])


def _nonfinite(first: NonFinite | None) -> list[str]:
    """Say where the first number is that is none."""
    return [] if first is None else [f"Not finite: {first}."]


def _advice(suggestions: Sequence[str]) -> list[str]:
    """List what to try."""
    listed = [f"  - {suggestion}" for suggestion in suggestions]
    return ["Try:", *listed] if listed else []


def _paragraph(layer: LayerDiagnosis) -> list[str]:
    """Return the lines about one layer and direction; what was not measured has none."""
    lines = [_growth(layer), _norms(layer), _radii(layer), _lyapunov(layer), _saturation(layer)]
    dead = sum(gate.dead.size for gate in layer.saturation.values())
    if dead:
        units = sum(gate.left_by_unit.size for gate in layer.saturation.values())
        lines.append(f"dead units: {dead} of {units} are 0 at every step of every row")
    lines += [_clip(name, shares) for name, shares in layer.clips.items()]
    return [line for line in lines if line]


def _growth(layer: LayerDiagnosis) -> str:
    """Say by what a gradient changes per step."""
    rate, steps = layer.growth, layer.span - 1
    if math.isnan(rate) or steps < 1:
        return ""
    source = "by the Lyapunov exponent" if layer.by_exponent else "fitted to its norms"
    if rate == -math.inf:
        return f"a step back in time makes a gradient 0 ({source})"
    text = f"a step back in time multiplies a gradient by {_number(math.exp(rate))} ({source})"
    if rate != 0:
        verb = "halves" if rate < 0 else "doubles"
        text += f": it {verb} every {_number(math.log(2) / abs(rate))} steps"
    left = Decimal(10) ** Decimal(rate * steps / math.log(10))  # more digits than a float may have
    return text + f", and {steps} steps make {left:.1e} of it"


def _norms(layer: LayerDiagnosis) -> str:
    """Say what the norms are at both ends."""
    parts = []
    for state in layer.gradient:
        curve = layer.curve(state)
        known = np.flatnonzero(~np.isnan(curve))
        if known.size:
            first, last = known[0], known[-1]
            ends = f"{_number(curve[first])} at step {first}, {_number(curve[last])} at step {last}"
            parts.append(f"norm of dL/d{state}: {ends}")
    return "; ".join(parts)


def _radii(layer: LayerDiagnosis) -> str:
    """Say the spectral radii."""
    names = layer.recurrent_radius.items()
    text = "spectral radius of R: " + ", ".join(f"{name} {_number(r)}" for name, r in names)
    known = layer.jacobian_radius[~np.isnan(layer.jacobian_radius)]
    if known.size:
        text += f"; of the step's Jacobian: {_number(known.min())} to {_number(known.max())}"
    return text


def _lyapunov(layer: LayerDiagnosis) -> str:
    """Say what the sign of the exponent means."""
    value = layer.lyapunov
    if math.isnan(value):
        return ""
    if abs(value) < _NEUTRAL:
        meaning = "small differences in the state last"
    elif value < 0:
        meaning = "small differences in the state die out"
    else:
        meaning = "small differences in the state grow: chaos, if the states stay bounded"
    return f"Lyapunov exponent {value:+.3g} per step: {meaning}"


def _saturation(layer: LayerDiagnosis) -> str:
    """Say how often gates are at their ends."""
    parts = []
    for name, gate in layer.saturation.items():
        ends = [("left", gate.left), ("right", gate.right)]
        told = [f"{share:.0%} {end}" for end, share in ends if not math.isnan(share)]
        if told:
            parts.append(f"{name} {' and '.join(told)}")
    return "saturated: " + ", ".join(parts) if parts else ""


def _clip(name: str, shares: Array) -> str:
    """Say how often a clip was reached."""
    known = np.flatnonzero(~np.isnan(shares))
    if not known.size:
        return ""
    worst = known[shares[known].argmax()]
    of = "rows" if name == "step_grad_norm" else "values"
    mean = f"{shares[known].mean():.1%} of {of} on average"
    return f"{name} reached by {mean}, at most {shares[worst]:.1%} (step {worst})"


def _number(value: float) -> str:
    """Write a number with three digits."""
    return f"{value:.3g}"
