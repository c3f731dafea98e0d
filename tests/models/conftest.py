"""Real models run only where they are asked for, and tell how far they lay apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers_markers import leave_out
from helpers_models import distance

_SAID = "model"
_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave real models out, as long as neither -m nor a path on the command line names them."""
    leave_out(config, items, "models", _HERE)


@pytest.fixture
def agree(record_property: Any) -> Any:
    """Return a function that compares results and notes how far they lie apart.

    It takes the result's name, ours, the package's, what roundings may come to for both together
    (relative to the largest number), ours in float64 if that is known, and what the package's
    approximations may add.
    """

    def compare(
        name: str, ours: Any, theirs: Any, rounding: float, exact: Any = None, besides: float = 0.0
    ) -> None:
        assert np.isfinite(theirs).all(), f"{name}: the package itself gives what is not finite"
        apart = distance(ours, theirs)
        from_exact = None if exact is None else (distance(ours, exact), distance(theirs, exact))
        record_property(_SAID, (name, apart, rounding + besides, from_exact))
        assert rounding < 1e-2, f"{name}: with an allowance of {rounding:.2g} nothing is compared"
        assert apart <= rounding + besides, (
            f"{name}: {apart:.3g} apart, {rounding + besides:.3g} allowed"
        )
        if from_exact is not None:
            assert from_exact[0] <= rounding / 2, f"{name}: {from_exact[0]:.3g} from float64"

    return compare


def _lines(reports: list[Any]) -> Iterator[str]:
    for report in reports:
        said = [value for key, value in report.user_properties if key == _SAID]
        if said:
            name, apart, allowed, exact = max(said, key=lambda one: one[1])
            place = report.nodeid.split("::")[-1]
            yield f"{place}: {name} {apart:.1e} apart, {allowed:.1e} allowed" + (
                f"; from float64 {exact[0]:.1e} ours, {exact[1]:.1e} theirs" if exact else ""
            )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show for each model the largest difference, relative to the result's largest number."""
    lines = list(_lines(terminalreporter.stats.get("passed", [])))
    if lines:
        terminalreporter.section("real models: largest differences")
        for line in sorted(lines):
            terminalreporter.write_line(line)
