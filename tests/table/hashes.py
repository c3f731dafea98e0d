"""One hash of outputs and one of gradients for every row of the table, on any instruction set."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import simdrnn as sr
from covering import Row
from problems import DEVIATION, Setting, Words, draw
from rows import covering_rows, label

# Beside the rows: what `sr.Stack` does between its layers.
SKIPS = (None, "residual", "highway", "concat")


class Entry(NamedTuple):
    """A row of the table, or a stack, that has hashes: its name, and the row."""

    name: str
    row: Row | None = None


def entries() -> list[Entry]:
    """Return everything that has hashes."""
    stacks = [
        Entry(f"stack.{skip or 'plain'}-{dtype}-{steps}")
        for skip in SKIPS
        for dtype in ("float32", "float64")
        for steps in ("all", "masked")
    ]
    return [*(Entry(label(row), row) for row in covering_rows()), *stacks]


def instruction_sets(entry: Entry) -> list[str]:
    """Return those that are available here and take no longer than they may, best first."""
    quick = entry.row is None or Setting(entry.row).quick
    return [isa for isa in sr.isa.available() if isa != "scalar" or quick]


def hashes(entry: Entry) -> str:
    """Return the hashes of outputs and of gradients, on the instruction set in use."""
    found = _row(entry.row) if entry.row is not None else _stack(entry.name)
    return ":".join(_hash(arrays) for arrays in found)


def _row(row: Row) -> tuple[list[Any], list[Any]]:
    results = draw(sr, row).results()
    made = {name: value for name, value in results.items() if not name.startswith("d_")}
    return list(_arrays(made)), list(_arrays({n: v for n, v in results.items() if n not in made}))


def _stack(name: str) -> tuple[list[Any], list[Any]]:
    """Run a stack of three layers: an LSTM, a GRU in both directions, and an RNN."""
    kind, dtype, steps = name.split("-")
    words, skip, sizes = Words(name), kind.partition(".")[2], (6, 5, 9)
    T, B, F = sizes
    below = 2 * F if skip == "concat" else F
    layers = [
        sr.LSTM(F, F, dtype=dtype, seed=1),
        sr.GRU(below, F, bidirectional=True, merge="sum", dtype=dtype, seed=2),
        sr.RNN(below, F, dtype=dtype, seed=3),
    ]
    stack = sr.Stack(layers, skip=None if skip == "plain" else skip, seed=4)
    drawn = {n: words.uniform(*value.shape) / 3 for n, value in stack.parameters().items()}
    stack.load_state_dict({n: value.astype(dtype) for n, value in drawn.items()})
    call = {"mask": words.happens(0.7, T, B)} if steps == "masked" else {}
    x = (DEVIATION * words.uniform(*sizes)).astype(dtype)
    tape = copy.deepcopy(stack).record(x, **call)
    grads = tape.backward(words.uniform(*tape.output.shape).astype(dtype), tape.state)
    forward = [tape.output, *_arrays(tape.state)]
    return forward, [grads.x, *_arrays(grads.state), *_arrays(grads.params)]


def _arrays(found: Any) -> Iterator[Any]:
    """Yield the arrays of nested tuples and dicts; those of dicts by name, in order of names."""
    if isinstance(found, dict):
        for name in sorted(found):
            yield name
            yield from _arrays(found[name])
    elif isinstance(found, tuple):
        for member in found:
            yield from _arrays(member)
    else:
        yield found


def _hash(arrays: list[Any]) -> str:
    state = hashlib.sha256()
    for array in arrays:
        if isinstance(array, str):
            state.update(array.encode())
        else:
            state.update(f"{array.dtype}{array.shape}".encode())
            state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()[:16]


def all_hashes(entry: Entry) -> str | dict[str, str]:
    """Return an entry's hashes: one where all instruction sets agree, as they have to, or each."""
    before, found = sr.isa.active(), {}
    try:
        for isa in instruction_sets(entry):
            sr.isa.use(isa)
            found[isa] = hashes(entry)
    finally:
        sr.isa.use(before)
    return found if len({*found.values()}) > 1 else next(iter(found.values()))
