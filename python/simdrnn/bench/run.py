"""The runner: check the answers, then time in interleaved rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from simdrnn.bench.cases import Case
from simdrnn.bench.peers import BASELINE, OURS, unavailable
from simdrnn.bench.problem import Answers, Problem, Weights, make_layer, make_problem, mismatch
from simdrnn.bench.stats import PASSES, CaseResult
from simdrnn.bench.worker import Worker, WorkerError

__all__ = ["Ceiling", "Entrant", "Report", "Say", "measure_case", "run_cases"]

# Above this many operations of training the NumPy reference would take minutes, not seconds.
REFERENCE_LIMIT_FLOPS = 100e9

# A call longer than this is timed in the first two rounds only, one of each order.
SLOW_SECONDS = 0.5
SLOW_ROUNDS = 2

Say = Callable[[str], None]

# Measures in a round what the machine can do, into the result or wherever it likes.
Ceiling = Callable[[CaseResult], None]


class Entrant(Protocol):
    """What a case needs of a `Worker` that has built its problem."""

    def answers(self) -> Answers:
        """Output, and gradients if it can train."""

    def calibrate(self, what: str) -> tuple[int, float]:
        """Return calls per round and seconds per call."""

    def measure(self, what: str, calls: int) -> tuple[float, bool]:
        """Seconds per call, and whether the process was idle soon afterwards."""


@dataclass(slots=True)
class Report:
    """Everything one run found out; readable at any time, so also after Ctrl-C.

    Parameters
    ----------
    threads, rounds : as asked for.
    peers : names that take part, in the order of the table.
    results : one entry per case, the last one perhaps with fewer rounds.
    versions : by name of implementation.
    notes : lines for below the table.
    """

    threads: int
    rounds: int
    peers: tuple[str, ...]
    results: list[CaseResult] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a line, once."""
        if text not in self.notes:
            self.notes.append(text)

    def disagrees(self) -> bool:
        """Whether ours and somebody's answers differ."""
        return any(result.mismatch is not None for result in self.results)


@dataclass(frozen=True, slots=True)
class _Slot:
    """One pass of one implementation, as it is repeated in every round."""

    name: str
    entrant: Entrant
    which: str
    calls: int
    slow: bool


def run_cases(cases: Sequence[Case], report: Report, say: Say, also: Ceiling | None = None) -> None:
    """Measure cases into `report`; what is not installed is noted and left out.

    Parameters
    ----------
    cases : what to run.
    report : filled in place, case by case.
    say : told what is going on, between measurements only.
    also : another ceiling to measure in every round, after the FMA peak.

    Raises
    ------
    WorkerError : our own library failed.
    """
    missing = {name: unavailable(name) for name in report.peers}
    for reason in missing.values():
        if reason is not None:
            report.note(reason)
    report.peers = tuple(name for name in report.peers if missing[name] is None)
    with ExitStack() as stack:

        def start(name: str) -> Worker:
            worker = Worker(name, report.threads)
            stack.callback(worker.close)
            return worker

        ceilings = [_peak(start("peak"), report), *([] if also is None else [also])]
        # The reference always checks the answers, also when nobody wants to see its times.
        workers = {name: start(name) for name in dict.fromkeys([OURS, *report.peers, BASELINE])}
        for case in cases:
            say(f"{case.label}: comparing answers")
            problem = make_problem(case, _initial_weights(case), report.threads)
            entrants = _build(workers, problem, report)
            measure_case(case, entrants, report, say, ceilings)


def measure_case(
    case: Case,
    entrants: Mapping[str, Entrant],
    report: Report,
    say: Say,
    ceilings: Sequence[Ceiling],
) -> None:
    """Check and time one case, and append its result to `report`.

    Parameters
    ----------
    entrants : ours and everything to check it against; those in ``report.peers`` are timed too.
    ceilings : measured in every round.
    """
    result = CaseResult(case)
    report.results.append(result)  # now: an interrupted case keeps the rounds it has
    passes = _compare(result, entrants, report)
    if result.mismatch is not None:
        return
    slots = []
    for name in (OURS, *report.peers):
        for which in passes.get(name, ()):
            calls, seconds = entrants[name].calibrate(PASSES[which])
            slots.append(_Slot(name, entrants[name], which, calls, seconds > SLOW_SECONDS))
    for number in range(report.rounds):
        say(f"{case.label}: round {number + 1} of {report.rounds}")
        due = [slot for slot in slots if number < SLOW_ROUNDS or not slot.slow]
        forwards = number % 2 == 0
        if not forwards:
            due.reverse()
            _take_ceilings(result, ceilings)
        for slot in due:
            _take(result, slot, report)
        if forwards:
            _take_ceilings(result, ceilings)


def _take(result: CaseResult, slot: _Slot, report: Report) -> None:
    """Time one slot of one round."""
    seconds, quiet = slot.entrant.measure(PASSES[slot.which], slot.calls)
    result.seconds.setdefault(slot.name, {}).setdefault(slot.which, []).append(seconds)
    if not quiet:
        report.note(f"{slot.name} kept a core busy for half a second after a call")


def _take_ceilings(result: CaseResult, ceilings: Sequence[Ceiling]) -> None:
    for measure in ceilings:
        measure(result)


def _peak(meter: Worker, report: Report) -> Ceiling:
    """How to measure the peak; a machine on which that fails still gets times and ratios."""

    def measure(result: CaseResult) -> None:
        try:
            result.peak.append(meter.peak(result.case.dtype, report.threads))
        except WorkerError as error:
            report.note(f"fractions of the peak are missing: {error}")

    return measure


def _initial_weights(case: Case) -> Weights:
    """Parameters as our layer initialises them; everybody computes with these."""
    import simdrnn

    weights: Weights = make_layer(simdrnn, case, case.dtype).state_dict()
    return weights


def _build(workers: Mapping[str, Worker], problem: Problem, report: Report) -> dict[str, Entrant]:
    """Hand the problem to everybody; a peer that cannot run it is noted and left out."""
    ready: dict[str, Entrant] = {}
    for name, worker in workers.items():
        if name == BASELINE and problem.case.training_flops() > REFERENCE_LIMIT_FLOPS:
            report.note(f"{problem.case.label}: too large for the NumPy {BASELINE}")
            continue
        try:
            report.versions[name] = worker.build(problem)
        except WorkerError as error:
            if name == OURS:
                raise
            report.note(f"{problem.case.label} without {error}")
            continue
        ready[name] = worker
    return ready


def _compare(
    result: CaseResult, entrants: Mapping[str, Entrant], report: Report
) -> dict[str, tuple[str, ...]]:
    """Compare everybody's answers with ours; returns the passes each one can run.

    The first difference is set as the result's mismatch, and ends the comparison.
    """
    try:
        ours = entrants[OURS].answers()
    except WorkerError as error:
        result.mismatch = f"nothing was timed: {error}"
        return {}
    passes = {OURS: tuple(PASSES)}
    for name, entrant in entrants.items():
        if name == OURS:
            continue
        try:
            theirs = entrant.answers()
        except WorkerError as error:
            report.note(f"{result.case.label} without {error}")
            continue
        difference = mismatch(result.case, ours, theirs)
        if difference is not None:
            result.mismatch = f"ours and {name} disagree, nothing was timed: {difference}"
            return {}
        passes[name] = tuple(PASSES) if theirs.gradients else ("forward",)
    if len(passes) == 1:
        report.note(f"{result.case.label}: nothing to check the answers against")
    return passes
