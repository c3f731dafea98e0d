"""Row of the table: whether memory grows over many calls of changing sizes.

Measured in a process of its own, which runs this module and prints one number per kind of call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.acceptance.alternate import Settings
from bench.acceptance.layers import Say, layer_of
from bench.acceptance.targets import Point
from simdrnn.bench.cases import Case
from simdrnn.bench.stats import Band
from simdrnn.bench.worker import WorkerError, thread_environment

__all__ = ["growth", "measure_memory"]

# Sizes are drawn from 1 to these.
_STEPS, _BATCH = 2000, 64

_INPUTS, _HIDDEN = 8, 32

# Calls of each pass; training takes several times as long, its tape included.
_CALLS = {"forward": 5000, "training": 1000}

_MEGABYTE = 1e6


def measure_memory(
    settings: Settings, say: Say, calls: dict[str, int] = _CALLS, steps: int = _STEPS
) -> Iterator[Point]:
    """Resident memory after all calls less that after a tenth of them."""
    for which, count in calls.items():
        say(f"memory: {count} calls, {which}")
        done = subprocess.run(
            [sys.executable, "-m", "bench.acceptance.memory", which, str(count), str(steps)],
            env=thread_environment(settings.threads),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines() or ["no message"]
            raise WorkerError(f"the process that calls ended: {reason[-1]}")
        value = float(json.loads(done.stdout))
        yield Point("memory", f"{count} calls, {which}", 0, Band(value, value, value))


def growth(which: str, calls: int, steps: int) -> float:
    """Make calls with random T and B; return by how many MB memory grew after the first tenth."""
    rng = np.random.default_rng(0)
    layer = layer_of(Case("lstm", steps, _BATCH, _INPUTS, _HIDDEN))
    x = rng.standard_normal((steps, _BATCH, _INPUTS)).astype(np.float32)
    early = 0.0
    for number in range(1, calls + 1):
        T, B = rng.integers(1, steps + 1), rng.integers(1, _BATCH + 1)
        if which == "forward":
            layer(x[:T, :B])
        else:
            tape = layer.record(x[:T, :B])
            tape.backward(tape.output)
            del tape  # its arrays are the caller's
        if number == max(1, calls // 10):
            early = _resident()
    return _resident() - early


def _resident() -> float:
    """Memory of this process that is in use, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE


if __name__ == "__main__":
    print(json.dumps(growth(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
