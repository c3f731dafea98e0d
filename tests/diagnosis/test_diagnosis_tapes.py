"""`sr.diagnose` takes any tape of either engine, and refuses what is none."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import simdrnn as sr
from helpers import CELLS, Case, make_layer
from helpers_loops import every
from simdrnn import reference
from simdrnn.diagnosis.recorded import Recorded
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.tape import recording_of


@pytest.mark.usefixtures("built")
@every(
    "case",
    [
        Case(cell, "float64", pattern=pattern, layers=2, directions=2, dropout=0.4)
        for cell in CELLS
        for pattern in ("plain", "all", "all-hold")
    ],
    ids=str,
)
def test_engines_agree(case):
    ours, theirs = (sr.diagnose(case.draw(module).record()) for module in (sr, reference))

    allowed = {"rtol": 1e-9, "atol": 1e-9}  # iterations amplify the tolerance of one pass
    assert case.tolerance() < 1e-11
    assert [layer.name for layer in ours.layers] == [
        "layer 0", "layer 0, reverse", "layer 1", "layer 1, reverse"
    ]  # fmt: skip
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        for state in a.gradient:
            np.testing.assert_allclose(a.gradient[state], b.gradient[state], **allowed)
        np.testing.assert_allclose(a.jacobian_radius, b.jacobian_radius, **allowed)
        np.testing.assert_allclose(a.lyapunov, b.lyapunov, **allowed)
        np.testing.assert_allclose(a.slope, b.slope, **allowed)
        for name, gate in a.saturation.items():
            np.testing.assert_array_equal(gate.left_by_unit, b.saturation[name].left_by_unit)
            np.testing.assert_array_equal(gate.right_by_unit, b.saturation[name].right_by_unit)
    assert str(ours).splitlines()[0] == str(theirs).splitlines()[0]


# What decides where the input of a layer comes from, which steps follow which, and what is drawn.
STRUCTURES = {
    "layers": {"bidirectional": True, "dropout": 0.3, "input_dropout": 0.3},
    "merged": {"bidirectional": True, "merge": "mul", "dropout": 0.3, "input_dropout": 0.3},
    "residual": {"residual": True, "dropout": 0.3},
    "reversed": {"reverse": True, "dropout": 0.3},
    "turned": {"reverse": True, "keep_order": False, "residual": True},
}
DRAWN = {"recurrent_dropout": 0.3, "candidate_dropout": 0.3, "zoneout": 0.2, "weight_noise": 0.1}


@every("name", STRUCTURES)
def test_jacobians_are_those_that_back_propagation_goes_through(engine, name, rng):
    T, B, H = 5, 3, 4
    layer = engine.LSTM(
        4, H, num_layers=2, seed=0, dtype="float64", step_grad_clip=9.0, **STRUCTURES[name], **DRAWN
    )
    state = rng.standard_normal((2, 2 * (1 + layer.bidirectional), B, H))
    reset = np.zeros((T, B), bool)
    reset[2, :2] = True
    tape = layer.record(
        rng.standard_normal((T, B, 4)), tuple(state), lengths=[5, 4, 2], reset=reset,
        reset_state=tuple(2.0 * state),
    )  # fmt: skip
    traces = [np.zeros((T, B, 3 * H)) for _ in bound_layer(layer).passes.names]
    recording_of(tape).backward(tape.output, None, trace=traces)
    compared = 0

    for index, trace in enumerate(traces):
        recorded = Recorded.of(recording_of(tape), index)
        sample, steps = recorded.sample(np.arange(B)), recorded.steps
        previous = steps.previous()
        for t, row in zip(*np.nonzero(steps.real & (previous >= 0)), strict=True):
            found = sample.way_back(np.array([t]), np.array([row]))(trace[t, row][None, : 2 * H])
            want = trace[previous[t, row], row]
            np.testing.assert_allclose(found[0, H:], want[H : 2 * H], rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(found[0, :H], want[2 * H :], rtol=1e-12, atol=1e-12)
            compared += 1
    assert compared > 5


@every("shape", [(0, 3), (1, 3), (5, 0), (5, None)], ids=str)
@every("cell", CELLS)
@every("engine")
def test_any_shape_is_diagnosed(engine, cell, shape):
    layer = make_layer(engine, cell, 2, 3, bidirectional=True, batch_first=True, seed=0)
    T, B = shape
    x = np.zeros((T, 2) if B is None else (B, T, 2), layer.dtype)

    found = sr.diagnose(layer.record(x))

    assert found.layers[0].gradient["h"].shape == (T, 1 if B is None else B)
    assert found.verdict in ({"unknown"} if T * (B != 0) < 2 else {"vanish", "steady"})
    assert str(found)


@every("cell", ["lstm", "gru", "rnn_tanh"])
@every("engine")
def test_checkpoints_change_nothing(engine, cell, rng):
    layer = make_layer(
        engine, cell, 2, 3, num_layers=2, bidirectional=True, dropout=0.3, zoneout=0.2,
        merge="sum", dtype="float64", seed=0,
    )  # fmt: skip
    x, twin = rng.standard_normal((20, 3, 2)), copy.deepcopy(layer)
    call = {"lengths": [20, 7, 12], "reset": rng.random((20, 3)) < 0.1}

    plain = sr.diagnose(layer.record(x, **call))
    less = sr.diagnose(twin.record(x, checkpoint_every=6, **call))

    for one, other in zip(plain.layers, less.layers, strict=True):
        np.testing.assert_array_equal(one.gradient["h"], other.gradient["h"])
        np.testing.assert_array_equal(one.jacobian_radius, other.jacobian_radius)
        assert (one.lyapunov, one.slope) == (other.lyapunov, other.slope)
        for name, gate in one.saturation.items():
            np.testing.assert_array_equal(gate.left_by_unit, other.saturation[name].left_by_unit)


def test_rows_and_steps_bound_what_is_looked_at(engine):
    tape = engine.GRU(2, 3, seed=0).record(np.zeros((9, 8, 2), engine.GRU(2, 3).dtype))

    some = sr.diagnose(tape, rows=2, steps=5).layers[0]
    none = sr.diagnose(tape, rows=0).layers[0]

    assert some.jacobian_radius.shape == (5, 2)
    assert some.jacobian_steps.tolist() == [0, 2, 4, 6, 8]
    assert none.jacobian_radius.size == 0
    assert math.isnan(none.lyapunov)
    assert none.verdict == "vanish"


def test_arguments_are_checked(engine):
    layer = engine.LSTM(2, 3, seed=0)
    tape = layer.record(np.zeros((4, 1, 2), layer.dtype))

    with pytest.raises(TypeError, match=r"tape: expected a Tape, made by layer\.record.*got LSTM"):
        sr.diagnose(layer)
    with pytest.raises(ValueError, match=r"d_output: expected shape \(T, B, D\*H\)"):
        sr.diagnose(tape, np.zeros((3, 1, 3), layer.dtype))
    with pytest.raises(ValueError, match="rows: expected a non-negative integer, got -1"):
        sr.diagnose(tape, rows=-1)
    with pytest.raises(TypeError, match=r"steps: expected a non-negative integer, got 1\.5"):
        sr.diagnose(tape, steps=1.5)
    layer.bias_ih_l0 = np.zeros(12, layer.dtype)
    with pytest.raises(ValueError, match="got parameters changed since"):
        sr.diagnose(tape)
