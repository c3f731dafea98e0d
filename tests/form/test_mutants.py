"""The mutants of tools/mutants fit the sources: each finds its text, and says what it is."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "tools" / "mutants").is_dir(), reason="the tools are not beside the tests"
)


@pytest.fixture
def tool(monkeypatch):
    """Return a module of the tool by its name."""
    monkeypatch.syspath_prepend(str(ROOT))
    yield lambda name: importlib.import_module(f"tools.mutants.{name}")
    for name in [name for name in sys.modules if name.split(".")[0] == "tools"]:
        del sys.modules[name]


def test_every_mutant_finds_its_text_once_and_changes_it(tool):
    mutants = tool("faults").MUTANTS
    wrong = []
    for mutant in mutants:
        file = ROOT / mutant.file
        count = file.read_text(encoding="utf-8").count(mutant.find) if file.is_file() else -1
        if count != 1 or mutant.plant == mutant.find:
            wrong.append((mutant.name, mutant.file, count))

    assert wrong == []


def test_mutants_of_csrc_share_no_text_and_stay_apart_from_the_sources(tool):
    compiled = [mutant for mutant in tool("faults").MUTANTS if mutant.compiled]

    texts = tool("build").switched_sources(compiled, ROOT)

    switches = sum(text.count("simdrnn_mutant ==") for text in texts.values())
    assert switches >= len(compiled)
    for path, text in texts.items():
        assert text != (ROOT / path).read_text(encoding="utf-8")


def test_all_that_is_compiled_is_in_the_tree_that_mutants_are_built_in(tool, tmp_path):
    tool("build").write_sources([], tmp_path)

    roots = (tmp_path / "csrc", tmp_path / "python" / "simdrnn" / "include")
    lost = []
    for file in sorted((tmp_path / "csrc").rglob("*.?pp")):
        for mark, name in re.findall(r'^#include (["<])([^">]+)', file.read_text("utf-8"), re.M):
            ours = mark == '"' or name.startswith("simdrnn/")
            if ours and not any((folder / name).is_file() for folder in (file.parent, *roots)):
                lost.append((str(file.relative_to(tmp_path)), name))
    recipe = (tmp_path / "CMakeLists.txt").read_text("utf-8")
    named = re.findall(r"\bcsrc/[\w/]+\.\w+", recipe)

    assert lost == []
    assert [name for name in named if not (tmp_path / name).is_file()] == []
    assert len(named) > 15


def test_mutants_of_the_package_are_python(tool):
    planted = tool("mutant").planted
    for mutant in tool("faults").MUTANTS:
        if not mutant.compiled:
            ast.parse(planted(mutant, (ROOT / mutant.file).read_text(encoding="utf-8")))


def test_mutants_are_told_apart(tool):
    mutants = tool("faults").MUTANTS

    assert len({mutant.name for mutant in mutants}) == len(mutants)
    assert len({mutant.number for mutant in mutants} - {0}) == len(mutants)
    for mutant in mutants:
        assert mutant.fault, mutant.name
        assert mutant.seen, mutant.name
        missing = [one for one in mutant.tests if not list(ROOT.rglob(f"tests/**/test_{one}.py"))]
        assert missing == [], mutant.name


def test_there_are_as_many_as_were_promised(tool):
    compiled = [m for m in tool("faults").MUTANTS if m.compiled and not m.equivalent]
    others = [m for m in tool("faults").MUTANTS if not m.compiled and not m.equivalent]

    assert len(compiled) >= 60
    assert len(others) >= 40


@pytest.mark.parametrize(
    ("find", "plant", "expected"),
    [
        ("a + b", "a", "x = ((simdrnn_mutant == N) ? (a) : (a + b));"),
        ("x = a + b;", "", "{ if (simdrnn_mutant == N) {  } else { x = a + b; } }"),
        ("a +", "ON ? b : a +", "x = (simdrnn_mutant == N) ? b : a + b;"),
    ],
)
def test_both_texts_are_in_one_build(tool, find, plant, expected):
    module = tool("mutant")
    mutant = module.Mutant("some", "some.cpp", find, plant, "swap", "wrong sums")

    text = module.switched([mutant], "x = a + b;")

    assert text == expected.replace("N", str(mutant.number), 1)


def test_text_that_is_not_there_once_is_named(tool):
    module = tool("mutant")
    mutant = module.Mutant("twice", "some.cpp", "a", "b", "swap", "wrong sums")

    for text in ("a = a;", "c"):
        with pytest.raises(ValueError, match=r"twice: expected its text once in some\.cpp"):
            module.switched([mutant], text)
    other = module.Mutant("other", "some.cpp", "a + b", "b", "swap", "wrong sums")
    with pytest.raises(ValueError, match="is another mutant's, too"):
        module.switched([mutant, other], "x = a + b;")
