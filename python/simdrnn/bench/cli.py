"""``simdrnn bench``: what happens in which order."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simdrnn.bench.acceptance import Acceptance, run_acceptance
from simdrnn.bench.cases import Case
from simdrnn.bench.machine import as_json, machine_facts
from simdrnn.bench.options import add_arguments, plan, plan_acceptance
from simdrnn.bench.plot import plot_reports
from simdrnn.bench.progress import Progress
from simdrnn.bench.report import advice, print_report
from simdrnn.bench.run import Report, run_cases
from simdrnn.bench.verdicts import print_acceptance
from simdrnn.bench.worker import WorkerError

__all__ = ["add_arguments", "run"]

# Exit codes: everything timed; our library failed or disagreed; a bad argument; Ctrl-C.
_FINE, _FAILED, _USAGE, _INTERRUPTED = 0, 1, 2, 130

_STOPPED = "Stopped by Ctrl-C: the rest was not measured."


def run(args: argparse.Namespace) -> int:
    """Run the benchmark the options describe; returns the exit code."""
    try:
        planned = plan_acceptance(args) if args.acceptance else plan(args)
    except ValueError as error:
        print(f"simdrnn bench: {error}", file=sys.stderr)
        return _USAGE
    if isinstance(planned, Acceptance):
        return _run_acceptance(args, planned)
    return _run_cases(args, *planned)


def _run_cases(args: argparse.Namespace, cases: Sequence[Case], report: Report) -> int:
    """Time the quick list, the grid or the user's shape."""
    code = _FINE
    try:
        with Progress() as progress:
            run_cases(cases, report, progress.say)
    except KeyboardInterrupt:
        report.note(_STOPPED)
        code = _INTERRUPTED
    except WorkerError as error:
        report.note(f"Stopped: {error}")
        code = _FAILED
    print_report(report)
    if args.shape is not None and report.results:
        print("\n" + "\n".join(advice(report.results[0], report.peers)))
        print(f"\n{_explanation(report.results[0].case, report.threads)}")
    _write(args, [report])
    return code or _disagreement([report])


def _explanation(case: Case, threads: int) -> str:
    """Say what the engine does with a case."""
    import simdrnn
    from simdrnn.bench.special import layer_of

    return str(simdrnn.explain(layer_of(case), case.T, case.B, num_threads=threads))


def _run_acceptance(args: argparse.Namespace, acceptance: Acceptance) -> int:
    """Measure the table of targets. Falling short is a result, not a failure."""
    code = _FINE
    try:
        with Progress() as progress:
            run_acceptance(acceptance, progress.say)
    except KeyboardInterrupt:
        acceptance.notes.append(_STOPPED)
        code = _INTERRUPTED
    print_acceptance(acceptance)
    points = acceptance.points()
    _write(
        args, acceptance.reports, verdicts=acceptance.verdicts(), points=points,
        notes=acceptance.notes,
    )  # fmt: skip
    return code or (_FAILED if acceptance.failed else _disagreement(acceptance.reports))


def _disagreement(reports: Sequence[Report]) -> int:
    """Return the exit code of answers that differ, if some do."""
    differ = any(result.mismatch is not None for report in reports for result in report.results)
    return _FAILED if differ else _FINE


def _write(args: argparse.Namespace, reports: Sequence[Report], **table: Any) -> None:
    """Write the files that were asked for."""
    if args.json is not None:
        text = json.dumps(as_json(reports, machine_facts(), **table), indent=1)
        Path(args.json).write_text(text + "\n", encoding="utf-8")
    if args.plot is not None:
        plot_reports(reports, Path(args.plot))
