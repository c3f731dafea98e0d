"""``simdrnn bench``: options, and what happens in which order."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from simdrnn.bench.cases import ACCEPTANCE, CELLS, DTYPES, QUICK, Case
from simdrnn.bench.machine import as_json, machine_facts
from simdrnn.bench.peers import PEERS
from simdrnn.bench.plot import plot_report, plot_unavailable
from simdrnn.bench.report import advice, print_report
from simdrnn.bench.run import Report, run_cases
from simdrnn.bench.worker import WorkerError

__all__ = ["add_arguments", "run"]

# Exit codes: everything timed; our library failed or disagreed; a bad argument; Ctrl-C.
_FINE, _FAILED, _USAGE, _INTERRUPTED = 0, 1, 2, 130

_QUICK_ROUNDS = 6
_ROUNDS = 10


# Numbers in an array, 8 GiB of float32: every implementation holds a few of that size.
_LARGEST = 2**31


class _BadArgument(ValueError):
    """A value the user gave; the message is one sentence."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``simdrnn bench`` to a parser."""
    parser.add_argument(
        "--quick", action="store_true", help="a dozen shapes instead of the whole grid"
    )
    parser.add_argument("--cell", help=f"only this cell: {', '.join(CELLS)}")
    parser.add_argument("--shape", metavar="T,B,I,H", help="time your own shape, and advise")
    parser.add_argument(
        "--peers",
        metavar="LIST",
        default=",".join(PEERS),
        help=f"what to compare with, by commas: {', '.join(PEERS)}, or none",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads for everybody (1)")
    parser.add_argument("--dtype", default="float32", help=" or ".join(DTYPES))
    parser.add_argument(
        "--rounds", type=int, help=f"rounds per case, even ({_ROUNDS}; quick: {_QUICK_ROUNDS})"
    )
    parser.add_argument("--json", metavar="FILE", help="write every measurement and the machine")
    parser.add_argument("--plot", metavar="FILE", help="write a picture (PNG)")


def run(args: argparse.Namespace) -> int:
    """Run the benchmark the options describe; returns the exit code."""
    try:
        cases, report = _plan(args)
    except ValueError as error:
        print(f"simdrnn bench: {error}", file=sys.stderr)
        return _USAGE
    code = _FINE
    try:
        with _Progress() as progress:
            run_cases(cases, report, progress.say)
    except KeyboardInterrupt:
        report.note("Stopped by Ctrl-C: the rest was not measured.")
        code = _INTERRUPTED
    except WorkerError as error:
        report.note(f"Stopped: {error}")
        code = _FAILED
    if any(result.mismatch is not None for result in report.results):
        code = code or _FAILED
    print_report(report)
    if args.shape is not None and report.results:
        print("\n" + "\n".join(advice(report.results[0], report.peers)))
    if args.json is not None:
        text = json.dumps(as_json(report, machine_facts()), indent=1)
        Path(args.json).write_text(text + "\n", encoding="utf-8")
    if args.plot is not None:
        plot_report(report, Path(args.plot))
    return code


def _plan(args: argparse.Namespace) -> tuple[list[Case], Report]:
    """Check every option before anything is started."""
    if args.threads < 1:
        raise _BadArgument(f"--threads: expected a positive integer, got {args.threads}")
    rounds = args.rounds
    if rounds is None:
        rounds = _QUICK_ROUNDS if args.quick else _ROUNDS
    if rounds < 2 or rounds % 2:
        raise _BadArgument(
            f"--rounds: expected an even number from 2, as the order of rounds "
            f"alternates, got {rounds}"
        )
    for option in ("json", "plot"):
        value = getattr(args, option)
        if value is not None and not Path(value).resolve().parent.is_dir():
            raise _BadArgument(f"--{option}: there is no folder {Path(value).parent}")
        if value is not None and Path(value).is_dir():
            raise _BadArgument(f"--{option}: {value} is a folder, expected a file")
    if args.plot is not None and (missing := plot_unavailable()) is not None:
        raise _BadArgument(missing)
    return _cases(args), Report(args.threads, rounds, _peers(args.peers))


def _cases(args: argparse.Namespace) -> list[Case]:
    """Cases the options ask for, in the dtype they ask for."""
    if args.shape is not None:
        if args.quick:
            raise _BadArgument("--shape and --quick exclude each other")
        sizes = args.shape.split(",")
        if len(sizes) != 4 or not all(size.strip().isdecimal() for size in sizes):
            raise _BadArgument(f"--shape: expected four integers T,B,I,H, got {args.shape!r}")
        steps, batch, inputs, hidden = (int(size) for size in sizes)
        case = Case(args.cell or "lstm", steps, batch, inputs, hidden, args.dtype)
        if max(steps * batch, CELLS[case.cell] * hidden) * (inputs + hidden) > _LARGEST:
            raise _BadArgument(f"--shape: {args.shape} does not fit into memory several times")
        return [case]
    listed = QUICK if args.quick else ACCEPTANCE
    cases = [replace(case, dtype=args.dtype) for case in listed if args.cell in (None, case.cell)]
    if not cases:
        raise _BadArgument(f"--cell: expected one of {', '.join(CELLS)}, got {args.cell!r}")
    return cases


def _peers(text: str) -> tuple[str, ...]:
    """Peers by name, in the order given, each once."""
    if text.strip() == "none":
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in PEERS:
            raise _BadArgument(f"--peers: expected names from {', '.join(PEERS)}, got {name!r}")
    return names


class _Progress:
    """One line on the terminal that says what is being measured; silent elsewhere.

    It changes only when told to: an animation would use the core that is being timed.
    """

    def __init__(self) -> None:
        self._live: Any = None

    def __enter__(self) -> _Progress:
        if sys.stderr.isatty() and find_spec("rich") is not None:
            console: Any = import_module("rich.console").Console(stderr=True)
            live: Any = import_module("rich.live")
            self._live = live.Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")

    def say(self, text: str) -> None:
        """Replace the line."""
        if self._live is not None:
            self._live.update(text, refresh=True)
        elif sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
