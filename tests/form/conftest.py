"""Copies of the sources with what the examples add, built once for all tests that look at it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from helpers_build import add_cell, add_option, build, copy_sources, leave_out_cells


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
    place = tmp_path_factory.mktemp("built") / "tree"
    shutil.copytree(tree_with_option, place)
    leave_out_cells(place)
    build(place)
    return place


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where tests are shared out to processes, let one of them have all that look at the build."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        symbols = getattr(getattr(item, "callspec", None), "params", {}).get("built")
        if "built_tree" in getattr(item, "fixturenames", ()) or symbols == ("scalar", "-O0"):
            item.add_marker(pytest.mark.xdist_group("built"))
