"""What `simdrnn.torch` gains over `torch.nn`, and what it adds to a call of the engine.

``python bench/bridge_torch.py [rounds]``, on a quiet machine. Both sides take turns, round by
round; each is told by its fastest round. A training step is forward, sum of the outputs and
backward to all parameters, x needing no gradient.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import simdrnn
import simdrnn.torch

T, B, I, H = 100, 32, 128, 128  # noqa: E741
RAGGED_T = 1000

Call = Callable[[], object]


def fastest(calls: list[Call], rounds: int, repeats: int = 1) -> list[float]:
    """Return the seconds per call of the fastest round of each, in turns."""
    best = [float("inf")] * len(calls)
    for _ in range(rounds + 1):  # the first round warms up, and counts only if it is fastest
        for k, call in enumerate(calls):
            begin = time.perf_counter()
            for _ in range(repeats):
                call()
            best[k] = min(best[k], (time.perf_counter() - begin) / repeats)
    return best


def training_step(module: torch.nn.Module, x: torch.Tensor | PackedSequence) -> Call:
    """Return a training step of a layer without its optimiser."""

    def step() -> None:
        module.zero_grad()
        output, _ = module(x)
        data = output.data if isinstance(output, PackedSequence) else output
        data.sum().backward()

    return step


def pair(name: str, *sizes: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return PyTorch's layer and ours."""
    theirs = getattr(torch.nn, name)(*sizes)
    ours = getattr(simdrnn.torch, name)(*sizes)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def tell(what: str, theirs: float, ours: float, target: float) -> None:
    """Print a ratio."""
    print(
        f"{what:40} torch {theirs * 1e3:9.3f} ms, ours {ours * 1e3:9.3f} ms: "
        f"{theirs / ours:5.2f}x (to reach {target}x)"
    )


def training(rounds: int) -> None:
    """Compare training steps of dense and of ragged batches."""
    x = torch.randn(T, B, I)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, RAGGED_T + 1, (B,), generator=generator)
    lengths[0] = RAGGED_T
    ragged = pack_padded_sequence(torch.randn(RAGGED_T, B, I), lengths, enforce_sorted=False)
    for name, dense_target in (("GRU", 3.0), ("LSTM", 1.5)):
        layers = pair(name, I, H)
        seconds = fastest([training_step(layer, x) for layer in layers], rounds)
        tell(f"{name} training step {(T, B, I, H)}", *seconds, dense_target)
        seconds = fastest([training_step(layer, ragged) for layer in layers], max(2, rounds // 5))
        tell(f"{name} ragged, T={RAGGED_T}, {sum(lengths)} steps", *seconds, 5.0)


def per_call(rounds: int, size: int = 8) -> None:
    """Tell what the bridge adds to one step of a small layer on one thread."""
    x = torch.randn(1, 1, size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    simdrnn.set_num_threads(1)
    for name in ("LSTM", "GRU"):
        _per_call_of(name, x, rounds * 10)
    torch.set_num_threads(threads)
    simdrnn.set_num_threads(None)


def _per_call_of(name: str, x: torch.Tensor, rounds: int) -> None:
    """Compare the engine's layer, the bridge and PyTorch."""
    theirs, ours = pair(name, x.shape[-1], x.shape[-1])
    engine = getattr(simdrnn, name)(x.shape[-1], x.shape[-1])
    array = x.numpy()
    with torch.no_grad():
        calls: list[Call] = [lambda: engine(array), lambda: ours(x), lambda: theirs(x)]
        _tell_call(f"{name} call", fastest(calls, rounds, 100))
    calls = [lambda: engine.record(array), lambda: ours(x), lambda: theirs(x)]
    _tell_call(f"{name} recorded call", fastest(calls, rounds, 100))


def _tell_call(what: str, seconds: list[float]) -> None:
    """Print what the bridge adds."""
    engine, ours, theirs = (s * 1e6 for s in seconds)
    print(
        f"{what:40} engine {engine:5.1f} us, bridge {ours:5.1f} us: adds {ours - engine:5.1f} us "
        f"(to reach 15); torch {theirs:5.1f} us"
    )


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"{torch.get_num_threads()} threads, {simdrnn.isa.active()}")
    per_call(count)
    training(count)
