"""What tests that compile something need: tools, and the library of a build that is there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from helpers_build import tool
from helpers_source import ROOT


def needed(*names: str) -> list[str]:
    """Return the paths of programs, or skip the test."""
    found = [tool(name) for name in names]
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    return [str(path) for path in found]


def run(*command: Any, **options: Any) -> Any:
    """Run a program; what it says is in the failure."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, check=False, **options
    )
    text = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, f"{command}\n{text[-4000:]}"
    return done


def library_build() -> Path:
    """Return a build folder with libsimdrnn.a: SIMDRNN_BUILD, or that of a checkout; or skip."""
    named = os.environ.get("SIMDRNN_BUILD")
    for folder in [Path(named)] if named else [ROOT / "build" / "release"]:
        if (folder / "libsimdrnn.a").is_file():
            return folder
    if named:
        pytest.fail(f"SIMDRNN_BUILD: expected a folder with libsimdrnn.a, got {named}")
    pytest.skip("needs a build: SIMDRNN_BUILD=FOLDER, or build/release of the checkout")


def installed(to: Path) -> Path:
    """Install the library of a build; return where."""
    (cmake,) = needed("cmake")
    run(cmake, "--install", library_build(), "--prefix", to, "--component", "c")
    return to
