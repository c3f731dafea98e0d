"""Working on the threads that scikit-learn has, instead of beside them."""

from __future__ import annotations

import sys

from simdrnn.runtime import keep_company

__all__ = ["share_threads"]

# Of scikit-learn's files that are linked to its OpenMP runtime, the one that is always loaded.
_LINKED = "sklearn.utils._openmp_helpers"


def share_threads() -> None:
    """Let calls run on scikit-learn's OpenMP threads, where it has such and PyTorch keeps none.

    They stay awake for milliseconds after a tree or a clustering has predicted, so threads of our
    own would wait for their CPUs. ``simdrnn.set_threading("pool")`` undoes it.
    """
    library = getattr(sys.modules.get(_LINKED), "__file__", None)
    if library is not None:
        keep_company(library, instead=False)
