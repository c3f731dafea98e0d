"""What a program of PyTorch or scikit-learn and our layers in it do to each other.

``python -m bench.in_company [--beside NAME] [--threads N] [--rounds N] [--only TEXT]``, from the
top of a checkout, on a quiet machine; the shapes are those of trained models in `bench.models`,
inference. Ratios are medians over rounds.

Beside PyTorch, whose Linear is behind each layer: PyTorch's own layer with ours run between its
calls, over without; our layer in that program, over alone in a process that has no PyTorch; our
layer on one thread, over on all.

Beside scikit-learn, whose boosted trees predict by OpenMP before each call of ours, on the pool and
on that OpenMP: the trees with our layer between, over without; our layer there, over alone.
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
from typing import Any

import numpy as np

import simdrnn
from bench.models import SHAPES

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
    *layers, steps, batch = fields
    layer = layer_of(layers)
    x = np.random.default_rng(0).standard_normal((steps, batch, fields[1]), "float32")
    print(seconds(lambda: layer(x)))


def own_process(fields: list[object]) -> float:
    """Return what `alone` says in a process of its own."""
    command = [sys.executable, "-m", "bench.in_company", _ALONE, json.dumps(fields)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def beside_scikit_learn(args: argparse.Namespace) -> None:
    """Print a row for every shape."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(0)
    table = rng.standard_normal((20_000, 20))
    trees = HistGradientBoostingRegressor(max_iter=50).fit(table, table[:, 0] * table[:, 1])
    simdrnn.set_num_threads(args.threads)
    print("trees beside ours / without, ours beside them / alone: on the pool; on OpenMP")
    for case in SHAPES:
        if args.only not in case.name:
            continue
        fields = [case.cell, case.reads, case.hidden, case.layers, case.both_ways]
        layer = layer_of(fields)
        x = rng.standard_normal((case.steps, case.batch, case.reads), "float32")
        ratios: dict[str, list[list[float]]] = {"pool": [[], []], "openmp": [[], []]}
        for _ in range(args.rounds):
            by_itself = own_process([*fields, case.steps, case.batch])
            for threading, found in ratios.items():
                simdrnn.set_threading(threading)
                with threadpool_limits(args.threads):
                    without = seconds(lambda: trees.predict(table))
                    beside = seconds(lambda: trees.predict(table), lambda: layer(x))  # noqa: B023
                    ours = seconds(lambda: layer(x), lambda: trees.predict(table))  # noqa: B023
                found[0].append(beside / without)
                found[1].append(ours / by_itself)
        medians = [statistics.median(r) for found in ratios.values() for r in found]
        print(f"{case.name:26}" + "".join(f"{ratio:7.2f}" for ratio in medians), flush=True)


def layer_of(fields: list[object]) -> Any:
    """Return a layer of ours."""
    cell, width, hidden, layers, both_ways = fields
    return getattr(simdrnn, str(cell))(width, hidden, layers, bidirectional=both_ways, seed=0)


def beside_pytorch(args: argparse.Namespace) -> None:
    """Print a row for every shape."""
    import torch

    from bench.in_torch import Model
    from simdrnn.torch import convert

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


def main() -> None:
    """Measure beside the library that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    beside = {"pytorch": beside_pytorch, "scikit-learn": beside_scikit_learn}
    parser.add_argument("--beside", choices=beside, default="pytorch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    args = parser.parse_args()
    beside[args.beside](args)


if __name__ == "__main__":
    if sys.argv[1:2] == [_ALONE]:
        alone(json.loads(sys.argv[2]))
    else:
        main()
