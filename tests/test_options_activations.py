"""Activations by name on every cell: each in its place, with its slope."""

from __future__ import annotations

import numpy as np

import simdrnn as sr
from helpers import (
    CELLS,
    DTYPES,
    ENGINES,
    INFOS,
    assert_close,
    assert_same_bits,
    few,
    make_layer,
    make_problem,
    results,
)
from helpers import tolerance as rounding
from simdrnn.reference.activations import activation_of
from simdrnn.spec.activations import ACTIVATIONS, parse_activation

PARAMETERS = {"scaled_tanh": (1.3, 0.7), "affine": (0.4, 0.1)}
NAMED = {name: (name, *PARAMETERS.get(name, ())) for name in ACTIVATIONS}
H = 19  # a full vector of either type, and a part of one


def places(cell):
    """Return for each option how many activations it sets, where there are any."""
    info = INFOS[cell]
    defaults = info.default_activations
    gates = defaults[: info.gate_activations]
    counts = {
        "activation": sum(name not in ("sigmoid", "-") for name in gates),
        "recurrent_activation": gates.count("sigmoid"),
        "output_activation": len(defaults) - len(gates),
    }
    return {name: count for name, count in counts.items() if count}


@few(engine=ENGINES, cell=CELLS, dtype=DTYPES)
def test_naming_the_defaults_changes_no_bit(engine, cell, dtype, rng):
    info = INFOS[cell]
    defaults = info.default_activations
    gates = defaults[: info.gate_activations]
    options = {
        "activation": next((n for n in gates if n not in ("sigmoid", "-")), None),
        "recurrent_activation": ["sigmoid"] * gates.count("sigmoid") or None,
        "output_activation": next(iter(defaults[info.gate_activations :]), None),
    }
    seed = int(rng.integers(1000))
    named, plain = (
        make_problem(
            engine, cell, rng=np.random.default_rng(seed), H=H, dtype=dtype, pattern="all", **given
        )
        for given in (options, {})
    )

    assert_same_bits(results(named), results(plain))


SMOOTH = [name for name in NAMED if "relu" not in name]
PLACES = ("activation", "recurrent_activation", "output_activation")


@few(name=SMOOTH, option=PLACES)
def test_gradients_are_derivatives(name, option):
    for cell in ("rnn_tanh", "lstm", "gru", "gru_reset_before"):
        if option in places(cell):
            layer = make_layer(sr, cell, 2, 3, dtype="float64", seed=0, **{option: NAMED[name]})
            assert sr.gradcheck(layer, 3, 2, entries=4, directions=1).ok


def gates_by_hand(layer, x, h):
    """Return the sums of an LSTM's or GRU's gates for one step."""
    return np.split(
        x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0,
        len(layer.bias_ih_l0) // layer.hidden_size,
        axis=-1,
    )


def f(name, x):
    return activation_of(parse_activation("f", name)).function(x)


def test_a_list_names_one_for_each_gate_of_an_lstm(engine, rng):
    chosen = ["softsign", "hard_sigmoid", "elu"]
    layer = engine.LSTM(2, 3, dtype="float64", seed=0, activation="softplus",
                        recurrent_activation=chosen, output_activation="leaky_relu")  # fmt: skip
    x, h, c = (rng.standard_normal((1, 4, n)) for n in (2, 3, 3))

    _, (got_h, got_c) = layer(x, (h, c))

    a_i, a_f, a_g, a_o = gates_by_hand(layer, x, h)
    i, forget, o = (f(name, a) for name, a in zip(chosen, (a_i, a_f, a_o), strict=True))
    want_c = forget * c + i * f("softplus", a_g)
    assert_close((got_h, got_c), (o * f("leaky_relu", want_c), want_c), rounding("float64", 1, 5))


def test_a_list_names_one_for_each_gate_of_a_gru(engine, rng):
    layer = engine.GRU(2, 3, dtype="float64", seed=0, activation="elu", reset_after=False,
                       recurrent_activation=["softsign", "hard_sigmoid"])  # fmt: skip
    x, h = (rng.standard_normal((1, 4, n)) for n in (2, 3))

    _, got = layer(x, h)

    a_r, a_z, _ = gates_by_hand(layer, x, h)
    r, z = f("softsign", a_r), f("hard_sigmoid", a_z)
    n = f("elu", gates_by_hand(layer, x, r * h)[2])
    assert_close(got, n + z * (h - n), rounding("float64", 1, 5))


def test_relu_is_the_other_nonlinearity(engine, dtype, rng):
    named, written = (
        engine.RNN(2, H, dtype=dtype, seed=1, **given)
        for given in ({"activation": "relu"}, {"nonlinearity": "relu"})
    )
    x = rng.standard_normal((4, 3, 2)).astype(dtype)

    tapes = [layer.record(x) for layer in (named, written)]

    assert_same_bits(tapes[0].output, tapes[1].output)
    assert_same_bits(*(tape.backward(tape.output).params for tape in tapes))


def test_a_falling_activation_keeps_its_slope_between_the_clips(engine, dtype, rng):
    layer = engine.RNN(2, H, dtype=dtype, seed=0, activation=("affine", -0.6, 0.1), gate_clip=0.4)
    x, h = rng.standard_normal((1, 3, 2)).astype(dtype), np.zeros((1, 3, H), dtype)
    tape = layer.record(x)

    grads = tape.backward(np.ones_like(tape.output))

    (argument,) = gates_by_hand(layer, x, h)
    inside = np.abs(argument) < 0.4
    assert 0 < inside.sum() < inside.size
    want = -0.6 * inside.sum(axis=(0, 1))
    assert_close(grads.params["bias_ih_l0"], want, rounding(dtype, 1, 3))
