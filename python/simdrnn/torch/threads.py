"""Working on the threads that PyTorch has, instead of beside them."""

from __future__ import annotations

from pathlib import Path

import torch

from simdrnn.runtime import keep_company

__all__ = ["share_threads"]


def share_threads() -> None:
    """Let calls run on PyTorch's OpenMP threads, as many as PyTorch uses, where it has such.

    They are awake between its operations, so threads of our own would wait for their CPUs.
    ``simdrnn.set_threading("pool")`` undoes it.
    """
    libraries = (Path(torch.__path__[0]) / "lib").glob("libtorch_cpu.*")
    for library in libraries:
        keep_company(str(library), instead=True)
