"""Layer normalisation inside the step: written formulas, and the engines side by side."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    DTYPES,
    ENGINES,
    INFOS,
    LAYERS,
    as_tuple,
    assert_same_bits,
    few,
    make_layer,
    make_problem,
    results,
)
from helpers_layer_norm import (
    CELLS,
    EPSILON,
    PLACEMENTS,
    allowed,
    distance,
    layer_of,
    scattered,
    side_by_side,
)

MOST = ("lstm", "lstm_peephole", "gru", "rnn_tanh", "mgu", "ugrnn")

# -- the formulas, written once more ---------------------------------------------------------------


def norm(row, epsilon):
    """Normalise over the last axis."""
    centred = row - row.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_by_hand(layer, x, h, c, placement):
    """Run a one-layer LSTM as haste, torch's example or TensorFlow Addons write it."""
    p = {name.removesuffix("_l0"): value for name, value in layer.parameters().items()}
    epsilon, outputs = EPSILON[placement], []
    for x_t in x:
        from_x = norm(x_t @ p["weight_ih"].T, epsilon) * p["weight_ln_ih"]
        from_h = norm(h @ p["weight_hh"].T, epsilon) * p["weight_ln_hh"]
        pre = from_x + from_h
        for name in ("bias_ih", "bias_hh", "bias_ln_ih", "bias_ln_hh"):
            pre = pre + p.get(name, 0.0)
        i, f, g, o = np.split(pre, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        normal = norm(c, epsilon) * p["weight_ln_c"] + p["bias_ln_c"]
        if placement != "haste":
            c = normal
        h = sigmoid(o) * np.tanh(normal)
        outputs.append(h)
    return np.stack(outputs), (h, c)


def gru_by_hand(layer, x, h, placement):
    """Run a one-layer GRU, normalised as haste writes it; torch and tf add biases to the norms."""
    p = {name.removesuffix("_l0"): value for name, value in layer.parameters().items()}
    epsilon, outputs = EPSILON[placement], []
    for x_t in x:
        from_x = norm(x_t @ p["weight_ih"].T, epsilon) * p["weight_ln_ih"]
        from_h = norm(h @ p["weight_hh"].T, epsilon) * p["weight_ln_hh"]
        from_x = from_x + p.get("bias_ih", 0.0) + p.get("bias_ln_ih", 0.0)
        from_h = from_h + p.get("bias_hh", 0.0) + p.get("bias_ln_hh", 0.0)
        (r_x, z_x, n_x), (r_h, z_h, n_h) = (np.split(a, 3, axis=-1) for a in (from_x, from_h))
        r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
        n = np.tanh(n_x + r * n_h)
        h = z * h + (1 - z) * n
        outputs.append(h)
    return np.stack(outputs), h


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_an_lstm_is_that_of_the_written_formulas(engine, placement, rng):
    problem = scattered(make_problem(engine, "lstm", rng=rng, H=19, layer_norm=placement))
    h, c = (member[0] for member in problem.state)

    output, state = problem.layer(problem.x, problem.state)

    want, (h, c) = lstm_by_hand(problem.layer, problem.x, h, c, placement)
    got, want = {"output": output, "state": state}, {"output": want, "state": (h[None], c[None])}
    assert distance(got, want) <= allowed(problem, 2 + 19)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_gru_is_that_of_the_written_formulas(engine, placement, rng):
    problem = scattered(make_problem(engine, "gru", rng=rng, H=19, layer_norm=placement))

    output, state = problem.layer(problem.x, problem.state)

    want, h = gru_by_hand(problem.layer, problem.x, problem.state[0], placement)
    got, want = {"output": output, "state": state}, {"output": want, "state": h[None]}
    assert distance(got, want) <= allowed(problem, 2 + 19)


# -- the engines side by side ----------------------------------------------------------------------


@few(cell=CELLS, placement=PLACEMENTS, hidden=[1, 2, 9, 37], dtype=DTYPES)
def test_kernels_are_as_the_reference(placement, cell, hidden, dtype, rng):
    sizes = {"H": hidden, "I": 5, "dtype": dtype}
    problem, twin = side_by_side(cell, placement, rng, sizes=sizes)

    found = distance(results(problem), results(twin))

    info = INFOS[cell]
    assert found <= allowed(twin, (info.gates + info.separate) * hidden + 5)


@few(cell=MOST, placement=PLACEMENTS, engine=ENGINES)
def test_a_single_cell_takes_the_steps_of_a_layer(engine, cell, placement, rng):
    layer = scattered(make_problem(engine, cell, rng=rng, layer_norm=placement)).layer
    name, extra = LAYERS[cell]
    single = getattr(engine, f"{name}Cell")(2, 3, layer_norm=placement, dtype="float64", **extra)
    single.load_state_dict({n.removesuffix("_l0"): v for n, v in layer.state_dict().items()})
    x = rng.standard_normal((3, 4, 2))

    state = None
    for x_t in x:
        state = single(x_t, state)

    final = as_tuple(layer(x)[1])
    assert_same_bits(as_tuple(state), tuple(member[0] for member in final))


# -- what a row may be -----------------------------------------------------------------------------


@few(cell=MOST, placement=PLACEMENTS, engine=ENGINES, dtype=DTYPES)
def test_rows_without_variance_have_finite_gradients(engine, cell, placement, dtype):
    layer = make_layer(engine, cell, 3, 5, layer_norm=placement, dtype=dtype, seed=0)
    tape = layer.record(np.zeros((4, 2, 3), dtype))

    grads = tape.backward(np.ones_like(tape.output))

    assert np.isfinite(tape.output).all()
    assert all(np.isfinite(value).all() for value in (grads.x, *grads.params.values()))


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_shift_and_scale_of_an_input_change_nothing_but_rounding(engine, placement, rng):
    # W x is normalised: what multiplies all its entries is lost again but for epsilon. The rows of
    # `weight_ih` are equal numbers, so that W x is a sum of x, at least 3e4, times a column of
    # unit variance: its variance is beyond 1e8, and 1 / sqrt(variance + epsilon) is that without
    # epsilon but for epsilon / 2e8. The steps after may amplify that a hundredfold.
    layer = engine.LSTM(3, 8, layer_norm=placement, dtype="float64", seed=0)
    layer.weight_ih_l0 = np.repeat(rng.standard_normal((32, 1)), 3, axis=1)
    x = rng.uniform(1e4, 2e4, (5, 2, 3))

    output, scaled = layer(x)[0], layer(8 * x)[0]

    assert np.abs(scaled - output).max() <= EPSILON[placement] / 1e6


@pytest.mark.parametrize("placement", ["torch", "tf"])
def test_diagnosis_finds_the_gates(placement, rng):
    layer = sr.LSTM(3, 8, layer_norm=placement, dtype="float64", seed=0)
    # Norms of at most sqrt(32) * 0.02 on both sides: what saturates a gate is its bias.
    layer.weight_ln_ih_l0 = layer.weight_ln_hh_l0 = np.full(32, 0.02)
    layer.bias_ln_ih_l0 = np.repeat([50.0, -50.0, 0.0, 50.0], 8)

    found = sr.diagnose(layer.record(rng.standard_normal((6, 4, 3)))).layers[0]

    for gate, left, right in (("i", 0, 1), ("f", 1, 0), ("g", 0, 0), ("o", 0, 1)):
        assert (found.saturation[gate].left_by_unit == left).all(), gate
        assert (found.saturation[gate].right_by_unit == right).all(), gate
    assert found.gradient["c"].shape == (6, 4)


# -- how it is run ---------------------------------------------------------------------------------


@pytest.mark.parametrize("forward", [True, False])
def test_threads_do_not_share_a_row(forward):
    sizes = {"num_threads": 2, "T": 64, "B": 2}
    layers = [sr.LSTM(256, 512, layer_norm=norm, seed=0) for norm in (None, True)]

    plain, normal = (sr.explain(layer, **sizes) for layer in layers)

    schedules = [(one.forward if forward else one.backward).schedule for one in (plain, normal)]
    assert schedules[0] == "units"
    assert schedules[1] != "units"


@pytest.mark.parametrize("cell", MOST)
def test_recording_changes_no_bit_and_keeps_what_it_says(cell, rng):
    info = INFOS[cell]
    layer = layer_of(cell, "tf", {}, seed=3)
    x = rng.standard_normal((9, 4, 3))

    tape = layer.record(x)

    assert_same_bits(tape.output, layer(x)[0])
    sums = 2 * info.gates + (info.normalise >= 0)
    assert tape.nbytes == 8 * 9 * 4 * 5 * (1 + sums + info.saved)
