"""Threads that run beside each other, and versions of parameters for them."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

X = np.random.default_rng(0).standard_normal((4, 3, 6)).astype("float32")


def versions_of(shared, count):
    """Return states for `load_state_dict` whose mixtures none of them gives."""
    rng = np.random.default_rng(1)
    own = shared.parameters()
    return [
        {name: rng.uniform(-1, 1, array.shape).astype(array.dtype) for name, array in own.items()}
        for _ in range(count)
    ]


def flat(answer):
    """Return the bits of an answer."""
    if isinstance(answer, tuple):
        return b"".join(map(flat, answer))
    return np.ascontiguousarray(answer).tobytes()


def elsewhere(function):
    """Run a function on a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(timeout=60)


@pytest.fixture
def switching():
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run_all(*tasks, seconds=0.15):
    """Run tasks over and over on threads of their own; raise what one of them raised."""
    end = time.monotonic() + seconds

    def repeat(task):
        while time.monotonic() < end:
            task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        for done in [pool.submit(repeat, task) for task in tasks]:
            done.result(timeout=60)
