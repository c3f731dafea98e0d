"""What a call asks of Python's memory."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable


def assert_asks_for_no_memory(call: Callable[[], object]) -> None:
    """Call often, once before, and check that nothing is kept of it."""
    call()
    blocks = sys.getallocatedblocks()
    tracemalloc.start()
    for _ in range(50):
        call()
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert grown < 2000  # of what looks on
    assert sys.getallocatedblocks() - blocks < 20
