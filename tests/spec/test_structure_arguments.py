"""Structural options as arguments: what goes together, what is shown, and who says no."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_loops import every
from helpers_structure import ALL, build, draw
from simdrnn.layers.bound import bound_layer
from simdrnn.spec.structure import Structure

REFUSED = {
    "merge one": ({"merge": "sum"}, "merge: expected bidirectional=True with it, got 'sum'"),
    "merge name": (
        {"bidirectional": True, "merge": "max"},
        "merge: expected 'concat' or 'sum' or 'mul' or 'ave' or 'none', got 'max'",
    ),
    "none deep": (
        {"bidirectional": True, "merge": "none", "num_layers": 2},
        "merge: expected 'concat', 'sum', 'mul' or 'ave' in a network of several layers",
    ),
    "reverse both": (
        {"bidirectional": True, "reverse": True}, "reverse: expected bidirectional=False with it",
    ),
    "order": ({"keep_order": False}, "keep_order: expected reverse=True with False"),
    "residual": (
        {"residual": True}, "residual: expected a layer whose input and output have the same size",
    ),
    "residual none": (
        {"bidirectional": True, "merge": "none", "residual": True},
        "residual: expected directions that merge, got merge='none'",
    ),
}  # fmt: skip


@every("case", REFUSED)
@every("engine")
def test_what_does_not_go_together(engine, case):
    options, message = REFUSED[case]

    with pytest.raises(ValueError, match=re.escape(message)):
        engine.GRU(2, 3, **options)


@every("name", ["residual", "reverse", "keep_order", "learn_initial_state"])
@every("value", [None, 1, "yes"])
@every("engine")
def test_switches_are_true_or_false(engine, name, value):
    with pytest.raises(TypeError, match=f"{name}: expected True or False, got {value!r}"):
        engine.LSTM(3, 3, **{name: value})


def test_unknown_options_are_still_unknown(engine):
    with pytest.raises(TypeError, match="merged: unknown option"):
        engine.RNN(2, 3, merged="sum")
    with pytest.raises(TypeError, match="merge: unknown option"):
        engine.GRUCell(2, 3, merge="sum")


@every("name", ALL)
@every("engine")
def test_layers_are_shown_copied_and_fixed(engine, name, rng):
    layer = build(engine, "gru", name)
    x, state, call = draw(layer, "all", rng)
    want = layer(x, state, **call)[0]

    text = repr(layer)
    twin = eval(text, {"GRU": engine.GRU})
    twin.load_state_dict(layer.state_dict())

    assert repr(twin) == text
    assert twin.structure == layer.structure
    for other in (twin, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert_same_bits(other(x, state, **call)[0], want)
    with pytest.raises(AttributeError, match="structure: fixed when the GRU was made"):
        layer.structure = Structure()


def test_plain_layers_run_on_the_engine_itself():
    for options in ({}, {"learn_initial_state": True}, {"bidirectional": True, "merge": "concat"}):
        layer = sr.LSTM(2, 3, 2, residual=False, reverse=False, **options)

        assert type(bound_layer(layer).network) is bound_layer(layer).engine


def test_out_has_the_shape_that_merging_makes():
    layer = sr.GRU(2, 3, bidirectional=True, merge="ave")
    x = np.zeros((5, 4, 2), "float32")

    with pytest.raises(ValueError, match=re.escape("out: expected shape (T, B, H) = (5, 4, 3)")):
        layer(x, out=np.empty((5, 4, 6), "float32"))
    with pytest.raises(ValueError, match=re.escape("d_output: expected shape (T, B, H)")):
        layer.record(x).backward(np.empty((5, 4, 6), "float32"))


def test_memory_is_told(engine):
    plain = engine.GRU(3, 3, 2, dtype="float64")
    structured = engine.GRU(3, 3, 2, residual=True, dtype="float64")

    assert structured.workspace_bytes(100, 8) > 0
    assert structured.workspace_bytes(200, 8) > structured.workspace_bytes(100, 8)
    assert structured.workspace_bytes(100, 8) >= plain.workspace_bytes(100, 8)


def test_tools_that_need_one_engine_or_causal_layers_say_so(built):
    with pytest.raises(ValueError, match="layer: expected one that its engine runs as a whole"):
        sr.explain(sr.LSTM(3, 3, residual=True), T=3, B=2)
    with pytest.raises(ValueError, match="layer: expected the first step first, got reverse=True"):
        sr.tbptt(sr.LSTM(3, 3, reverse=True), np.zeros((4, 2, 3), "float32"), 2)
    with pytest.raises(TypeError, match="layer: expected a recurrent layer"):
        sr.tbptt(sr.Linear(3, 3), np.zeros((4, 2, 3), "float32"), 2)
