"""What a PyTorch program and our layers in it do to each other.

``python -m bench.in_company [--threads N] [--rounds N] [--only TEXT]``, from the top of a checkout,
on a quiet machine; the shapes are those of trained models in `bench.in_torch`, inference, a Linear
of PyTorch's behind each layer. Three ratios, medians over rounds: PyTorch's own layer with ours run
between its calls, over without; our layer in that program, over alone in a process that has no
PyTorch; our layer on one thread, over on all.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

import simdrnn

_ALONE = "--alone"
_CALLS = 12


def seconds(call: Callable[[], object], before: Callable[[], object] | None = None) -> float:
    """Return the median time of some calls, each after one of `before`, which is not timed."""
    found = []
    for _ in range(_CALLS):
        if before is not None:
            before()
        begin = time.perf_counter()
        call()
        found.append(time.perf_counter() - begin)
    return statistics.median(found[2:])


def alone(fields: list[object]) -> None:
    """Print the time of a layer of ours in a process without PyTorch."""
    cell, width, hidden, layers, both_ways, steps, batch = fields
    layer = getattr(simdrnn, str(cell))(width, hidden, layers, bidirectional=both_ways, seed=0)
    x = np.random.default_rng(0).standard_normal((steps, batch, width), "float32")
    print(seconds(lambda: layer(x)))


def own_process(fields: list[object]) -> float:
    """Return what `alone` says in a process of its own."""
    command = [sys.executable, "-m", "bench.in_company", _ALONE, json.dumps(fields)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Print a row for every shape."""
    import torch

    from bench.in_torch import SHAPES, Model
    from simdrnn.torch import convert

    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print("PyTorch's beside ours / without; ours in the program / alone; one thread / all")
    for case in SHAPES:
        if args.only not in case.name:
            continue
        plain = Model(case).eval()
        ours = convert(copy.deepcopy(plain))
        x = torch.randn(case.steps, case.batch, case.reads)
        fields = [case.cell, case.reads, case.hidden, case.layers, case.both_ways]
        ratios: list[list[float]] = [[], [], []]
        for _ in range(args.rounds):
            with torch.no_grad():
                without = seconds(lambda: plain.rnn(x), lambda: plain(x))  # noqa: B023
                beside = seconds(lambda: plain.rnn(x), lambda: ours(x))  # noqa: B023
                inside = seconds(lambda: ours.rnn(x), lambda: ours(x))  # noqa: B023
                torch.set_num_threads(1)
                one = seconds(lambda: ours.rnn(x), lambda: ours(x))  # noqa: B023
                torch.set_num_threads(args.threads)
            by_itself = own_process([*fields, case.steps, case.batch])
            for found, ratio in zip(
                ratios, (beside / without, inside / by_itself, one / inside), strict=True
            ):
                found.append(ratio)
        print(
            f"{case.name:26}" + "".join(f"{statistics.median(r):7.2f}" for r in ratios), flush=True
        )


if __name__ == "__main__":
    if sys.argv[1:2] == [_ALONE]:
        alone(json.loads(sys.argv[2]))
    else:
        main()
