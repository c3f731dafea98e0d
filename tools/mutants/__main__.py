"""The command: ``python -m tools.mutants``, from the root of a checkout."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.mutants.build import ROOT, build_core
from tools.mutants.faults import MUTANTS
from tools.mutants.mutant import Mutant
from tools.mutants.suite import Outcome, Suite


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("--list", action="store_true", help="show the mutants and end")
    parser.add_argument("--baseline", action="store_true", help="run without a mutant")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", default=[],
        help="these mutants; a name that ends in * stands for all that begin so; csrc, python",
    )  # fmt: skip
    parser.add_argument(
        "--tests", nargs="+", metavar="PATH",
        help="run these instead of the whole suite, in this order",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds until a run hangs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument(
        "--scratch", type=Path, default=ROOT / "build" / "mutants", metavar="FOLDER",
        help="where copies of the sources are built and run",
    )  # fmt: skip
    parser.add_argument(
        "--compare", type=Path, nargs=2, metavar=("OLD", "NEW"),
        help="two files of results: show what the old suite kills and the new one does not",
    )  # fmt: skip
    return parser.parse_args(given)


def _chosen(names: Sequence[str]) -> list[Mutant]:
    """Return the mutants that are asked for; by default all that are not equivalent."""
    if not names:
        return [mutant for mutant in MUTANTS if not mutant.equivalent]
    found: list[Mutant] = []
    for name in names:
        if name in ("csrc", "python"):
            same = [m for m in MUTANTS if m.compiled == (name == "csrc") and not m.equivalent]
        else:
            same = [
                m for m in MUTANTS
                if m.name == name or (name[-1:] == "*" and m.name.startswith(name[:-1]))
            ]  # fmt: skip
        if not same:
            raise SystemExit(f"--only: no mutant is called {name}")
        found += [mutant for mutant in same if mutant not in found]
    return found


def _show_list() -> None:
    """Print what there is."""
    for mutant in MUTANTS:
        note = f" (equivalent: {mutant.equivalent})" if mutant.equivalent else ""
        print(f"{mutant.name:44} {mutant.file}\n    {mutant.fault}: {mutant.seen}{note}")
    compiled = sum(mutant.compiled for mutant in MUTANTS)
    print(f"{compiled} in csrc, {len(MUTANTS) - compiled} in the package")


def _line(outcome: Outcome) -> str:
    """Return an outcome as a row of the table."""
    return f"{outcome.result:9} {outcome.seconds:6.1f} s  {outcome.name:44} {outcome.by}"


def _compare(old: Path, new: Path) -> int:
    """Print the mutants that one run notices and another does not."""
    results = []
    for path in (old, new):
        rows = json.loads(path.read_text(encoding="utf-8"))
        results.append({row["name"]: row for row in rows})
    lost = [
        name
        for name, row in results[0].items()
        if row["result"] != "survived"
        and results[1].get(name, {"result": "survived"})["result"] == "survived"
    ]
    for name in lost:
        print(f"{name}: killed by {results[0][name]['by']}, and now by nothing")
    print(f"{len(lost)} of {len(results[0])} are no longer killed")
    return 1 if lost else 0


def _run(arguments: argparse.Namespace) -> int:
    """Build, run, report."""
    mutants = [] if arguments.baseline else _chosen(arguments.only)
    scratch = arguments.scratch.resolve()
    core = build_core([mutant for mutant in MUTANTS if mutant.compiled], scratch)
    suite = Suite(core, scratch, arguments.tests, arguments.limit, arguments.jobs)
    if arguments.baseline:
        outcome = suite.baseline()
        print(_line(outcome))
        return 1 if outcome.dead else 0
    outcomes: list[Outcome] = []
    for outcome in suite.outcomes(mutants):
        outcomes.append(outcome)
        print(_line(outcome), flush=True)
        if arguments.json is not None:  # at once: a run of all takes a while
            rows = [one.as_dict() for one in sorted(outcomes, key=lambda one: one.name)]
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    alive = [outcome.name for outcome in outcomes if not outcome.dead]
    print(f"{len(outcomes) - len(alive)} of {len(outcomes)} killed")
    for name in alive:
        print(f"survived: {name}")
    return 1 if alive else 0


def main(given: Sequence[str] | None = None) -> int:
    """Run the command."""
    arguments = _arguments(given)
    if arguments.list:
        _show_list()
        return 0
    if arguments.compare is not None:
        return _compare(*arguments.compare)
    return _run(arguments)


if __name__ == "__main__":
    sys.exit(main())
