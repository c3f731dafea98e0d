"""Write docs/cells.md: every cell with its equations, source, gates, states and parameters.

Nothing is said twice: equations and sources are the docstrings of the NumPy twins, the rest is the
table of cells that both engines share. Takes the path of the page; without one, prints it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from simdrnn import reference
from simdrnn.spec.cell import CellInfo
from simdrnn.spec.parameters import Sizes, parameter_specs

_HEAD = """\
# Cells

Written by `tools/write_cells_page.py` from the docstrings of the NumPy twins and from the table of
cells; a test checks that it is up to date. `docs/adding.md` says how to add a cell.

x is the input of a step, h the hidden state before it and h' after it; I inputs, H hidden units.
W is `weight_ih`, R is `weight_hh`, b_ih and b_hh are the biases; a_f is the block of H rows of gate
f. A clip acts only where its option is given (`docs/engines.md`). Every layer `sr.NAME` has a
single cell `sr.NAMECell` and a NumPy twin `sr.reference.NAME`, and takes every option for which it
has a gate or a state.
"""


def summary_of(module: ModuleType) -> str:
    """Return the first sentence of a twin's docstring, without its full stop."""
    return inspect.cleandoc(str(module.__doc__)).splitlines()[0].rstrip(".")


def source_of(module: ModuleType) -> str:
    """Return the last paragraph of a twin's docstring, on one line."""
    return " ".join(inspect.cleandoc(str(module.__doc__)).split("\n\n")[-1].split())


def names(values: Iterable[str]) -> str:
    """Write names as code, between commas."""
    return ", ".join(f"`{value}`" for value in values)


def shape(letters: tuple[str, ...]) -> str:
    """Write a shape in letters: (4*H, I), and (4*H,) where there is one."""
    return f"({', '.join(letters)}{',' if len(letters) == 1 else ''})"


def cell_entry(info: CellInfo) -> str:
    """Describe one cell of a layer in figures."""
    (specs,) = parameter_specs(info, Sizes(1, 1), suffixes=False)
    keep = f"`{info.gate_names[info.keep]}`" if info.keep >= 0 else "none"
    return "\n".join(
        (
            f"* cell `{info.name}`",
            f"  * gates, in the order of the rows: {names(info.gate_names)}; forget bias: {keep}",
            f"  * states: {names(state.name for state in info.carried)}",
            f"  * parameters: {', '.join(f'`{s.name}` {shape(s.letters)}' for s in specs)}",
        )
    )


def page() -> str:
    """Return the whole page."""
    modules: dict[ModuleType, list[CellInfo]] = {}
    for cell in reference.CELLS.values():
        modules.setdefault(sys.modules[type(cell).__module__], []).append(cell.info)
    table = ["| layer | | gates | source |", "|---|---|---|---|"]
    sections = []
    for module, infos in modules.items():
        layer = next((info.layer for info in infos if info.layer is not None), None)
        title = layer or "Options of sr.LSTM"  # the one layer with cells in a module of their own
        gates = names(max((info.gate_names for info in infos), key=len))
        shown = f"`{layer}`" if layer else title
        table.append(f"| {shown} | {summary_of(module)} | {gates} | {source_of(module)} |")
        entries = "\n".join(cell_entry(info) for info in infos)
        sections.append(f"## {title}\n\n{inspect.cleandoc(str(module.__doc__))}\n\n{entries}")
    return "\n".join([_HEAD, *table, "", "\n\n".join(sections), ""])


def main() -> None:
    """Write the page to the path given, or print it."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
