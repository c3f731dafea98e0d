"""Every row of the table meets every oracle; with `--exhaustive` products of factors, too."""

from __future__ import annotations

import pytest

from oracles import failures
from rows import covering_rows, exhaustive_rows, label


def pytest_generate_tests(metafunc):
    if "row" in metafunc.fixturenames:
        rows = [*covering_rows()]
        if metafunc.config.getoption("exhaustive"):
            rows += exhaustive_rows()
        metafunc.parametrize("row", rows, ids=label)


def test_row(row):
    found = failures(row)

    if found:
        pytest.fail("\n".join(f"{name}: {error}" for name, error in found.items()), pytrace=False)
