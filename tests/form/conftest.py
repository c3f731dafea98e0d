"""A copy of the sources with a cell added, built once for all tests that look at it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from helpers_build import add_cell, build, copy_sources, leave_out_cells


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the sources with the cell added."""
    place = tmp_path_factory.mktemp("tree")
    copy_sources(place)
    add_cell(place)
    return place


@pytest.fixture(scope="session")
def built_tree(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a copy of the copy, with few other cells."""
    place = tmp_path_factory.mktemp("built") / "tree"
    shutil.copytree(tree, place)
    leave_out_cells(place)
    build(place)
    return place
