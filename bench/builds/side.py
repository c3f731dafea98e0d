"""The process of one build: makes what it is asked for, and times it.

The interpreter under test runs this file by its path, so it uses the standard library, NumPy and
those names of `simdrnn` that every version has. Requests and answers are lines of JSON on standard
input and output.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import simdrnn


class Side:
    """The requests a process understands."""

    def __init__(self) -> None:
        self._call: Callable[[], Any] | None = None

    def identify(self) -> dict[str, str]:
        """Say which build this is."""
        return {
            "version": str(simdrnn.__version__),
            "place": str(Path(simdrnn.__file__).resolve().parent),
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "isa": str(simdrnn.isa.active()),
        }

    def build(self, row: dict[str, Any]) -> str:
        """Make a row ready; returns a digest of every number it gives."""
        self._call = None  # the previous row's memory goes first
        gc.unfreeze()
        gc.collect()
        self._call = _call_of(row)
        digest = hashlib.sha256()
        for array in _arrays(self._call()):
            digest.update(np.ascontiguousarray(array).tobytes())
        gc.freeze()  # what stays for the whole row need not be walked around each timing
        return digest.hexdigest()

    def time(self, calls: int) -> float:
        """Seconds per call, after one that brings back what the other side pushed out."""
        call = self._call
        assert call is not None
        call()
        gc.collect()
        gc.disable()
        try:
            start = time.perf_counter()
            for _ in range(calls):
                call()
            return (time.perf_counter() - start) / calls
        finally:
            gc.enable()


def _call_of(row: dict[str, Any]) -> Callable[[], Any]:
    """Return one pass of a row as a call."""
    T, B, I, H = row["sizes"]  # noqa: E741 - the letters of the documentation
    rng = np.random.default_rng(0)
    options = dict(row["options"])
    dtype = options.get("dtype", "float32")
    x = rng.standard_normal((T, B, I)).astype(dtype)
    if row["how"] == "cell step":
        cell = getattr(simdrnn, row["layer"] + "Cell")(I, H, seed=0, **options)
        _set_weights(cell, rng, dtype)
        first, state = x[0], cell(x[0])
        return lambda: cell(first, state)
    layer = getattr(simdrnn, row["layer"])(I, H, seed=0, **options)
    _set_weights(layer, rng, dtype)
    given: dict[str, Any] = {} if row["threads"] is None else {"num_threads": row["threads"]}
    if row["ragged"]:
        given["lengths"] = np.random.default_rng(1).integers(1, T + 1, B)
    if row["which"] == "forward":
        return lambda: layer(x, **given)
    d_output = np.ones_like(layer(x)[0])

    def training() -> Any:
        tape = layer.record(x, **given)
        return tape.output, tape.backward(d_output)

    return training


def _set_weights(layer: Any, rng: np.random.Generator, dtype: str) -> None:
    """Give both builds the same weights, whatever their initialisation draws."""
    weights = {
        name: (0.1 * rng.standard_normal(np.shape(value))).astype(dtype)
        for name, value in sorted(layer.state_dict().items())
    }
    layer.load_state_dict(weights)


def _arrays(result: Any) -> list[Any]:
    """All arrays of an output, a state or gradients, in an order that does not change."""
    if isinstance(result, (tuple, list)):
        return [array for part in result for array in _arrays(part)]
    if hasattr(result, "params"):
        named = [result.params[name] for name in sorted(result.params)]
        return [*_arrays(result.x), *_arrays(result.state), *named]
    return [] if result is None else [result]


def main() -> None:
    """Answer requests until there are no more; a failure is an answer, not an end."""
    side = Side()
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # Whatever a library prints must not end up between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        method, arguments = json.loads(line)
        try:
            reply = [True, getattr(side, method)(*arguments)]
        except Exception as error:
            reply = [False, " ".join(f"{type(error).__name__}: {error}".split())]
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
