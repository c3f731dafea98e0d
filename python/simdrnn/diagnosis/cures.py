"""What to try against what a diagnosis found: sentences that begin with what to write.

Tests write it, and see that what was wrong is so no longer.
"""

from __future__ import annotations

import math

from simdrnn.diagnosis.findings import Findings, LayerDiagnosis
from simdrnn.reference.network import CELLS

__all__ = ["suggest"]

# Stretches of more steps are worth cutting into chunks where gradients explode.
_LONG = 100

# Over more steps the slopes of a tanh leave less than 1 % of a gradient, at 0.86 a step, which is
# what inputs of variance 1 and an orthogonal matrix make of them.
_SHORT = 30

# Of a gradient, what should be left over all steps where each unit keeps its own.
_SHARE = 0.01

# Inputs that are this far from 0, or spread this wide, saturate gates whatever their weights are.
_LARGE = 3.0


def suggest(report: Findings, layer: str = "layer") -> list[str]:
    """Return what to try, the most urgent first; what is on already is not proposed.

    Parameters
    ----------
    report : of a layer.
    layer : how a program calls it.
    """
    active = report.options.active()
    found = []
    if report.first_nonfinite is not None:
        found += _against_nonfinite(report, active, layer)
    verdicts = {own.verdict for own in report.layers}
    if "explode" in verdicts:
        found += _against_exploding(report, active, layer)
    found += _against_saturation(report, layer)  # before vanishing, of which it is a cause
    if "vanish" in verdicts:
        found += _against_vanishing(report, layer)
    return list(dict.fromkeys(found))


def _against_nonfinite(report: Findings, active: dict[str, object], layer: str) -> list[str]:
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
    found = [f"{' or '.join(bounds)}, to bound the forward pass"] if bounds else []
    radii = [radius for own in report.layers for radius in own.recurrent_radius.values()]
    grows = any(radius > 1.0 for radius in radii)
    return found + (_smaller_matrices(report, layer) if grows else [])


def _step_clips(active: dict[str, object]) -> list[str]:
    """Propose clips inside back-propagation."""
    if active.keys() & {"step_grad_norm", "step_grad_clip"}:
        return []
    return [
        "step_grad_norm or step_grad_clip, to bound what is carried back from step to step; "
        "sr.clip_grad_norm_ bounds the gradients that come of it"
    ]


def _against_exploding(report: Findings, active: dict[str, object], layer: str) -> list[str]:
    """Propose what makes gradients grow less."""
    found = _step_clips(active) + _smaller_matrices(report, layer)
    span = max(own.span for own in report.layers)
    if CELLS[report.cell].info.keep < 0 and not _one_sided(report):
        found.append(_gated(layer, span))  # smaller weights, and a tanh's slopes take it all away
    if span > _LONG:
        found.append(f"sr.tbptt, to go back fewer than {span} steps at once")
    return found


def _smaller_matrices(report: Findings, layer: str) -> list[str]:
    """Propose recurrent matrices that make nothing grow."""
    if not CELLS[report.cell].info.recurrent_blocks:
        return []
    smaller = f"smaller recurrent weights: sr.init.apply({layer}, weight_hh="
    if _one_sided(report):
        # Half of the units of a relu are off in a random network: only what acts on each unit by
        # itself neither grows nor shrinks in it.
        return [f"{smaller}sr.init.identity())"]
    # Of the matrices of projected layers, which are not square, there is no such radius.
    other = "" if report.projected else " or sr.init.spectral_radius(0.95)"
    return [f"{smaller}sr.init.orthogonal()){other}"]


def _one_sided(report: Findings) -> bool:
    """Tell whether units have no upper end, as those of a relu."""
    gates = [gate for own in report.layers for gate in own.saturation.values()]
    return any(math.isnan(gate.right) for gate in gates)


def _against_vanishing(report: Findings, layer: str) -> list[str]:
    """Propose what carries gradients further."""
    span = max(own.span for own in report.layers if own.verdict == "vanish")
    info = CELLS[report.cell].info
    if info.keep >= 0:  # it has a gate that keeps the state: let it
        return [
            f"{_keeping(layer, span)} "
            "or sr.init.forget_bias, so that the gates keep the state for as long as the sequences"
        ]
    found = [_gated(layer, span)]
    if info.name == "ind_rnn":
        names = [f"weight_u_l{own.layer}{'_reverse' * own.reverse}" for own in report.layers]
        keep = f"numpy.random.uniform({_SHARE} ** (1 / {span}), 1.0, {layer}.hidden_size)"
        found = [
            f"{layer}.{name} = {keep}.astype({layer}.dtype), so that every unit keeps some of what "
            f"it had {span} steps ago"
            for name in names
        ] + found
    if not info.recurrent_blocks:
        return found
    start = "sr.init.identity()" if _one_sided(report) else "sr.init.orthogonal()"
    if _one_sided(report) or span <= _SHORT:
        found.append(f"sr.init.apply({layer}, weight_hh={start}), so that a step keeps norms")
    return found


def _keeping(layer: str, span: int) -> str:
    """Write what lets gates keep a state for so many steps."""
    memory = f"sr.init.chrono(t_max={max(span, 3)})"
    return f"sr.init.apply({layer}, bias=[sr.init.zeros(), {memory}])"


def _gated(layer: str, span: int) -> str:
    """Propose a cell with gates, and what lets them keep a gradient for so many steps."""
    cells = "sr.LSTM or sr.GRU, whose gates can keep a gradient"
    return f"{cells}, and to let them: {_keeping(layer, span)}"


def _against_saturation(report: Findings, layer: str) -> list[str]:
    """Propose what keeps units where their slopes are."""
    found = []
    for own in report.layers:
        if own.dead:
            found.append(
                'nonlinearity="tanh", or weight_hh=sr.init.identity() and zero biases: most '
                "units are dead"
            )
        if own.saturated:
            gates = f"{', '.join(own.saturated)} {'is' if len(own.saturated) == 1 else 'are'}"
            found.append(f"{_smaller(report, own, layer)}: {gates} saturated most of the time")
    return found


def _smaller(report: Findings, own: LayerDiagnosis, layer: str) -> str:
    """Say what is too large: what the layer is given, or its weights."""
    mean, deviation = own.input_mean, own.input_deviation
    if abs(mean) > _LARGE or deviation > _LARGE:
        return (
            "inputs of mean 0 and variance 1, (x - mean) / deviation; their mean is "
            f"{mean:.3g} and their standard deviation {deviation:.3g}"
        )
    weights = "weight_ih=sr.init.glorot_uniform(), "
    if CELLS[report.cell].info.recurrent_blocks:
        weights += "weight_hh=sr.init.orthogonal(), "
    return f"smaller initial weights, sr.init.apply({layer}, {weights}bias=sr.init.zeros())"
