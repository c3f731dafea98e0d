"""Small problems for the tests of the estimators."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Frame:
    """A table with names of columns, as far as data frames of all packages are alike."""

    def __init__(self, values: Array, columns: str) -> None:
        self.values, self.columns, self.shape = values, list(columns), values.shape
        self.ndim, self.dtypes = 2, [values.dtype] * values.shape[1]

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.values, dtype=dtype)

    def in_order(self, columns: str) -> Frame:
        """Return the same table with its columns in another order."""
        places = [self.columns.index(name) for name in columns]
        return Frame(self.values[:, places], columns)


def sums(rng: np.random.Generator, count: int = 60, features: int = 2) -> tuple[list[Array], Array]:
    """Return sequences of 2 to 7 steps, and the sums of their first features."""
    X = [rng.normal(size=(rng.integers(2, 8), features)) for _ in range(count)]
    return X, np.array([x[:, 0].sum() for x in X])


def together(count: int, work: Callable[[int, Callable[[Array], None]], Any]) -> list[Any]:
    """Run `work(rank, all_reduce)` in threads that average buffers; return results or errors."""
    barrier = threading.Barrier(count, timeout=60)
    buffers: list[Array | None] = [None] * count
    results: list[Any] = [None] * count

    def run(rank: int) -> None:
        def all_reduce(buffer: Array) -> None:
            buffers[rank] = buffer
            barrier.wait()
            mean = np.mean(np.stack(buffers), axis=0, dtype=np.float64)
            barrier.wait()  # all have read
            buffer[...] = mean

        try:
            results[rank] = work(rank, all_reduce)
        except (ValueError, TypeError, threading.BrokenBarrierError) as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
