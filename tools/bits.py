"""Print hashes of what every row of the table of the tests gives, or compare them with others.

    python tools/bits.py > before.json
    python tools/bits.py --compare before.json

What is hashed is the installed `simdrnn`, or the one on PYTHONPATH; rows and numbers are those of
this checkout. Where two builds, machines or commits keep the promise of equal bits, nothing
differs. `--write` puts the hashes where the tests look for them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "data" / "bits.json"
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("table", "support")]

import simdrnn as sr  # noqa: E402
from hashes import all_hashes, entries  # noqa: E402


def found(words: list[str]) -> dict[str, Any]:
    """Return the hashes of all entries whose names have all of the words."""
    chosen = [entry for entry in entries() if all(word in entry.name for word in words)]
    hashes = {}
    for number, entry in enumerate(chosen, 1):
        hashes[entry.name] = all_hashes(entry)
        if number % 50 == 0 or number == len(chosen):
            print(f"{number} of {len(chosen)}", file=sys.stderr, flush=True)
    return hashes


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


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only the rows whose names have all of these")
    parser.add_argument("--compare", type=Path, help="a file that this program printed")
    parser.add_argument("--write", action="store_true", help=f"into {GOLDEN.relative_to(ROOT)}")
    given = parser.parse_args()
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
