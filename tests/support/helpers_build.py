"""What the examples add, done in a copy of the sources, and the copy built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers_source import ROOT

CELL, OPTION = ROOT / "examples" / "custom_cell", ROOT / "examples" / "custom_option"
COPIED = ("csrc", "python", "tools", "tests", "docs")
NEW_FILES = {
    "csrc/kernels/cells/atr.hpp": "atr.hpp",
    "python/simdrnn/reference/atr.py": "atr.py",
}
# File -> (the new line, the line it goes in front of).
NEW_LINES = {
    "csrc/kernels/cells/all.hpp": (
        '#include "kernels/cells/atr.hpp"\n',
        '#include "kernels/cells/elman.hpp"\n',
    ),
    "python/simdrnn/reference/network.py": ('    "atr",\n', '    "elman",\n'),
}


class Piece(NamedTuple):
    """Lines for a file: behind, before or in place of the one line that has a text in it."""

    file: str
    where: str
    text: str
    lines: str


def pieces(document: str) -> list[Piece]:
    """Return the pieces that a README shows, each under the name of its file."""
    found, file = [], ""
    pattern = (
        r"^### `(?P<file>[^`\n]+)`$"
        r"|^(?P<where>Behind|Before|In place of) `(?P<text>[^`\n]+)`:\n\n"
        r"```\w*\n(?P<lines>.*?)^```$"
    )
    for part in re.finditer(pattern, document, re.M | re.S):
        file = part["file"] or file
        if part["where"]:
            found.append(Piece(file, part["where"], part["text"], part["lines"]))
    return found


def add_piece(tree: Path, piece: Piece, told_by: str) -> None:
    """Put a piece where it goes; where its place is gone, say which, and who asks for it."""
    path = tree / piece.file
    old = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    places = [number for number, line in enumerate(old) if piece.text in line]
    if len(places) != 1:
        pytest.fail(
            f"{piece.file}: expected one line with `{piece.text}`, got {len(places)}: what "
            f"{told_by} adds goes {piece.where.lower()} it",
            pytrace=False,
        )
    begin = places[0] + (piece.where == "Behind")
    end = places[0] + (piece.where != "Before")
    old[begin:end] = [piece.lines]
    path.write_text("".join(old), encoding="utf-8")


def copy_sources(to: Path) -> None:
    """Copy what a build, an import, the tools and the table of the suite need."""
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    for name in COPIED:
        shutil.copytree(ROOT / name, to / name, ignore=ignore)
    shutil.copy(ROOT / "CMakeLists.txt", to)


def add_cell(tree: Path) -> None:
    """Do what the README of the cell says."""
    for path, name in NEW_FILES.items():
        shutil.copy(CELL / name, tree / path)
    for path, (line, before) in NEW_LINES.items():
        piece = Piece(path, "Before", before.rstrip("\n"), line)
        add_piece(tree, piece, "examples/custom_cell/README.md")


def add_option(tree: Path) -> None:
    """Do what the README of the option says."""
    for piece in pieces((OPTION / "README.md").read_text(encoding="utf-8")):
        add_piece(tree, piece, "examples/custom_option/README.md")


def leave_out_cells(tree: Path, kept: Collection[str] = ("atr", "elman", "gru", "lstm")) -> None:
    """Take most cells out of the list, so that the kernels of a copy are soon compiled."""
    path = tree / "csrc/kernels/cells/all.hpp"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if is_kept(line, kept)), encoding="utf-8")


def is_kept(line: str, kept: Collection[str]) -> bool:
    """Tell a line of all.hpp that is no cell's, or one of those kept."""
    name = re.fullmatch(r'#include "kernels/cells/(\w+)\.hpp"\n', line)
    return name is None or name[1] in kept


def tool(name: str) -> str | None:
    """Find a program beside the interpreter, or else where the shell would."""
    return shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)


def build(tree: Path) -> None:
    """Build the extension with what is compiled soonest: scalar kernels, not optimised."""
    cmake, ninja = tool("cmake"), tool("ninja")
    if cmake is None or not any(map(tool, ("c++", "g++", "clang++"))) or not find_spec("pybind11"):
        pytest.skip("building takes a C++ compiler, cmake and pybind11: pip install '.[test]'")
    import pybind11

    arguments = {
        "SKBUILD_PROJECT_NAME": "simdrnn",
        "SKBUILD_PROJECT_VERSION": "0",
        "CMAKE_LIBRARY_OUTPUT_DIRECTORY": tree / "python" / "simdrnn",
        "SIMDRNN_QUICK": "ON",
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(),
    }
    defined = [f"-D{name}={value}" for name, value in arguments.items()]
    generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else []
    for command in (
        [cmake, "-S", tree, "-B", tree / "build", *generator, *defined],
        [cmake, "--build", tree / "build", "--parallel", "2"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def python(tree: Path, *arguments: str) -> str:
    """Run the interpreter on the package of the tree; return what it prints."""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("SIMDRNN_")}
    environment |= {"PYTHONPATH": str(tree / "python"), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def contents(tree: Path) -> dict[str, str]:
    """Return the text of every source file of a tree."""
    ends = {".cpp", ".hpp", ".py", ".pyi", ".txt", ".md", ".json"}
    files = [path for path in tree.rglob("*") if path.suffix in ends]
    return {
        path.relative_to(tree).as_posix(): path.read_text(encoding="utf-8")
        for path in files
        if path.relative_to(tree).parts[0] in {*COPIED, "CMakeLists.txt"}
    }
