"""Examples run only where they are asked for: together they take a minute or two."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers_markers import leave_out

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out, as long as neither -m nor a path on the command line names them."""
    leave_out(config, items, "gallery", _HERE)
