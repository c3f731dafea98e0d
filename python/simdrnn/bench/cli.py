"""``simdrnn bench``: what happens in which order."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from simdrnn.bench.cases import Case
from simdrnn.bench.machine import as_json, machine_facts
from simdrnn.bench.options import add_arguments, plan
from simdrnn.bench.plot import plot_report
from simdrnn.bench.problem import make_layer
from simdrnn.bench.progress import Progress
from simdrnn.bench.report import advice, print_report
from simdrnn.bench.run import Say, run_cases
from simdrnn.bench.worker import WorkerError
from simdrnn.files.atomic import replacing

__all__ = ["FAILED", "FINE", "USAGE", "add_arguments", "measured", "run"]

# Exit codes: everything timed; our library failed or disagreed; a bad argument; Ctrl-C.
FINE, FAILED, USAGE, _INTERRUPTED = 0, 1, 2, 130

_STOPPED = "Stopped by Ctrl-C: the rest was not measured."


def run(args: argparse.Namespace) -> int:
    """Run the benchmark the options describe; returns the exit code."""
    try:
        cases, report = plan(args)
    except ValueError as error:
        print(f"simdrnn bench: {error}", file=sys.stderr)
        return USAGE
    code = measured(lambda say: run_cases(cases, report, say), report.note)
    print_report(report)
    if args.shape is not None and report.results:
        print("\n" + "\n".join(advice(report.results[0], report.peers)))
        print(f"\n{_explanation(report.results[0].case, report.threads)}")
    if args.json is not None:
        text = json.dumps(as_json([report], machine_facts()), indent=1)
        with replacing(Path(args.json)) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    if args.plot is not None:
        plot_report(report, Path(args.plot))
    return code or (FAILED if report.disagrees() else FINE)


def measured(measure: Callable[[Say], None], note: Callable[[str], None]) -> int:
    """Measure with a line of progress; what stops it is noted. Returns the exit code so far."""
    try:
        with Progress() as progress:
            measure(progress.say)
    except KeyboardInterrupt:
        note(_STOPPED)
        return _INTERRUPTED
    except WorkerError as error:
        note(f"Stopped: {error}")
        return FAILED
    return FINE


def _explanation(case: Case, threads: int) -> str:
    """Say what the engine does with a case."""
    import simdrnn

    layer = make_layer(simdrnn, case, case.dtype)
    return str(simdrnn.explain(layer, case.T, case.B, num_threads=threads))
