"""Layers with structural options, what they are given, and one-layer pieces to build them of."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers import as_tuple, make_layer, make_pattern

H = 3

# Options, and the input size where it matters: what is added has to have the output's size.
STRUCTURES: dict[str, tuple[dict[str, Any], int]] = {
    "sum": ({"bidirectional": True, "merge": "sum"}, 2),
    "mul": ({"bidirectional": True, "merge": "mul"}, 2),
    "ave": ({"bidirectional": True, "merge": "ave"}, 2),
    "none": ({"bidirectional": True, "merge": "none"}, 2),
    "residual": ({"residual": True}, H),
    "residual-both": ({"bidirectional": True, "residual": True}, 2 * H),
    "residual-mul": ({"bidirectional": True, "residual": True, "merge": "mul"}, H),
    "reverse": ({"reverse": True}, 2),
    "turned": ({"reverse": True, "keep_order": False, "residual": True}, H),
}
DEEP = {
    "sum-2": ({"bidirectional": True, "merge": "sum", "num_layers": 2, "dropout": 0.4}, 2),
    "residual-3": ({"residual": True, "num_layers": 3, "dropout": 0.4}, 2),
    "residual-ave-2": (
        {"bidirectional": True, "merge": "ave", "residual": True, "num_layers": 2}, H,
    ),
    "reverse-2": ({"reverse": True, "num_layers": 2, "dropout": 0.4}, 2),
    "learned-2": ({"learn_initial_state": True, "bidirectional": True, "num_layers": 2}, 2),
    "learned-sum": ({"learn_initial_state": True, "bidirectional": True, "merge": "sum"}, 2),
}  # fmt: skip
ALL = STRUCTURES | DEEP


def build(module: Any, cell: str, name: str, **extra: Any) -> Any:
    """Make a layer of the table; learned states are drawn, since they start at zero."""
    options, inputs = ALL[name]
    layer = make_layer(module, cell, inputs, H, seed=1, **{"dtype": "float64"} | options | extra)
    rng = np.random.default_rng(2)
    for parameter in layer.parameters():
        if parameter[1:3] == "_0":
            setattr(layer, parameter, rng.standard_normal(H).astype(layer.dtype))
    return layer


def draw_state(layer: Any, B: int, rng: np.random.Generator) -> Any:
    """Draw a state for `B` rows."""
    like = layer(np.zeros((1, B, layer.input_size), layer.dtype))[1]
    drawn = tuple(rng.standard_normal(one.shape).astype(layer.dtype) for one in as_tuple(like))
    return drawn if isinstance(like, tuple) else drawn[0]


def draw(layer: Any, pattern: str, rng: np.random.Generator, T: int = 6, B: int = 4) -> Any:
    """Draw an input, a state, and the arguments of a call."""
    x = rng.standard_normal((T, B, layer.input_size)).astype(layer.dtype)
    return x, draw_state(layer, B, rng), make_pattern(pattern, T, B, rng)


def real_steps(call: dict[str, Any], T: int, B: int) -> Any:
    """Return (T, B) bool: which steps are real."""
    within = np.arange(T)[:, None] < call.get("lengths", np.full(B, T))
    return within & call.get("mask", np.ones((T, B), bool))


def results(layer: Any, x: Any, state: Any, **call: Any) -> dict[str, Any]:
    """Return all a recorded call gives, with fixed gradients put in."""
    tape = layer.record(x, state, **call)
    weights = np.cos(np.arange(tape.output.size)).reshape(tape.output.shape)
    grads = tape.backward(weights.astype(layer.dtype), tape.state)
    found = {"output": tape.output, "d_x": grads.x} | grads.params
    for name, value in (("state", tape.state), ("d_state", grads.state)):
        found |= {f"{name}{index}": one for index, one in enumerate(flat(value))}
    return found


def flat(state: Any) -> list[Any]:
    """Return the arrays of a state, or of a tuple of states."""
    if isinstance(state, tuple):
        return [one for member in state for one in flat(member)]
    return [state]
