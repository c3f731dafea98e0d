"""What can be read off a tape and a trace: norms, saturated gates, clips that were reached."""

from __future__ import annotations

import math

import numpy as np

from simdrnn.diagnosis.findings import Saturation
from simdrnn.diagnosis.recorded import Recorded, stretches
from simdrnn.reference.activations import Activation
from simdrnn.reference.gates import Gate
from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = [
    "clip_shares",
    "driven_on_the_way",
    "gradient_norms",
    "gradient_slope",
    "input_moments",
    "keeping_gate",
    "row_norms",
    "saturation",
]

# A gate is saturated within this share of its range from an end: below 0.1 or above 0.9 for a
# sigmoid, as in Karpathy, Johnson and Fei-Fei 2015, arXiv:1506.02078. There the slopes of sigmoid
# and of tanh alike are 36 % of their largest.
_MARGIN = 0.1

# Units in the last place within which the engines agree on the activation of a bound: the largest
# error of exp, sigmoid and tanh (csrc/kernels/simd/math.hpp), rounded up.
_BOUND_ULP = 4


def row_norms(array: Array) -> Array:
    """Return Euclidean norms over the last axis, in float64, of numbers whose squares may overflow.

    Examples
    --------
    >>> (row_norms(np.array([[3.0, 4.0]]) * 2.0**600) / 2.0**600).tolist()
    [5.0]
    """
    largest = np.abs(array).max(axis=-1, initial=0.0).astype(np.float64)
    with np.errstate(invalid="ignore"):  # not finite: so is the norm
        scaled = array / np.where(largest > 0, largest, 1.0)[..., None]
        return np.asarray(largest * np.sqrt(np.einsum("...h,...h->...", scaled, scaled)))


def gradient_norms(recorded: Recorded, trace: Array) -> tuple[dict[str, Array], Array]:
    """Return norms of the parts of a trace (T, B, (S + 1) * H), NaN where a step is not real.

    Returns
    -------
    by_state : name of a state -> (T, B).
    arriving : (T, B), of dL/dh as it arrived from later steps, before it was clipped.
    """
    parts = [row_norms(part) for part in recorded.carried(trace)]
    norms = np.where(recorded.steps.real[..., None], np.stack(parts, axis=-1), np.nan)
    names = list(recorded.states())
    return {name: norms[..., k] for k, name in enumerate(names)}, norms[..., -1]


def gradient_slope(recorded: Recorded, norms: dict[str, Array]) -> tuple[float, int, bool]:
    """Fit log norms by a line: one slope for all rows and stretches between resets.

    Returns
    -------
    slope : change of the logarithm per step back in time, of norms that are not 0; NaN where there
        is nothing to fit.
    span : real steps of the longest stretch.
    lost : whether a gradient is 0 at the first step of a stretch that has one later.
    """
    number, age = stretches(recorded.steps)
    total = row_norms(np.stack(list(norms.values()), axis=-1))
    batch = total.shape[1]
    real = recorded.steps.real
    span = int(age[real].max(initial=-1)) + 1
    seen = real & np.isfinite(total) & (total > 0)
    stretch = number * batch + np.arange(batch)
    group = stretch[seen]
    lost = bool(np.any(np.isin(stretch, group) & real & (age == 0) & (total == 0)))
    x, y = age[seen].astype(np.float64), np.log(total[seen])
    count = np.maximum(np.bincount(group), 1)
    x -= (np.bincount(group, x) / count)[group]
    y -= (np.bincount(group, y) / count)[group]
    spread = float(x @ x)
    return (-float(x @ y) / spread if spread > 0 else math.nan), span, lost


def driven_on_the_way(recorded: Recorded, d_output: Array) -> bool:
    """Tell whether gradient enters elsewhere than after the last real step of a row.

    Parameters
    ----------
    d_output : (T, B, H), what is added to dL/dh_t from above.
    """
    order = np.asarray(recorded.steps.order, np.intp)
    real = recorded.steps.real
    last = np.empty(real.shape, bool)
    last[order] = real[order] & (np.cumsum(real[order][::-1], axis=0)[::-1] == 1)
    taken = real | recorded.recording.run.hold  # held outputs hand theirs on to the state
    return bool(np.any((d_output != 0).any(axis=-1) & taken & ~last))


def keeping_gate(recorded: Recorded) -> str | None:
    """Return the name of the gate that keeps the state, if there is one."""
    keep = recorded.info.keep
    return recorded.gates[keep].name if 0 <= keep < len(recorded.gates) else None


def input_moments(recorded: Recorded) -> tuple[float, float]:
    """Return mean and standard deviation of what the layer is given at real steps; NaN of none.

    Of layers above the first of a tape NaN, too: what they are given is bounded by what is below.
    """
    if recorded.layer:
        return math.nan, math.nan
    given = recorded.recording.run.x[recorded.steps.real]
    if not given.size:
        return math.nan, math.nan
    with np.errstate(all="ignore"):  # not finite: so is what is measured
        values = given.astype(np.float64)
        return float(values.mean()), float(values.std())


def _ends(activation: Activation) -> tuple[float, float]:
    """Return the limits of an activation far to the left and to the right."""
    with np.errstate(all="ignore"):
        low, high = activation.function(np.array([-np.inf, np.inf]))
    return float(low), float(high)


def saturation(recorded: Recorded) -> dict[str, Saturation]:
    """Return how often each gate's units were near an end of their range, by name."""
    return {gate.name: _saturation(recorded, gate) for gate in recorded.gates}


def _saturation(recorded: Recorded, gate: Gate) -> Saturation:
    """Count one gate's units; an end without a limit cannot be come near to."""
    low, high = _ends(gate.activation)
    bounded = math.isfinite(high) and math.isfinite(low)
    margin = _MARGIN * (high - low) if bounded else 0.0
    values, real = recorded.gate(gate), recorded.steps.real[..., None]
    count = int(real.sum())

    def share(near: Array) -> Array:
        hits = np.count_nonzero(near & real, axis=(0, 1))
        return hits / count if count else np.full(hits.shape, np.nan)

    unknown = np.full(values.shape[-1], np.nan)
    left = low + margin  # of half a line, only its end: there its slope is 0
    return Saturation(
        share(values < left if bounded else values <= left) if math.isfinite(low) else unknown,
        share(values > high - margin if bounded else values >= high)
        if math.isfinite(high)
        else unknown,
    )


def clip_shares(recorded: Recorded, arriving: Array, options: Options) -> dict[str, Array]:
    """Return for every clip that is on the share of values it was reached by at each step.

    Parameters
    ----------
    arriving : (T, B, H) dL/dh as it came from later steps, from a trace.

    Returns
    -------
    option -> (T,) shares, NaN where no row takes part: of the gates' values for ``gate_clip``, of
    units for ``cell_clip``, ``proj_clip``, ``hidden_clip`` and ``step_grad_clip``, of rows for
    ``step_grad_norm``.
    """
    found: dict[str, Array] = {}
    if options.gate_clip is not None and recorded.gates:
        bound = options.gate_clip
        hits = [_at_bound(recorded.gate(g), g.activation, bound) for g in recorded.gates]
        found["gate_clip"] = np.mean(hits, axis=0)
    states = recorded.states()
    for option, state in (("cell_clip", "c"), ("proj_clip", "h"), ("hidden_clip", "h")):
        most = getattr(options, option)
        if most is not None and state in states:
            limit = states[state].dtype.type(most)
            found[option] = (np.abs(states[state]) >= limit).mean(axis=-1)
    if options.step_grad_clip is not None:
        clip = arriving.dtype.type(options.step_grad_clip)
        found["step_grad_clip"] = (np.abs(arriving) >= clip).mean(axis=-1)
        arriving = np.clip(arriving, -clip, clip)
    if options.step_grad_norm is not None:
        found["step_grad_norm"] = row_norms(arriving) > options.step_grad_norm
    real = recorded.steps.real
    with np.errstate(invalid="ignore"):  # 0 / 0 where no row takes part
        return {name: (rows * real).sum(axis=1) / real.sum(axis=1) for name, rows in found.items()}


def _at_bound(values: Array, activation: Activation, bound: float) -> Array:
    """Return per step and row (T, B) the share of `values` that are the activation of a bound.

    Where that is the activation's limit, as 1 is of tanh(20), it tells nothing and does not count.
    """
    reached = np.zeros(values.shape, bool)
    low, high = _ends(activation)
    bottom, top = activation.function(np.array([-bound, bound])).astype(values.dtype)
    near = values.dtype.type(_BOUND_ULP)
    if bottom - near * np.spacing(np.abs(bottom)) > low:
        reached |= values <= bottom + near * np.spacing(np.abs(bottom))
    if top + near * np.spacing(top) < high:
        reached |= values >= top - near * np.spacing(top)
    return np.asarray(reached.mean(axis=-1))
