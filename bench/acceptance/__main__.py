"""``python -m bench.acceptance``: the options, and what happens in which order."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.acceptance.curves import plot_reports
from bench.acceptance.record import acceptance_as_json
from bench.acceptance.run import ROWS, Acceptance, run_acceptance
from bench.acceptance.verdicts import print_acceptance
from simdrnn.bench.cases import CELLS, GRID
from simdrnn.bench.cli import FAILED, FINE, USAGE, measured
from simdrnn.bench.machine import machine_facts, usable_cores
from simdrnn.bench.options import (
    BadArgument,
    add_file_arguments,
    check_common,
    chosen,
    chosen_cases,
    chosen_peers,
    even_rounds,
)
from simdrnn.bench.peers import BASELINE, PEERS

__all__ = ["main", "plan"]

_ROUNDS = 4

# The most threads that the table is for.
_THREADS = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the table of targets; returns the exit code. Falling short is a result."""
    try:
        args, acceptance = plan(argv)
    except ValueError as error:
        print(f"bench.acceptance: {error}", file=sys.stderr)
        return USAGE
    code = measured(lambda say: run_acceptance(acceptance, say), acceptance.note)
    print_acceptance(acceptance)
    if args.json is not None:
        text = json.dumps(acceptance_as_json(acceptance, machine_facts()), indent=1)
        Path(args.json).write_text(text + "\n", encoding="utf-8")
    if args.plot is not None:
        plot_reports(acceptance.grids, Path(args.plot))
    disagreement = any(report.disagrees() for report in acceptance.reports)
    return code or (FAILED if acceptance.failed or disagreement else FINE)


def plan(argv: Sequence[str] | None) -> tuple[argparse.Namespace, Acceptance]:
    """Check every option before anything is started; ValueError if one is bad."""
    args = _parser().parse_args(argv)
    check_common(args)
    rows = ROWS if args.rows is None else chosen("rows", args.rows, ROWS)
    if args.plot is not None and not {"grid", "single"} & set(rows):
        raise BadArgument("--plot: nothing to draw without the rows grid or single")
    most = min(usable_cores(), _THREADS)
    threads = tuple(range(1, most + 1)) if args.threads is None else (args.threads,)
    rivals = tuple(name for name in PEERS if name != BASELINE)
    rounds = even_rounds(args.rounds, _ROUNDS)
    peers, cases = chosen_peers(args.peers, rivals), chosen_cases(GRID, args.cell)
    return args, Acceptance(threads, rounds, rows, peers, cases)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.acceptance",
        description="Measure everything that is promised, and say where it falls short "
        "(twenty minutes).",
    )
    parser.add_argument(
        "--rows", metavar="LIST", help=f"only these, by commas: {', '.join(ROWS)} (all)"
    )
    parser.add_argument("--cell", help=f"only this cell of the grid: {', '.join(CELLS)}")
    parser.add_argument(
        "--peers",
        metavar="LIST",
        help=f"what to compare the grid with, by commas: {', '.join(PEERS)}, or none "
        f"(all but {BASELINE})",
    )
    parser.add_argument("--threads", type=int, help=f"threads for everybody (1, then {_THREADS})")
    parser.add_argument("--rounds", type=int, help=f"rounds per case, even ({_ROUNDS})")
    add_file_arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
