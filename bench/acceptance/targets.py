"""The speed that is promised, as data, and the verdict on measurements; nothing here measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simdrnn.bench.stats import Band, geometric_mean

__all__ = ["TARGETS", "Point", "Target", "Verdict", "judge", "show"]


@dataclass(frozen=True, slots=True)
class Target:
    """One line of what is to be reached.

    Parameters
    ----------
    key : name in files.
    row : name of the row of the table it belongs to, as in ``--rows``.
    what : text for people.
    bound : the value to reach.
    least : whether values must be at least, not at most, the bound.
    mean : whether the bound is for the geometric mean of the points, not for each of them.
    unit : of the values: ``"x"`` (a ratio), ``"%"`` (of a fraction), ``"us"``, ``"MB"``.
    points : key of the target whose points are judged, where it is another one.
    """

    key: str
    row: str
    what: str
    bound: float
    least: bool = False
    mean: bool = False
    unit: str = "x"
    points: str = ""

    @property
    def source(self) -> str:
        """Key of the points that are judged."""
        return self.points or self.key

    def holds(self, value: float) -> bool:
        """Whether a value reaches the bound."""
        return value >= self.bound if self.least else value <= self.bound

    def order(self) -> Callable[[Point], float]:
        """Return the key that sorts points from worst to best."""
        return lambda point: point.band.median if self.least else -point.band.median


@dataclass(frozen=True, slots=True)
class Point:
    """One measured value of a target; its median counts.

    Parameters
    ----------
    target : key of the target.
    label : where: a shape, a cell, an option.
    threads : with how many; 0 where it does not matter.
    band : median and range over the rounds, in the unit of the target.
    """

    target: str
    label: str
    threads: int
    band: Band


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one target on one number of threads.

    Parameters
    ----------
    target, threads : which.
    worst : the worst point, also where the mean counts; None if nothing was measured.
    mean : geometric mean of the points; None where it says nothing.
    short : points that do not reach a bound meant for each, worst first.
    """

    target: Target
    threads: int
    worst: Point | None
    mean: float | None
    short: tuple[Point, ...]

    @property
    def value(self) -> float | None:
        """The value that is held against the bound."""
        if self.target.mean:
            return self.mean
        return None if self.worst is None else self.worst.band.median

    @property
    def reached(self) -> bool | None:
        """Whether the bound is reached; None if nothing was measured."""
        return None if self.value is None else self.target.holds(self.value)

    @property
    def text(self) -> str:
        """The verdict in words."""
        if self.value is None:
            return "not measured"
        if self.reached:
            return "reached"
        gap = abs(self.value - self.target.bound)
        if self.target.unit == "%":
            return f"short by {100 * gap:.1f} points"
        return f"short by {show(gap, self.target.unit)}"


def judge(target: Target, points: Sequence[Point], threads: int) -> Verdict:
    """Hold the points of one number of threads against a target."""
    known = [p for p in points if p.target == target.source and p.threads == threads]
    known.sort(key=target.order())
    values = [point.band.median for point in known]
    mean = geometric_mean(values) if values and min(values) > 0 else None
    short = [] if target.mean else [p for p in known if not target.holds(p.band.median)]
    return Verdict(target, threads, known[0] if known else None, mean, tuple(short))


def show(value: float, unit: str) -> str:
    """Write a value in a unit of the targets."""
    if unit == "%":
        return f"{100 * value:.1f} %"
    return f"{value:.2f}" if unit == "x" else f"{value:.2f} {unit}"


_INFERENCE = "inference: time of the best peer / ours"
_TRAINING = "training: time of the best peer / ours"
_ALLOWED = "of what gates leave of the peak"
_VARIANT = "variants: time per FLOP / plain float32 LSTM's"

# The table. A mean is judged on the points of the line above it.
TARGETS = (
    Target("inference", "grid", f"{_INFERENCE}, every point", 1.0, least=True),
    Target("inference_mean", "grid", f"{_INFERENCE}, geometric mean", 1.8, True, True, "x",
           "inference"),
    Target("training", "grid", f"{_TRAINING}, every point", 1.0, least=True),
    Target("training_mean", "grid", f"{_TRAINING}, geometric mean", 2.5, True, True, "x",
           "training"),
    Target("pytorch", "grid", "training: time of PyTorch / ours, geometric mean", 4.0, True, True),
    Target("forward_peak", "grid", "forward, of the FMA peak, B>=16, H>=128", 0.92, True,
           unit="%"),
    Target("forward_peak_64", "grid", "forward, of the FMA peak, B>=16, H=64", 0.80, True,
           unit="%"),
    Target("training_peak", "grid", "training, of the FMA peak, B>=16, H>=128", 0.85, True,
           unit="%"),
    Target("training_peak_64", "grid", "training, of the FMA peak, B>=16, H=64", 0.70, True,
           unit="%"),
    Target("forward_allowed", "grid", f"forward, {_ALLOWED}, B>=16, H>=128", 0.95, True, unit="%"),
    Target("forward_allowed_64", "grid", f"forward, {_ALLOWED}, B>=16, H=64", 0.92, True, unit="%"),
    Target("training_allowed", "grid", f"training, {_ALLOWED}, B>=16, H>=128", 0.92, True,
           unit="%"),
    Target("training_allowed_64", "grid", f"training, {_ALLOWED}, B>=16, H=64", 0.85, True,
           unit="%"),
    Target("single", "single", "B=1 forward: time / model", 1.3),
    Target("layer_call", "latency", "one call from Python, T=1, B=1, H<=64: layer", 3.0,
           unit="us"),
    Target("cell_call", "latency", "one call from Python, T=1, B=1, H<=64: cell", 2.0, unit="us"),
    Target("choice", "threads", "default number of threads: time / best fixed one's", 1.10),
    Target("ragged", "ragged", "ragged lengths: time / (share of real steps x full time)", 1.15),
    Target("equal", "ragged", "equal lengths: time / full time", 1.03),
    Target("mask", "mask", "a mask with holes: time / full time", 1.05),
    Target("reset", "mask", "resets at 1 % of steps: time / full time", 1.05),
    Target("stack", "stack", "4 layers, bidirectional, B=1, H=256: one thread / all", 1.6, True),
    Target("denormals", "denormals", "decay into denormals: time / normal values'", 1.2),
    Target("memory", "memory", "memory after all calls - after a tenth", 5.0, unit="MB"),
    Target("variants", "variants", _VARIANT, 2.0),
    Target("float64", "variants", f"{_VARIANT}, float64", 4.0),
    Target("options", "options", "options: training step / the plain cell's", 1.3),
    Target("layer_norm", "options", "layer norm: training step / the plain cell's", 1.6),
)  # fmt: skip
