"""Adding a cell takes two new files and a line in each of two lists: done once, in a copy."""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

from helpers import tolerance

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "custom_cell"

pytestmark = pytest.mark.skipif(
    not (EXAMPLE.is_dir() and (ROOT / "csrc").is_dir()), reason="no sources beside the tests"
)

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
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the sources with the cell added."""
    place = tmp_path_factory.mktemp("tree")
    copy_sources(place)
    add_cell(place)
    return place


@pytest.fixture(scope="module")
def built_tree(tree: Path) -> Path:
    """Build the copy."""
    build(tree)
    return tree


def contents(tree: Path) -> dict[str, str]:
    """Return the text of every source file of a tree."""
    files = [p for p in tree.rglob("*") if p.suffix in {".cpp", ".hpp", ".py", ".pyi", ".txt"}]
    return {
        path.relative_to(tree).as_posix(): path.read_text(encoding="utf-8")
        for path in files
        if path.relative_to(tree).parts[0] in {"csrc", "python", "tools", "CMakeLists.txt"}
    }


def test_a_cell_is_two_files_and_two_lines(tree):
    before, after = contents(ROOT), contents(tree)

    changed = {path for path in before if before[path] != after[path]}

    assert {*after} - {*before} == {*NEW_FILES}
    assert changed == {*NEW_LINES}
    for path in changed:
        lines = difflib.ndiff(before[path].splitlines(True), after[path].splitlines(True))
        assert [line for line in lines if line[0] != " "] == [f"+ {NEW_LINES[path][0]}"]


def test_the_example_says_what_is_done_here():
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")

    told = [*NEW_FILES.values(), *NEW_LINES, *(line.strip() for line, _ in NEW_LINES.values())]
    assert [part for part in told if f"`{part}`" not in text] == []


CHECK = """
    import pickle
    import numpy as np
    import simdrnn as sr
    from simdrnn import reference

    assert sr.__file__.startswith(TREE), sr.__file__
    assert "ATR" in sr.list_cells() and "ATRCell" in dir(sr)
    rng = np.random.default_rng(0)
    setup = {"num_layers": 2, "bidirectional": True, "dtype": "float64", "seed": 1}
    call = {"mask": rng.random((9, 7)) < 0.7, "reset": rng.random((9, 7)) < 0.3}
    x = rng.standard_normal((9, 7, 5))
    d_output, found = rng.standard_normal((9, 7, 26)), []
    for options in ({}, {"gate_clip": 0.5}, {"hidden_clip": 0.3}):
        layers = [space.ATR(5, 13, **setup, **options) for space in (sr, reference)]
        tapes = [pickle.loads(pickle.dumps(layer)).record(x, **call) for layer in layers]
        grads = [tape.backward(d_output) for tape in tapes]
        names = list(layers[0].parameters())
        for got, want in zip(
            (tapes[0].output, tapes[0].state, grads[0].x, *map(grads[0].params.get, names)),
            (tapes[1].output, tapes[1].state, grads[1].x, *map(grads[1].params.get, names)),
            strict=True,
        ):
            # {ALLOWED} roundings, relative to the largest element.
            assert np.abs(got - want).max() <= {ALLOWED} * np.abs(want).max()
        for layer in layers:
            assert sr.gradcheck(layer, T=5, B=3, mask="random", reset="random").ok
        found.append(tapes[0].output)
    assert not np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])

    # The equations once more, from the paper, for one step.
    cell = sr.ATRCell(5, 13, dtype="float64", seed=2)
    h = rng.standard_normal((7, 13))
    p, q = x[0] @ cell.weight_ih.T + cell.bias_ih, h @ cell.weight_hh.T + cell.bias_hh
    want = p / (1 + np.exp(-p - q)) + h / (1 + np.exp(q - p))
    np.testing.assert_allclose(cell(x[0], h), want, rtol=0, atol={ALLOWED} * np.abs(want).max())
    print("ok")
"""


def test_the_cell_works_everywhere(built_tree):
    allowed = tolerance("float64", 9 * 2, 9 * 7)
    code = CHECK.replace("{ALLOWED}", repr(allowed)).replace("TREE", repr(str(built_tree)))

    assert python(built_tree, "-c", textwrap.dedent(code)).strip() == "ok"


def test_the_cell_has_its_place_on_the_page(built_tree):
    page = python(built_tree, "tools/write_cells_page.py")

    rows = [line for line in page.splitlines() if line.startswith("| `ATR` |")]
    assert len(rows) == 1
    assert "arXiv:1810.12546" in rows[0]
    assert "* cell `atr`" in page
