"""A diagnosis in words, and what to try."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np

from simdrnn.diagnosis.findings import Findings, LayerDiagnosis
from simdrnn.reference.network import CELLS
from simdrnn.validate import Array

__all__ = ["describe", "suggest"]

# A gate that is saturated this often is worth a word about its inputs and weights.
_MOSTLY = 0.5

# Stretches of more steps are worth cutting into chunks where gradients explode.
_LONG = 100

# Lyapunov exponents nearer to 0 than this change a difference by less than 1 % per step.
_NEUTRAL = 0.01

_VERDICTS = {
    "vanish": "gradients vanish",
    "explode": "gradients explode",
    "steady": "gradients neither vanish nor explode",
    "unknown": "too few steps, or no gradient, to tell",
}


def describe(report: Findings) -> str:
    """Return a paragraph per layer and direction, then what to try."""
    lines = [f"{report.cell}: {_VERDICTS[report.verdict]}."]
    if report.first_nonfinite is not None:
        lines.append(f"Not finite: {report.first_nonfinite}.")
    for layer in report.layers:
        lines.append(f"{layer.name}: {_VERDICTS[layer.verdict]}.")
        lines += [f"  {line}" for line in _paragraph(layer)]
    suggestions = suggest(report)
    if suggestions:
        lines.append("Try:")
        lines += [f"  - {suggestion}" for suggestion in suggestions]
    return "\n".join(lines)


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


def suggest(report: Findings) -> list[str]:
    """Return what to try, the most urgent first; what is on already is not proposed."""
    active = report.options.active()
    found = []
    if report.first_nonfinite is not None:
        found += _against_nonfinite(report, active)
    verdicts = {layer.verdict for layer in report.layers}
    if "explode" in verdicts:
        found += _against_exploding(report, active)
    if "vanish" in verdicts:
        found += _against_vanishing(report)
    found += _against_saturation(report)
    return list(dict.fromkeys(found))


def _against_nonfinite(report: Findings, active: dict[str, object]) -> list[str]:
    """Propose what keeps numbers finite."""
    first = report.first_nonfinite
    if first is None:
        return []
    if first.given:
        return [f"to look where {first.quantity} comes from: it was handed in"]
    if first.during == "backward":
        return _step_clips(active)
    of_h = "proj_clip" if report.projected else "hidden_clip"
    bounds = [name for name in ("gate_clip", of_h) if name not in active]
    if len(report.layers[0].gradient) > 1 and "cell_clip" not in active:
        bounds.append("cell_clip")
    return [f"{' or '.join(bounds)}, to bound the forward pass"] if bounds else []


def _step_clips(active: dict[str, object]) -> list[str]:
    """Propose clips inside back-propagation."""
    if active.keys() & {"step_grad_norm", "step_grad_clip"}:
        return []
    return [
        "step_grad_norm or step_grad_clip, to bound what is carried back from step to step; "
        "sr.clip_grad_norm_ bounds the gradients that come of it"
    ]


def _against_exploding(report: Findings, active: dict[str, object]) -> list[str]:
    """Propose what makes gradients grow less."""
    found = _step_clips(active)
    if CELLS[report.cell].info.recurrent_blocks:
        smaller = "smaller recurrent weights: sr.init.apply(layer, weight_hh=sr.init.orthogonal())"
        # Of the matrices of projected layers, which are not square, there is no such radius.
        found.append(smaller + ("" if report.projected else " or sr.init.spectral_radius(0.95)"))
    span = max(layer.span for layer in report.layers)
    if span > _LONG:
        found.append(f"sr.tbptt, to go back fewer than {span} steps at once")
    return found


def _against_vanishing(report: Findings) -> list[str]:
    """Propose what carries gradients further."""
    span = max(layer.span for layer in report.layers if layer.verdict == "vanish")
    if CELLS[report.cell].info.keep >= 0:  # it has a gate that keeps the state: let it
        return [
            f"sr.init.apply(layer, bias=[sr.init.zeros(), sr.init.chrono(t_max={max(span, 3)})]) "
            "or sr.init.forget_bias, so that the gates keep the state for as long as the sequences"
        ]
    one_sided = any(
        math.isnan(gate.right) for layer in report.layers for gate in layer.saturation.values()
    )
    start = "sr.init.identity()" if one_sided else "sr.init.orthogonal()"
    found = ["sr.LSTM or sr.GRU, whose gates can keep a gradient"]
    if CELLS[report.cell].info.recurrent_blocks:
        found.append(f"sr.init.apply(layer, weight_hh={start}), so that a step keeps norms")
    return found


def _against_saturation(report: Findings) -> list[str]:
    """Propose what keeps units where their slopes are."""
    keep = CELLS[report.cell].info.keep
    found = []
    for layer in report.layers:
        for number, (name, gate) in enumerate(layer.saturation.items()):
            if gate.dead.size > _MOSTLY * gate.left_by_unit.size:
                found.append(
                    'nonlinearity="tanh", or weight_hh=sr.init.identity() and zero biases: most '
                    "units are dead"
                )
            ends = [gate.left] if number == keep else [gate.left, gate.right]
            if not math.isnan(gate.right) and np.nansum(ends) > _MOSTLY:
                found.append(
                    f"inputs of mean 0 and variance 1, or smaller initial weights "
                    f"(sr.init.glorot_uniform()): {name} is saturated most of the time"
                )
    return found
