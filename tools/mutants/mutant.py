"""One planted fault, and how it gets into a text."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Mutant", "planted", "switched"]

# The word that stands for "this mutant is the one that is on" in what is planted in C++.
_ON = re.compile(r"\bON\b")


@dataclass(frozen=True)
class Mutant:
    """A small fault of the kind that people make.

    Parameters
    ----------
    name : short, never changed: results are compared by it.
    file : path from the root of the sources.
    find : text that is there exactly once: an expression, or whole statements, which end in ``;``.
    plant : what stands in its place. In C++ all mutants are in one build, so that both texts stay;
        where an ``if`` or a conditional around them will not do (declarations), `plant` has the
        word ``ON`` for the condition and takes the place as it is.
    fault : what kind of mistake it is.
    seen : what a user would see.
    tests : test files that are likely to notice it, run first: ``clip`` for test_clip.py. None are
        those of the table of rows, for what is compiled.
    equivalent : why nothing can notice it; then it is not run unless it is named.
    """

    name: str
    file: str
    find: str
    plant: str
    fault: str
    seen: str
    tests: tuple[str, ...] = ()
    equivalent: str = ""

    @property
    def number(self) -> int:
        """The mutant's number in a build, which other mutants come and go without changing."""
        return zlib.crc32(self.name.encode()) & 0x7FFFFFFF

    @property
    def likely(self) -> tuple[str, ...]:
        """Tests that are run first."""
        return self.tests or (("rows",) if self.compiled else ())

    @property
    def compiled(self) -> bool:
        """Whether it is one of the sources that are compiled."""
        return not self.file.endswith(".py")


def _place(mutant: Mutant, text: str) -> tuple[int, int]:
    """Return where the mutant's text begins and ends."""
    count = text.count(mutant.find)
    if count != 1:
        raise ValueError(
            f"{mutant.name}: expected its text once in {mutant.file}, found it {count} times: "
            f"{mutant.find!r}"
        )
    begin = text.index(mutant.find)
    return begin, begin + len(mutant.find)


def planted(mutant: Mutant, text: str) -> str:
    """Return the text of a Python file with the fault in it."""
    begin, end = _place(mutant, text)
    return text[:begin] + mutant.plant + text[end:]


def _switch(mutant: Mutant) -> str:
    """Return both texts of a mutant in C++, of which the planted one counts while it is on."""
    condition = f"(simdrnn_mutant == {mutant.number})"
    if _ON.search(mutant.plant):
        return _ON.sub(condition, mutant.plant)
    if mutant.find.rstrip().endswith(";"):
        # Braces around both, since they may be what an `if` without braces governs.
        return f"{{ if {condition} {{ {mutant.plant} }} else {{ {mutant.find} }} }}"
    return f"({condition} ? ({mutant.plant}) : ({mutant.find}))"


def switched(mutants: Iterable[Mutant], text: str) -> str:
    """Return the text of a C++ file with all its mutants, each behind its switch."""
    places = sorted((*_place(mutant, text), mutant) for mutant in mutants) if mutants else []
    parts, at = [], 0
    for begin, end, mutant in places:
        if begin < at:
            raise ValueError(f"{mutant.name}: its text in {mutant.file} is another mutant's, too")
        parts += [text[at:begin], _switch(mutant)]
        at = end
    return "".join([*parts, text[at:]])
