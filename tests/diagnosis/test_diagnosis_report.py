"""`sr.diagnose`: clips that were reached, values that are not finite, words and pictures."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from simdrnn.layers.tape import recording_of

LINEAR = {"nonlinearity": "relu", "bias": False, "seed": 0}


def linear(engine, factor, size=2, dtype="float64", **options):
    """Return an RNN h' = relu(x + factor h)."""
    layer = engine.RNN(size, size, dtype=dtype, **LINEAR, **options)
    layer.weight_ih_l0 = np.eye(size, dtype=dtype)
    layer.weight_hh_l0 = factor * np.eye(size, dtype=dtype)
    return layer


# Clips


def test_hidden_clip_is_counted_by_step(engine):
    layer = linear(engine, 0.0, hidden_clip=0.5)
    x = np.array([[0.4, 0.6], [0.6, 0.6], [0.1, 0.2], [9.0, 9.0]])[:, None]

    mask = np.array([[True], [True], [True], [False]])
    (found,) = sr.diagnose(layer.record(x, mask=mask)).layers

    assert list(found.clips) == ["hidden_clip"]
    np.testing.assert_array_equal(found.clips["hidden_clip"], [0.5, 1.0, 0.0, np.nan])


@every("dtype", ["float32", "float64"])
@every("bound", [0.5, 3.0])
@every("engine")
def test_gate_clip_is_counted_by_gate(engine, dtype, bound):
    layer = engine.LSTM(1, 2, dtype=dtype, seed=0, gate_clip=bound)
    for name, array in layer.state_dict().items():
        setattr(layer, name, np.zeros_like(array))
    over, under = bound * 1.01, bound * 0.99
    bias = [over, -over, under, -under, over, 0.0, 0.0, -over]  # i, f, g, o: 4 of 8 are clipped
    layer.bias_ih_l0 = np.array(bias, dtype)

    (found,) = sr.diagnose(layer.record(np.zeros((3, 2, 1), dtype))).layers

    np.testing.assert_array_equal(found.clips["gate_clip"], [0.5, 0.5, 0.5])


def test_a_gate_clip_beyond_what_the_dtype_tells_apart_is_not_counted():
    layer = sr.RNN(1, 1, gate_clip=30.0, seed=0)  # tanh(30) is 1 in float32, and so is tanh(20)
    layer.weight_ih_l0 = np.array([[1.0]], "float32")
    x = np.array([20.0, 40.0], "float32").reshape(2, 1, 1)

    (found,) = sr.diagnose(layer.record(x)).layers

    assert found.clips["gate_clip"].tolist() == [0.0, 0.0]


def test_cell_clip_is_counted_on_the_cell_state(engine):
    layer = engine.LSTM(1, 2, dtype="float64", seed=0, cell_clip=1.5)
    for name, array in layer.state_dict().items():
        setattr(layer, name, np.zeros_like(array))
    # Both cells gain 1 a step, one of them downwards, and keep all of it: 1, then 2 is clipped.
    layer.bias_ih_l0 = np.array([40.0, 40.0, 40.0, 40.0, 40.0, -40.0, 0.0, 0.0])

    (found,) = sr.diagnose(layer.record(np.zeros((3, 1, 1)))).layers

    assert found.clips["cell_clip"].tolist() == [0.0, 1.0, 1.0]


def test_clips_of_back_propagation_are_counted_before_they_act(engine):
    x = np.ones((5, 2, 2))
    d_state = np.array([[[1.0, 0.5], [0.25, 0.0]]])  # (1, B, H), doubled by every step back

    (found,) = sr.diagnose(linear(engine, 2.0, step_grad_clip=3.0).record(x), None, d_state).layers
    np.testing.assert_allclose(found.clips["step_grad_clip"], [0.75, 0.5, 0.25, 0.0, 0.0])
    # Row 0 arrives as (6, 6), (6, 4), (4, 2), (2, 1), (1, 0.5), and leaves clipped to 3.
    np.testing.assert_allclose(found.arriving[:, 0] ** 2, [72.0, 52.0, 20.0, 5.0, 1.25])
    np.testing.assert_allclose(found.gradient["h"][:, 0] ** 2, [18.0, 18.0, 13.0, 5.0, 1.25])

    (found,) = sr.diagnose(linear(engine, 2.0, step_grad_norm=3.0).record(x), None, d_state).layers
    np.testing.assert_allclose(found.clips["step_grad_norm"], [1.0, 0.5, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(found.gradient["h"][0], [3.0, 3.0])


def test_the_norm_inside_back_propagation_is_that_of_clipped_elements(engine):
    layer = linear(engine, 2.0, step_grad_clip=1.0, step_grad_norm=1.9)

    (found,) = sr.diagnose(layer.record(np.ones((3, 1, 2))), None, np.ones((1, 1, 2))).layers

    # (2, 2) and more arrive, of norm 2.8; clipped elements have norm 1.4.
    assert found.clips["step_grad_clip"].tolist() == [1.0, 1.0, 1.0]
    assert found.clips["step_grad_norm"].tolist() == [0.0, 0.0, 0.0]


# What is not finite


def test_the_first_step_that_overflows_is_named(engine):
    layer = linear(engine, 1e100)
    x = np.zeros((8, 3, 2))
    x[1, 2, 0] = 1.0  # 1, 1e100, 1e200, 1e300, then it overflows

    with np.errstate(all="ignore"):  # NumPy warns on the way
        tape = layer.record(x)
    found = sr.diagnose(tape)

    first = found.first_nonfinite
    assert (first.quantity, first.layer, first.step, first.row) == ("h", 0, 5, 2)
    assert (first.during, first.given) == ("forward", False)
    assert str(first) == "h of layer 0 at step 5, row 2 is inf, in the forward pass"
    assert "Try:\n  - gate_clip or hidden_clip, to bound the forward pass" in str(found)


def test_the_first_step_is_in_the_order_of_the_direction(engine):
    layer = engine.GRU(1, 2, num_layers=2, bidirectional=True, dtype="float64", seed=0)
    x = np.zeros((6, 1, 1))
    tape = layer.record(x)
    recording_of(tape).arrays.saved[3][2:5, 0, 2] = np.nan  # z of layer 1, reverse, unit 0

    first = sr.diagnose(tape).first_nonfinite

    assert str(first) == "z of layer 1 (reverse) at step 4, row 0 is nan, in the forward pass"


def test_what_was_handed_in_is_named(engine):
    layer = linear(engine, 0.5)
    x = np.ones((4, 2, 2))
    tape = layer.record(x)
    d_output = np.ones((4, 2, 2))
    d_output[1, 1, 0] = np.inf

    first = sr.diagnose(tape, d_output).first_nonfinite
    assert (first.quantity, first.during, first.given) == ("d_output", "backward", True)


def test_input_that_is_not_finite_is_named_unless_it_is_padding(engine):
    layer = linear(engine, 0.5)
    x = np.ones((4, 2, 2))
    x[2, 0, 1] = np.nan

    assert sr.diagnose(layer.record(x, lengths=[2, 4])).first_nonfinite is None
    found = sr.diagnose(layer.record(x))
    first = found.first_nonfinite
    assert (first.quantity, first.step, first.row, first.given) == ("x", 2, 0, True)
    assert "to look where x comes from: it was handed in" in found.suggestions


def test_a_parameter_that_is_not_finite_is_named(engine):
    layer = linear(engine, 0.5)
    layer.weight_hh_l0 = np.array([[np.nan, 0.0], [0.0, 1.0]])

    first = sr.diagnose(layer.record(np.ones((4, 2, 2)))).first_nonfinite
    assert str(first) == "weight_hh_l0 is nan, in the forward pass"


def test_an_overflow_on_the_way_back_is_named(engine):
    layer = engine.RNN(2, 2, bias=False, dtype="float64", seed=0)
    layer.weight_hh_l0 = 1e200 * np.eye(2)
    tape = layer.record(np.zeros((4, 1, 2)))  # h stays 0, where the slope of tanh is 1

    found = sr.diagnose(tape, d_state=np.ones((1, 1, 2)))

    first = found.first_nonfinite
    assert (first.quantity, first.step, first.during) == ("dL/dh", 1, "backward")
    assert any("step_grad_norm" in suggestion for suggestion in found.suggestions)


# Words


def test_a_vanishing_network_is_told_what_to_try(engine):
    found = sr.diagnose(linear(engine, 0.5, dtype="float32").record(np.ones((21, 2, 2), "float32")))

    text = str(found)
    assert text.startswith("rnn_relu: gradients vanish.\nlayer 0: gradients vanish.\n")
    assert "multiplies a gradient by 0.5 (fitted to its norms): it halves every 1 steps" in text
    assert ", and 20 steps make 9.5e-7 of it" in text
    assert "norm of dL/dh: 9.54e-07 at step 0, 1 at step 20" in text
    assert "Lyapunov exponent -0.693 per step: small differences in the state die out" in text
    assert found.suggestions == [
        "sr.LSTM or sr.GRU, whose gates can keep a gradient, and to let them: "
        "sr.init.apply(layer, bias=[sr.init.zeros(), sr.init.chrono(t_max=21)])",
        "sr.init.apply(layer, weight_hh=sr.init.identity()), so that a step keeps norms",
    ]


def test_an_exploding_network_is_told_what_to_try(engine):
    x = np.ones((141, 1, 2))
    found = sr.diagnose(linear(engine, 1.2).record(x))

    assert str(found).startswith("rnn_relu: gradients explode.")
    assert "doubles every 3.8 steps" in str(found)
    assert [suggestion.split(",")[0] for suggestion in found.suggestions] == [
        "step_grad_norm or step_grad_clip",
        "smaller recurrent weights: sr.init.apply(layer",
        "sr.tbptt",
    ]
    clipped = sr.diagnose(linear(engine, 1.2, step_grad_norm=1e3).record(x))
    assert not any("step_grad" in suggestion for suggestion in clipped.suggestions)


def test_gated_cells_are_told_to_keep_their_state(engine):
    layer = engine.LSTM(2, 3, seed=0)
    found = sr.diagnose(layer.record(np.zeros((50, 1, 2), layer.dtype)))

    assert found.verdict == "vanish"
    assert any("sr.init.chrono(t_max=50)" in suggestion for suggestion in found.suggestions)


def test_what_is_proposed_can_be_done(engine):
    """Every name in the suggestions exists, and what they say to write is accepted."""
    layer = engine.LSTM(2, 3, seed=0)
    sr.init.apply(layer, bias=[sr.init.zeros(), sr.init.chrono(t_max=3)])
    sr.init.apply(layer, weight_hh=sr.init.orthogonal())
    sr.init.apply(layer, weight_hh=sr.init.spectral_radius(0.95))
    sr.init.apply(
        engine.RNN(2, 3), weight_hh=sr.init.identity(), weight_ih=sr.init.glorot_uniform()
    )
    names = ("step_grad_norm", "step_grad_clip", "gate_clip", "hidden_clip", "cell_clip")
    engine.LSTM(2, 3, **dict.fromkeys(names, 1.0))
    assert all(map(callable, (sr.clip_grad_norm_, sr.tbptt, sr.init.forget_bias)))


def test_dead_and_saturated_units_are_told(engine):
    dead = sr.diagnose(linear(engine, 0.5).record(-np.ones((5, 2, 2))))
    tanh = engine.RNN(2, 2, seed=0, dtype="float64")
    tanh.weight_ih_l0 = 10 * np.eye(2)
    saturated = sr.diagnose(tanh.record(np.ones((5, 2, 2))))

    assert "dead units: 2 of 2 are 0 at every step of every row" in str(dead)
    assert dead.verdict == "vanish"
    assert any("most units are dead" in suggestion for suggestion in dead.suggestions)
    assert "saturated: h 0% left and 100% right" in str(saturated)
    assert any("h is saturated most of the time" in text for text in saturated.suggestions)


# Pictures


def panels(figure):
    return {axis.get_title().split(":")[0]: axis for axis in figure.axes if axis.get_title()}


def test_plot_draws_every_measure(engine):
    pytest.importorskip("matplotlib")
    layer = engine.LSTM(
        2, 3, num_layers=2, bidirectional=True, gate_clip=1.0, step_grad_norm=1.0, seed=0
    )
    x = np.random.default_rng(0).standard_normal((9, 4, 2)).astype(layer.dtype)
    found = sr.diagnose(layer.record(x, lengths=[9, 5, 3, 0]), steps=4)

    figure = found.plot()
    figure.savefig(io.BytesIO(), format="png")  # with Agg: no window system

    drawn = panels(figure)
    norms, bars = drawn["Norm of the gradient for each state"], drawn["Saturated gate values"]
    jacobians = drawn["Spectral radius of the step's Jacobian"]
    clips = drawn["Share of values that reached a clip"]
    assert len(norms.lines) == 2 * 2 * 2  # layers, directions, states
    assert norms.get_yscale() == "log"
    np.testing.assert_array_equal(norms.lines[1].get_ydata() > 0, found.layers[0].curve("c") > 0)
    assert len(bars.patches) == 4 * 4 * 2  # directions of layers, gates, ends
    assert len(jacobians.lines) == 4 + 1  # and a line at 1
    assert jacobians.lines[0].get_xdata().tolist() == found.layers[0].jacobian_steps.tolist()
    assert len(clips.lines) == 4 * 2
    assert all(axis.get_xlabel() or axis is bars for axis in drawn.values())


def test_plot_leaves_out_what_there_is_not(engine):
    figure_module = pytest.importorskip("matplotlib.figure")
    layer = linear(engine, 0.0)
    found = sr.diagnose(layer.record(-np.ones((3, 1, 2))), rows=0)
    own = figure_module.Figure()

    assert found.plot(own) is own
    own.savefig(io.BytesIO(), format="png")
    assert set(panels(own)) == {"Norm of the gradient for each state", "Saturated gate values"}


@every("shape", [(0, 2, 2), (3, 0, 2), (1, 1, 2)], ids=str)
@every("engine")
def test_plot_draws_nothing_where_there_is_nothing(engine, shape):
    pytest.importorskip("matplotlib")

    figure = sr.diagnose(linear(engine, 0.5, hidden_clip=1.0).record(np.zeros(shape))).plot()
    figure.savefig(io.BytesIO(), format="png")

    assert len(figure.axes) == 4


def test_plot_says_what_to_install(engine, monkeypatch):
    layer = linear(engine, 0.5)
    found = sr.diagnose(layer.record(np.ones((3, 1, 2))))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(ImportError, match="plot needs matplotlib: pip install matplotlib"):
        found.plot()
