"""What `simdrnn.jax` costs: through XLA's FFI, through callbacks, and JAX's own scan.

python bench/bridge_jax.py [--rounds 20] [--shape T,B,I,H ...]

Prints microseconds of one call of a compiled program, the median over rounds in which the entries
take turns: forward, gradients for the parameters, and both with the parameters changed before every
call, so that nothing packed is found again. The last column is the layer, called from Python.
One thread: set PJRT_NPROC=1 and XLA_FLAGS=--xla_cpu_multi_thread_eigen=false before, which this
does unless they are set.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("PJRT_NPROC", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import numpy as np

import simdrnn as sr
import simdrnn.jax as srj
from simdrnn.bench.cases import Case
from simdrnn.bench.jax_network import jax_network, to_kernels
from simdrnn.jax import execution

SHAPES = ["1,1,32,32", "100,1,32,32", "1,1,512,512", "100,32,128,128", "50,64,512,512"]


def ours(way):
    """Return our LSTM compiled for a way of calling."""

    def forward(params, x):
        execution.choose(way)
        try:
            return srj.lstm(params, x, num_threads=1)[0]
        finally:
            execution.choose(None)

    return forward


@jax.jit
def changed(params):
    """Return the same parameters with other values."""
    return {name: array * 1.0001 for name, array in params.items()}


def entries(shape):
    """Return (what, name) -> function of no arguments, for one shape."""
    T, B, I, H = shape  # noqa: E741 - the letter of the documentation
    params = srj.init_params(jax.random.key(0), "LSTM", I, H)
    x = jax.random.normal(jax.random.key(1), (T, B, I))
    layer = srj.to_layer("LSTM", params)
    x_numpy = np.asarray(x)
    made = {}
    ways = (["ffi"] if srj.uses_ffi() else []) + ["callback"]
    functions = {way: (ours(way), params) for way in ways}
    functions["scan"] = jax_network(Case("lstm", *shape)), to_kernels(params)
    for name, (function, params) in functions.items():
        forward = jax.jit(function)
        backward = jax.jit(jax.grad(lambda p, x, f=function: (f(p, x) ** 2).sum()))
        held = [params]

        def step(run, held=held):
            held[0] = changed(held[0])
            jax.block_until_ready(run(held[0], x))

        made["forward", name] = lambda run=forward, p=params: jax.block_until_ready(run(p, x))
        made["gradients", name] = lambda run=backward, p=params: jax.block_until_ready(run(p, x))
        made["forward, new params", name] = lambda run=forward, step=step: step(run)
        made["gradients, new params", name] = lambda run=backward, step=step: step(run)
    made["(making new params)", "scan"] = lambda p=params: jax.block_until_ready(changed(p))
    made["forward", "layer"] = lambda: layer(x_numpy, num_threads=1)
    made["gradients", "layer"] = lambda: layer.record(x_numpy, num_threads=1).backward(
        np.ones((T, B, H), "float32")
    )
    return made


def measure(made, rounds):
    """Return key -> median seconds of a call, the entries taking turns."""
    counts = {}
    for key, call in made.items():
        call()
        start = time.perf_counter()
        call()
        counts[key] = max(1, int(0.02 / (time.perf_counter() - start)))
    times = {key: [] for key in made}
    for _ in range(rounds):
        for key, call in made.items():
            start = time.perf_counter()
            for _ in range(counts[key]):
                call()
            times[key].append((time.perf_counter() - start) / counts[key])
    return {key: statistics.median(values) for key, values in times.items()}


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--shape", action="append", help="T,B,I,H", default=[])
    options = parser.parse_args()
    sr.set_num_threads(1)
    names = ["ffi", "callback", "scan", "layer"]
    print(f"{'LSTM T,B,I,H':18}{'microseconds':24}" + "".join(f"{name:>12}" for name in names))
    for text in options.shape or SHAPES:
        shape = tuple(map(int, text.split(",")))
        found = measure(entries(shape), options.rounds)
        for what in dict.fromkeys(what for what, _ in found):
            cells = [found.get((what, name)) for name in names]
            shown = "".join("           -" if c is None else f"{c * 1e6:12.1f}" for c in cells)
            print(f"{text:18}{what:24}{shown}", flush=True)


if __name__ == "__main__":
    main()
