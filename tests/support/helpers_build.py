"""A new cell added to a copy of the sources, and the copy built."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

import pytest

from helpers_source import ROOT

EXAMPLE = ROOT / "examples" / "custom_cell"
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


def copy_sources(to: Path) -> None:
    """Copy what a build and an import need."""
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("csrc", "python", "tools"):
        shutil.copytree(ROOT / name, to / name, ignore=ignore)
    shutil.copy(ROOT / "CMakeLists.txt", to)


def add_cell(tree: Path) -> None:
    """Do what the example's README says."""
    for path, name in NEW_FILES.items():
        shutil.copy(EXAMPLE / name, tree / path)
    for path, (line, before) in NEW_LINES.items():
        text = (tree / path).read_text(encoding="utf-8")
        assert text.count(before) == 1
        (tree / path).write_text(text.replace(before, line + before), encoding="utf-8")


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
