"""Do what a service does, for long, and see that memory stays where it is.

    python tools/soak.py --minutes 60 --plot soak.png

Streams of one layer step on several threads, their clients come and go; another thread trains and
hands its weights to the layer that serves; models are saved and loaded again; the process forks
children that compute. Every result is compared with what one call on one thread gives. Memory is
measured after a tenth of the time, when everything was used once, and from then on: growth by more
than ``--most`` megabytes, or a wrong bit, ends it with 1.
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import simdrnn as sr


class Service:
    """What the threads share: layers, what they answer, and counts of what was done."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.x = generator.standard_normal((40, 4, 24), "float32")
        self.layers = [sr.LSTM(24, 48, seed=0), sr.GRU(24, 48, num_layers=2, seed=0)]
        self.wanted = [layer(self.x)[0] for layer in self.layers]
        self.stop = threading.Event()
        self.counts: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []

    def check(self, what: str, found: object, wanted: object) -> None:
        """Note that something was done, and whether it was right."""
        self.counts[what] += 1
        if not np.array_equal(np.asarray(found), np.asarray(wanted)):
            self.failures.append(f"{what}: expected the bits of one call, got others")

    # -- what threads do, again and again ----------------------------------------------------------

    def stream(self, number: int) -> None:
        """Serve a client from its first step to its last, in chunks of several sizes."""
        layer, wanted = self.layers[number % 2], self.wanted[number % 2]
        stream = layer.stream(batch_size=4)
        sizes = np.random.default_rng(self.counts["stream"]).integers(1, 9, 40)
        at = 0
        for size in sizes:
            chunk = self.x[at : at + size]
            self.check("steps", stream.feed(chunk), wanted[at : at + size])
            at += len(chunk)
            if at == 20:
                stream = stream.clone()
            if at >= len(self.x):
                break
        self.check("stream", at, len(self.x))

    def rows(self) -> None:
        """Have clients take the rows of one stream, and give them back, in any order."""
        layer, wanted = self.layers[0], self.wanted[0]
        stream, generator = layer.stream(batch_size=4), np.random.default_rng(1)
        steps = np.zeros(4, int)
        for _ in range(100):
            rows = np.flatnonzero(generator.random(4) < 0.6)
            if not len(rows):
                continue
            x = self.x[steps[rows], rows]
            found = stream.step(x, rows=rows)
            self.check("rows", found, wanted[steps[rows], rows])
            steps[rows] += 1
            done = np.flatnonzero(steps == len(self.x))
            if len(done):
                stream.reset(rows=done)
                steps[done] = 0

    def train(self) -> None:
        """Train a layer of its own for some steps, from the same beginning to the same end."""
        layer, head = sr.LSTM(24, 32, seed=3), sr.Linear(32, 24, seed=4)
        optimiser = sr.optim.Adam([layer, head], lr=1e-2)
        for _ in range(5):
            tape = layer.record(self.x)
            scores = head.record(tape.output)
            of_head = scores.backward(sr.mse(scores.output, self.x).backward())
            of_layer = tape.backward(of_head.x)
            sr.clip_grad_norm_([of_layer, of_head], 1.0)
            optimiser.step([of_layer, of_head])
        answer = layer(self.x)[0]
        self.trained = getattr(self, "trained", answer)
        self.check("training", answer, self.trained)

    def reload(self) -> None:
        """Save the serving layers, load them, write them to themselves, take memory back."""
        for layer, wanted in zip(self.layers, self.wanted, strict=True):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.npz"
                layer.save(path)
                loaded = sr.load(path)
            self.check("files", loaded(self.x)[0], wanted)
            layer.load_state_dict(loaded.state_dict())
        sr.release_memory()
        time.sleep(0.05)

    def fork(self) -> None:
        """Have a child compute what its parent does."""
        child = os.fork()
        if child == 0:
            right = np.array_equal(self.layers[1](self.x)[0], self.wanted[1])
            os._exit(0 if right else 1)
        self.check("forks", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        time.sleep(0.5)


def resident() -> float:
    """Return the megabytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def repeated(service: Service, task: Callable[[], None]) -> Callable[[], None]:
    """Return what does a task until the service stops, and then or at an error says so."""

    def run() -> None:
        try:
            while not service.stop.is_set():
                task()
        except Exception as error:
            service.failures.append(f"{type(error).__name__}: {error}")
            service.stop.set()

    return run


def watch(service: Service, seconds: float) -> list[tuple[float, float]]:
    """Return the memory at times, in minutes and megabytes, showing how far it is."""
    begun, points = time.monotonic(), []
    while (gone := time.monotonic() - begun) < seconds and not service.stop.is_set():
        points.append((gone / 60, resident()))
        done = ", ".join(f"{count:,} {what}" for what, count in sorted(service.counts.items()))
        print(f"\r{gone / 60:5.1f} min {points[-1][1]:7.1f} MB: {done}", end="", flush=True)
        service.stop.wait(min(10.0, seconds / 50))
    print()
    return points


def plot(points: list[tuple[float, float]], path: Path) -> None:
    """Draw the memory over time."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.plot(*zip(*points, strict=True))
    axes.set(xlabel="minutes", ylabel="resident memory, MB", ylim=(0, None))
    figure.savefig(path, dpi=120)


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--most", type=float, default=5.0, help="growth that is none, in MB")
    parser.add_argument("--plot", type=Path, help="a picture of the memory over time")
    given = parser.parse_args()
    service = Service()
    tasks = [lambda n=n: service.stream(n) for n in range(4)]
    tasks += [service.rows, service.train, service.reload, service.fork]
    threads = [threading.Thread(target=repeated(service, task)) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        points = watch(service, 60 * given.minutes)
    finally:
        service.stop.set()
        for thread in threads:
            thread.join()
    if given.plot:
        plot(points, given.plot)
    settled = [memory for minute, memory in points if minute > given.minutes / 10]
    quarter = max(1, len(settled) // 4)
    growth = float(np.median(settled[-quarter:]) - np.median(settled[:quarter])) if settled else 0.0
    print(f"memory: {growth:+.1f} MB from the first quarter to the last")
    for failure in service.failures[:20]:
        print(failure)
    return 1 if service.failures or growth > given.most else 0


if __name__ == "__main__":
    sys.exit(main())
