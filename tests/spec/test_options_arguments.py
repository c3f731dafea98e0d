"""Options of a step as arguments: what is refused and how, what is shown, copied and pickled."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import simdrnn as sr
from helpers import CELLS, assert_same_bits, make_layer
from helpers_loops import every
from helpers_options import every_option

CHANCES = ("input_dropout", "recurrent_dropout", "candidate_dropout", "zoneout", "weight_dropout")


@every("value", [1.0, 1, -0.1, 1.5, math.nan, math.inf])
@every("name", CHANCES)
@every("engine")
def test_a_probability_is_from_0_to_below_1(engine, name, value):
    with pytest.raises(ValueError, match=rf"^{name}: expected a number in \[0, 1\), got {value}"):
        engine.LSTM(2, 3, **{name: value})


@every("value", ["0.5", True, 1j, {}, np.ones(2)])
@every("name", CHANCES)
@every("engine")
def test_a_probability_is_a_number(engine, name, value):
    with pytest.raises(TypeError, match=rf"^{name}: expected a number in \[0, 1\), got "):
        engine.LSTM(2, 3, **{name: value})


MISTAKES = {
    "pair for one state": (
        "GRU", {"zoneout": (0.1, 0.2)}, ValueError,
        r"zoneout: expected one number for gru, got \(0.1, 0.2\)",
    ),
    "three for two states": (
        "LSTM", {"zoneout": (0.1, 0.2, 0.3)}, ValueError,
        r"zoneout: expected one number or 2 for lstm, got \(0.1, 0.2, 0.3\)",
    ),
    "second of a pair": (
        "LSTM", {"zoneout": (0.1, 1.0)}, ValueError,
        r"zoneout\[1\]: expected a number in \[0, 1\), got 1.0",
    ),
    "no candidate": (
        "RNN", {"candidate_dropout": 0.5}, ValueError,
        "candidate_dropout: expected a cell with a candidate, got rnn_tanh",
    ),
    "no c": (
        "GRU", {"cell_clip": 1.0}, ValueError, "cell_clip: expected a cell with a c state, got gru",
    ),
    "no squash": (
        "GRU", {"output_activation": "tanh"}, ValueError,
        "output_activation: expected a cell with such a gate, got gru",
    ),
    "no sigmoid": (
        "RNN", {"recurrent_activation": "tanh"}, ValueError,
        "recurrent_activation: expected a cell with such a gate, got rnn_tanh",
    ),
    "unknown activation": (
        "LSTM", {"activation": "gelu"}, ValueError,
        "activation: expected one of sigmoid, tanh, .*, got 'gelu'",
    ),
    "unknown in a list": (
        "LSTM", {"recurrent_activation": ["sigmoid", "tanh", "gelu"]}, ValueError,
        r"recurrent_activation\[2\]: expected one of sigmoid, tanh, .*, got 'gelu'",
    ),
    "list too short": (
        "LSTM", {"recurrent_activation": ["sigmoid", "tanh"]}, ValueError,
        "recurrent_activation: expected one activation, or a list of 3, got a list of 2",
    ),
    "list too long": (
        "GRU", {"recurrent_activation": ["sigmoid"] * 3}, ValueError,
        "recurrent_activation: expected one activation, or a list of 2, got a list of 3",
    ),
    "list of none": (
        "GRU", {"recurrent_activation": []}, ValueError,
        "recurrent_activation: expected one activation, or a list of 2, got a list of 0",
    ),
    "no parameters": (
        "LSTM", {"output_activation": "affine"}, ValueError,
        r"output_activation: expected \('affine', alpha, beta\), got 'affine'",
    ),
    "not monotone": (
        "LSTM", {"activation": ("elu", -1.0)}, ValueError,
        "activation alpha: expected a number of at least 0 for 'elu'",
    ),
    "a number": (
        "RNN", {"activation": 1.0}, TypeError,
        r"activation: expected a name, \(name, alpha\) or \(name, alpha, beta\), got 1.0",
    ),
    "unknown option": (
        "GRU", {"recurrent_drop": 0.5}, TypeError,
        "recurrent_drop: unknown option; expected one of gate_clip, .*, recurrent_dropout",
    ),
    "clip of zero": (
        "GRU", {"gate_clip": 0.0}, ValueError, "gate_clip: expected a positive finite number",
    ),
}  # fmt: skip


@every("case", MISTAKES)
@every("engine")
def test_mistakes(engine, case):
    name, options, error, message = MISTAKES[case]

    for kind in (name, f"{name}Cell"):
        with pytest.raises(error, match=f"^{message}"):
            getattr(engine, kind)(2, 3, **options)


def test_none_is_off(engine):
    names = (*CHANCES, "gate_clip", "cell_clip", "activation", "output_activation", "weight_noise")

    layer = engine.LSTM(2, 3, **dict.fromkeys(names))

    assert layer.options.active() == {}


@every("cell", CELLS)
@every("engine")
def test_layers_with_every_option_are_shown_copied_and_pickled(engine, cell, rng):
    options = every_option(cell)
    layer = make_layer(engine, cell, 3, 4, dtype="float64", seed=2, **options)
    x = rng.standard_normal((4, 2, 3))
    twins = [copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    # What is shown makes the same layer again, but for its seed and weights.
    again = eval(repr(layer), {type(layer).__name__: type(layer)})

    want = layer.record(x)
    assert again.options == layer.options
    for name in options:
        assert f"{name}=" in repr(layer)
    for twin in twins:
        assert (repr(twin), twin.options) == (repr(layer), layer.options)
        assert_same_bits(twin.record(x).output, want.output)
        assert_same_bits(twin(x)[0], layer(x)[0])


@every(
    "options, shown",
    [
        ({"zoneout": 0.25}, "zoneout=0.25"),
        ({"zoneout": [0.25, 0.5]}, "zoneout=(0.25, 0.5)"),
        ({"activation": "Softsign"}, "activation='softsign'"),
        ({"activation": ("leaky_relu",)}, "activation=('leaky_relu', 0.01)"),
        (
            {"recurrent_activation": ["sigmoid", "tanh", ("affine", 1, 2)]},
            "recurrent_activation=['sigmoid', 'tanh', ('affine', 1.0, 2.0)]",
        ),
        ({"input_dropout": 0.5, "output_activation": "relu"},
         "input_dropout=0.5, output_activation='relu'"),
    ],
)  # fmt: skip
@every("engine")
def test_options_are_shown_as_they_are_given(engine, options, shown):
    text = repr(engine.LSTM(2, 3, dtype="float64", seed=0, **options))

    assert text == f"LSTM(2, 3, dtype='float64', {shown})"


def test_options_are_fixed(engine):
    layer = engine.GRU(2, 3, zoneout=0.5)

    with pytest.raises(AttributeError, match="options: fixed when the GRU was made"):
        layer.options = None
    with pytest.raises(AttributeError):
        layer.options.zoneout = 0.1


@every("cell", CELLS)
@every("engine")
def test_single_cells_take_them_and_act_as_a_layer_does_at_inference(engine, cell, rng):
    options = every_option(cell)
    layer = make_layer(engine, cell, 3, 5, dtype="float64", seed=2, **options)
    kind = type(layer).__name__ + "Cell"
    extra = {
        name: getattr(layer, name)
        for name in ("nonlinearity", "reset_after", "peephole", "coupled_input_forget")
        if hasattr(layer, name)
    }
    one = getattr(engine, kind)(3, 5, dtype="float64", seed=2, **extra, **options)
    one.load_state_dict({n.removesuffix("_l0"): v for n, v in layer.state_dict().items()})
    x = rng.standard_normal((2, 3))

    _, after = layer(x[None])

    state = one(x)
    if isinstance(after, tuple):
        assert_same_bits(state, tuple(member[0] for member in after))
    else:
        assert_same_bits(state, after[0])


@pytest.mark.parametrize(
    ("make", "meant"),
    [
        (lambda engine: engine.LSTM(3, 4, layernorm=True), "layer_norm"),
        (lambda engine: engine.LSTM(3, 4, merge_mode="sum"), "merge"),
        (lambda engine: engine.GRU(3, 4, residuals=True), "residual"),
        (lambda engine: engine.GRU(3, 4, learned_initial_state=True), "learn_initial_state"),
        (lambda engine: engine.LSTM(3, 4, peepholes=True), "peephole"),
        (lambda engine: engine.LSTMCell(3, 4, peep_hole=True), "peephole"),
        (lambda engine: engine.MGU(3, 4, forgetbias=1.0), "forget_bias"),
        (lambda engine: engine.GRU(3, 4, bidirectionl=True), "bidirectional"),
        (lambda engine: engine.GRU(3, 4, reset_befor=True), "reset_after"),
    ],
)
def test_a_misspelt_argument_is_told_all_there_are(engine, make, meant):
    with pytest.raises(TypeError, match="unknown option; expected one of") as found:
        make(engine)

    text = str(found.value)
    assert meant in text.split("expected one of ")[1].split("; did")[0].split(", ")
    assert text.endswith(f"; did you mean {meant}?")


def test_single_cells_do_not_offer_what_only_layers_have():
    for cell, layer in ((sr.LSTMCell, sr.LSTM), (sr.GRUCell, sr.GRU)):
        texts = []
        for kind in (cell, layer):
            with pytest.raises(TypeError) as found:
                kind(3, 4, nonsense=1)
            texts.append(str(found.value))
            assert "did you mean" not in texts[-1]
        for name in ("merge", "residual", "num_layers", "learn_initial_state", "dropout,"):
            assert f" {name}" not in texts[0]
            assert f" {name}" in texts[1]
