"""What a training step costs around the kernels: embedding, loss, clipping, optimiser.

``python -m bench.training_loop [--threads N] [--rounds N] [--only TEXT] [--json FILE]``, from the
top of a checkout, on a quiet machine. A model is Embedding, LSTM and Linear under cross entropy,
trained by Adam with clipping. Kernels are the calls of the LSTM and of Linear, forward and back;
the loop around them is everything else from one step to the next, Python included. Figures are
medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import simdrnn

_ROUND_SECONDS = 0.3
_KERNELS = ("lstm", "linear", "d linear", "d lstm")
_MAX_NORM = 0.5


class Case(NamedTuple):
    """A model and its batch: vocabulary V, embedding I, hidden H, steps T, batch B."""

    name: str
    vocabulary: int
    inputs: int
    hidden: int
    steps: int
    batch: int


CASES = (
    Case("text demo", 98, 64, 256, 64, 32),
    Case("words 10,000", 10_000, 200, 200, 35, 20),
    Case("small", 12, 8, 16, 10, 4),
)


class Stopwatch:
    """Seconds by part, over as many steps as are made."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def start(self) -> None:
        """Begin a step."""
        self._last = time.perf_counter()

    def stop(self, part: str) -> None:
        """Say that what has run since the last call is this part."""
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now


class Trainer:
    """A model, its optimiser and one batch, which it sees again and again."""

    def __init__(self, case: Case) -> None:
        self.embedding = simdrnn.Embedding(case.vocabulary, case.inputs, seed=0)
        self.layer = simdrnn.LSTM(case.inputs, case.hidden, seed=1)
        self.head = simdrnn.Linear(case.hidden, case.vocabulary, seed=2)
        self.optimizer = simdrnn.optim.Adam([self.embedding, self.layer, self.head], lr=1e-3)
        rng = np.random.default_rng(0)
        size = (2, case.steps, case.batch)
        self.inputs, self.targets = rng.integers(0, case.vocabulary, size)

    def step(self, watch: Stopwatch) -> None:
        """Make a whole training step."""
        watch.start()
        embedded = self.embedding.record(self.inputs)
        watch.stop("embedding")
        hidden = self.layer.record(embedded.output)
        watch.stop("lstm")
        logits = self.head.record(hidden.output)
        watch.stop("linear")
        loss = simdrnn.softmax_cross_entropy(logits.output, self.targets)
        watch.stop("loss")
        d_logits = loss.backward()
        watch.stop("d loss")
        d_head = logits.backward(d_logits)
        watch.stop("d linear")
        d_layer = hidden.backward(d_head.x)
        watch.stop("d lstm")
        d_embedding = embedded.backward(d_layer.x)
        watch.stop("d embedding")
        self.optimizer.step([d_embedding, d_layer, d_head], max_norm=_MAX_NORM)
        watch.stop("optimiser")


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Return milliseconds of a step by part, of the whole step, and the loop's share of it."""
    trainer, warm = Trainer(case), Stopwatch()
    for _ in range(3):
        trainer.step(warm)
    begin = time.perf_counter()
    trainer.step(warm)
    steps = max(1, round(_ROUND_SECONDS / (time.perf_counter() - begin)))
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        watch, begin = Stopwatch(), time.perf_counter()
        for _ in range(steps):
            trainer.step(watch)
        whole = (time.perf_counter() - begin) / steps * 1e3
        parts = {name: seconds / steps * 1e3 for name, seconds in watch.seconds.items()}
        loop = 1.0 - sum(parts[name] for name in _KERNELS) / whole
        found.append({**parts, "step": whole, "loop": loop})
    row = {name: statistics.median(one[name] for one in found) for name in found[0]}
    return {"model": case.name, **row}


def main() -> None:
    """Print a row for every model, and write the JSON file if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    simdrnn.set_num_threads(args.threads)
    rows = []
    print(f"simdrnn {simdrnn.__version__}, {args.threads} threads; ms")
    for case in CASES:
        if args.only not in case.name:
            continue
        row = measure(case, args.rounds)
        rows.append(row)
        parts = [
            f"{name} {value:.3f}" for name, value in row.items() if name not in ("model", "loop")
        ]
        print(f"{case.name}: loop {100 * row['loop']:.1f} %; {', '.join(parts)}", flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
