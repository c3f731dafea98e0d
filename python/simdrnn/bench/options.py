"""``simdrnn bench``: the options, and the checks of what the user gave."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from simdrnn.bench.cases import CELLS, DTYPES, GRID, QUICK, Case
from simdrnn.bench.peers import PEERS
from simdrnn.bench.plot import plot_unavailable
from simdrnn.bench.run import Report

__all__ = [
    "BadArgument",
    "add_arguments",
    "add_file_arguments",
    "check_common",
    "chosen",
    "chosen_cases",
    "chosen_peers",
    "even_rounds",
    "plan",
]

_ROUNDS, _QUICK_ROUNDS = 10, 6

# Numbers in an array, 8 GiB of float32: every implementation holds a few of that size.
_LARGEST = 2**31


class BadArgument(ValueError):
    """A value the user gave; the message is one sentence."""


class _Elsewhere(argparse.Action):
    """An option of the repository's benchmarks: says where they are, whatever else is given."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        """Stop with a sentence."""
        parser.error(
            "--acceptance is measured in a checkout of the sources: python -m bench.acceptance "
            "(bench/README.md says how)"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``simdrnn bench`` to a parser."""
    parser.add_argument(
        "--quick", action="store_true", help="a dozen shapes instead of the whole grid"
    )
    parser.add_argument("--acceptance", action=_Elsewhere, nargs=0, help=argparse.SUPPRESS)
    parser.add_argument("--cell", help=f"only this cell of the grid: {', '.join(CELLS)}")
    parser.add_argument("--shape", metavar="T,B,I,H", help="time your own shape, and advise")
    parser.add_argument(
        "--peers",
        metavar="LIST",
        help=f"what to compare with, by commas: {', '.join(PEERS)}, or none (all)",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads for everybody (1)")
    parser.add_argument("--dtype", default="float32", help=" or ".join(DTYPES))
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"rounds per case, even ({_ROUNDS}; --quick: {_QUICK_ROUNDS})",
    )
    add_file_arguments(parser)


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name files to write."""
    parser.add_argument("--json", metavar="FILE", help="write every measurement and the machine")
    parser.add_argument("--plot", metavar="FILE", help="write a picture (PNG)")


def plan(args: argparse.Namespace) -> tuple[list[Case], Report]:
    """Check every option before anything is started; ValueError if one is bad."""
    check_common(args)
    rounds = even_rounds(args.rounds, _QUICK_ROUNDS if args.quick else _ROUNDS)
    return _cases(args), Report(args.threads, rounds, chosen_peers(args.peers, PEERS))


def check_common(args: argparse.Namespace) -> None:
    """Check the number of threads, where there is one, and the files to write."""
    if args.threads is not None and args.threads < 1:
        raise BadArgument(f"--threads: expected a positive integer, got {args.threads}")
    for option in ("json", "plot"):
        value = getattr(args, option)
        if value is not None and not Path(value).resolve().parent.is_dir():
            raise BadArgument(f"--{option}: there is no folder {Path(value).parent}")
        if value is not None and Path(value).is_dir():
            raise BadArgument(f"--{option}: {value} is a folder, expected a file")
    if args.plot is not None and (missing := plot_unavailable()) is not None:
        raise BadArgument(missing)


def even_rounds(asked: int | None, usual: int) -> int:
    """Return the rounds asked for, or the usual number."""
    rounds = usual if asked is None else asked
    if rounds < 2 or rounds % 2:
        raise BadArgument(
            f"--rounds: expected an even number from 2, as the order of rounds "
            f"alternates, got {rounds}"
        )
    return rounds


def _cases(args: argparse.Namespace) -> list[Case]:
    """Cases the options ask for, in the dtype they ask for."""
    if args.shape is None:
        return chosen_cases(QUICK if args.quick else GRID, args.cell, args.dtype)
    if args.quick:
        raise BadArgument("--shape and --quick exclude each other")
    sizes = args.shape.split(",")
    if len(sizes) != 4 or not all(size.strip().isdecimal() for size in sizes):
        raise BadArgument(f"--shape: expected four integers T,B,I,H, got {args.shape!r}")
    steps, batch, inputs, hidden = (int(size) for size in sizes)
    case = Case(args.cell or "lstm", steps, batch, inputs, hidden, args.dtype)
    if max(steps * batch, CELLS[case.cell] * hidden) * (inputs + hidden) > _LARGEST:
        raise BadArgument(f"--shape: {args.shape} does not fit into memory several times")
    return [case]


def chosen_cases(listed: Sequence[Case], cell: str | None, dtype: str = "float32") -> list[Case]:
    """Return the listed cases of a cell, or of all."""
    cases = [replace(case, dtype=dtype) for case in listed if cell in (None, case.cell)]
    if not cases:
        raise BadArgument(f"--cell: expected one of {', '.join(CELLS)}, got {cell!r}")
    return cases


def chosen_peers(text: str | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    """Peers by name, in the order given, each once."""
    if text is None:
        return usual
    return () if text.strip() == "none" else chosen("peers", text, PEERS)


def chosen(option: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Names of a list by commas, in the order given, each once."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise BadArgument(f"--{option}: expected names from {', '.join(known)}, got {name!r}")
    return names
