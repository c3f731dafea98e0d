"""RNN, GRU and LSTM nodes on ONNX Runtime equal our layers, with every attribute they share.

Left out, since they are not shared: ``layout=1``, which ONNX Runtime's CPU provider refuses; rows
of length 0 that have an initial state, which it does not carry over but sets to 0; other
activations for each direction. (ONNX's own reference evaluator is no peer: it ignores attributes.)
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers import INFOS, as_tuple, assert_close, make_layer, make_problem
from helpers_cover import cover
from helpers_loops import every
from helpers_onnx import (
    ACTIVATIONS,
    DIRECTIONS,
    activation_attributes,
    onnx_parameters,
    onnx_results,
    peers,
)
from helpers_peers import allowed, unsorted_lengths

pytestmark = pytest.mark.peers

# Operator -> our options for its activations f, g and h, and what ONNX has there by default.
SLOTS = {
    "RNN": (("activation",), ("tanh",)),
    "GRU": (("recurrent_activation", "activation"), ("sigmoid", "tanh")),
    "LSTM": (
        ("recurrent_activation", "activation", "output_activation"),
        ("sigmoid", "tanh", "tanh"),
    ),
}
# Our cell -> the operator, and the attributes that make it that.
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn_tanh": ("RNN", {}),
    "rnn_relu": ("RNN", {"activations": ["Relu"]}),
    "gru": ("GRU", {"linear_before_reset": 1}),
    "gru_reset_before": ("GRU", {"linear_before_reset": 0}),
    "lstm": ("LSTM", {}),
    "lstm_peephole": ("LSTM", {}),
    "lstm_coupled_input": ("LSTM", {"input_forget": 1}),
    "lstm_peephole_coupled_input": ("LSTM", {"input_forget": 1}),
}
T, B, I, H = 6, 5, 4, 19  # noqa: E741

# Sets of activations for f, g and h; None leaves the node and the layer their defaults.
SETS: tuple[tuple[Any, ...] | None, ...] = (
    None,
    (("hard_sigmoid", 0.3, 0.4), ("scaled_tanh", 1.25, 0.75), "softsign"),
    ("sigmoid", ("leaky_relu", 0.3), ("elu", 0.5)),
    (("affine", 0.2, 0.4), "softsign", ("hard_sigmoid", 0.25, 0.5)),
)
FACTORS: dict[str, tuple[Any, ...]] = {
    "cell": tuple(CELLS),
    "direction": tuple(DIRECTIONS),
    "state": (True, False),
    "lengths": ("full", "ragged", "ones"),
    "clip": (None, 0.5, 0.125),
    "activations": SETS,
    "bias": (True, False),
}


@pytest.fixture(autouse=True)
def _peers():
    peers()


def node_attributes(cell, direction, clip=None, activations=None):
    """Return the attributes of the node that computes what our cell does."""
    operator, special = CELLS[cell]
    directions = len(DIRECTIONS[direction][1])
    attributes = {"direction": direction} | special
    if "activations" in special:
        attributes["activations"] = special["activations"] * directions
    if clip is not None:
        attributes["clip"] = clip
    if activations is not None:
        names = [ACTIVATIONS[one] if one in ACTIVATIONS else onnx_name(one) for one in activations]
        attributes |= activation_attributes(names[: len(SLOTS[operator][0])], directions)
    return attributes


def onnx_name(argument):
    """Write (name, alpha, beta) of ours as ONNX has it."""
    name, *numbers = argument
    return (name.title().replace("_", ""), *numbers)


def assert_equal_to_onnx(
    engine, cell, direction, rng, *, state=True, lengths="full", clip=None, activations=None,
    bias=True,
):  # fmt: skip
    operator = CELLS[cell][0]
    options = {} if clip is None else {"gate_clip": clip}
    if activations is not None:
        options |= dict(zip(SLOTS[operator][0], activations, strict=False))
    problem = make_problem(
        engine, cell, rng=rng, T=T, B=B, I=I, H=H, dtype="float32", with_state=state, bias=bias,
        **DIRECTIONS[direction][0], **options,
    )  # fmt: skip
    if activations is not None:
        # Gates may be unbounded: from smaller values h does not grow, nor do errors with it.
        problem.x *= np.float32(0.5)
        for member in as_tuple(problem.state) if state else ():
            member *= np.float32(0.5)
    fed = {"X": problem.x}
    fed |= onnx_parameters(problem.layer, operator, "".join(INFOS[cell].gate_names), direction)
    fed |= dict(zip(("initial_h", "initial_c"), as_tuple(problem.state), strict=False))
    if not state:
        del fed["initial_h"]
    if lengths != "full":
        shortest = 1 if state else 0
        drawn = unsorted_lengths(T, B, rng, shortest) if lengths == "ragged" else np.ones(B, int)
        problem.call["lengths"] = drawn
        fed["sequence_lens"] = drawn.astype(np.int32)

    output, final = problem.layer(problem.x, problem.state, **problem.call)

    want = onnx_results(operator, fed, node_attributes(cell, direction, clip, activations))
    assert_close((output, as_tuple(final)), want, allowed(problem.layer, T, B))


PAIRS = cover(FACTORS, frozenset())


@every("row", PAIRS, ids=lambda row: "-".join(map(str, row.values())))
@every("engine")
def test_every_pair_of_attributes_equals_ours(engine, row):
    rng = np.random.default_rng(zlib.crc32(str(row).encode()))

    assert_equal_to_onnx(engine, rng=rng, **row)


PLACES = [
    (cell, place)
    for cell in ("rnn_tanh", "gru", "gru_reset_before", "lstm", "lstm_peephole_coupled_input")
    for place in range(len(SLOTS[CELLS[cell][0]][0]))
]


@every("cell, place", PLACES, ids=str)
@every("argument", ACTIVATIONS, ids=str)
@every("engine")
def test_every_activation_in_every_place_equals_ours(engine, cell, place, argument, rng):
    activations = list(SLOTS[CELLS[cell][0]][1])
    activations[place] = argument

    assert_equal_to_onnx(engine, cell, "bidirectional", rng, activations=tuple(activations))


@every("cell", CELLS)
@every("direction", DIRECTIONS)
@every("engine")
def test_lengths_with_clip_and_states_equal_ours(engine, cell, direction, rng):
    assert_equal_to_onnx(engine, cell, direction, rng, lengths="ragged", clip=0.25)


@every("cell", CELLS)
def test_one_direction_of_two_equals_a_reversed_layer(cell, rng):
    """The peer's reverse direction, ours, and the reverse half of our two directions agree."""
    both = make_problem(sr, cell, rng=rng, T=T, B=B, I=I, H=H, dtype="float32", bidirectional=True)
    alone = make_layer(sr, cell, I, H, dtype="float32", reverse=True)
    values = both.layer.state_dict()
    alone.load_state_dict({name: values[f"{name}_reverse"] for name in alone.state_dict()})
    operator = CELLS[cell][0]
    gates = "".join(INFOS[cell].gate_names)
    lengths = unsorted_lengths(T, B, rng, 0)
    fed = {"X": both.x, **onnx_parameters(alone, operator, gates, "reverse")}
    fed["sequence_lens"] = lengths.astype(np.int32)

    half = both.layer(both.x, lengths=lengths)[0][..., H:]
    reverse = alone(both.x, lengths=lengths)[0]

    want, _ = onnx_results(operator, fed, node_attributes(cell, "reverse"))
    np.testing.assert_array_equal(half, reverse)
    assert_close(half, want, allowed(alone, T, B))
