"""Problems, comparisons and tolerances that several test files share."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import ModuleType
from typing import Any

import numpy as np

import simdrnn as sr
from closeness import STEP_ROUNDINGS, assert_same_bits, tolerance
from factors import INFOS
from helpers_loops import every, in_turn
from problems import LAYERS, as_tuple
from simdrnn import reference

__all__ = ["INFOS", "LAYERS", "as_tuple", "assert_same_bits", "tolerance"]

# Those that are called with x alone, and those that take something beside it: `beside` makes it.
CELLS = tuple(name for name, info in INFOS.items() if not info.step_inputs)
ATTENTIVE = tuple(name for name in INFOS if name not in CELLS)

# Which gates have rows in an array, and in which order, where it is not each of them once.
ROWS = {
    "ind_rnn": {"weight_hh": (), "bias_hh": ()},
    "fast_grnn": {"bias_ih": (), "bias_hh": ()},
    "ran": {"weight_hh": ("i", "f"), "bias_hh": ("i", "f")},
    "minimal_rnn": {
        "weight_ih": ("z",),
        "weight_hh": ("u", "u"),
        "bias_ih": ("z",),
        "bias_hh": ("u",),
    },
}


def gates_with_rows(cell: str, kind: str) -> tuple[str, ...]:
    """Return the gates whose rows `weight_ih`, `weight_hh`, `bias_ih` or `bias_hh` has."""
    return ROWS.get(cell, {}).get(kind, INFOS[cell].gate_names)


def bias_rows(cell: str, gate: int, hidden: int) -> dict[str, slice]:
    """Return where a gate's biases are: kind of array -> slice."""
    name, found = INFOS[cell].gate_names[gate], {}
    for kind in ("bias_ih", "bias_hh"):
        names = gates_with_rows(cell, kind)
        if name in names:
            begin = names.index(name) * hidden
            found[kind] = slice(begin, begin + hidden)
    return found


# Parameters that all units share.
SHARED = {own.name for info in INFOS.values() for own in info.own if own.shared}

# Blocks of rows of weight_ih and of weight_hh, as plans count them; and how many both have.
BLOCKS = {
    cell: {
        "gates": len(gates_with_rows(cell, "weight_ih")),
        "recurrent_gates": len(gates_with_rows(cell, "weight_hh")),
    }
    for cell in INFOS
}
GATES = {cell: min(blocks.values()) for cell, blocks in BLOCKS.items()}

# Cells with a recurrent product.
RECURRENT = tuple(cell for cell in CELLS if gates_with_rows(cell, "weight_hh"))

# One cell of each kind that time loops, plans and threads can tell apart, for what takes long.
KINDS = tuple(
    {
        (i.gates, i.separate, i.states, i.phases, i.params > 0, i.input_only, i.heads): i.name
        for i in reversed(INFOS.values())
        if i.name in CELLS
    }.values()
)

# Compiled twice, with and without options: the ones most used.
COMMON = tuple(name for name, info in INFOS.items() if info.common)

# Which of lengths, mask and reset a problem has, and how its masked output is filled.
PATTERNS = ("plain", "lengths", "mask", "reset", "all", "all-hold")


def difference_step(dtype: Any = np.float64) -> float:
    """Return the step of a central difference that balances truncation h^2 and rounding eps / h."""
    return float(np.finfo(dtype).eps) ** (1 / 3)


def difference_tolerance(scale: float) -> float:
    """Return the error of a central difference of a function computed as a sum of size `scale`.

    At the balanced step both errors are eps^(2/3) times a constant: third derivatives of the
    composed activations over 6 on one side, the roundings of the sum's terms on the other. For both
    we take the roundings of a step. A wrong gradient is off by orders of magnitude more.
    """
    return STEP_ROUNDINGS * float(np.finfo(np.float64).eps) ** (2 / 3) * max(scale, 1.0)


def assert_close(
    got: Any, want: Any, tolerance: float, name: str = "", least_scale: float = 0.0
) -> None:
    """Compare arrays, or tuples or dicts of them, relative to the largest element wanted.

    The gradient of what all units share is a sum of such of single units, which may cancel: it is
    relative to the largest gradient of its dict.
    """
    if isinstance(want, Mapping):
        assert list(got) == list(want)
        for key in want:
            shared = key.partition("_l")[0] in SHARED
            scale = max(np.abs(w).max(initial=0.0) for w in want.values()) if shared else 0.0
            assert_close(got[key], want[key], tolerance, f"{name}[{key}]", scale)
    elif isinstance(want, tuple):
        assert len(got) == len(want)
        for index, member in enumerate(want):
            assert_close(got[index], member, tolerance, f"{name}[{index}]")
    else:
        got, want = np.asarray(got), np.asarray(want)
        assert got.shape == want.shape, name
        scale = np.abs(want).max(initial=least_scale)
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale, err_msg=name)


ENGINES = (reference, sr)
DTYPES = ("float32", "float64")


def few(**factors: Iterable[Any]) -> Any:
    """Run a test for as many cases as the longest factor has values, all of which occur.

    It is for tests of which one case would almost do: what has to meet in pairs is in the table of
    rows. With --exhaustive all values meet.
    """
    return every(*in_turn({name: tuple(values) for name, values in factors.items()}))


def make_layer(module: ModuleType, cell: str, *args: Any, **kwargs: Any) -> Any:
    """Make a layer of the given cell from `simdrnn` or `simdrnn.reference`."""
    name, extra = LAYERS[cell]
    return getattr(module, name)(*args, **extra, **kwargs)


def suited(cell: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options without those that need a recurrent product, where the cell has none."""
    if INFOS[cell].recurrent_blocks:
        return dict(options)
    needy = ("recurrent_dropout", "weight_dropout")
    return {name: value for name, value in options.items() if not name.startswith(needy)}


def beside(cell: str, T: int, B: int, rng: np.random.Generator, dtype: Any) -> dict[str, Any]:
    """Draw what a cell takes beside x, as arguments of a call; most take nothing."""
    return {"attention": rng.random((T, B)).astype(dtype)} if INFOS[cell].step_inputs else {}


@dataclass
class Problem:
    """A layer, the arguments of one call, and gradients to propagate back through it."""

    layer: Any
    x: Any
    state: Any
    call: dict[str, Any] = field(default_factory=dict)
    d_output: Any = None
    d_state: Any = None

    def record(self) -> Any:
        """Record the call; a copy of the layer draws the same dropout each time."""
        return copy.deepcopy(self.layer).record(self.x, self.state, **self.call)

    def gradients(self) -> Any:
        """Return the gradients of the call."""
        return self.record().backward(self.d_output, self.d_state)


def make_pattern(pattern: str, T: int, B: int, rng: np.random.Generator) -> dict[str, Any]:
    """Draw lengths, mask and reset as `pattern` says; with a row of length 0 if B > 1."""
    call: dict[str, Any] = {}
    if pattern == "lengths" or pattern.startswith("all"):
        lengths = rng.integers(1, T + 1, B)
        lengths[0] = T
        lengths[1:2] = 0
        call["lengths"] = lengths
    if pattern == "mask" or pattern.startswith("all"):
        call["mask"] = rng.random((T, B)) < 0.7
    if pattern == "reset" or pattern.startswith("all"):
        call["reset"] = rng.random((T, B)) < 0.3
    if pattern.endswith("hold"):
        call["masked_output"] = "hold"
    return call


def make_problem(
    module: ModuleType,
    cell: str,
    *,
    rng: np.random.Generator,
    T: int = 5,
    B: int = 4,
    I: int = 2,  # noqa: E741
    H: int = 3,
    dtype: Any = "float64",
    pattern: str = "plain",
    with_state: bool = True,
    **kwargs: Any,
) -> Problem:
    """Draw a problem; `kwargs` go to the layer's constructor."""
    seed = int(rng.integers(2**32))
    layer = make_layer(module, cell, I, H, dtype=dtype, seed=seed, **kwargs)
    directions = 2 if kwargs.get("bidirectional") else 1
    rows = directions * kwargs.get("num_layers", 1)

    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    h_size = kwargs.get("proj_size") or H

    def draw_state(given: bool = False) -> Any:
        sizes = [h_size] + [H] * (INFOS[cell].states - 1)
        states = tuple(draw(rows, B, size) for size in sizes)
        if given:  # some must be positive, and not so small that all else is divided by nothing
            kinds = zip(INFOS[cell].carried, states, strict=True)
            states = tuple(abs(s) + s.dtype.type(0.5) if k.positive else s for k, s in kinds)
        return states if len(states) > 1 else states[0]

    return Problem(
        layer,
        draw(T, B, I),
        draw_state(given=True) if with_state else None,
        make_pattern(pattern, T, B, rng) | beside(cell, T, B, rng, dtype),
        draw(T, B, directions * h_size),
        draw_state(),
    )


def variables(problem: Problem) -> dict[str, Any]:
    """Return everything a gradient is taken for, by name."""
    found = {"x": problem.x}
    if problem.state is not None:
        found |= {f"state[{i}]": value for i, value in enumerate(as_tuple(problem.state))}
    return found | problem.layer.state_dict()


def substitute(problem: Problem, values: Mapping[str, Any]) -> Problem:
    """Return the problem with `values` in place of its `variables`."""
    layer = copy.deepcopy(problem.layer)
    layer.load_state_dict({name: values[name] for name in layer.parameters()})
    state = problem.state
    if state is not None:
        members = tuple(values[f"state[{i}]"] for i in range(len(as_tuple(state))))
        state = members if isinstance(state, tuple) else members[0]
    return Problem(layer, values["x"], state, problem.call, problem.d_output, problem.d_state)


def flat_gradients(problem: Problem) -> dict[str, Any]:
    """Return the gradients by the names of `variables`."""
    grads = problem.gradients()
    found = {"x": grads.x}
    if problem.state is not None:
        found |= {f"state[{i}]": value for i, value in enumerate(as_tuple(grads.state))}
    return found | grads.params


def loss_terms(problem: Problem) -> Iterator[Any]:
    """Yield arrays whose sum is the scalar whose gradients `gradients` returns."""
    tape = problem.record()
    yield tape.output * problem.d_output
    for value, weight in zip(as_tuple(tape.state), as_tuple(problem.d_state), strict=True):
        yield value * weight


def loss(problem: Problem) -> float:
    """Return the scalar whose gradients `gradients` returns."""
    return float(sum(terms.sum() for terms in loss_terms(problem)))


def loss_scale(problem: Problem) -> float:
    """Return the sum of the magnitudes of the loss's terms."""
    return float(sum(np.abs(terms).sum() for terms in loss_terms(problem)))


# Values that reach their bounds often on problems drawn by `make_problem`. "steps" has both clips
# of back-propagated gradients at once: elements first, then the norm.
CLIPS: dict[str, dict[str, float]] = {
    "unclipped": {},
    "gate": {"gate_clip": 0.5},
    "cell": {"cell_clip": 0.3},
    "hidden": {"hidden_clip": 0.2},
    "step-elements": {"step_grad_clip": 0.1},
    "step-norm": {"step_grad_norm": 0.15},
    "steps": {"step_grad_clip": 0.1, "step_grad_norm": 0.15},
    "every": {
        "gate_clip": 0.7,
        "cell_clip": 0.4,
        "hidden_clip": 0.3,
        "step_grad_clip": 0.1,
        "step_grad_norm": 0.15,
    },
}


def clip_options(cell: str, clip: str) -> dict[str, float]:
    """Return the options of an entry of `CLIPS` that are defined for the cell."""
    options = CLIPS[clip]
    return {
        name: value
        for name, value in options.items()
        if INFOS[cell].states > 1 or name != "cell_clip"
    }


@dataclass(frozen=True)
class Case:
    """Everything that decides a problem drawn by `draw`; its own seed, too."""

    cell: str
    dtype: str = "float32"
    T: int = 5
    B: int = 4
    I: int = 5  # noqa: E741
    H: int = 9
    layers: int = 1
    directions: int = 1
    bias: bool = True
    state: bool = True
    pattern: str = "plain"
    clip: str = "unclipped"
    dropout: float = 0.0
    P: int = 0

    def __str__(self) -> str:
        """Name the case by what is not default."""
        shown = [self.cell]
        for item in fields(self)[1:]:
            value = getattr(self, item.name)
            if value != item.default:
                shown.append(value if isinstance(value, str) else f"{item.name}{value}")
        return "-".join(shown)

    def draw(self, module: ModuleType) -> Problem:
        """Draw the problem: the same numbers whatever the module.

        Initial weights are of size 1 / sqrt(H). With more inputs than units x is smaller, so that
        activations are not saturated: the slope 1 - y^2 of a y next to 1 has few correct digits.
        """
        extra: dict[str, Any] = {"dropout": self.dropout} if self.layers > 1 else {}
        extra |= {"proj_size": self.P} if self.P else {}
        problem = make_problem(
            module,
            self.cell,
            rng=np.random.default_rng(zlib.crc32(str(self).encode())),
            T=self.T,
            B=self.B,
            I=self.I,
            H=self.H,
            dtype=self.dtype,
            pattern=self.pattern,
            with_state=self.state,
            num_layers=self.layers,
            bidirectional=self.directions == 2,
            bias=self.bias,
            **extra,
            **clip_options(self.cell, self.clip),
        )
        problem.x *= np.sqrt(min(1.0, self.H / self.I)).astype(self.dtype)
        return problem

    def tolerance(self) -> float:
        """Return the tolerance of all results: the longest sum is that of one of three products."""
        info = INFOS[self.cell]
        gates = info.gates + info.separate + info.phases - 1  # GRU: n_x and n_h
        inputs = max(self.I, self.directions * self.H if self.layers > 1 else 0)
        forward, backward, weights = inputs + self.H, gates * self.H, self.T * self.B
        return tolerance(self.dtype, self.T * self.layers, max(forward, backward, weights))


def results(problem: Problem, **call: Any) -> dict[str, Any]:
    """Return all a recorded call gives: output, final state and every gradient."""
    tape = copy.deepcopy(problem.layer).record(problem.x, problem.state, **problem.call, **call)
    grads = tape.backward(problem.d_output, problem.d_state)
    return {
        "output": tape.output,
        "state": as_tuple(tape.state),
        "d_x": grads.x,
        "d_state": as_tuple(grads.state),
        "d_params": grads.params,
        **({} if grads.attention is None else {"d_attention": grads.attention}),
    }


def run_python(code: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter.

    Parameters
    ----------
    code : the program; common indentation is removed.
    environment : variables to change; None unsets one. Settings of this process that would decide
        what is tested (instruction set, threads) are not inherited.
    """
    settings = {"SIMDRNN_ISA": None, "SIMDRNN_NUM_THREADS": None, "OMP_NUM_THREADS": None}
    changed = {**os.environ, **settings, **environment}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={name: value for name, value in changed.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def printed(code: str, **environment: str | None) -> str:
    """Return what a program prints; it must succeed."""
    done = run_python(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Names for the programs that run in interpreters of their own. A call of `layer` on `x` has work
# for 7 threads.
PRELUDE = """
import contextlib, os, signal, sys, threading, time
import numpy as np
import simdrnn as sr

def tasks():
    return len(os.listdir("/proc/self/task"))

layer = sr.LSTM(64, 64, num_layers=2, bidirectional=True, seed=0)
x = np.random.default_rng(0).standard_normal((40, 32, 64)).astype("float32")

def run(threads=None):
    tape = layer.record(x, num_threads=threads)
    grads = tape.backward(tape.output)
    parts = [tape.output, *tape.state, grads.x, *grads.params.values()]
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
"""


def program(code: str) -> str:
    """Put the prelude before a program."""
    return PRELUDE + textwrap.dedent(code)
