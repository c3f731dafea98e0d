"""Gaussian noise on the state at every step, and the network of rates that it is meant for."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_close, assert_same_bits, make_layer, tolerance
from helpers_loops import every, instruction_set
from simdrnn.engine.random_words import Feature, call_key, normals

NOISY = ("ctrnn", "rnn_tanh", "rnn_relu")
DEVIATION = 0.3


def show(engine, T, B, H, dtype="float64", **options):
    """Return what was added to the arguments of an RNN that is noise alone, (T, B, D*H)."""
    layer = engine.RNN(1, H, bias=False, activation="identity", state_noise=DEVIATION, seed=11,
                       dtype=dtype, **options)  # fmt: skip
    layer.load_state_dict({n: np.zeros_like(v) for n, v in layer.parameters().items()})
    return layer.record(np.zeros((T, B, 1), dtype)).output


def inputs(T, B, width, dtype="float64"):
    return np.random.default_rng(5).standard_normal((T, B, width)).astype(dtype)


@every("engine")
@every("dtype")
def test_it_is_what_the_counter_says(engine, dtype):
    T, B, H = 5, 3, 37

    shown = show(engine, T, B, H, dtype, bidirectional=True)

    drawn = [normals((T, B, H), Feature.STATE_NOISE, stream, call_key(11, 0)) for stream in (0, 1)]
    want = np.sqrt(2.0) * DEVIATION * np.concatenate(drawn, axis=-1)
    # Radius and angle are each within a few units in the last place of what is at most 6.77.
    np.testing.assert_allclose(shown, want, rtol=0, atol=40 * np.finfo(dtype).eps)


@every("dtype")
@every("isa")
def test_it_is_normal(isa, dtype):
    shown = show(sr, 250, 8, 50, dtype).astype("float64") / (np.sqrt(2.0) * DEVIATION)

    count, flat = shown.size, shown.ravel()
    # Each statistic is within five of its standard errors.
    assert abs(flat.mean()) < 5 / np.sqrt(count)
    assert abs((flat**2).mean() - 1) < 5 * np.sqrt(2 / count)
    assert abs((flat**3).mean()) < 5 * np.sqrt(15 / count)
    assert abs((flat**4).mean() - 3) < 5 * np.sqrt(96 / count)
    for share in (0.6745, 1.6449, 2.5758):  # half, 90 % and 99 % lie within
        inside = {0.6745: 0.5, 1.6449: 0.9, 2.5758: 0.99}[share]
        found = (abs(flat) < share).mean()
        assert abs(found - inside) < 5 * np.sqrt(inside * (1 - inside) / count)
    # Neighbours in time, row and unit have nothing to do with one another.
    for axis in range(3):
        first, second = (np.take(shown, range(a, shown.shape[axis] - 1 + a), axis) for a in (0, 1))
        assert abs((first * second).mean()) < 5 / np.sqrt(first.size)


@every("cell", NOISY)
@every("engine")
def test_one_step_follows_the_equations(engine, cell):
    B, H = 4, 6
    layer = make_layer(engine, cell, 3, H, state_noise=DEVIATION, seed=2, dtype="float64")
    x, h = inputs(1, B, 3), inputs(1, B, H) / 3
    state = (h, 2 * h) if cell == "ctrnn" else h

    output = layer.record(x, state).output[0]

    z = DEVIATION * normals((1, B, H), Feature.STATE_NOISE, 0, call_key(2, 0))[0]
    drive = x[0] @ layer.weight_ih_l0.T + h[0] @ layer.weight_hh_l0.T
    drive = drive + layer.bias_ih_l0 + layer.bias_hh_l0
    if cell == "ctrnn":
        a = layer.leak_l0
        drive = (1 - a) * 2 * h[0] + a * drive + np.sqrt(2 * a) * z
    else:
        drive = drive + np.sqrt(2) * z
    want = np.maximum(drive, 0) if cell == "rnn_relu" else np.tanh(drive)
    assert_close(output, want, tolerance("float64", 1, 3 + H), cell)


@every("cell", NOISY)
@every("dtype")
def test_it_is_off_where_nothing_is_trained(dtype, cell):
    noisy, plain = (
        make_layer(sr, cell, 3, 9, state_noise=s, seed=2, dtype=dtype) for s in (0.5, None)
    )
    x = inputs(6, 4, 3, dtype)

    assert_same_bits(noisy(x)[0], plain(x)[0])
    assert_same_bits(noisy.record(x, training=False).output, plain(x)[0])
    first, second = noisy.record(x).output, noisy.record(x).output
    assert (first != second).mean() > 0.5
    assert (first != plain(x)[0]).mean() > 0.5


@every("cell", NOISY)
@every("isa")
def test_rows_of_a_batch_do_not_know_how_many_there_are(isa, cell):
    def run(rows, threads):
        layer = make_layer(sr, cell, 3, 21, state_noise=DEVIATION, seed=2)
        tape = layer.record(inputs(7, 13, 3, "float32")[:, :rows], num_threads=threads)
        grads = tape.backward(np.ones_like(tape.output))
        return tape.output, grads.x

    whole = run(13, 1)

    assert_same_bits(run(13, 3), whole)
    for rows in (1, 5):
        assert_same_bits(run(rows, 1), tuple(value[:, :rows] for value in whole))


def test_instruction_sets_agree():
    def run(isa):
        with instruction_set(isa):
            layer = sr.CTRNN(3, 67, 2, bidirectional=True, state_noise=DEVIATION, seed=2)
            tape = layer.record(inputs(7, 5, 3, "float32"))
            return tape.output, *tape.backward(np.ones_like(tape.output)).params.values()

    first, *others = map(run, sr.isa.available())

    for other in others:
        assert_same_bits(other, first)


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "FastRNN"])
def test_cells_without_a_place_refuse_it(cell):
    with pytest.raises(ValueError, match=r"^state_noise: expected a cell with a place for it, RNN"):
        getattr(sr, cell)(3, 4, state_noise=0.1)


@pytest.mark.parametrize("deviation", [0.0, -1.0, float("nan")])
def test_the_deviation_is_a_positive_number(deviation):
    with pytest.raises(ValueError, match=r"^state_noise: expected"):
        sr.CTRNN(3, 4, state_noise=deviation)


# The network of rates


@every("dtype")
@every("activation", ("tanh", "relu"))
def test_without_a_leak_it_is_an_elman_network(activation, dtype):
    rates = sr.CTRNN(3, 19, seed=4, dtype=dtype, activation=activation)
    elman = sr.RNN(3, 19, nonlinearity=activation, dtype=dtype)
    elman.load_state_dict({n: v for n, v in rates.state_dict().items() if not n.startswith("leak")})
    rates.leak_l0 = np.ones(19, dtype)
    x = inputs(9, 7, 3, dtype)

    tapes = rates.record(x), elman.record(x)
    first, second = (tape.backward(np.ones_like(tape.output)) for tape in tapes)

    np.testing.assert_array_equal(tapes[0].output, tapes[1].output)
    np.testing.assert_array_equal(first.x, second.x)
    for name, gradient in second.params.items():
        np.testing.assert_array_equal(first.params[name], gradient, err_msg=name)


def test_a_current_decays_with_its_time_constant():
    dt, tau = 1.0, np.array([2.0, 10.0, 50.0])
    layer = sr.CTRNN(1, 3, seed=0, dtype="float64")
    layer.load_state_dict({n: np.zeros_like(v) for n, v in layer.parameters().items()})
    layer.leak_l0 = dt / tau
    x = np.zeros((20, 1, 1))

    _, (h, v) = layer(x, (np.zeros((1, 1, 3)), np.ones((1, 1, 3))))

    np.testing.assert_allclose(v[0, 0], (1 - dt / tau) ** 20, rtol=1e-13)
    np.testing.assert_allclose(h, np.tanh(v), rtol=1e-13)
