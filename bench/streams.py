"""One step of a stream from Python, beside ONNX Runtime and tract; and many streams in threads.

``python -m bench.streams [--rounds N] [--steps N] [--sizes 16,64] [--cell lstm] [--json FILE]``,
from the top of a checkout, on a quiet machine. One row, as many inputs as hidden units, one thread.
In every round each side takes a turn of so many steps, every other round in reverse; every step is
timed by itself, and median and 99.9th percentile are of all of them, less what the clock takes.
Every side carries its states from step to step and puts out what the others do, which is compared.

Peers that are not installed are left out: ``pip install onnx onnxruntime tract``.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import threading
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import simdrnn as sr
from simdrnn.bench.cases import Case
from simdrnn.bench.onnx_model import onnx_weights

# Nanoseconds of a step of RTNeural's faster backend, C++ that is compiled for the very sizes, as
# its author publishes them: jatinchowdhury18/RTNeural-compare, results/bench_eigen.txt and
# bench_xsimd.txt, an Intel i7-8700B. Another machine: for orientation.
RTNEURAL = {("lstm", 16): 320, ("lstm", 32): 884, ("lstm", 64): 3225}
RTNEURAL |= {("gru", 16): 219, ("gru", 32): 669, ("gru", 64): 2402}

# What is promised: median of a step from Python, in nanoseconds.
PROMISED = {("lstm", 16): 700, ("lstm", 64): 1500}

Step = Callable[[], object]
Array = np.ndarray[Any, Any]


class Side:
    """Who takes the steps: makes a step function for x (1, I), which writes to ``y`` (1, H)."""

    def __init__(self, name: str, step: Step, output: Callable[[], Array]) -> None:
        self.name, self.step, self.output = name, step, output
        self.times: list[Array] = []


def our_side(layer: Any, x: Array) -> Side:
    """Make our own."""
    stream, y = layer.stream(), np.empty((1, layer.hidden_size), "float32")
    return Side("simdrnn", lambda: stream.step(x, out=y), lambda: y)


def one_step_model(layer: Any, cell: str) -> bytes:
    """Serialise one step with its states as inputs and outputs: x (1, 1, I), h and c (1, 1, H)."""
    helper: Any = import_module("onnx.helper")
    numpy_helper: Any = import_module("onnx.numpy_helper")
    size = layer.hidden_size
    case = Case(cell, 1, 1, size, size)
    constants = [
        numpy_helper.from_array(value, name)
        for name, value in zip("WRB", onnx_weights(case, layer.state_dict(), 0), strict=True)
    ]
    states = ["h", "c"][: 2 if cell == "lstm" else 1]
    attributes: dict[str, Any] = {"hidden_size": size}
    if cell == "gru":
        attributes["linear_before_reset"] = 1
    node = helper.make_node(
        cell.upper(),
        ["x", "W", "R", "B", "", *states],
        ["y", *(f"{state}_new" for state in states)],
        **attributes,
    )

    def value(name: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, 1, shape)

    graph = helper.make_graph(
        [node],
        cell,
        [value("x", 1, 1, size), *(value(state, 1, 1, size) for state in states)],
        [value("y", 1, 1, 1, size), *(value(f"{state}_new", 1, 1, size) for state in states)],
        constants,
    )
    opsets = [helper.make_opsetid("", 14)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def onnxruntime_side(model: bytes, x: Array, states: int) -> Side:
    """Make ONNX Runtime's: outputs are bound to memory that the next step reads, in turn."""
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    size = x.shape[1]
    given = runtime.OrtValue.ortvalue_from_numpy(x[None])
    output = np.zeros((1, 1, 1, size), "float32")
    bound_output = runtime.OrtValue.ortvalue_from_numpy(output)
    names = ["h", "c"][:states]
    homes = [
        [runtime.OrtValue.ortvalue_from_numpy(np.zeros((1, 1, size), "float32")) for _ in names]
        for _ in range(2)
    ]
    bindings = []
    for before, after in (homes, homes[::-1]):
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", given)
        binding.bind_ortvalue_output("y", bound_output)
        for name, old, new in zip(names, before, after, strict=True):
            binding.bind_ortvalue_input(name, old)
            binding.bind_ortvalue_output(f"{name}_new", new)
        bindings.append(binding)

    def step() -> None:
        session.run_with_iobinding(bindings[0])
        bindings.reverse()

    return Side("onnxruntime", step, lambda: bound_output.numpy().reshape(1, size))


def tract_side(model: bytes, x: Array, states: int) -> Side:
    """Make tract's, by its Python package: a run is given tensors and returns some."""
    tract: Any = import_module("tract")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        path.write_bytes(model)
        running = tract.onnx().load(path).into_model().into_runnable().spawn_state()
    size = x.shape[1]
    given = tract.Tensor.from_numpy(x[None])
    held = [tract.Tensor.from_numpy(np.zeros((1, 1, size), "float32")) for _ in range(states)]
    last: list[Any] = [None]

    def step() -> None:
        last[0], *held[:] = running.run([given, *held])

    return Side("tract", step, lambda: last[0].to_numpy().reshape(1, size))


def sides_of(cell: str, size: int) -> list[Side]:
    """Make everybody who is installed, for one cell and size."""
    layer = getattr(sr, cell.upper())(size, size, seed=0)
    x = np.random.default_rng(1).standard_normal((1, size)).astype("float32")
    sides = [our_side(layer, x)]
    states = 2 if cell == "lstm" else 1
    if find_spec("onnx"):
        model = one_step_model(layer, cell)
        if find_spec("onnxruntime"):
            sides.append(onnxruntime_side(model, x, states))
        if find_spec("tract"):
            sides.append(tract_side(model, x, states))
    for _ in range(5):
        for side in sides:
            side.step()
    for side in sides[1:]:
        np.testing.assert_allclose(side.output(), sides[0].output(), atol=2e-6, rtol=1e-4)
    return sides


def timed(step: Step, steps: int) -> Array:
    """Return how long each of so many steps took, in nanoseconds."""
    times = np.empty(steps, np.int64)
    clock = time.perf_counter_ns
    step()
    for index in range(steps):
        begin = clock()
        step()
        times[index] = clock() - begin
    return times


def nothing() -> None:
    """Be called as a step is."""


def latency(cell: str, size: int, rounds: int, steps: int) -> list[dict[str, Any]]:
    """Time everybody, in turn."""
    sides = sides_of(cell, size)
    empty = Side("clock", nothing, lambda: np.zeros(0))
    for index in range(rounds):
        for side in [empty, *sides][:: -1 if index % 2 else 1]:
            side.times.append(timed(side.step, steps))
    clock = float(np.median(np.concatenate(empty.times)))
    found = []
    for side in sides:
        each = np.concatenate(side.times) - clock
        # The quietest round's: of a machine that others interrupt, most percentiles are theirs.
        tails = [float(np.percentile(one - clock, 99.9)) for one in side.times]
        found.append(
            {
                "cell": cell, "size": size, "side": side.name, "median": float(np.median(each)),
                "p99.9": float(np.percentile(each, 99.9)), "p99.9 quiet": min(tails),
            }
        )  # fmt: skip
    return found


def many_streams(size: int, threads: int, seconds: float) -> float:
    """Return steps of 16 rows a second of 64 streams of one layer, shared out to threads."""
    layer = sr.LSTM(size, size, seed=0)
    x = np.random.default_rng(0).standard_normal((16, size)).astype("float32")
    streams = [(layer.stream(16), np.empty((16, size), "float32")) for _ in range(64)]
    counts, going, stop = [0] * threads, threading.Barrier(threads + 1), threading.Event()

    def run(number: int) -> None:
        own = streams[number::threads]
        going.wait()
        while not stop.is_set():
            for stream, y in own:
                for _ in range(4):
                    stream.step(x, out=y)
            counts[number] += 4 * len(own)

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    going.wait()
    begin = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - begin)


def throughput(rounds: int, sizes: list[int]) -> list[dict[str, Any]]:
    """Time 64 streams on 1, 2 and 64 threads, in turn."""
    found = []
    for size in sizes:
        rates: dict[int, list[float]] = {1: [], 2: [], 64: []}
        for index in range(rounds):
            for threads in list(rates)[:: -1 if index % 2 else 1]:
                rates[threads].append(many_streams(size, threads, 0.15))
        one = np.array(rates[1])
        found += [
            {
                "size": size, "threads": threads, "steps": float(np.median(own)),
                "ratio": float(np.median(np.array(own) / one)),
            }
            for threads, own in rates.items()
        ]  # fmt: skip
    return found


def show(found: list[dict[str, Any]], many: list[dict[str, Any]]) -> None:
    """Print both tables."""
    print("ns a step, B = 1, I = H, one thread, from Python")
    print(f"{'':10}{'':13}{'median':>9}{'p99.9':>9}{'quiet':>9}{'ratio':>8}")
    ours = 1.0
    for row in found:
        ours = row["median"] if row["side"] == "simdrnn" else ours
        key = (row["cell"], row["size"])
        note = f"{row['median'] / ours:7.1f}x" if row["side"] != "simdrnn" else ""
        if row["side"] == "simdrnn" and key in PROMISED:
            note = f"   at most {PROMISED[key]}"
        print(
            f"{row['cell']:5}{row['size']:4} {row['side']:13}{row['median']:9.0f}"
            f"{row['p99.9']:9.0f}{row['p99.9 quiet']:9.0f}{note}"
        )
    for (cell, size), published in RTNEURAL.items():
        print(f"{cell:5}{size:4} RTNeural, as published for an i7-8700B: {published}")
    if many:
        print(
            "\n64 streams of one LSTM, 16 rows each; steps a second, and over those of one thread"
        )
        for row in many:
            print(f"H {row['size']:4} {row['threads']:3} threads {row['steps']:10.0f}"
                  f"{row['ratio']:7.2f}")  # fmt: skip


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4000, help="of each side in a round")
    parser.add_argument("--sizes", default="16,32,64,128")
    parser.add_argument("--cell", choices=("lstm", "gru"), help="one of them alone")
    parser.add_argument("--only", choices=("latency", "threads"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    gc.disable()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    found: list[dict[str, Any]] = []
    for cell in ("lstm", "gru") if arguments.cell is None else (arguments.cell,):
        for size in sizes if arguments.only != "threads" else ():
            found += latency(cell, size, arguments.rounds, arguments.steps)
    many = throughput(arguments.rounds, sizes) if arguments.only != "latency" else []
    show(found, many)
    if arguments.json:
        config = {"cpus": len(os.sched_getaffinity(0)), "latency": found, "threads": many}
        arguments.json.write_text(json.dumps(config, indent=1))


if __name__ == "__main__":
    main()
