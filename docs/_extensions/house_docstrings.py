"""Docstrings of this library as reStructuredText.

They have NumPy's sections, with one difference that keeps numpydoc and napoleon from reading them:
an entry is ``name : what it is``, since types are in the annotations. What those two take for a
type and set in italics is here the beginning of a sentence.
"""

from __future__ import annotations

import re
from textwrap import dedent, indent

_FIELDS = {"Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns"}
_HEADING = re.compile(r"^(\w[\w ]*)\n(-{3,})$", re.M)
_ENTRY = re.compile(r"^(\S.*?) : (.*)$")


def restructured(text: str) -> str:
    """Return a docstring, dedented, as reStructuredText."""
    summary, *sections = _sections(text)
    parts = [_prose(summary[1])]
    for name, body in sections:
        if name in _FIELDS:
            entries, rest = _entries(body)
            parts.append(f":{name}:\n{indent(entries, '    ')}")
            parts.extend([_prose(rest)] if rest else [])
        else:
            parts.append(f".. rubric:: {name}\n\n{_prose(body)}")
    return "\n\n".join(parts)


def _sections(text: str) -> list[tuple[str, str]]:
    """Return (heading, text) of every section; the first has no heading."""
    found = [match for match in _HEADING.finditer(text) if len(match[1]) == len(match[2])]
    starts = [0, *(match.end() for match in found)]
    ends = [*(match.start() for match in found), len(text)]
    names = ["", *(match[1] for match in found)]
    bodies = (text[start:end].strip("\n") for start, end in zip(starts, ends, strict=True))
    return list(zip(names, bodies, strict=True))


def _entries(body: str) -> tuple[str, str]:
    """Return a section's entries as a definition list, and the text that follows them.

    A section without entries is text, which comes first.
    """
    entries: list[tuple[str, list[str]]] = []
    lines = body.splitlines()
    for number, line in enumerate(lines):
        match = _ENTRY.match(line)
        if match:
            entries.append((match[1], [match[2]]))
        elif entries and (line.startswith(" ") or not line):
            entries[-1][1].append(line)
        elif entries:
            return _listed(entries), "\n".join(lines[number:])
        else:
            return _prose(body), ""
    return _listed(entries), ""


def _listed(entries: list[tuple[str, list[str]]]) -> str:
    """Return entries as a definition list."""
    return "\n\n".join(
        f"{_names(names)}\n{indent(_told(lines), '    ')}" for names, lines in entries
    )


def _names(names: str) -> str:
    """Return the names of an entry in bold, ``*args`` as they are written."""
    bold = (name.strip().replace("*", r"\*") for name in names.split(","))
    return ", ".join(f"**{name}**" for name in bold)


def _told(lines: list[str]) -> str:
    """Return what an entry says: its first line stands at the margin, the others are indented."""
    first, *rest = lines
    return _prose(f"{first}\n{dedent(chr(10).join(rest))}".strip("\n"))


def _prose(text: str) -> str:
    """Return paragraphs; an indented one is a formula or a program, whose lines are kept."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text):
        own = paragraph.strip("\n")
        if own.lstrip().startswith(">>>"):
            paragraphs.append(own)
        elif own.startswith("    ") and not own.lstrip().startswith(("* ", "- ")):
            paragraphs.append(f"::\n\n{own}")
        else:
            paragraphs.append(_escaped(own))
    return "\n\n".join(paragraphs)


def _escaped(paragraph: str) -> str:
    """Return a paragraph whose bars are bars: ``|x|`` is a magnitude here, and no substitution."""
    parts = re.split(r"(``.+?``|`.+?`)", paragraph, flags=re.S)
    return "".join(part if part.startswith("`") else part.replace("|", r"\|") for part in parts)
