"""Data-parallel workers, in threads and in processes, that average through shared memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

import simdrnn as sr

T, B, I, H = 6, 8, 3, 5  # noqa: E741


class Averager:
    """A hook for each of several workers: the mean, in the order of their numbers.

    Parameters
    ----------
    memory : (workers, n) bytes that all of them see.
    barrier : where they meet.
    rank : of this worker.
    weight : by which its gradients count; the mean is over workers of equal weight if None.
    """

    def __init__(self, memory: Any, barrier: Any, rank: int, weight: float | None = None) -> None:
        self._memory, self._barrier, self._rank, self._weight = memory, barrier, rank, weight
        self.sizes: list[int] = []

    def __call__(self, buffer: Any) -> None:
        self.sizes.append(buffer.size)
        rows = self._memory.view(buffer.dtype)[:, : buffer.size]
        workers = len(rows)
        rows[self._rank] = buffer * (1 / workers if self._weight is None else self._weight)
        self._barrier.wait(30)
        buffer[...] = rows.sum(axis=0)
        self._barrier.wait(30)  # before somebody writes the next one


def data(dtype: str) -> tuple[Any, Any]:
    """Return the whole batch: inputs (T, B, I) and targets (T, B, 1)."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((T, B, I)).astype(dtype)
    return x, np.tanh(x.sum(axis=-1, keepdims=True))


def train(
    rows: slice, make: Callable[..., Any], dtype: str, steps: int, **options: Any
) -> dict[str, Any]:
    """Train on some rows of the batch; return all parameters and the optimiser's state."""
    x, y = (np.ascontiguousarray(array[:, rows]) for array in data(dtype))
    layer = sr.LSTM(I, H, num_layers=2, bidirectional=True, dtype=dtype, seed=0)
    head = sr.Linear(2 * H, 1, dtype=dtype, seed=1)
    max_norm = options.pop("max_norm", None)
    optimizer = make([layer, head], **options)
    norms = []
    for _ in range(steps):
        tape = layer.record(x, num_threads=1)
        out = head.record(tape.output)
        grads = out.backward(sr.mse(out.output, y).backward())
        norms.append(optimizer.step([tape.backward(grads.x), grads], max_norm=max_norm))
    state = optimizer.state_dict()
    found = {**layer.state_dict(), **{f"head.{k}": v for k, v in head.state_dict().items()}}
    for key, slots in state["state"].items():
        found |= {f"state.{key}.{slot}": array for slot, array in slots.items()}
    return found | {"steps": np.array(state["step"]), "norms": np.array(norms, float)}


def in_threads(shards: list[slice], *args: Any, **options: Any) -> list[dict[str, Any]]:
    """Train in a thread for each shard, which counts by how many rows it has."""
    memory = np.zeros((len(shards), 1 << 20), np.uint8)
    barrier = threading.Barrier(len(shards))
    results: list[dict[str, Any]] = [{} for _ in shards]

    def work(rank: int) -> None:
        rows = shards[rank]
        hook = Averager(memory, barrier, rank, (rows.stop - rows.start) / B)
        results[rank] = train(rows, *args, all_reduce=hook, **options)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(len(shards))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def _process(name: str, barrier: Any, results: Any, rank: int, count: int, args: Any) -> None:
    """Train on one of `count` equal shards."""
    shared = SharedMemory(name)
    try:
        memory = np.ndarray((count, shared.size // count), np.uint8, shared.buf)
        hook = Averager(memory, barrier, rank)
        part = B // count
        make, dtype, steps, options = args
        rows = slice(rank * part, (rank + 1) * part)
        results.put((rank, train(rows, make, dtype, steps, all_reduce=hook, **options)))
        del hook, memory
    finally:
        shared.close()


def in_processes(count: int, *args: Any, **options: Any) -> list[dict[str, Any]]:
    """Train in fresh processes, on equal shards."""
    context = get_context("spawn")
    shared = SharedMemory(create=True, size=count << 20)
    barrier, results = context.Barrier(count), context.Queue()
    workers = [
        context.Process(
            target=_process, args=(shared.name, barrier, results, rank, count, (*args, options))
        )
        for rank in range(count)
    ]
    try:
        for worker in workers:
            worker.start()
        found = dict(results.get(timeout=60) for _ in workers)
        for worker in workers:
            worker.join(30)
    finally:
        shared.close()
        shared.unlink()
    return [found[rank] for rank in range(count)]
