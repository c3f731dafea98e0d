"""Every row of the table meets every oracle."""

from __future__ import annotations

import pytest

from oracles import failures
from rows import covering_rows, label

ROWS = covering_rows()


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_row(row):
    found = failures(row)

    assert not found, "\n".join(f"{name}: {error}" for name, error in found.items())
