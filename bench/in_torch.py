"""Whole PyTorch models with their recurrent layers converted, beside the same models as they were.

``python -m bench.in_torch [--threads N] [--rounds N] [--only TEXT] [--json FILE]``, from the top of
a checkout, on a quiet machine. Embedding, head, loss and Adam are PyTorch's on both sides. In every
round each side takes a turn, every other round in reverse; whatever one leaves behind (threads that
are awake, caches) is gone after the first call of a turn, which is not timed. A ratio is the median
over rounds of PyTorch's time over ours.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import simdrnn
from bench.models import MODELS, SHAPES, Case
from simdrnn.torch import convert

Call = Callable[[], object]

# How long a side's turn is at least, so that a model of a millisecond is not timed by one call.
_TURN_SECONDS = 0.05
_WAYS = ("pool", "openmp")


class Model(nn.Module):
    """Embedding or features, recurrent layers, head."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        width = case.hidden if case.embedded else case.reads
        self.embedding = nn.Embedding(case.reads, width) if case.embedded else nn.Identity()
        self.rnn = getattr(nn, case.cell)(
            width, case.hidden, case.layers, bidirectional=case.both_ways
        )
        self.head = nn.Linear(case.hidden * (1 + case.both_ways), case.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (T, B, classes)."""
        return self.head(self.rnn(self.embedding(x))[0])


def batch_of(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an input and its targets."""
    shape = (case.steps, case.batch)
    x = torch.randint(case.reads, shape) if case.embedded else torch.randn(*shape, case.reads)
    return x, torch.randint(case.classes, (case.steps * case.batch,))


def training(model: nn.Module, x: torch.Tensor, target: torch.Tensor) -> Call:
    """Return a whole training step."""
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)

    def step() -> None:
        optimiser.zero_grad()
        logits = model(x)
        nn.functional.cross_entropy(logits.flatten(0, 1), target).backward()
        optimiser.step()

    return step


def inference(model: nn.Module, x: torch.Tensor) -> Call:
    """Return a call without gradients."""

    def call() -> None:
        with torch.no_grad():
            model(x)

    return call


def seconds_per_call(call: Call, repeats: int) -> float:
    """Time a turn."""
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - begin) / repeats


def in_turns(sides: dict[str, tuple[str, Call]], rounds: int) -> dict[str, list[float]]:
    """Return seconds per call, round by round; a side is whose threads it has, and a call."""
    repeats = {}
    for name, (threading, call) in sides.items():
        simdrnn.set_threading(threading)
        call()
        repeats[name] = max(1, round(_TURN_SECONDS / seconds_per_call(call, 2)))
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sorted(sides, reverse=number % 2 == 1):
            threading, call = sides[name]
            simdrnn.set_threading(threading)
            call()  # what the side before has left behind is not this one's to pay
            seconds[name].append(seconds_per_call(call, repeats[name]))
    return seconds


def sides_of(case: Case, train: bool) -> dict[str, tuple[str, Call]]:
    """Return PyTorch's model and ours, on each kind of threads."""
    torch.manual_seed(0)
    plain = Model(case).train(train)
    ours = convert(copy.deepcopy(plain))
    x, target = batch_of(case)
    make = (lambda m: training(m, x, target)) if train else (lambda m: inference(m, x))
    sides = {way: (way, make(copy.deepcopy(ours))) for way in _WAYS}
    return {"torch": ("auto", make(plain)), **sides}


def measure(case: Case, train: bool, rounds: int) -> dict[str, object]:
    """Measure a row."""
    seconds = in_turns(sides_of(case, train), rounds)
    ratios = {
        way: statistics.median(a / b for a, b in zip(seconds["torch"], seconds[way], strict=True))
        for way in _WAYS
    }
    milliseconds = {name: statistics.median(values) * 1e3 for name, values in seconds.items()}
    return {"model": case.name, "training": train, "ms": milliseconds, "ratios": ratios}


def main() -> None:
    """Print a row for every model, and write the JSON file if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--only", default="", help="rows whose line contains this")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    print(f"{args.threads} threads; ms, and PyTorch's time over ours")
    for train, cases in ((True, MODELS), (False, MODELS + SHAPES)):
        for case in cases:
            what = f"{'training' if train else 'inference':10}{case.name}"
            if args.only not in what:
                continue
            row = measure(case, train, args.rounds)
            rows.append(row)
            ms, ratios = row["ms"], row["ratios"]
            print(
                f"{what:36}torch {ms['torch']:8.2f}"
                + "".join(f"   {way} {ms[way]:8.2f} {ratios[way]:5.2f}" for way in _WAYS),
                flush=True,
            )
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
