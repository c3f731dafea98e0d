"""Layer normalisation: gradients against differences."""

from __future__ import annotations

import pytest

import simdrnn as sr
from helpers_layer_norm import CELLS, PLACEMENTS, layer_of

KINDS = ("lstm", "lstm_peephole_coupled_input", "gru", "rnn_tanh")

# Of the layer and of the call; a kind of option each, and all that go together.
OPTIONS = {
    "none": ({}, {}),
    "gate_clip": ({"gate_clip": 1.0}, {}),
    "cell_clip": ({"cell_clip": 0.5}, {}),
    "hidden_clip": ({"hidden_clip": 0.3}, {}),
    "zoneout": ({"zoneout": 0.3}, {}),
    "zoneout, mean": ({"zoneout": 0.3}, {"training": False}),
    "recurrent_dropout": ({"recurrent_dropout": 0.4}, {}),
    "dropout by gate": (
        {"recurrent_dropout": 0.4, "recurrent_dropout_per_gate": True},
        {},
    ),
    "input_dropout": ({"input_dropout": 0.4}, {}),
    "candidate_dropout": ({"candidate_dropout": 0.4}, {}),
    "activation": ({"activation": "softsign", "recurrent_activation": "softplus"}, {}),
    "no bias": ({"bias": False}, {}),
    "learned": (
        {"learn_initial_state": True},
        {"state": None, "reset": "random", "reset_state": "learned"},
    ),
    "merge": ({"merge": "sum", "bidirectional": True}, {}),
    "sequences": ({"bidirectional": True}, {"lengths": "random", "mask": "random"}),
    "resets": ({"bidirectional": True}, {"reset": "random", "reset_state": "random"}),
    "hold": ({}, {"mask": "random", "masked_output": "hold"}),
    "stack": ({"num_layers": 2, "dropout": 0.3}, {}),
    "all": (
        {
            "gate_clip": 2.0,
            "cell_clip": 1.0,
            "hidden_clip": 0.6,
            "zoneout": 0.2,
            "recurrent_dropout": 0.2,
            "candidate_dropout": 0.2,
            "num_layers": 2,
            "bidirectional": True,
        },
        {"lengths": "random", "mask": "random", "reset": "random"},
    ),
}


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_every_cell_are_those_of_differences(cell, placement):
    report = sr.gradcheck(layer_of(cell, placement, {}, seed=0), T=4, B=3, lengths="random")

    assert report.ok
    assert {"weight_ln_ih_l0", "weight_ln_hh_l0"} <= {*report.tensors}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_gradients_with_other_options_are_those_of_differences(placement, cell, option):
    options, call = OPTIONS[option]
    layer = layer_of(cell, placement, options, seed=1)

    assert sr.gradcheck(layer, T=4, B=3, entries=8, directions=2, seed=2, **call).ok
