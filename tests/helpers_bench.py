"""What the tests of the benchmark's table of targets share."""

from __future__ import annotations

from simdrnn.bench.alternate import Settings
from simdrnn.bench.stats import Band

SMALL = (3, 2, 4, 5)
ONE = Settings(threads=1, rounds=2, seconds=1e-4)


def quiet(text):
    """Swallow progress."""


def exactly(value):
    return Band(value, value, value)
