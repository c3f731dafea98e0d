"""Tables on the terminal: aligned text, in colour if rich is installed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["TableCell", "align", "print_table"]

# Headings, which have two lines each, and then the body.
Rows = Sequence[Sequence["TableCell"]]

# Columns aligned to the left; numbers stand on the right.
_LEFT = (0,)


@dataclass(frozen=True, slots=True)
class TableCell:
    """Text of one table cell, and how to colour it where there is colour."""

    text: str
    style: str = ""


def align(rows: Rows, left: Collection[int] = _LEFT) -> str:
    """Align a table as text: two lines of headings, then one line per row."""
    header, *body = [[cell.text for cell in row] for row in rows]
    headings = [text.split("\n") for text in header]
    lines = [[upper for upper, _ in headings], [lower for _, lower in headings], *body]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if k in left else text.rjust(width)
            for k, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def print_table(
    title: str, rows: Rows, lines: Sequence[str], left: Collection[int] = _LEFT
) -> None:
    """Print title, table, and lines below it."""
    text = align(rows, left)
    if find_spec("rich") is None:
        print("\n".join([title, "", text, "", *lines]))
        return
    table_module: Any = import_module("rich.table")
    text_module: Any = import_module("rich.text")
    header, *body = rows
    table = table_module.Table(box=None, pad_edge=False)
    for number, cell in enumerate(header):
        justify = "left" if number in left else "right"
        table.add_column(cell.text, justify=justify, no_wrap=True)
    for row in body:
        table.add_row(*(text_module.Text(cell.text, cell.style) for cell in row))
    console: Any = import_module("rich.console").Console(highlight=False)
    # A table wider than the terminal is left to wrap: cut numbers would be worse.
    console.width = max(console.width, *(len(line) for line in text.splitlines()))
    console.print(title, "", markup=False, sep="\n")
    console.print(table)
    console.print("", *lines, markup=False, sep="\n", soft_wrap=True)
