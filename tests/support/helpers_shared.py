"""What the processes of one run share: things that are made once, and the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

try:
    import fcntl
except ImportError:  # on Windows, where each process then makes its own, beside the others
    fcntl = None  # type: ignore[assignment]


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all processes of this run have, and no other run."""
    own = factory.getbasetemp()
    return own.parent if fcntl is not None and "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def alone(factory: pytest.TempPathFactory) -> Iterator[None]:
    """Wait until no other process of this run measures or compiles, and let none begin to."""
    with (shared_folder(factory) / "alone.lock").open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a path that `make` is given by the first process to ask, while others wait.

    (Groups of tests for one process would do as well, if every version of xdist kept to them.)
    """
    path = shared_folder(factory) / name
    done = path.with_name(f"{name}.made")
    with alone(factory):
        if not done.exists():
            shutil.rmtree(path, ignore_errors=True)
            make(path)
            done.touch()
    return path
