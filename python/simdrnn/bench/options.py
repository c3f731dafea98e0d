"""``simdrnn bench``: the options, and the checks of what the user gave."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simdrnn.bench.acceptance import ROWS, Acceptance
from simdrnn.bench.cases import CELLS, DTYPES, GRID, QUICK, Case
from simdrnn.bench.machine import usable_cores
from simdrnn.bench.peers import BASELINE, PEERS
from simdrnn.bench.plot import plot_unavailable
from simdrnn.bench.run import Report

__all__ = ["add_arguments", "plan", "plan_acceptance"]

_ROUNDS, _QUICK_ROUNDS, _ACCEPTANCE_ROUNDS = 10, 6, 4

# The most threads that the table is for.
_ACCEPTANCE_THREADS = 2

# Numbers in an array, 8 GiB of float32: every implementation holds a few of that size.
_LARGEST = 2**31


class _BadArgument(ValueError):
    """A value the user gave; the message is one sentence."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``simdrnn bench`` to a parser."""
    parser.add_argument(
        "--quick", action="store_true", help="a dozen shapes instead of the whole grid"
    )
    parser.add_argument(
        "--acceptance",
        action="store_true",
        help="measure everything that is promised, and say where it falls short (twenty minutes)",
    )
    parser.add_argument(
        "--rows", metavar="LIST", help=f"of --acceptance only these, by commas: {', '.join(ROWS)}"
    )
    parser.add_argument("--cell", help=f"only this cell of the grid: {', '.join(CELLS)}")
    parser.add_argument("--shape", metavar="T,B,I,H", help="time your own shape, and advise")
    parser.add_argument(
        "--peers",
        metavar="LIST",
        help=f"what to compare with, by commas: {', '.join(PEERS)}, or none (all; "
        f"--acceptance: all but {BASELINE})",
    )
    parser.add_argument(
        "--threads",
        type=int,
        help=f"threads for everybody (1; --acceptance: 1, then {_ACCEPTANCE_THREADS})",
    )
    parser.add_argument("--dtype", default="float32", help=" or ".join(DTYPES))
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"rounds per case, even ({_ROUNDS}; --quick: {_QUICK_ROUNDS}, "
        f"--acceptance: {_ACCEPTANCE_ROUNDS})",
    )
    parser.add_argument("--json", metavar="FILE", help="write every measurement and the machine")
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="write a picture (PNG); of several numbers of threads one each, FILE is the first",
    )


def plan(args: argparse.Namespace) -> tuple[list[Case], Report]:
    """Check every option before anything is started; ValueError if one is bad."""
    if args.rows is not None:
        raise _BadArgument("--rows goes with --acceptance")
    _check_common(args)
    rounds = _rounds(args, _QUICK_ROUNDS if args.quick else _ROUNDS)
    return _cases(args), Report(args.threads or 1, rounds, _peers(args.peers, PEERS))


def plan_acceptance(args: argparse.Namespace) -> Acceptance:
    """Do the same for ``--acceptance``."""
    for option in ("quick", "shape"):
        if getattr(args, option):
            raise _BadArgument(f"--acceptance and --{option} exclude each other")
    if args.dtype != "float32":
        raise _BadArgument(f"--dtype: expected float32 with --acceptance, got {args.dtype!r}")
    _check_common(args)
    rows = _names("rows", ",".join(ROWS) if args.rows is None else args.rows, ROWS)
    if args.plot is not None and not {"grid", "single"} & set(rows):
        raise _BadArgument("--plot: nothing to draw without the rows grid or single")
    most = min(usable_cores(), _ACCEPTANCE_THREADS)
    threads = tuple(range(1, most + 1)) if args.threads is None else (args.threads,)
    rivals = tuple(name for name in PEERS if name != BASELINE)
    return Acceptance(
        threads,
        _rounds(args, _ACCEPTANCE_ROUNDS),
        rows,
        _peers(args.peers, rivals),
        _cases(args),
    )


def _check_common(args: argparse.Namespace) -> None:
    """Check what does not depend on the kind of run."""
    if args.threads is not None and args.threads < 1:
        raise _BadArgument(f"--threads: expected a positive integer, got {args.threads}")
    for option in ("json", "plot"):
        value = getattr(args, option)
        if value is not None and not Path(value).resolve().parent.is_dir():
            raise _BadArgument(f"--{option}: there is no folder {Path(value).parent}")
        if value is not None and Path(value).is_dir():
            raise _BadArgument(f"--{option}: {value} is a folder, expected a file")
    if args.plot is not None and (missing := plot_unavailable()) is not None:
        raise _BadArgument(missing)


def _rounds(args: argparse.Namespace, usual: int) -> int:
    """Return the rounds asked for, or the usual number."""
    rounds = usual if args.rounds is None else int(args.rounds)
    if rounds < 2 or rounds % 2:
        raise _BadArgument(
            f"--rounds: expected an even number from 2, as the order of rounds "
            f"alternates, got {rounds}"
        )
    return rounds


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
    listed = QUICK if args.quick else GRID
    cases = [replace(case, dtype=args.dtype) for case in listed if args.cell in (None, case.cell)]
    if not cases:
        raise _BadArgument(f"--cell: expected one of {', '.join(CELLS)}, got {args.cell!r}")
    return cases


def _peers(text: str | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    """Peers by name, in the order given, each once."""
    if text is None:
        return usual
    return () if text.strip() == "none" else _names("peers", text, PEERS)


def _names(option: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Names of a list by commas, in the order given, each once."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise _BadArgument(f"--{option}: expected names from {', '.join(known)}, got {name!r}")
    return names
