"""Copies of the sources with what the examples add, built once for all tests that look at it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from helpers_build import add_cell, add_option, build, copy_sources, leave_out_cells
from helpers_shared import made_once


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the sources with the cell added."""
    place = tmp_path_factory.mktemp("tree")
    copy_sources(place)
    add_cell(place)
    return place


@pytest.fixture(scope="session")
def tree_with_option(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the copy with the option added, too."""
    place = tmp_path_factory.mktemp("option") / "tree"
    shutil.copytree(tree, place)
    add_option(place)
    return place


@pytest.fixture(scope="session")
def built_tree(tree_with_option: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a copy with both, with few other cells."""

    def make(place: Path) -> None:
        shutil.copytree(tree_with_option, place)
        leave_out_cells(place)
        build(place)

    return made_once(tmp_path_factory, "built", make)
