"""docs/models.md names the packages that are run, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers_source import ROOT

PAGE = ROOT / "docs/models.md"
HERE = Path(__file__).parent

needs_docs = pytest.mark.skipif(not PAGE.is_file(), reason="docs are not beside the tests")

# What the code of madmom and nagisa imports; they bring no networks.
_HELPERS = {"mido", "scipy", "six"}


def packages() -> set[str]:
    """Return the names of requirements.txt."""
    lines = (HERE / "requirements.txt").read_text().splitlines()
    return {line.split("==")[0] for line in lines if line and not line.startswith("#")} - _HELPERS


@needs_docs
def test_the_page_names_every_package() -> None:
    rows = re.findall(r"^\| ([\w-]+)[^|]*\|", PAGE.read_text(), re.MULTILINE)
    assert {*rows} - {"package"} - {"---"} == packages()


def test_every_package_is_run() -> None:
    text = "".join(one.read_text("utf8") for one in HERE.glob("test_models_*.py"))
    assert [name for name in packages() if f'"{name}"' not in text] == []


def test_weights_stay_where_they_are() -> None:
    """Nothing of what packages bring is in this repository."""
    kinds = {one.suffix for one in HERE.rglob("*") if one.is_file()} - {".pyc"}
    assert kinds <= {".py", ".txt"}
