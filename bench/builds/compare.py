"""The rounds: both builds in turn, in processes that live as long as the comparison."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.builds.rows import Row

__all__ = ["BOUND", "Build", "BuildError", "Comparison", "Result", "compare"]

# A row below this is slower, and is measured once more before it is believed.
BOUND = 0.98

# How many times the rounds of a second measurement.
_AGAIN = 4

# What a turn lasts: long against the timer and a scheduler tick, short enough that the machine is
# the same for both sides of a round. A longer call is made once.
_TURN_SECONDS = 0.04

Say = Callable[[str], None]


class BuildError(RuntimeError):
    """A build could not do what was asked; the message is one line."""


class Side(Protocol):
    """What the rounds need of a `Build`."""

    name: str

    def build(self, row: Row) -> str:
        """Make a row ready; returns a digest of its numbers."""

    def time(self, calls: int) -> float:
        """Seconds per call."""


class Build:
    """Parent's side of the process of one build.

    Parameters
    ----------
    name : ``"before"`` or ``"after"``.
    python : the interpreter that imports it.
    """

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        environment = dict(os.environ)
        # Both sides would import one build: each interpreter has to find its own.
        environment.pop("PYTHONPATH", None)
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name("side.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            start_new_session=True,  # Ctrl-C is for the parent to act on, not for its children
        )

    def identify(self) -> dict[str, str]:
        """Version, place and surroundings of the build."""
        found: dict[str, str] = self._ask("identify")
        return found

    def build(self, row: Row) -> str:
        """Make a row ready; returns a digest of its numbers."""
        return str(self._ask("build", row.as_dict()))

    def time(self, calls: int) -> float:
        """Seconds per call."""
        return float(self._ask("time", calls))

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.terminate()
        self._process.communicate()

    def _ask(self, method: str, *arguments: object) -> Any:
        requests, replies = self._process.stdin, self._process.stdout
        assert requests is not None  # both are pipes
        assert replies is not None
        line = ""
        try:
            requests.write(json.dumps([method, arguments]) + "\n")
            requests.flush()
            line = replies.readline()
        except BrokenPipeError:
            pass
        if not line:
            code = self._process.wait()
            raise BuildError(f"{self.name}: its process ended with exit code {code}")
        succeeded, value = json.loads(line)
        if not succeeded:
            raise BuildError(f"{self.name}: {value}")
        return value


@dataclass(slots=True)
class Result:
    """What came of one row.

    Parameters
    ----------
    row : what was timed.
    rounds : seconds per call of each round: before, after.
    first : the rounds of the first measurement, where the row was measured again.
    """

    row: Row
    rounds: list[tuple[float, float]] = field(default_factory=list)
    first: list[tuple[float, float]] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Time before over time after, in the middle of the rounds; above 1 the new one is faster.

        Within a round, so that a slow spell of the machine, which hits both, cancels out.
        """
        return statistics.median(self.ratios())

    @property
    def spread(self) -> tuple[float, float]:
        """The ratios between which the middle half of the rounds lies."""
        low, _, high = statistics.quantiles(self.ratios(), n=4, method="inclusive")
        return low, high

    @property
    def fastest(self) -> float:
        """Ratio of the fastest rounds: what is left when nothing disturbs either side."""
        return min(before for before, _ in self.rounds) / min(after for _, after in self.rounds)

    def ratios(self) -> list[float]:
        """Before over after, round by round."""
        return [before / after for before, after in self.rounds]

    def medians(self) -> tuple[float, float]:
        """Seconds per call, before and after."""
        before, after = zip(*self.rounds, strict=True)
        return statistics.median(before), statistics.median(after)


@dataclass(slots=True)
class Comparison:
    """Everything a run found out; readable at any time, so also after Ctrl-C."""

    rounds: int
    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def short(self) -> list[Result]:
        """Rows on which the new build is slower, worst first."""
        slower = [result for result in self.results if result.ratio < BOUND]
        return sorted(slower, key=lambda result: result.ratio)


def compare(
    before: Side, after: Side, rows: Sequence[Row], comparison: Comparison, say: Say
) -> None:
    """Time the rows into `comparison`; one that a build refuses is noted and left out.

    Rows on which the new build seems slower are measured once more, in four times the rounds, and
    that counts: among hundreds of rows some are unlucky.
    """
    for number, row in enumerate(rows):
        say(f"{number + 1} of {len(rows)}: {row.label}, {row.which}")
        timed = _measure(before, after, row, comparison.rounds, comparison.notes)
        if timed:
            comparison.results.append(Result(row, timed))
    for result in comparison.short():
        say(f"again: {result.row.label}, {result.row.which}")
        timed = _measure(before, after, result.row, _AGAIN * comparison.rounds, comparison.notes)
        result.first, result.rounds = result.rounds, timed or result.rounds


def _measure(
    before: Side, after: Side, row: Row, rounds: int, notes: list[str]
) -> list[tuple[float, float]]:
    """Return the rounds of a row; every other one begins with the new build."""
    try:
        digests = [side.build(row) for side in (before, after)]
        if digests[0] != digests[1]:
            _note(notes, f"{row.label}, {row.which}: the builds give different bits")
        once = max(side.time(1) for side in (before, after))
        calls = max(
            1, round(_TURN_SECONDS / max(side.time(_few(once)) for side in (before, after)))
        )
        timed = []
        for number in range(rounds):
            if number % 2 == 0:
                first = before.time(calls)
                timed.append((first, after.time(calls)))
            else:
                first = after.time(calls)
                timed.append((before.time(calls), first))
    except BuildError as error:
        _note(notes, f"{row.label}, {row.which} without a result: {error}")
        return []
    return timed


def _few(once: float) -> int:
    """Return how many calls last a tenth of a turn, as one of a microsecond tells nothing."""
    return max(1, round(_TURN_SECONDS / 10 / once))


def _note(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)
