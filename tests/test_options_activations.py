"""Activations by name on every cell: each in its place, with its slope."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import CELLS, INFOS, assert_close, assert_same_bits, make_layer, make_problem, results
from helpers import tolerance as rounding
from simdrnn import reference
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


def options_for(cell, name):
    return dict.fromkeys(places(cell), NAMED[name])


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("cell", CELLS)
def test_results_are_those_of_the_reference(cell, name, dtype):
    T, B = 3, 4
    options = options_for(cell, name)
    both = [
        make_problem(
            module, cell, rng=np.random.default_rng(5), T=T, B=B, I=3, H=H, dtype=dtype,
            pattern="all", num_layers=2, **options,
        )
        for module in (sr, reference)
    ]  # fmt: skip

    got, want = (results(problem) for problem in both)

    # Activations with slopes above 1, or without bounds, amplify: by the largest value, twice.
    largest = max(
        1.0, float(np.abs(want["output"]).max()), *(float(abs(s).max()) for s in want["state"])
    )
    assert_close(got, want, rounding(dtype, 2 * T, max(4 * H, 2 * H)) * largest**2)


@pytest.mark.parametrize("cell", CELLS)
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


@pytest.mark.parametrize("name", [name for name in NAMED if "relu" not in name])
@pytest.mark.parametrize("option", ["activation", "recurrent_activation", "output_activation"])
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
