"""A copy of the sources with a cell added, built once for all tests that look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers_build import add_cell, build, copy_sources


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the sources with the cell added."""
    place = tmp_path_factory.mktemp("tree")
    copy_sources(place)
    add_cell(place)
    return place


@pytest.fixture(scope="session")
def built_tree(tree: Path) -> Path:
    """Build the copy."""
    build(tree)
    return tree
