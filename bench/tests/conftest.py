"""What the lab's tests share."""

from __future__ import annotations

import gc


def pytest_collection_finish():
    """Take what is imported out of the garbage collection that goes with every timing."""
    gc.collect()
    gc.freeze()
