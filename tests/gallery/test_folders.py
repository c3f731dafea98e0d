"""Every folder of the gallery is whole: script, header, needs, a row here and in the docs."""

from __future__ import annotations

import ast
import re

import pytest

from helpers_loops import every
from helpers_source import ROOT
from simdrnn.demos import gallery
from table import ROWS

GALLERY, PAGE = ROOT / "examples" / "gallery", ROOT / "docs" / "examples.md"

pytestmark = pytest.mark.skipif(not GALLERY.is_dir(), reason="no examples beside the tests")

FOLDERS = sorted(
    path.name
    for path in (GALLERY.iterdir() if GALLERY.is_dir() else ())
    if path.is_dir() and path.name != "__pycache__"
)


@every("name", FOLDERS)
def test_a_folder_has_its_script_and_its_header(name):
    files = {path.name for path in (GALLERY / name).iterdir() if path.is_file()}

    title, line, *text = (GALLERY / name / "GALLERY_HEADER.rst").read_text("utf-8").splitlines()
    assert f"{name}.py" in files
    assert set(line) == {"-"}
    assert len(line) >= len(title)
    assert any(text)  # a sentence
    others = files - {f"{name}.py", "GALLERY_HEADER.rst"}
    assert [file for file in others if not re.fullmatch(r"_\w+\.py", file)] == []


@every("name", FOLDERS)
def test_a_script_says_what_it_needs_and_is_of_a_kind(name):
    example = gallery.examples()[name]

    assert example.kind in gallery.KINDS
    assert 0 < example.seconds < 180
    assert example.title == example.title.strip()


@every("name", FOLDERS)
def test_a_script_leaves_scores_and_has_two_sizes(name):
    tree = ast.parse((GALLERY / name / f"{name}.py").read_text("utf-8"))

    given = [ast.unparse(one.targets[0]) for one in tree.body if isinstance(one, ast.Assign)]
    sizes = [
        node
        for path in (GALLERY / name).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "by_size"
    ]
    assert "scores" in given
    assert sizes


def test_each_example_has_a_row_of_conditions():
    assert sorted(ROWS) == FOLDERS
    assert all(ROWS.values())


def test_the_extra_has_all_that_examples_need():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    extra = re.search(r"^gallery = \[(.*?)^\]", text, re.M | re.S)[1]
    has = set(re.findall(r'"([\w.-]+)', extra))

    needed = {name for example in gallery.examples().values() for name in example.needs}
    assert needed <= has


@every("name", FOLDERS)
def test_the_page_of_examples_has_a_row(name):
    row = re.search(
        rf"^\| ([\w ,]+) \| .*\| (\S*\b{name}\b\S*) \| .+ \|$", PAGE.read_text("utf-8"), re.M
    )

    assert row is not None, f"docs/examples.md: expected a row for {name}"
    assert row[1] == gallery.examples()[name].kind
    assert row[2] == f"[{name}](../examples/gallery/{name}/{name}.py)"
