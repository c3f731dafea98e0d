"""Layer normalisation: names, shapes and first values of parameters, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from helpers import assert_same_bits, make_problem
from helpers_layer_norm import PLACEMENTS, scattered
from helpers_loops import every
from simdrnn.layers.bound import bound_layer

BIASES = ["bias_ih", "bias_hh"]
NORMS = ["weight_ln_ih", "weight_ln_hh"]
OFFSETS = ["bias_ln_ih", "bias_ln_hh"]
STATE = ["weight_ln_c", "bias_ln_c"]
NAMES = {"haste": [*BIASES, *NORMS], "torch": [*NORMS, *OFFSETS], "tf": [*BIASES, *NORMS, *OFFSETS]}


@every("cell", ["LSTM", "GRU", "MGU"])
@every("placement", PLACEMENTS)
@every("engine")
def test_parameters_have_these_names_shapes_and_values(engine, placement, cell):
    layer = getattr(engine, cell)(3, 4, num_layers=2, bidirectional=True, layer_norm=placement)
    gates = bound_layer(layer).info.gates
    names = ["weight_ih", "weight_hh", *NAMES[placement], *(STATE if cell == "LSTM" else [])]

    ends = ("_l0", "_l0_reverse", "_l1", "_l1_reverse")
    assert list(layer.state_dict()) == [name + end for end in ends for name in names]
    for name in names[2:]:
        value = getattr(layer, f"{name}_l1")
        assert value.shape == ((4,) if name in STATE else (gates * 4,))
        if "_ln_" in name:
            assert (value == (1 if name.startswith("weight") else 0)).all()


def test_single_cells_have_the_names_without_a_number(engine):
    cell = engine.LSTMCell(3, 4, layer_norm="torch")

    assert list(cell.state_dict()) == ["weight_ih", "weight_hh", *NAMES["torch"], *STATE]


def test_biases_of_the_layer_can_be_left_out(engine):
    assert not engine.LSTM(3, 4, layer_norm="torch").bias
    for placement, names in NAMES.items():
        layer = engine.GRU(3, 4, bias=False, layer_norm=placement)
        left = [f"{name}_l0" for name in names if name not in BIASES]
        assert list(layer.state_dict())[2:] == left


def test_true_is_haste_and_false_is_off(engine):
    plain = list(engine.GRU(3, 4).state_dict())

    assert engine.GRU(3, 4, layer_norm=True).options.layer_norm == "haste"
    for off in (False, None, np.False_):
        layer = engine.GRU(3, 4, layer_norm=off)
        assert list(layer.state_dict()) == plain
        assert "layer_norm" not in repr(layer)
    assert repr(engine.GRU(3, 4, layer_norm="tf")).endswith("layer_norm='tf')")


@every("placement", PLACEMENTS)
@every("engine")
def test_the_forget_bias_is_the_whole_of_it(engine, placement):
    layer = engine.LSTM(3, 4, layer_norm=placement, forget_bias=2.0, seed=0)

    kinds = [name for name in NAMES[placement] if name.startswith("bias")]
    total = sum(getattr(layer, f"{name}_l0")[4:8] for name in kinds)
    assert (total == 2.0).all()


@every("value", ["batch", "", "HASTE"])
@every("engine")
def test_other_placements_are_refused(engine, value):
    text = f"layer_norm: expected True, False, 'haste' or 'torch' or 'tf', got '{value}'"
    with pytest.raises(ValueError, match=text):
        engine.LSTM(3, 4, layer_norm=value)


@every("value", [1, 1e-5, ["haste"]])
@every("engine")
def test_what_names_no_placement_is_refused(engine, value):
    with pytest.raises(TypeError, match="layer_norm: expected True, False, 'haste'"):
        engine.LSTM(3, 4, layer_norm=value)


def test_cells_of_two_phases_are_refused(engine):
    with pytest.raises(ValueError, match=r"layer_norm: expected .* reset_after=True, got gru_rese"):
        engine.GRU(3, 4, reset_after=False, layer_norm=True)


def test_a_layer_survives_pickling_and_loading(engine, rng):
    layer = scattered(make_problem(engine, "lstm", rng=rng, layer_norm="tf")).layer
    other = engine.LSTM(2, 3, dtype="float64", layer_norm="tf", seed=9)
    x = rng.standard_normal((4, 2, 2))

    other.load_state_dict(layer.state_dict())

    for twin in (pickle.loads(pickle.dumps(layer)), other):
        assert_same_bits(twin(x)[0], layer(x)[0])


@every("placement", PLACEMENTS)
@every("engine")
def test_projections_are_refused(engine, placement):
    text = "layer_norm: expected an LSTM with proj_size=0, whose h is not projected, got "
    with pytest.raises(ValueError, match=f"{text}'{placement}'"):
        engine.LSTM(3, 4, proj_size=2, layer_norm=placement)
