"""Running the suite on a mutant, until a test fails."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.mutants.build import ROOT, environment, lent_fault, package_copy
from tools.mutants.mutant import Mutant

__all__ = ["Outcome", "Suite"]

# What looks at the sources instead of running them: a fault in a copy does not show there.
_OF_THE_TREE = (
    "docs", "layering", "loops", "mutants", "new_cell", "new_option", "processes", "seam",
    "symbols",
)  # fmt: skip
# What is slow and looks at little of the engine: last.
_LATE = ("bench", "bridges", "demos", "parity", "peers")

_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes
    ----------
    result : ``killed`` by a failed test, ``hung`` where time was up, ``crashed`` where the
        interpreter died; ``survived``.
    by : the test that failed, or what was running.
    seconds : that it took, of wall time.
    """

    name: str
    result: str
    by: str
    seconds: float

    @property
    def dead(self) -> bool:
        """Whether the suite has noticed it."""
        return self.result != "survived"

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)


def _stop(process: subprocess.Popen[str]) -> None:
    """End a run and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Suite:
    """The tests of this checkout, run against copies of the package.

    Parameters
    ----------
    core : the extension with all mutants of csrc.
    scratch : folder for the copies.
    paths : the tests, in their order; None: each mutant's likely ones, then all others.
    limit : seconds after which a run is taken to hang.
    jobs : how many runs at a time.
    """

    def __init__(
        self, core: Path, scratch: Path, paths: Sequence[str] | None, limit: float, jobs: int
    ) -> None:
        self._paths, self._limit, self._jobs = paths, limit, jobs
        self._folders: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(jobs):
            self._folders.put(package_copy(core, scratch / f"run{number}"))

    def outcomes(self, mutants: Sequence[Mutant]) -> Iterator[Outcome]:
        """Yield what becomes of each mutant, as soon as it is known."""
        with ThreadPoolExecutor(self._jobs) as threads:
            pending = [threads.submit(self._outcome, mutant) for mutant in mutants]
            for done in as_completed(pending):
                yield done.result()

    def baseline(self) -> Outcome:
        """Run without a mutant: everything must pass."""
        return self._outcome(None)

    def _outcome(self, mutant: Mutant | None) -> Outcome:
        """Run the stages until one notices."""
        name = "baseline" if mutant is None else mutant.name
        number = mutant.number if mutant is not None and mutant.compiled else 0
        begin = time.monotonic()
        path = self._folders.get()
        try:
            planting = (
                nullcontext() if mutant is None or mutant.compiled else lent_fault(mutant, path)
            )
            with planting:
                for stage in self._stages(mutant):
                    found = self._run(stage, environment(path, number))
                    if found is not None:
                        break
        finally:
            self._folders.put(path)
        result, by = found or ("survived", "")
        return Outcome(name, result, by, round(time.monotonic() - begin, 1))

    def _stages(self, mutant: Mutant | None) -> list[list[str]]:
        """Return the lists of tests that are run one after the other."""
        if self._paths is not None:
            return [list(self._paths)]
        every = [
            str(path.relative_to(ROOT))
            for path in sorted((ROOT / "tests").rglob("test_*.py"))
            if path.stem.removeprefix("test_") not in _OF_THE_TREE
        ]
        every.sort(key=lambda path: any(word in path for word in _LATE))
        hints = () if mutant is None else mutant.likely
        likely = [path for hint in hints for path in every if Path(path).stem == f"test_{hint}"]
        rest = [path for path in every if path not in likely]
        return [stage for stage in (likely, rest) if stage]

    def _run(self, tests: Sequence[str], variables: dict[str, str]) -> tuple[str, str] | None:
        """Run tests until the first failure; return how it ended, None if all passed."""
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-n0",
            "-x",
            "-q",
            "-rfE",
            "--no-header",
            "--tb=line",
        ]
        process = subprocess.Popen(
            [*command, "-p", "no:cacheprovider", *tests], cwd=ROOT, env=variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=self._limit)
        except subprocess.TimeoutExpired:
            _stop(process)
            return "hung", f"after {self._limit:g} s in {tests[0]} ..."
        if process.returncode == 0:
            return None
        failed = _FAILED.search(output)
        if failed is not None:
            return "killed", failed.group(1)[:160]
        last = output.strip().splitlines()[-1:] or ["no output"]
        return "crashed", f"status {process.returncode}: {last[0][:120]}"
