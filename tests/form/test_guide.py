"""Documents: their examples run, their links lead somewhere, and the README stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

pytestmark = pytest.mark.skipif(
    not (ROOT / "README.md").is_file(), reason="the documents are not beside the tests"
)


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)


def test_examples_in_the_guide_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "guide"}

    for index, block in enumerate(blocks(ROOT / "docs" / "guide.md")):
        exec(compile(block, f"guide.md, example {index + 1}", "exec"), namespace)

    printed = capsys.readouterr().out
    assert "ok   weight_hh_l0" in printed
    assert "layer 0: gradients" in printed
    assert namespace["grads"].x.shape == (100, 16, 8)
    assert "  weight_ih_l0  (128, 16)" in printed
    assert namespace["model"].trainer.history.loss[-1] < 0.6


def test_examples_in_the_tutorial_run(capsys):
    namespace = {"__name__": "tutorial"}

    for index, block in enumerate(blocks(ROOT / "docs" / "tutorial.md")):
        exec(compile(block, f"tutorial.md, example {index + 1}", "exec"), namespace)

    shapes, behind, *said = capsys.readouterr().out.splitlines()
    assert shapes == "(50, 4, 16) (1, 4, 16) (1, 4, 16)"
    assert behind == "False"
    assert namespace["right"] > 0.95
    assert said[1:] == ["True", "True", "True"]


def test_links_between_documents_lead_somewhere():
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]

    assert broken == []


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")

    assert [p.name for p in PAGES[1:] if p.name != "README.md" and p.name not in index] == []


def test_the_readme_is_read_in_a_minute():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120
