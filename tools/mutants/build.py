"""The trees that mutants run in: copies of the sources, with faults in them."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tools.mutants.mutant import Mutant, planted, switched

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ROOT", "build_core", "lent_fault", "package_copy", "switched_sources", "write_sources",
]  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("python") / "simdrnn"
COMPILED = (Path("csrc"), PACKAGE / "include")  # folders with all that is compiled

# Read before any function of the extension can be called. Every file sees the declaration
# (-include), one has the definition; it is plain data, so kernels share no function with the rest.
_DECLARATION = "#pragma once\nextern int simdrnn_mutant;\n"
_DEFINITION = """
#include <cstdlib>
int simdrnn_mutant = std::getenv("SIMDRNN_MUTANT") ? std::atoi(std::getenv("SIMDRNN_MUTANT")) : 0;
"""
_MODULE = "PYBIND11_MODULE(_core,"  # the file with it gets the definition

# As soon as it builds, it is wanted: the bits do not depend on it.
_OPTIMISED, _SOON = "set(SIMDRNN_OPTIMISE -O3)", "set(SIMDRNN_OPTIMISE -O1)"


def switched_sources(mutants: Iterable[Mutant], root: Path = ROOT) -> dict[str, str]:
    """Return path -> text of every file of csrc that is another with the mutants in it.

    Raises
    ------
    ValueError : a mutant's text is not there exactly once, or two mutants share some.
    """
    by_file: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        by_file[mutant.file].append(mutant)
    return {
        path: switched(found, (root / path).read_text(encoding="utf-8"))
        for path, found in by_file.items()
    }


def _update(path: Path, text: str) -> None:
    """Write a file, unless it is that already: what is not written is not built again."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def write_sources(mutants: Iterable[Mutant], tree: Path) -> None:
    """Bring csrc with all switches, and what a build takes, into `tree`."""
    texts = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder in COMPILED
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    texts |= switched_sources(mutants)
    (module,) = (path for path, text in texts.items() if _MODULE in text)
    texts[module] += _DEFINITION
    recipe = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    if recipe.count(_OPTIMISED) != 1:
        raise ValueError(f"CMakeLists.txt: expected {_OPTIMISED!r} once")
    texts["CMakeLists.txt"] = recipe.replace(_OPTIMISED, _SOON)
    texts["mutant_switch.hpp"] = _DECLARATION
    for folder in COMPILED:
        for old in (tree / folder).rglob("*"):
            if old.is_file() and str(old.relative_to(tree)) not in texts:
                old.unlink()
    for path, text in texts.items():
        _update(tree / path, text)


def _tool(name: str) -> str:
    """Find a program beside the interpreter, or else where the shell would."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"building the mutants takes {name}: pip install '.[test]'")
    return found


def build_core(mutants: Iterable[Mutant], tree: Path) -> Path:
    """Build the extension with all mutants of csrc in it; return its path."""
    import pybind11

    write_sources(mutants, tree)
    made = tree / "core"
    arguments = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_CXX_FLAGS": f"-include {tree / 'mutant_switch.hpp'}",
        "CMAKE_LIBRARY_OUTPUT_DIRECTORY": made,
        "CMAKE_MAKE_PROGRAM": _tool("ninja"),
        "Python_EXECUTABLE": sys.executable,
        "SKBUILD_PROJECT_NAME": "simdrnn",
        "SKBUILD_PROJECT_VERSION": "0",
        "pybind11_DIR": pybind11.get_cmake_dir(),
    }
    defined = [f"-D{name}={value}" for name, value in arguments.items()]
    cmake = _tool("cmake")
    for command in (
        [cmake, "-S", str(tree), "-B", str(tree / "build"), "-G", "Ninja", *defined],
        [cmake, "--build", str(tree / "build")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout[-8000:] + done.stderr[-4000:])
    (core,) = made.glob("_core*.so")
    return core


def package_copy(core: Path, to: Path) -> Path:
    """Copy the package to `to`, with another extension; return what belongs on the path."""
    target = to / PACKAGE
    shutil.rmtree(to, ignore_errors=True)
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / PACKAGE, target, ignore=ignore)
    (target / core.name).symlink_to(core.resolve())
    compileall.compile_dir(target, quiet=1)
    return target.parent


@contextmanager
def lent_fault(mutant: Mutant, path: Path) -> Iterator[None]:
    """Plant a mutant of the package in the copy that is on `path`, for a while."""
    file = path / Path(mutant.file).relative_to(PACKAGE.parent)
    text = file.read_text(encoding="utf-8")
    compiled = file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.pyc"
    # A byte code file is taken for fresh by its source's size and second: there must be none.
    compiled.unlink(missing_ok=True)
    file.write_text(planted(mutant, text), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(text, encoding="utf-8")


def environment(path: Path, number: int) -> dict[str, str]:
    """Return the variables for a run on the package copy on `path`, with that mutant on."""
    kept = {name: value for name, value in os.environ.items() if name != "SIMDRNN_MUTANT"}
    return kept | {
        "PYTHONPATH": str(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SIMDRNN_MUTANT": str(number),
    }
