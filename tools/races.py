"""Do at the same time what threads may do at the same time, and check every result.

    tools/races.sh

runs it under the thread sanitizer, on our own pool and on OpenMP. On its own it only checks the
bits, which says little. Sizes are the smallest that get each schedule: the sanitizer is slow.
"""

from __future__ import annotations

import argparse
import copy
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import simdrnn as sr

SCHEDULES = {  # by what `sr.explain` calls it: what threads share
    "rows": (sr.LSTM, {"input_size": 64, "hidden_size": 64}, (8, 24)),
    "rows of a gang": (sr.GRU, {"input_size": 32, "hidden_size": 512}, (2, 16)),
    "units": (sr.LSTM, {"input_size": 32, "hidden_size": 96}, (300, 1)),
    "directions": (sr.GRU, {"input_size": 64, "hidden_size": 64, "bidirectional": True}, (400, 1)),
    "layers": (sr.LSTM, {"input_size": 48, "hidden_size": 48, "num_layers": 2}, (300, 1)),
}


def at_once(tasks: list[Callable[[], object]]) -> None:
    """Run every task on a thread of its own, all from the same moment; raise what one raises."""
    start, errors = threading.Barrier(len(tasks)), []

    def run(task: Callable[[], object]) -> None:
        start.wait()
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


def trained(layer: Any, x: np.ndarray[Any, Any], threads: int) -> bytes:
    """Return the bits of a recorded call and its gradients."""
    tape = layer.record(x, num_threads=threads)
    grads = tape.backward(tape.output)
    parts = [tape.output, *tape.state, grads.x, *grads.params.values()]
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def same(name: str, found: object, wanted: object) -> None:
    """Raise if a result is another than it was on one thread."""
    if found != wanted:
        raise AssertionError(f"{name}: expected the bits of one thread, got others")


def schedules() -> None:
    """Every way that the threads of one call share its work."""
    for name, (kind, sizes, (steps, batch)) in SCHEDULES.items():
        layer = kind(**sizes, seed=0)
        x = np.random.default_rng(0).standard_normal((steps, batch, sizes["input_size"]), "float32")
        same(name, trained(layer, x, 2), trained(layer, x, 1))


def readers_and_writers() -> None:
    """Have calls, tapes, writers and whoever takes memory back on one layer at once."""
    layer = sr.LSTM(16, 24, num_layers=2, bidirectional=True, seed=0)
    states = [
        sr.LSTM(16, 24, num_layers=2, bidirectional=True, seed=s).state_dict() for s in (0, 1)
    ]
    x = np.random.default_rng(0).standard_normal((6, 8, 16), "float32")
    answers = []
    for state in states:
        layer.load_state_dict(state)
        answers.append(layer(x)[0].tobytes())

    def read() -> None:
        for _ in range(20):
            same("a call while others write", layer(x)[0].tobytes() in answers, True)

    def record() -> None:
        for _ in range(10):
            tape = layer.record(x)
            tape.backward(tape.output)
            same("a tape while others write", tape.output.tobytes() in answers, True)

    def write() -> None:
        for turn in range(20):
            layer.load_state_dict(states[turn % 2])

    def disturb() -> None:
        for turn in range(20):
            sr.release_memory()
            sr.set_num_threads(1 + turn % 2)
            copied = copy.deepcopy(layer)
            same("a copy", copied(x)[0].tobytes() in answers, True)

    at_once([read, read, record, record, write, disturb])
    sr.set_num_threads(2)


def loops() -> None:
    """Whole training loops, each with a model of its own, that share the threads."""
    x = np.random.default_rng(0).standard_normal((5, 6, 12), "float32")
    targets = np.random.default_rng(1).integers(0, 40, (5, 6))

    def train() -> bytes:
        layer, head = sr.GRU(12, 32, seed=0), sr.Linear(32, 40, seed=1)
        optimiser = sr.optim.Adam([layer, head], lr=1e-2)
        for _ in range(4):
            tape = layer.record(x)
            scores = head.record(tape.output)
            loss = sr.softmax_cross_entropy(scores.output, targets)
            of_head = scores.backward(loss.backward())
            of_layer = tape.backward(of_head.x)
            sr.clip_grad_norm_([of_layer, of_head], 1.0)
            optimiser.step([of_layer, of_head])
        return layer(x)[0].tobytes()

    alone = train()
    at_once([lambda: same("a training loop beside others", train(), alone)] * 4)


def streams() -> None:
    """Streams of one layer, each on a thread of its own, while the layer is written to."""
    layer = sr.LSTM(16, 24, num_layers=2, seed=0)
    x = np.random.default_rng(0).standard_normal((40, 3, 16), "float32")
    wanted = layer(x)[0]

    def step() -> None:
        stream = layer.stream(batch_size=3)
        for t, row in enumerate(x):
            same("a stream", stream.step(row).tobytes(), wanted[t].tobytes())

    first, other = layer.state_dict(), sr.LSTM(16, 24, num_layers=2, seed=1).state_dict()
    begun = layer.stream(batch_size=3)

    def write() -> None:
        for turn in range(10):
            layer.load_state_dict((other, first)[turn % 2])

    at_once([step] * 6)
    at_once([lambda: same("a stream", begun.feed(x).tobytes(), wanted.tobytes()), write])


def main() -> int:
    """Do all of it so many times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="how many times")
    rounds = parser.parse_args().rounds
    sr.set_num_threads(2)
    for turn in range(rounds):
        for scene in (schedules, readers_and_writers, loops, streams):
            print(f"round {turn + 1} of {rounds}: {scene.__doc__}", file=sys.stderr, flush=True)
            scene()
    return 0


if __name__ == "__main__":
    sys.exit(main())
