"""The ceiling: how many multiply-adds this machine does per second, measured."""

from __future__ import annotations

__all__ = ["PEAK_SECONDS", "measure_peak"]

# Long enough for the clock to settle, short enough to be repeated in every round.
PEAK_SECONDS = 0.03


def measure_peak(dtype: str, threads: int, seconds: float = PEAK_SECONDS) -> float:
    """Measure the FMA peak in GFLOP/s with independent multiply-adds in registers.

    Measured, because a quoted clock says little: it moves with load, and on a shared machine a
    neighbour can halve it.
    """
    from simdrnn import _core

    return float(_core.testing.fma_peak(dtype, seconds, threads))
