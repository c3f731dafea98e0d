"""The gallery's examples: found by their folders, listed, run by name, small or in full.

An example is a script ``NAME/NAME.py`` that is read as a page of the site, and run by
``simdrnn demo NAME``. Its docstring begins with a title and ends with
``Needs: package, package. Takes: N seconds.``; it leaves its results in a dict ``scores``.
"""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import json
import os
import re
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from simdrnn.demos import DemoError
from simdrnn.demos.pictures import pictures

__all__ = [
    "KINDS", "Example", "add_arguments", "by_size", "examples", "folder", "forget_helpers",
    "list_examples", "missing", "run", "run_example",
]  # fmt: skip

Value = TypeVar("Value")

# What people use recurrent networks for, in the order of the site, and the examples of each.
KINDS = {
    "one to one": ("digits",),
    "one to many": ("captions", "chorales"),
    "many to one": ("sentiment", "interest"),
    "many to many, equal lengths": ("tagging", "phonemes"),
    "many to many, unequal lengths": ("translation", "spoken_digits"),
    "video": ("moving_digits",),
    "time series": ("forecasting",),
    "control": ("hidden_speeds",),
    "real time": ("amplifier",),
    "long memory": ("long_memory",),
    "noise": ("noise",),
    "online": ("drift",),
    "neuroscience": ("rate_network",),
}
_OTHERS = "more"

_VARIABLE = "SIMDRNN_GALLERY"
_SIZES = ("small", "full")
_LAST_LINE = re.compile(r"Needs: ([\w.-]+(?:, [\w.-]+)*)\. Takes: (\d+) seconds?\.\Z")


@dataclass(frozen=True, slots=True)
class Example:
    """An example of the gallery.

    Attributes
    ----------
    name : of folder, script and ``simdrnn demo NAME``.
    title : of its page.
    kind : one of `KINDS`, or "more".
    needs : the packages that have its data or that it runs with, as an index calls them.
    seconds : what it takes at full size on two cores.
    script : the file.
    """

    name: str
    title: str
    kind: str
    needs: tuple[str, ...]
    seconds: int
    script: Path


def by_size(*, full: Value, small: Value) -> Value:
    """Return `small` where the environment asks for ``SIMDRNN_GALLERY=small``, else `full`.

    Parameters
    ----------
    full : for a reader, who wants the result that the text speaks of.
    small : for a test, that wants to know within seconds whether the example runs.

    Raises
    ------
    ValueError : SIMDRNN_GALLERY is neither ``small`` nor ``full``.

    Examples
    --------
    >>> by_size(full=12, small=1) in (12, 1)
    True
    """
    size = os.environ.get(_VARIABLE) or "full"
    if size not in _SIZES:
        raise ValueError(f"{_VARIABLE}: expected {' or '.join(_SIZES)}, got {size!r}")
    return small if size == "small" else full


def folder() -> Path:
    """Return where the examples are: beside this module in a wheel, or in the source tree."""
    here = Path(__file__).resolve().parent
    tree = here.parents[2] / "examples" / "gallery"
    return tree if tree.is_dir() else here / "examples"


def examples() -> dict[str, Example]:
    """Return the examples by name, in the order of `KINDS`, others by name behind.

    There are none where somebody installed the modules alone.

    Raises
    ------
    ValueError : the docstring of one does not begin or end as it has to.
    """
    place = folder()
    if not place.is_dir():
        return {}
    names = {path.name for path in place.iterdir() if (path / f"{path.name}.py").is_file()}
    kinds = {name: kind for kind, members in KINDS.items() for name in members}
    order = [name for name in kinds if name in names] + sorted(names - set(kinds))
    return {name: _read(place / name / f"{name}.py", kinds.get(name, _OTHERS)) for name in order}


def _read(script: Path, kind: str) -> Example:
    """Read what the docstring of a script says about it."""
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    title = text.partition("\n")[0]
    found = _LAST_LINE.search(" ".join(text.split()))
    if found is None or not title:
        raise ValueError(
            f"{script}: expected a docstring that begins with a title and ends with "
            f"'Needs: package, package. Takes: N seconds.', got {text[-80:]!r}"
        )
    needs = tuple(found[1].split(", "))
    return Example(script.stem, title, kind, needs, int(found[2]), script)


def missing(example: Example) -> list[str]:
    """Return which of the packages that an example needs are not installed."""
    return [name for name in example.needs if not _installed(name)]


def _installed(package: str) -> bool:
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def list_examples(demos: dict[str, str]) -> str:
    """Return what ``simdrnn demo`` shows: a line and a duration for each.

    Parameters
    ----------
    demos : name -> line of those that are commands with options of their own.
    """
    found = examples()
    width = max(map(len, [*demos, *found]))
    lines = ["simdrnn demo NAME [--help]. Times are those of two cores.", ""]
    lines += [f"  {name:{width}}  {line}" for name, line in demos.items()]
    kind = ""
    for example in found.values():
        if example.name in demos:
            continue
        if example.kind != kind:
            kind = example.kind
            lines += ["", f"{kind.capitalize()}"]
        lacks = ", ".join(missing(example))
        wanted = f"; needs {lacks}" if lacks else ""
        lines.append(f"  {example.name:{width}}  {example.title} ({example.seconds} s{wanted})")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``simdrnn demo NAME`` for an example of the gallery."""
    parser.add_argument(
        "--small", action="store_true",
        help="seconds instead of minutes: shows that it runs, its scores say little",
    )  # fmt: skip
    parser.add_argument(
        "--save", metavar="FOLDER", type=Path,
        help="write its pictures (PNG) and scores (scores.json) there, and show nothing",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the example that is called `args.name`; return the exit code.

    Raises
    ------
    DemoError : a package that it needs is missing, or the folder cannot be written to.
    """
    run_example(args.name, small=args.small, save=args.save)
    return 0


def run_example(name: str, *, small: bool = False, save: Path | None = None) -> dict[str, Any]:
    """Run an example, with its pictures shown or saved; return its scores.

    Parameters
    ----------
    name : one of `examples`.
    small : seconds instead of minutes; without, SIMDRNN_GALLERY decides.
    save : a folder for pictures and ``scores.json``. Without, pictures are shown where there is a
        screen, else written to a new folder of the system's for temporary files, which is named.

    Raises
    ------
    DemoError : no such example, a package missing, a size that is none, a folder that cannot be
        written to.
    """
    example = examples().get(name)
    if example is None:
        raise DemoError(f"expected one of {', '.join(examples())}, got {name!r}")
    lacks = missing(example)
    if lacks:
        raise DemoError(
            f"it needs {' and '.join(lacks)}, not installed here: pip install {' '.join(lacks)}, "
            'or pip install "simdrnn[gallery]" for all examples'
        )
    with _environment(small), _beside(example.script), pictures(name, save) as target:
        try:
            by_size(full=0, small=0)
        except ValueError as error:
            raise DemoError(str(error)) from None
        names = runpy.run_path(str(example.script), run_name="__main__")
        scores = {key: float(value) for key, value in names["scores"].items()}
        if save is not None and target is not None:
            text = json.dumps(scores, indent=2) + "\n"
            (target / "scores.json").write_text(text, encoding="utf-8")
    return scores


@contextmanager
def _environment(small: bool) -> Iterator[None]:
    """Ask for the small size while the example runs."""
    before = os.environ.get(_VARIABLE)
    if small:
        os.environ[_VARIABLE] = "small"
    try:
        yield
    finally:
        if small:
            os.environ.pop(_VARIABLE)
            if before is not None:
                os.environ[_VARIABLE] = before


@contextmanager
def _beside(script: Path) -> Iterator[None]:
    """Let a script import what stands in its folder, and nobody else find that afterwards."""
    sys.path.insert(0, str(script.parent))
    try:
        yield
    finally:
        sys.path.remove(str(script.parent))
        forget_helpers()


def forget_helpers() -> None:
    """Drop modules of the gallery's folders: two examples may have a ``_data`` each."""
    place = folder()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.startswith("_") and file and Path(file).resolve().is_relative_to(place):
            del sys.modules[name]
