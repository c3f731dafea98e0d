"""Print hashes of what every row of the table of the tests gives, or compare them with others.

    python tools/bits.py > before.json
    python tools/bits.py --compare before.json

What is hashed is the installed `simdrnn`, or the one on PYTHONPATH; rows and numbers are those of
this checkout. Where two builds, machines or commits keep the promise of equal bits, nothing
differs. `--write` puts the hashes where the tests look for them.

    python tools/bits.py --problems problems.bin

writes what these rows ask of the engine, and what it gives, for machines without Python: see
`tools/bits_driver` and docs/platforms.md. Rows of more than `--most` multiplications are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "data" / "bits.json"
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("table", "support")]

from engine_calls import TITLE, Recorder, functions, number, text  # noqa: E402

import hashes as table  # noqa: E402
import simdrnn as sr  # noqa: E402
from factors import FACTORS  # noqa: E402
from hashes import Entry, all_hashes, entries  # noqa: E402
from problems import Setting, Words  # noqa: E402

# About what one of the busy rows takes; all but a few of the small ones take less.
MOST = 600_000


def found(words: list[str]) -> dict[str, Any]:
    """Return the hashes of all entries whose names have all of the words."""
    chosen = [entry for entry in entries() if all(word in entry.name for word in words)]
    all_found = {}
    for done, entry in enumerate(chosen, 1):
        all_found[entry.name] = all_hashes(entry)
        if done % 50 == 0 or done == len(chosen):
            print(f"{done} of {len(chosen)}", file=sys.stderr, flush=True)
    return all_found


def of_each(value: str | Mapping[str, str], isa: str) -> str:
    """Return the hashes on an instruction set; where one stands for all, that."""
    return value if isinstance(value, str) else value.get(isa, "")


def parts(one: str, other: str) -> str:
    """Say what differs: outputs, gradients or both."""
    names = ("outputs", "gradients")
    pairs = zip(names, one.split(":"), other.split(":"), strict=True)
    return " and ".join(name for name, a, b in pairs if a != b)


def differences(hashes: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Return a line for every entry that is not the same in both."""
    lines = []
    for name in [*hashes, *(name for name in others if name not in hashes)]:
        if name not in hashes or name not in others:
            lines.append(f"{name}: only in the {'second' if name not in hashes else 'first'}")
            continue
        one, other = hashes[name], others[name]
        both = (one, other)
        sets = {isa for value in both if not isinstance(value, str) for isa in value} or {"all"}
        for isa in sorted(sets):
            a, b = of_each(one, isa), of_each(other, isa)
            if a and b and a != b:
                lines.append(f"{name}: {isa}: {parts(a, b)}")
    return lines


def work(entry: Entry) -> int:
    """Return how often a row multiplies, forward and for one gate."""
    if entry.row is None:
        return 0
    s = Setting(entry.row)
    return int(s.T * s.B * s.H * (s.H + s.inputs) * s.layers * s.directions)


def not_covered(chosen: Iterable[Entry]) -> list[str]:
    """Return the settings of the table that no row has, or not in both types."""
    rows = [entry.row for entry in chosen if entry.row is not None]
    there = {(name, value, row["dtype"]) for row in rows for name, value in row.items()}
    return [
        f"{name}={value} in {dtype}"
        for name, factor in FACTORS.items()
        for value in factor.values
        for dtype in FACTORS["dtype"].values
        if (name, value, dtype) not in there and name not in ("shape", "dtype")
    ]


def problems_of(entry: Entry, golden: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the calls of the engine that an entry makes here, whose bits are those of ever."""
    with Recorder() as recorder:
        found = table.hashes(entry)
    if found != golden.get(entry.name):
        raise SystemExit(f"{entry.name}: expected {golden.get(entry.name)}, got {found}")
    quick = entry.row is None or Setting(entry.row).quick
    for turn, call in enumerate(recorder.calls):
        yield call.problem(f"{entry.name} (call {turn})", quick)


def write_problems(path: Path, words: list[str], most: int) -> int:
    """Write problems of the entries that take no longer, and of the functions on vectors."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    chosen = [
        entry
        for entry in entries()
        if work(entry) <= most and all(word in entry.name for word in words)
    ]
    missing = not_covered(chosen)
    if missing and not words:
        print(f"--most: expected to cover all settings, not without {missing}", file=sys.stderr)
        return 1
    with path.open("wb") as file:
        count = 0
        file.write(text(TITLE) + number(count))
        for dtype in ("float32", "float64"):
            for problem in functions(dtype, Words("every kind of number")):
                count += file.write(problem) > 0
        for entry in chosen:
            for problem in problems_of(entry, golden):
                count += file.write(problem) > 0
        file.seek(0)
        file.write(text(TITLE) + number(count))
    size = path.stat().st_size / 1e6
    print(f"{count} problems of {len(chosen)} rows, {size:.1f} MB", file=sys.stderr)
    return 0


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only the rows whose names have all of these")
    parser.add_argument("--compare", type=Path, help="a file that this program printed")
    parser.add_argument("--write", action="store_true", help=f"into {GOLDEN.relative_to(ROOT)}")
    parser.add_argument("--problems", type=Path, help="a file to write for tools/bits_driver")
    parser.add_argument("--most", type=int, default=MOST, help="multiplications of a problem")
    given = parser.parse_args()
    if given.problems is not None:
        return write_problems(given.problems, given.words, given.most)
    hashes = found(given.words)
    print(f"instruction sets: {', '.join(sr.isa.available())}", file=sys.stderr)
    split = [name for name, value in hashes.items() if not isinstance(value, str)]
    for name in split:
        print(f"instruction sets differ: {name}: {hashes[name]}", file=sys.stderr)
    if given.compare is not None:
        others = json.loads(given.compare.read_text(encoding="utf-8"))
        if given.words:
            others = {name: others[name] for name in hashes if name in others}
        lines = differences(hashes, others)
        print("\n".join([*lines, f"{len(lines)} differences in {len(hashes)} rows"]))
        return 1 if lines or split else 0
    if given.write and given.words:  # the others stay as they are
        hashes = json.loads(GOLDEN.read_text(encoding="utf-8")) | hashes
    text = json.dumps(hashes, indent=0)
    if given.write:
        GOLDEN.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
    return 1 if split else 0


if __name__ == "__main__":
    sys.exit(main())
