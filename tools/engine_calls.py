"""What layers ask of the compiled engine, as a file that `tools/bits_driver` runs without Python.

A `Recorder` notes every call of a network: what it is made of, its weights, its arguments and its
results. So a row of the table that is put together in Python is several calls here. The file is
that of `problem_file.hpp`: numbers of 64 bits, low byte first, and blocks of bytes behind their
size, in the order in which `problem.cpp` reads them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from simdrnn import _core
from simdrnn.engine import compiled

TITLE = "simdrnn problems 1"
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def number(value: int) -> bytes:
    """Return 64 bits; a key of 64 bits without a sign is what it is modulo 2**64."""
    return struct.pack("<Q", int(value) % 2**64)


def block(values: Any) -> bytes:
    """Return an array's bytes, row by row, behind their number; -1 where there is none."""
    if values is None:
        return number(-1)
    data = values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes()
    return number(len(data)) + data


def text(value: str) -> bytes:
    """Return a text behind its length."""
    return number(len(value.encode())) + value.encode()


def several(items: Iterable[Any], form: Callable[[Any], bytes] = block) -> bytes:
    """Return items behind their number."""
    made = [form(item) for item in items]
    return number(len(made)) + b"".join(made)


def parameters(one: Any) -> bytes:
    """Return the `ParameterArrays` of one layer and direction."""
    return b"".join(block(getattr(one, name)) for name in PARAMETERS) + several(one.cell_parameters)


def same(one: Any, other: Any) -> bool:
    """Tell whether two fields of calls hold the same."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one is other or bool(np.array_equal(one, other))


class Call:
    """A call of the engine: forward, and once the way back through its tape."""

    def __init__(self, head: bytes, run: Any, output: Any, finals: Any, tape: Any) -> None:
        self.dtype = output.dtype
        self.tape = tape  # kept, so that no other gets its memory
        self._run = run
        checkpoint_every = 0 if tape is None else tape.checkpoint_every
        self._forward = b"".join(
            (
                head, number(run.x.shape[0]), number(run.x.shape[1]), block(run.x),
                several(run.states), several(run.reset_states or ()),
                block(run.lengths), block(run.mask), block(run.reset), block(run.attention),
                *map(number, (run.hold, run.training, run.key, run.num_threads)),
                number(tape is not None), number(checkpoint_every), block(output), several(finals),
            )
        )  # fmt: skip
        self._backward: bytes | None = None

    def has_tape(self, tape: Any) -> bool:
        """Tell whether the way back through this tape is to come: its arrays are in both."""
        mine = None if self.tape is None or self._backward is not None else self.tape.output
        return mine is not None and mine.ctypes.data == tape.output.ctypes.data

    def goes_back(self, run: Any, d_output: Any, d_finals: Sequence[Any], found: Any) -> None:
        """Note the way back, whose results are there."""
        for name, one in run._asdict().items():
            other = getattr(self._run, name)
            if not same(one, other):
                raise ValueError(f"backward: expected the call of forward, got another {name}")
        self._backward = b"".join(
            (
                block(d_output), several(d_finals), block(found.x), several(found.states),
                several(found.reset_states or ()), several(found.parameters, parameters),
                block(found.attention),
            )
        )  # fmt: skip

    def problem(self, name: str, quick: bool) -> bytes:
        """Return what the driver reads."""
        head = number(self.dtype.itemsize) + text("network") + text(name) + number(quick)
        if self._backward is None:
            return head + self._forward + number(0)
        return head + self._forward + number(1) + self._backward


class Recorder:
    """While it is entered, all calls of compiled networks that are made there are in `calls`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._described: dict[int, tuple[Any, bytes]] = {}  # with whom it belongs to: see Call.tape
        self._before: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Recorder:
        """Begin to note."""
        self._replace(compiled.Network, "__init__", self._describe)
        self._replace(compiled.Network, "pack", self._pack)
        self._replace(compiled.Packed, "forward", self._forward)
        self._replace(compiled.Packed, "backward", self._backward)
        return self

    def __exit__(self, *_: object) -> None:
        """Let calls pass unseen again."""
        for owner, name, method in self._before:
            setattr(owner, name, method)
        self._before.clear()

    def _replace(self, owner: Any, name: str, noting: Any) -> None:
        method = getattr(owner, name)
        self._before.append((owner, name, method))
        setattr(owner, name, lambda *given, **named: noting(method, *given, **named))

    def _describe(self, method: Any, network: Any, *given: Any) -> None:
        method(network, *given)
        cell, dtype, *sizes, options = given[:7]
        sizes.append(given[7] if len(given) > 7 else 0)
        values = compiled.option_values(cell, options)
        plain = _core.testing.options_bytes(values, np.dtype(dtype).name)
        made = text(cell) + b"".join(map(number, sizes)) + block(plain)
        self._described[id(network)] = (network, made)

    def _pack(self, method: Any, network: Any, passes: Any, *given: Any, **options: Any) -> Any:
        packed = method(network, passes, *given, **options)
        made = self._described[id(network)][1] + several(passes, parameters)
        self._described[id(packed)] = (packed, made)
        return packed

    def _forward(
        self, method: Any, packed: Any, run: Any, output: Any, finals: Any, *, tape: Any
    ) -> None:
        method(packed, run, output, finals, tape=tape)
        head = self._described[id(packed)][1]
        self.calls.append(Call(head, run, output, finals, tape))

    def _backward(self, method: Any, packed: Any, run: Any, tape: Any, *given: Any) -> None:
        method(packed, run, tape, *given)
        found = [call for call in self.calls if call.has_tape(tape)]
        if len(found) != 1:
            raise ValueError(f"backward: expected one call with its tape, found {len(found)}")
        found[0].goes_back(run, *given)


# Functions of csrc/kernels/simd, and their activations with parameters that are allowed.
FUNCTIONS = (
    "exp", "sigmoid", "tanh", "expm1_below_zero", "log", "log1p", "softplus", "log_sigmoid",
)  # fmt: skip
ACTIVATIONS = {"leaky_relu": (0.2, 0), "thresholded_relu": (0.1, 0), "elu": (0.6, 0)}
ACTIVATIONS |= {"hard_sigmoid": (0.2, 0.5), "scaled_tanh": (1.3, 0.7), "affine": (0.6, 0.1)}


def every_kind_of_number(dtype: str, words: Any) -> Any:
    """Return numbers of all exponents and both signs, and those that are none."""
    info, bits = np.finfo(dtype), np.dtype(dtype).itemsize * 8
    drawn = np.frombuffer(words.uniform(4096).tobytes(), f"u{bits // 8}")[:4096]
    drawn = drawn ^ (drawn << (bits // 2 + 5)) ^ (drawn << (bits - 9))  # exponents, too
    near = np.array(words.uniform(2048) * 12, dtype)
    tiny, large = info.smallest_subnormal, info.max
    edges = np.array([0, tiny, info.tiny, info.tiny / 2, 1, large, np.inf, np.nan], dtype)
    return np.concatenate([drawn.view(dtype), near, edges, -edges])


def functions(dtype: str, words: Any) -> Iterable[bytes]:
    """Yield problems of the functions on vectors that are made of these numbers."""
    x = every_kind_of_number(dtype, words)

    def problem(name: str, arguments: Sequence[float], function: str, y: Any) -> bytes:
        head = number(x.itemsize) + text("math") + text(f"{name}-{dtype}") + number(1)
        return head + text(function) + block(np.array(arguments, float)) + block(x) + block(y)

    for name in FUNCTIONS:
        yield problem(name, (), name, _core.testing.math(name, x))
    for kind, name in enumerate(_core.activations()):
        alpha, beta = ACTIVATIONS.get(name, (0, 0))
        for slope in (False, True):
            y = _core.testing.activation(name, alpha, beta, x, slope)
            function = "slope" if slope else "activate"
            yield problem(f"{name}-{function}", (kind, alpha, beta), function, y)
