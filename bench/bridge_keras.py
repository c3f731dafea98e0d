"""What `simdrnn.keras` gains: Keras's own layers against ours, on each backend, alternating.

    python bench/bridge_keras.py [--backend numpy torch jax] [--repeats 7]

For each shape: a call of the layer for inference, a step of training (forward, backward, the
gradients of all weights), the same with a mask, and the smallest call, which shows what a call
costs beside its arithmetic. Medians in ms; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median

CASES = [  # kind, T, B, I, H, masked
    ("LSTM", 100, 32, 128, 128, False),
    ("GRU", 100, 32, 128, 128, False),
    ("LSTM", 100, 32, 128, 128, True),
    ("GRU", 20, 1, 64, 256, False),
    ("LSTM", 1, 1, 1, 1, False),
]


def numbers(value):
    """Wait for a result, whatever the backend."""
    import keras

    return keras.ops.convert_to_numpy(value)


def make_inference(layer, x, mask):
    """Return a call of the layer, compiled where Keras would compile it."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        def call():
            with torch.no_grad():
                return numbers(layer(x, mask=mask))
    elif keras.backend.backend() == "jax":
        import jax

        weights = [[v.value for v in group] for group in (layer.trainable_variables, ())]
        weights[1] = [v.value for v in layer.non_trainable_variables]
        run = jax.jit(lambda t, n: layer.stateless_call(t, n, x, mask=mask)[0])

        def call():
            return numbers(run(*weights))
    else:

        def call():
            return numbers(layer(x, mask=mask))

    return call


def make_training(layer, x, mask):
    """Return a step that ends with the gradients of all weights, or None."""
    import keras

    if keras.backend.backend() == "torch":

        def step():
            layer.zero_grad()
            layer(x, mask=mask, training=True).sum().backward()
            return numbers(layer.trainable_variables[0].value.grad)

        return step
    if keras.backend.backend() == "jax":
        import jax

        trainable = [v.value for v in layer.trainable_variables]
        others = [v.value for v in layer.non_trainable_variables]

        def loss(values):
            return layer.stateless_call(values, others, x, mask=mask, training=True)[0].sum()

        gradient = jax.jit(jax.grad(loss))
        return lambda: numbers(gradient(trainable)[0])
    return None


def compare(calls, repeats):
    """Time calls in turn and return the median of each in ms."""
    times = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(repeats):
        for call, found in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
    return [1e3 * median(found) for found in times]


def run(repeats):
    """Measure on this process's backend; a line of JSON for each row."""
    import keras
    import numpy as np

    import simdrnn.keras as fast

    rng = np.random.default_rng(0)
    for kind, T, B, I, H, masked in CASES:  # noqa: E741
        x = keras.ops.convert_to_tensor(rng.standard_normal((B, T, I)).astype("float32"))
        mask = None
        if masked:
            lengths = rng.integers(T // 2, T + 1, B)
            mask = keras.ops.convert_to_tensor(np.arange(T) < lengths[:, None])
        layers = [getattr(place, kind)(H, return_sequences=True) for place in (keras.layers, fast)]
        for layer in layers:
            layer.build(x.shape)
        for what, make in (("inference", make_inference), ("training", make_training)):
            calls = [make(layer, x, mask) for layer in layers]
            if calls[0] is None:
                continue
            own, ours = compare(calls, repeats)
            label = f"{kind} {(T, B, I, H)}{' masked' if masked else ''} {what}"
            print(json.dumps([keras.backend.backend(), label, own, ours]), flush=True)


def main():
    """Run every backend in a process of its own and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="+", default=["numpy", "torch", "jax"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        run(arguments.repeats)
        return
    print(f"{'backend':8} {'case':46} {'Keras ms':>10} {'ours ms':>10} {'ratio':>7}")
    for backend in arguments.backend:
        command = [sys.executable, __file__, "--inside", "--repeats", str(arguments.repeats)]
        environment = os.environ | {"KERAS_BACKEND": backend}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
            for line in child.stdout:
                name, label, own, ours = json.loads(line)
                print(f"{name:8} {label:46} {own:10.3f} {ours:10.3f} {own / ours:7.1f}", flush=True)
        if child.returncode:
            sys.exit(child.returncode)


if __name__ == "__main__":
    main()
