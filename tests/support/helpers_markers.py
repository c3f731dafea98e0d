"""Tests that run only where they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest


def leave_out(config: pytest.Config, items: list[pytest.Item], marker: str, folder: Path) -> None:
    """Deselect tests of a marker, unless -m names it or a path given is in `folder`."""
    asked = [(config.invocation_params.dir / one.split("::")[0]).resolve() for one in config.args]
    if marker in config.option.markexpr or any(one.is_relative_to(folder) for one in asked):
        return
    left = [item for item in items if item.get_closest_marker(marker)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
