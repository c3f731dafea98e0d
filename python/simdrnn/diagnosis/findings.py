"""What a diagnosis found, as data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = ["Findings", "LayerDiagnosis", "NonFinite", "Saturation", "troubles_of", "worst"]

# A gate is at its ends this often: worth a word about its inputs and weights.
_MOSTLY = 0.5

# Gradients vanish where less than this share of them is left at the first step, and explode where
# more than one over it arrives there: with one part in a hundred, early steps teach next to nothing
# beside late ones, or the other way round.
_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class NonFinite:
    """The first NaN or infinity.

    Attributes
    ----------
    quantity : what it is a value of: a gate or state, ``"dL/dh"``, ``"x"``, a parameter, ...
    value : NaN, inf or -inf.
    during : ``"forward"`` or ``"backward"``.
    layer : the layer, or None for what belongs to none or to all steps at once.
    reverse : whether it is in the layer's reverse direction.
    step, row : time and row of the batch; None for what has none.
    given : whether it was handed in: x, a state, a parameter, or a gradient for the output.
    part : of a stack or model, as ``"level 1"``; empty of a layer alone.
    """

    quantity: str
    value: float
    during: str
    layer: int | None = None
    reverse: bool = False
    step: int | None = None
    row: int | None = None
    given: bool = False
    part: str = ""

    def __str__(self) -> str:
        """Say where it is."""
        place = "" if self.layer is None else f" of layer {self.layer}"
        place += f" of {self.part}" if self.part else ""
        place += " (reverse)" if self.reverse else ""
        place += "" if self.step is None else f" at step {self.step}, row {self.row}"
        return f"{self.quantity}{place} is {self.value}, in the {self.during} pass"


@dataclass(frozen=True, slots=True, eq=False)
class Saturation:
    """How often a gate's units were near the ends of their range.

    Attributes
    ----------
    left_by_unit, right_by_unit : (H,) shares of real steps and rows: below 0.1 and above 0.9 of a
        sigmoid, below -0.8 and above 0.8 of a tanh; left of a relu: at 0. NaN at an end that is
        infinite, and without real steps.
    """

    left_by_unit: Array
    right_by_unit: Array

    @property
    def left(self) -> float:
        """Share of units, steps and rows at the left end."""
        return float(self.left_by_unit.mean())

    @property
    def right(self) -> float:
        """Share of units, steps and rows at the right end."""
        return float(self.right_by_unit.mean())

    @property
    def dead(self) -> Array:
        """Units that never left 0, where the gate is one-sided as a relu is; else none."""
        one_sided = bool(np.isnan(self.right_by_unit).all())
        return np.flatnonzero((self.left_by_unit == 1.0) & one_sided)


@dataclass(frozen=True, slots=True, eq=False)
class LayerDiagnosis:
    """What was found in one direction of one layer.

    Attributes
    ----------
    layer, reverse : which.
    gradient : state -> (T, B) norms of dL/dh_t (with dL/dy_t, after clips inside back-propagation)
        and of dL/dc_t (as carried: not through h_t); NaN where a step is not real.
    arriving : (T, B) norms of the part of dL/dh_t that came from later steps, before those clips.
    slope : change of the log norm of the gradient per step back, fitted over all rows.
    lost : whether a gradient that was there later is exactly 0 at a first step.
    span : real steps in the longest stretch between resets.
    driven : whether gradient enters along the way, from a loss at many steps or from a layer above.
    saturation : gate -> `Saturation`.
    recurrent_radius : gate -> spectral radius of its recurrent matrix, with a projection of both
        together.
    jacobian_steps, jacobian_radius : (m,) times and (m, n) spectral radii of the step's Jacobian
        d(state_t) / d(state_{t-1}) in n rows; NaN where a row takes no part.
    lyapunov : largest Lyapunov exponent: log growth per step of a small change.
    clips : option -> (T,) shares of values that reached it; NaN where no row takes part. Of rows
        for ``step_grad_norm``, of units else.
    keep : the gate that keeps the state, if there is one; its right end is where it should be.
    input_mean, input_deviation : mean and standard deviation of what the layer is given.
    part : of a stack or model, as ``"level 1"``; empty of a layer alone.
    """

    layer: int
    reverse: bool
    gradient: dict[str, Array]
    arriving: Array
    slope: float
    lost: bool
    span: int
    driven: bool
    saturation: dict[str, Saturation]
    recurrent_radius: dict[str, float]
    jacobian_steps: Array
    jacobian_radius: Array
    lyapunov: float
    clips: dict[str, Array]
    keep: str | None = None
    input_mean: float = math.nan
    input_deviation: float = math.nan
    part: str = ""

    @property
    def name(self) -> str:
        """The layer and direction in words."""
        prefix = f"{self.part}, " if self.part else ""
        return f"{prefix}layer {self.layer}" + (", reverse" if self.reverse else "")

    @property
    def saturated(self) -> tuple[str, ...]:
        """Gates that are near an end of their range in most steps, rows and units.

        Not counted: a gate that keeps the state and does, and the others' left ends in units that
        hold on to what they have, where nothing is to be written.
        """
        holding = np.zeros((), bool)
        if self.keep is not None and self.keep in self.saturation:
            holding = self.saturation[self.keep].right_by_unit > _MOSTLY
        found = []
        for name, gate in self.saturation.items():
            left = gate.left_by_unit * ~holding
            ends = [left.mean(), 0.0 if name == self.keep else gate.right]
            if not math.isnan(gate.right) and np.nansum(ends) > _MOSTLY:
                found.append(name)
        return tuple(found)

    @property
    def dead(self) -> bool:
        """Whether most units never leave 0."""
        return any(g.dead.size > _MOSTLY * g.left_by_unit.size for g in self.saturation.values())

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong: some of ``"explode"``, ``"vanish"``, ``"saturated"``, ``"dead"``."""
        found = [self.verdict] if self.verdict in ("explode", "vanish") else []
        found += ["saturated"] if self.saturated else []
        return (*found, "dead") if self.dead else tuple(found)

    def curve(self, state: str) -> Array:
        """Return (T,) norms of the gradient for a state: root mean square over rows, NaN if none.

        Parameters
        ----------
        state : ``"h"``, or ``"c"`` where there is one.
        """
        norms = self.gradient[state]
        with np.errstate(invalid="ignore", divide="ignore"):
            count = np.count_nonzero(~np.isnan(norms), axis=1)
            largest = np.nan_to_num(norms, nan=0.0).max(axis=1, initial=0.0)
            scaled = np.nan_to_num(norms / np.where(largest > 0, largest, 1.0)[:, None], nan=0.0)
            return np.asarray(largest * np.sqrt(np.square(scaled).sum(axis=1) / count))

    @property
    def growth(self) -> float:
        """Log factor per step back in time that says whether gradients vanish or explode.

        The fitted slope; but where gradient also enters along the way, what is new hides how what
        is old shrinks: there, the Lyapunov exponent, if that is less.
        """
        return self.lyapunov if self.by_exponent else self.slope

    @property
    def by_exponent(self) -> bool:
        """Whether `growth` is the Lyapunov exponent and not the slope."""
        return self.driven and self.lyapunov < self.slope  # NaN is not

    @property
    def verdict(self) -> str:
        """``"vanish"``, ``"explode"``, ``"steady"``, or ``"unknown"`` without two steps to compare.

        Gradients vanish where less than 1 % of them would be left at the other end of the longest
        stretch, and explode where they would be more than 100 times as large.
        """
        if self.lost:
            return "vanish"
        if self.span < 2 or math.isnan(self.growth):
            return "unknown"
        change = self.growth * (self.span - 1)
        if change < math.log(_SHARE):
            return "vanish"
        return "explode" if change > -math.log(_SHARE) else "steady"


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What was found in a recorded run.

    Attributes
    ----------
    cell, options : the layer's cell and its options.
    layers : one `LayerDiagnosis` per layer and direction.
    first_nonfinite : the first NaN or infinity, or None.
    projected : whether h is projected.
    """

    cell: str
    options: Options
    layers: tuple[LayerDiagnosis, ...]
    first_nonfinite: NonFinite | None
    projected: bool = False

    @property
    def verdict(self) -> str:
        """The worst of the layers: explode before vanish before steady before unknown."""
        return worst(self.layers)

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong with any of the layers, and ``"nonfinite"`` where numbers are none."""
        return troubles_of(self.layers, self.first_nonfinite)


def worst(layers: Iterable[LayerDiagnosis]) -> str:
    """Return the worst verdict on layers: explode before vanish before steady before unknown."""
    found = {layer.verdict for layer in layers}
    return next(v for v in ("explode", "vanish", "steady", "unknown") if v in found)


def troubles_of(
    layers: Sequence[LayerDiagnosis], first_nonfinite: NonFinite | None
) -> tuple[str, ...]:
    """Return what is wrong with layers, each once."""
    found = {} if first_nonfinite is None else {"nonfinite": None}
    for layer in layers:
        found |= dict.fromkeys(layer.troubles)
    return tuple(found)
