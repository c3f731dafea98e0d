"""``python -m bench.builds --before PYTHON --after PYTHON``: what happens in which order."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bench.builds.compare import Build, BuildError, Comparison, compare
from bench.builds.rows import SECTIONS, Row, rows_of
from bench.builds.table import as_json, print_comparison
from simdrnn.bench.cli import FAILED, FINE, USAGE, measured

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Compare two builds; returns the exit code. A slower build is a result, not a failure."""
    args = _parser().parse_args(argv)
    try:
        rows = _rows(args)
    except ValueError as error:
        print(f"bench.builds: {error}", file=sys.stderr)
        return USAGE
    comparison = Comparison(args.rounds)
    with (
        closing(Build("before", args.before)) as before,
        closing(Build("after", args.after)) as after,
    ):
        try:
            builds = {side.name: side.identify() for side in (before, after)}
        except BuildError as error:
            print(f"bench.builds: {error}", file=sys.stderr)
            return FAILED
        if builds["before"]["place"] == builds["after"]["place"]:
            comparison.notes.append("Both sides are the same build: this shows the noise.")
        code = measured(
            lambda say: compare(before, after, rows, comparison, say), comparison.notes.append
        )
    print_comparison(builds, comparison)
    if args.json is not None:
        text = json.dumps(as_json(builds, comparison), indent=1)
        Path(args.json).write_text(text + "\n", encoding="utf-8")
    return code or (FAILED if len(comparison.results) < len(rows) else FINE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.builds", description="Time two installed builds side by side."
    )
    for name in ("before", "after"):
        parser.add_argument(
            f"--{name}", metavar="PYTHON", required=True, help="interpreter that imports the build"
        )
    parser.add_argument(
        "--sections", metavar="LIST", default=",".join(SECTIONS),
        help=f"by commas: {', '.join(SECTIONS)} (all)",
    )  # fmt: skip
    parser.add_argument("--threads", metavar="LIST", default="1,2", help="by commas (1,2)")
    parser.add_argument("--quick", action="store_true", help="fewer shapes")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose name contains it")
    parser.add_argument("--rounds", type=int, default=12, help="rounds per row, even (12)")
    parser.add_argument("--json", metavar="FILE", help="write every round")
    return parser


def _rows(args: argparse.Namespace) -> list[Row]:
    """Check every option before anything is started; ValueError if one is bad."""
    for name in ("before", "after"):
        if shutil.which(getattr(args, name)) is None:
            raise ValueError(f"--{name}: expected an interpreter, got {getattr(args, name)!r}")
    if args.rounds < 2 or args.rounds % 2:
        raise ValueError(f"--rounds: expected an even number from 2, got {args.rounds}")
    if args.json is not None and not Path(args.json).resolve().parent.is_dir():
        raise ValueError(f"--json: there is no folder {Path(args.json).parent}")
    counts = args.threads.split(",")
    if not all(count.isdecimal() and int(count) > 0 for count in counts):
        raise ValueError(f"--threads: expected positive integers by commas, got {args.threads!r}")
    sections = args.sections.split(",")
    for name in sections:
        if name not in SECTIONS:
            raise ValueError(f"--sections: expected {', '.join(SECTIONS)}, got {name!r}")
    rows = rows_of(sections, [int(count) for count in counts], args.quick, args.only)
    if not rows:
        raise ValueError(f"--only: no row's name contains {args.only!r}")
    return rows


if __name__ == "__main__":
    sys.exit(main())
