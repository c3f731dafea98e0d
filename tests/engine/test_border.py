"""What crosses from Python to the compiled engine is read by name, and wrong names are refused."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from simdrnn import _core
from simdrnn.engine.compiled import Network, option_values
from simdrnn.engine.protocol import CheckedCall, GradientArrays, ParameterArrays, TapeArrays
from simdrnn.spec.options import Options

T, B, F, H = 3, 2, 4, 5


def network(options):
    return _core.NetworkF32("gru", F, H, 1, 1, options, 0)


def ready():
    """Return a packed network of zeros, a call of it, its tape, and where gradients go."""
    description = Network("gru", np.dtype("float32"), F, H, 1, 1, Options())

    def zeros(*shape):
        return np.zeros(shape, "float32")

    def parameters():
        return ParameterArrays(zeros(3 * H, F), zeros(3 * H, H), zeros(3 * H), zeros(3 * H))

    one = description.pack([parameters()], description.token())
    run = CheckedCall(zeros(T, B, F), (zeros(1, B, H),))
    tape = TapeArrays([zeros(T, B, 4 * H)], [zeros(T, B, H)])
    gradients = GradientArrays(zeros(T, B, F), [zeros(1, B, H)], [parameters()])
    return one, run, tape, gradients


def test_options_are_named():
    for name in _core.option_names():
        assert name.islower()
    with pytest.raises(ValueError, match=r"options: expected one of option_names\(\), got 'gate"):
        network({"gate_clamp": 1.0})
    with pytest.raises(ValueError, match=r"expected one of activations\(\), got 'swish'"):
        network({"activations": [("swish", 0.0, 0.0)]})
    with pytest.raises(ValueError, match="options: expected fewer values of one option"):
        network({"zoneout": [0.5] * 5})


def test_every_option_of_a_step_reaches_the_engine():
    """What `Options` has beside these is done in Python, or is a way to say one of these."""
    in_python = {"weight_dropout", "weight_noise"}
    derived = {"activation", "recurrent_activation", "output_activation"}
    assert set(Options().__slots__) - in_python - derived <= set(_core.option_names())


def test_what_is_off_changes_nothing():
    given = option_values("lstm", sr.LSTM(F, H).options)
    assert not {"gate_clip", "recurrent_dropout", "layer_norm_epsilon"} & set(given)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reset_states": [np.zeros((1, B, H), "f4")]}, "reset_states: expected gradients exactly"),
        ({"states": []}, "states: expected a list of 1"),
        ({"states": [None]}, "states: expected arrays, no None"),
        (
            {"states": [np.zeros((1, B, H + 1), "f4")]},
            "states: expected 10 C-contiguous, aligned elements",
        ),
        ({"x": np.zeros((T, B, F + 1), "f4")}, r"x: expected shape \(3, 2, 4\)"),
        ({"attention": np.zeros((T, B), "f4")}, "attention: expected an array for a cell that"),
        ({"trace": []}, "trace: expected one array per layer and direction"),
    ],
)
def test_wrong_gradients_are_refused(changes, words):
    one, run, tape, gradients = ready()
    d_output, d_final = np.ones((T, B, H), "f4"), (np.zeros((1, B, H), "f4"),)
    one.backward(run, tape, d_output, d_final, gradients)
    for name, value in changes.items():
        setattr(gradients, name, value)
    with pytest.raises(ValueError, match=words):
        one.backward(run, tape, d_output, d_final, gradients)


def test_wrong_parameters_and_tapes_are_refused():
    one, run, tape, _ = ready()
    matrix, recurrent = np.zeros((3 * H, F), "f4"), np.zeros((3 * H, H), "f4")

    def pack(*passes):
        network({}).pack(passes, sr.isa.active())

    with pytest.raises(ValueError, match="weight_hh: expected an array exactly where"):
        pack(ParameterArrays(matrix, None, None, None))
    with pytest.raises(ValueError, match="weight_hr: expected an array exactly where"):
        pack(ParameterArrays(matrix, recurrent, None, None, (), matrix))
    with pytest.raises(ValueError, match="cell_parameters: expected a list of 0"):
        pack(ParameterArrays(matrix, recurrent, None, None, (None,)))
    with pytest.raises(ValueError, match="parameters: expected 1, one for each layer and dir"):
        pack()
    with pytest.raises(ValueError, match="parameters: expected one for each layer and direction"):
        pack(*[ParameterArrays(matrix, recurrent, None, None)] * 2)
    with pytest.raises(ValueError, match=r"isa: expected one of .*, got 'none'"):
        network({}).pack([ParameterArrays(matrix, recurrent, None, None)], "none")
    output, final = np.empty((T, B, H), "f4"), [np.empty((1, B, H), "f4")]
    for wrong, words in [
        (TapeArrays([], tape.hidden), "saved: expected one array per layer and"),
        (TapeArrays(tape.saved, tape.hidden * 2), "hidden: expected one array per layer"),
        (TapeArrays([], tape.hidden, [], 2), "checkpoints: expected one array per"),
    ]:
        with pytest.raises(ValueError, match=words):
            one.forward(run, output, final, tape=wrong)
    with pytest.raises(TypeError, match="output: expected an array"):
        one.forward(run, None, final, tape=None)
    with pytest.raises(AttributeError, match="has no attribute 'x'"):
        one._core.forward(run.x, output, final, None)
