"""`sr.diagnose`: what it measures, on networks whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

import simdrnn as sr
from helpers import CELLS, make_layer, tolerance
from helpers_loops import every
from simdrnn.diagnosis.measures import row_norms
from simdrnn.diagnosis.spectrum import KRYLOV, radius_of_matrices, radius_of_products

# A unit that is 1 at the start and driven by nothing: relu is linear there.
LINEAR = {"nonlinearity": "relu", "bias": False, "dtype": "float64", "seed": 0}


def linear(engine, matrix, **options):
    """Return an RNN h' = relu(x + R h), as long as nothing is negative."""
    matrix = np.asarray(matrix, "float64")
    size = len(matrix)
    layer = engine.RNN(size, size, **LINEAR, **options)
    layer.weight_ih_l0, layer.weight_hh_l0 = np.eye(size), matrix
    return layer


def positive(rng, size, radius):
    """Return a matrix of positive entries: no step leaves the linear part of relu."""
    matrix = rng.uniform(0.5, 1.0, (size, size))
    return matrix * (radius / np.abs(np.linalg.eigvals(matrix)).max())


# Norms and verdicts


@every("factor, verdict", [(0.5, "vanish"), (1.0, "steady"), (1.2, "explode")])
@every("engine")
def test_growth_of_a_linear_network_is_its_factor(engine, factor, verdict):
    layer, T = linear(engine, factor * np.eye(4)), 41

    found = sr.diagnose(layer.record(np.ones((T, 3, 4))))

    (only,) = found.layers
    want = factor ** np.arange(T - 1, -1, -1.0)  # it begins with a unit vector at the last step
    np.testing.assert_allclose(
        only.gradient["h"], np.repeat(want[:, None], 3, 1), rtol=tolerance("float64", T, 4)
    )
    np.testing.assert_allclose(only.curve("h"), want, rtol=tolerance("float64", T, 4))
    assert only.slope == pytest.approx(math.log(factor), abs=1e-12)
    assert only.lyapunov == pytest.approx(math.log(factor), abs=1e-12)
    np.testing.assert_allclose(only.jacobian_radius, factor, rtol=1e-12)
    assert only.recurrent_radius == {"h": pytest.approx(factor, rel=1e-12)}
    assert (only.span, only.lost, only.driven, only.verdict) == (T, False, False, verdict)
    assert found.verdict == verdict
    assert found.first_nonfinite is None


def test_lyapunov_exponent_of_a_linear_network_is_the_log_of_its_spectral_radius(engine, rng):
    matrix = positive(rng, 12, 0.9)
    layer, T = linear(engine, matrix), 200

    found = sr.diagnose(layer.record(np.ones((T, 2, 12)), lengths=[T, 150])).layers[0]

    # A quarter of the steps is left out, after which other directions have shrunk to nothing: their
    # eigenvalues are less than half as large, and 0.5 ** 37 is 7e-12.
    second = np.sort(np.abs(np.linalg.eigvals(matrix)))[-2]
    assert second < 0.45
    assert found.lyapunov == pytest.approx(math.log(0.9), abs=1e-11)
    taken = found.jacobian_steps[:, None] < [T, 150]
    np.testing.assert_allclose(found.jacobian_radius, np.where(taken, 0.9, np.nan), rtol=1e-10)


def test_small_weights_make_a_tanh_network_vanish_and_large_ones_a_chaotic_one(engine, rng):
    x = rng.standard_normal((60, 4, 2))
    radii = {}
    for value in (0.5, 4.0):
        layer = engine.RNN(2, 40, dtype="float64", seed=0)
        recipe = sr.init.spectral_radius(value, base=sr.init.glorot_normal())
        sr.init.apply(layer, weight_hh=recipe, seed=0)
        radii[value] = sr.diagnose(layer.record(x)).layers[0]

    assert radii[0.5].verdict == "vanish"
    assert radii[0.5].lyapunov < math.log(0.5)  # slopes of tanh are at most 1
    assert radii[4.0].verdict == "explode"
    assert radii[4.0].lyapunov > 0
    assert radii[4.0].recurrent_radius["h"] == pytest.approx(4.0)


def test_a_loss_at_every_step_is_judged_by_the_lyapunov_exponent(engine):
    layer = linear(engine, 0.5 * np.eye(3))
    tape = layer.record(np.ones((40, 2, 3)))

    every = sr.diagnose(tape, d_output=np.ones((40, 2, 3))).layers[0]
    last = np.zeros((40, 2, 3))
    last[-1] = 1.0
    once = sr.diagnose(tape, d_output=last).layers[0]

    assert every.driven
    assert abs(every.slope) < 0.05  # what enters on the way hides the decay
    assert every.growth == every.lyapunov
    assert every.verdict == "vanish"
    assert not once.driven
    assert once.slope == pytest.approx(math.log(0.5), abs=1e-12)


def test_what_is_clipped_inside_back_propagation_does_not_explode(engine):
    ones = np.ones((40, 2, 3))
    free, held = (
        sr.diagnose(linear(engine, 1.2 * np.eye(3), **clip).record(ones), d_output=ones).layers[0]
        for clip in ({}, {"step_grad_clip": 2.0})
    )

    assert free.lyapunov == held.lyapunov == pytest.approx(math.log(1.2), abs=1e-12)
    assert free.verdict == "explode"
    assert held.verdict == "steady"


def test_a_gradient_that_comes_to_nothing_is_told(engine):
    layer = linear(engine, np.eye(2))
    x = np.ones((6, 1, 2))
    x[2] = -10.0  # both units are 0 there, and so are their slopes

    found = sr.diagnose(layer.record(x)).layers[0]

    assert found.gradient["h"][:, 0].tolist() == [0, 0, 1, 1, 1, 1]
    assert found.lost
    assert found.verdict == "vanish"
    assert found.lyapunov == -math.inf


def test_resets_cut_what_is_fitted(engine):
    layer, reset = linear(engine, 0.5 * np.eye(2)), np.zeros((30, 1), bool)
    reset[20] = True

    found = sr.diagnose(layer.record(np.ones((30, 1, 2)), reset=reset)).layers[0]

    assert found.span == 20
    assert found.slope == pytest.approx(math.log(0.5), abs=1e-12)
    assert found.lyapunov == pytest.approx(math.log(0.5), abs=1e-12)
    assert np.all(found.gradient["h"][:20] == 0)


def test_a_reset_gives_the_lyapunov_exponent_a_new_direction(engine):
    layer, x, reset = linear(engine, np.diag([0.9, 0.5])), np.ones((400, 1, 2)), np.zeros((400, 1))
    x[300:, 0, 0] = -10.0  # after the reset the first unit is dead, before it the slower to decay
    reset[300] = 1.0

    found = sr.diagnose(layer.record(x, reset=reset > 0)).layers[0]

    # Three quarters of each stretch count.
    want = (75 * math.log(0.5) + 225 * math.log(0.9)) / 300
    assert found.lyapunov == pytest.approx(want, abs=1e-12)


def test_norms_do_not_overflow():
    values = np.array([[3e200, 4e200], [0.0, 0.0], [3e-200, 4e-200]])

    np.testing.assert_allclose(row_norms(values), [5e200, 0.0, 5e-200], rtol=1e-15)


# Spectral radii


def test_radii_of_small_matrices_are_exact(rng):
    matrices = rng.standard_normal((5, KRYLOV, KRYLOV))
    matrices[1] = np.eye(KRYLOV)  # an invariant subspace after one step
    matrices[2] = 0.0
    matrices[3, 0, 0] = np.nan

    got = radius_of_products(
        lambda v: (matrices @ v[:, :, None])[:, :, 0], 5, KRYLOV, np.random.default_rng(0)
    )

    want = radius_of_matrices(matrices, np.random.default_rng(0))
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-300)
    assert math.isnan(got[3])
    assert not np.isnan(np.delete(got, 3)).any()


def test_radii_of_large_matrices_are_within_three_percent(rng):
    size = 300
    random = rng.standard_normal((size, size)) / math.sqrt(size)
    matrices = np.stack([random, np.linalg.qr(random)[0], np.diag(rng.random(size)) + 0.3 * random])

    got = radius_of_matrices(matrices, np.random.default_rng(0))

    want = [np.abs(np.linalg.eigvals(matrix)).max() for matrix in matrices]
    np.testing.assert_allclose(got, want, rtol=0.03)


@every("cell", CELLS)
@every("engine")
def test_jacobian_radius_is_that_of_one_step(engine, cell, rng):
    layer = make_layer(engine, cell, 2, 5, dtype="float64", seed=1, hidden_clip=0.4)
    x, T, t = rng.standard_normal((6, 1, 2)), 6, 3
    found = sr.diagnose(layer.record(x), steps=T).layers[0]

    before = layer(x[:t])[1]
    states = before if isinstance(before, tuple) else (before,)
    one = layer.record(x[t : t + 1], before)
    columns = []
    for index in range(len(states) * 5):
        unit = np.zeros(len(states) * 5)
        unit[index] = 1.0
        parts = tuple(part.reshape(1, 1, 5) for part in np.split(unit, len(states)))
        back = one.backward(d_state=parts if len(parts) > 1 else parts[0]).state
        back = back if isinstance(back, tuple) else (back,)
        columns.append(np.concatenate([part.ravel() for part in back]))

    assert found.jacobian_steps.tolist() == list(range(T))
    want = np.abs(np.linalg.eigvals(np.array(columns))).max()
    assert found.jacobian_radius[t, 0] == pytest.approx(want, rel=1e-9)


# Saturation


def test_saturation_is_counted_by_gate_end_and_unit(engine):
    layer = engine.LSTM(1, 2, dtype="float64", seed=0)
    for name, array in layer.state_dict().items():
        setattr(layer, name, np.zeros_like(array))
    # sigmoid(2.2) = 0.9002 and sigmoid(2.19) = 0.8993; tanh(1.099) = 0.8001, tanh(1.098) = 0.7998
    layer.bias_ih_l0 = np.array([2.2, 2.19, -2.2, -2.19, 1.099, -1.099, 1.098, 0.0])

    found = sr.diagnose(layer.record(np.zeros((3, 2, 1)), lengths=[3, 1])).layers[0].saturation

    ends = {name: (g.left_by_unit.tolist(), g.right_by_unit.tolist()) for name, g in found.items()}
    assert ends == {
        "i": ([0, 0], [1, 0]),
        "f": ([1, 0], [0, 0]),
        "g": ([0, 1], [1, 0]),
        "o": ([0, 0], [0, 0]),
    }
    assert (found["f"].left, found["f"].right) == (0.5, 0.0)
    assert found["f"].dead.size == 0


def test_saturation_counts_real_steps_only(engine):
    layer = linear(engine, np.zeros((2, 2)))
    x = np.array([[1.0, -1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, -1.0]])[:, None]

    mask = np.array([[True], [True], [True], [False]])
    found = sr.diagnose(layer.record(x, mask=mask)).layers[0].saturation["h"]

    np.testing.assert_allclose(found.left_by_unit, [1 / 3, 1])
    assert np.isnan(found.right)  # relu has no upper end
    assert found.dead.tolist() == [1]


@every("cell", ["gru", "gru_reset_before"])
@every("engine")
def test_gates_of_a_gru_are_told_apart(engine, cell):
    layer = make_layer(engine, cell, 1, 1, dtype="float64", seed=0)
    for name, array in layer.state_dict().items():
        setattr(layer, name, np.zeros_like(array))
    layer.bias_ih_l0 = np.array([5.0, -5.0, 5.0])
    layer.weight_hh_l0 = np.array([[0.1], [0.2], [0.3]])

    found = sr.diagnose(layer.record(np.zeros((2, 1, 1)))).layers[0]

    ends = {name: (gate.left, gate.right) for name, gate in found.saturation.items()}
    assert ends == {"r": (0, 1), "z": (1, 0), "n": (0, 1)}
    assert found.recurrent_radius == pytest.approx({"r": 0.1, "z": 0.2, "n": 0.3})
