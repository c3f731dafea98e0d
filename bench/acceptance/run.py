"""Measures every row of the table of targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.acceptance.alternate import Settings
from bench.acceptance.grid import grid_points
from bench.acceptance.latency import measure_latency
from bench.acceptance.layers import Measure, Say
from bench.acceptance.memory import measure_memory
from bench.acceptance.ragged import measure_masks, measure_ragged
from bench.acceptance.reading import Bandwidths
from bench.acceptance.step_options import measure_options
from bench.acceptance.targets import TARGETS, Point, Verdict, judge
from bench.acceptance.thread_count import measure_choice, measure_stack
from bench.acceptance.variants import measure_denormals, measure_variants
from simdrnn.bench.cases import Case
from simdrnn.bench.run import Report, run_cases

__all__ = ["ROWS", "Acceptance", "run_acceptance"]


@dataclass(frozen=True, slots=True)
class _Row:
    """How a row beside the grid is measured.

    Parameters
    ----------
    measure : yields the points.
    once : whether the number of threads does not matter.
    several : whether it says something only about several threads.
    repeat : its rounds, as a multiple of the grid's.
    """

    measure: Measure
    once: bool = False
    several: bool = False
    repeat: int = 2


_SPECIAL = {
    "latency": _Row(measure_latency, once=True),
    "threads": _Row(measure_choice, several=True, repeat=1),
    "ragged": _Row(measure_ragged),
    "mask": _Row(measure_masks),
    "stack": _Row(measure_stack, several=True),
    "denormals": _Row(measure_denormals),
    "memory": _Row(measure_memory, once=True),
    "variants": _Row(measure_variants),
    "options": _Row(measure_options),
}

# Names a user may ask for. The points of ``single`` are among those of ``grid``; alone it needs no
# peers.
ROWS = ("grid", "single", *_SPECIAL)


@dataclass(slots=True)
class Acceptance:
    """Everything a run found out; readable at any time, so also after Ctrl-C.

    Parameters
    ----------
    threads : the numbers of threads, one after another.
    rounds : of the grid.
    rows : names from `ROWS`.
    peers, cases : of the grid.
    grids : one run of the grid per number of threads, with what reading the weights allows.
    special : points of the other rows.
    notes : lines for below the table.
    failed : whether a row could not be measured.
    """

    threads: tuple[int, ...]
    rounds: int
    rows: tuple[str, ...]
    peers: tuple[str, ...]
    cases: Sequence[Case]
    grids: list[tuple[Report, Bandwidths]] = field(default_factory=list)
    special: list[Point] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False

    def points(self) -> list[Point]:
        """Return all points so far, the grid's included."""
        return [point for grid in self.grids for point in grid_points(*grid)] + self.special

    @property
    def reports(self) -> list[Report]:
        """The runs of the grid alone."""
        return [report for report, _ in self.grids]

    def note(self, text: str) -> None:
        """Add a line for below the table."""
        self.notes.append(text)

    def verdicts(self) -> list[Verdict]:
        """Judge the targets of the rows that were asked for, in the order of the table."""
        points = self.points()
        return [
            judge(target, points, threads)
            for target in TARGETS
            if target.row in self.rows or (target.row == "single" and "grid" in self.rows)
            for threads in self.threads_of(target.row)
        ]

    def threads_of(self, name: str) -> tuple[int, ...]:
        """Return the numbers of threads a row is measured with; 0 where they do not matter."""
        row = _SPECIAL.get(name)
        if row is None:
            return self.threads
        if row.once:
            return (0,)
        return tuple(n for n in self.threads if n > 1 or not row.several)


def run_acceptance(acceptance: Acceptance, say: Say) -> None:
    """Measure into `acceptance`; a row that fails is noted, and the next one begins."""
    cases, peers = list(acceptance.cases), acceptance.peers
    if "grid" not in acceptance.rows:
        wanted = "single" in acceptance.rows
        cases, peers = [case for case in cases if wanted and case.B == 1], ()
    for threads in acceptance.threads if cases else ():
        report = Report(threads, acceptance.rounds, peers)
        bandwidths = Bandwidths(report)
        acceptance.grids.append((report, bandwidths))
        try:
            run_cases(cases, report, _naming(threads, say), bandwidths)
        except Exception as error:
            _fail(acceptance, "grid", threads, error)
    for name, row in _SPECIAL.items():
        if name not in acceptance.rows:
            continue
        for threads in acceptance.threads_of(name):
            settings = Settings(threads or max(acceptance.threads), acceptance.rounds * row.repeat)
            try:
                # Point by point, so that what is measured stays when something stops the row.
                for point in row.measure(settings, _naming(threads, say)):
                    acceptance.special.append(point)
            except Exception as error:
                _fail(acceptance, name, threads, error)


def _with_threads(threads: int, text: str) -> str:
    return f"threads {threads}: {text}" if threads else text


def _naming(threads: int, say: Say) -> Say:
    """Return what says the number of threads first."""
    return lambda text: say(_with_threads(threads, text))


def _fail(acceptance: Acceptance, name: str, threads: int, error: Exception) -> None:
    reason = " ".join(str(error).split()) or type(error).__name__
    acceptance.note(f"{_with_threads(threads, name)} stopped: {reason}")
    acceptance.failed = True
