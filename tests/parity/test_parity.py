"""`parity_report` against functions and layers of our own: verdicts, numbers, hints, refusals."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from simdrnn import reference
from simdrnn.dialects import permute_gates
from simdrnn.parity import ParityReport
from simdrnn.parity.differences import compare

LAYERS = {"lstm": sr.LSTM, "gru": sr.GRU, "rnn": sr.RNN}


def report(ours, theirs, x=None, **arguments):
    return sr.parity_report(ours, theirs, x, show=False, **arguments)


def twin_of(layer, **changed):
    """Return the NumPy twin, with other parameters where they are given."""
    kind = getattr(reference, type(layer).__name__)
    arguments = {name: getattr(layer, name) for name in layer._defaults} | layer.options.active()
    arguments |= layer.structure.active() | {"dtype": layer.dtype.name} | changed
    twin = kind(layer.input_size, layer.hidden_size, **arguments)
    twin.load_state_dict(layer.state_dict())
    return twin


def with_weights(layer, change):
    """Return the twin with the parameters that `change` makes of the layer's."""
    twin = twin_of(layer)
    twin.load_state_dict(
        {name: change(name, one.copy()) for name, one in twin.parameters().items()}
    )
    return twin


# Numbers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_differences_are_measured(dtype):
    ours = np.array([[1.0, -4.0], [0.5, 2.0]], dtype)
    theirs = ours.copy()
    theirs[1, 1] = np.nextafter(theirs[1, 1], 3, dtype=dtype)
    theirs[1, 0] = np.nextafter(theirs[1, 0], 1, dtype=dtype)
    eps = np.finfo(dtype).eps

    found = compare("y", ours, theirs, tolerance=eps)

    assert (found.where, found.ours) == ((1, 1), 2.0)
    assert found.absolute == 2 * eps
    assert found.relative == 2 * eps / 4
    assert (found.ulp, found.largest_ulp) == (1.0, 1.0)
    assert found.ok
    assert not compare("y", ours, theirs, tolerance=eps / 4).ok


def test_units_are_those_of_the_coarser_type():
    found = compare("y", np.float64([1.0]), np.float32([1 + 2**-23]), tolerance=1.0)

    assert found.ulp == 1.0


@pytest.mark.parametrize(("one", "other"), [(np.nan, 1.0), (np.inf, 1.0), (np.inf, -np.inf)])
def test_what_is_not_finite_has_to_be_the_same(one, other):
    same = compare("y", np.float64([1, one]), np.float64([1, one]), tolerance=0.0)
    apart = compare("y", np.float64([1, one]), np.float64([1, other]), tolerance=1e300)

    assert same.ok
    assert (apart.ok, apart.where) == (False, (1,))


def test_zeros_agree_and_nothing_tells_nothing():
    nothing = compare("y", np.zeros((0, 3)), np.zeros((0, 3)), 0.0)
    assert not nothing.ok
    assert "elements to compare" in str(nothing)
    assert str(compare("y", np.zeros(3), np.zeros(3), 0.0)) == "y: equal"
    assert not compare("y", np.zeros(3), np.zeros(2), 1.0).ok


# Verdicts


@every("cell", LAYERS)
@every("dtype", ["float32", "float64"])
@every("structure", [{}, {"num_layers": 2, "bidirectional": True},
                                       {"batch_first": True, "reverse": True}])  # fmt: skip
def test_both_engines_agree(cell, dtype, structure):
    layer = LAYERS[cell](5, 7, dtype=dtype, seed=0, **structure)

    found = report(layer, twin_of(layer))

    assert found.ok, str(found)
    assert found.hints == found.notes == []
    names = {"output", "state h", "gradient of x", "gradient of initial h"}
    assert names < set(found.differences)
    assert {f"gradient of {name}" for name in layer.parameters()} < set(found.differences)
    assert ("state c" in found.differences) == (cell == "lstm")


@pytest.mark.parametrize("cell", ["MGU", "JANET", "LiGRU"])
def test_other_cells_are_compared_too(cell):
    layer = getattr(sr, cell)(5, 6, seed=0)

    assert report(layer, twin_of(layer)).ok
    assert not report(layer, getattr(reference, cell)(5, 6, seed=1, dtype="float32")).ok


@every("cell", LAYERS)
@every("gain", [1.0, 4.0])
def test_tolerances_are_those_of_roundings(cell, gain, rng):
    """They hold for correct results, and not for a thousand times the roundings.

    At gain 4 the layer lets roundings grow, and the tolerance has to follow.
    """
    layer = LAYERS[cell](6, 12, seed=0)
    layer.load_state_dict({n: np.float32(gain) * v for n, v in layer.parameters().items()})
    noise = np.float32(1000 * np.finfo("float32").eps)

    found = report(layer, twin_of(layer), T=20)
    disturbed = report(layer, with_weights(
        layer, lambda name, one: one * (1 + noise * rng.choice([-1, 1], one.shape).astype("f"))
    ), T=20)  # fmt: skip

    assert found.ok, str(found)
    assert not disturbed.ok
    assert all(one.tolerance < 1e-2 for one in found.differences.values())


def test_where_roundings_hide_mistakes_there_is_no_verdict():
    layer = sr.RNN(3, 16, seed=0)  # chaotic: Jacobians have norms far above 1
    layer.weight_hh_l0 = 20 * layer.weight_hh_l0

    found = report(layer, twin_of(layer), T=60)

    assert found.blurred
    assert not found.ok
    assert "roundings grow" in found.verdict or "differ" in found.verdict


def test_nothing_changes_and_the_report_is_shown(capsys):
    layer = sr.GRU(3, 4, seed=0)
    twin = twin_of(layer)
    before = [layer.state_dict(), twin.state_dict()]

    found = sr.parity_report(layer, twin)

    assert isinstance(found, ParityReport)
    assert capsys.readouterr().out == f"{found}\n"
    assert "they agree" in repr(found)
    for one, other in zip(before, [layer.parameters(), twin.parameters()], strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_seed_and_sizes_decide_what_is_drawn():
    layer, wrong = sr.GRU(3, 4, seed=0), reference.GRU(3, 4, seed=1, dtype="float32")

    first, again, other = (report(layer, wrong, T=5, B=2, seed=seed) for seed in (3, 3, 4))

    assert first.differences == again.differences != other.differences
    assert first.differences["output"].shape == (5, 2, 4)
    assert "gradient of x" not in report(layer, wrong, gradients=False).differences


def test_input_and_state_may_be_given(rng):
    layer = sr.LSTM(3, 4, batch_first=True, seed=0)
    x, h = rng.standard_normal((2, 9, 3)).astype("f"), rng.standard_normal((1, 2, 4)).astype("f")

    found = report(layer, twin_of(layer, batch_first=False), x, state=(h, 2 * h))

    assert found.ok
    assert found.differences["output"].shape == (2, 9, 4)
    assert report(layer, twin_of(layer), x, state=None).ok


# Functions


def test_a_function_may_return_states_or_only_the_last_output():
    layer = sr.LSTM(3, 4, bidirectional=True, seed=0)

    whole = report(layer, layer)
    output = report(layer, lambda x: layer(x)[0])
    states = report(layer, lambda x: layer(x))
    last = report(layer, lambda x: layer.last_output(layer(x)[1]))
    split = report(layer, lambda x: [layer(x)[0], *(
        one[d] for d in range(2) for one in layer(x)[1]  # Keras's order
    )])  # fmt: skip
    other = report(layer, lambda x: (layer(x)[0], np.ones(3, "f")))

    assert set(output.differences) == {"output"}
    assert set(last.differences) == {"last output"}
    assert set(states.differences) == set(split.differences) == {"output", "state h", "state c"}
    assert all(one.ok for one in (whole, output, states, last, split, other))
    assert any(note.startswith("states: not compared") for note in other.notes)
    assert any(note.startswith("gradients: theirs is only known") for note in output.notes)


def test_another_shape_fails_and_says_so():
    layer = sr.GRU(3, 4, seed=0)

    found = report(layer, lambda x: layer(x)[0][:-1])

    assert not found.ok
    assert "expected shape (12, 3, 4) as ours, got (11, 3, 4)" in str(found)


# Hints


def test_every_order_of_gates_is_found():
    layer = sr.LSTM(3, 5, seed=0)
    for order, whose in (("iofg", "onnx"), ("figo", "openvino"), ("igfo", "haiku, tf1, haste"),
                         ("gofi", None)):  # fmt: skip
        wrong = with_weights(layer, lambda _, one, order=order: permute_gates(one, "ifgo", order))

        (hint,) = report(wrong_compiled(layer, wrong), layer).hints

        assert f"gates {', '.join(order)} instead of i, f, g, o" in hint
        assert ("the order of" in hint) == (whose is not None)
        assert whose is None or hint.endswith(whose)


def test_weights_that_they_took_over_unconverted_are_found():
    layer = sr.LSTM(3, 5, seed=0)
    wrong = with_weights(layer, lambda _, one: permute_gates(one, "ifgo", "iofg"))

    (hint,) = report(layer, wrong).hints

    assert hint.endswith("or those of theirs for gates i, o, f, g, the order of onnx")


def wrong_compiled(layer, twin):
    """Return a compiled layer with the weights of a twin."""
    made = type(layer)(layer.input_size, layer.hidden_size, seed=0)
    made.load_state_dict(twin.state_dict())
    return made


def gate_rows(gates, gate, hidden):
    return slice(gates.index(gate) * hidden, (gates.index(gate) + 1) * hidden)


def without(*starts):
    return lambda name, one: 0 * one if name.startswith(starts) else one


def flipped_z(_, one):
    one[gate_rows("rzn", "z", len(one) // 3)] *= -1
    return one


def forgetting(name, one):
    if name.startswith("bias_ih"):
        one[gate_rows("ifgo", "f", len(one) // 4)] += 1
    return one


def transposed(name, one):
    return np.concatenate([b.T for b in np.split(one, 3)]) if name == "weight_hh_l0" else one


MISTAKES = [
    ("gru", flipped_z, "z weighs the candidate instead of the old state"),
    ("gru", without("bias_hh"), "recurrent biases (bias_hh) are left out"),
    ("gru", without("bias_ih"), "input biases (bias_ih) are left out"),
    ("lstm", without("bias"), "all biases are left out"),
    ("lstm", forgetting, "1 is added to the forget gate's bias"),
    ("gru", transposed, "each gate's block of recurrent weights is transposed"),
    ("gru", lambda name, one: flipped_z(name, permute_gates(one, "zrn", "rzn")),
     "taken for gates z, r, n instead of r, z, n, the order of keras, onnx, openvino, haiku, haste,"
     " rtneural, keras_cudnn, coreml and z weighs"),
    ("lstm", lambda name, one: forgetting(name, permute_gates(one, "igfo", "ifgo")),
     "gates i, g, f, o instead of i, f, g, o, the order of haiku, tf1, haste and 1 is"),
]  # fmt: skip


@every("cell, mistake, text", MISTAKES)
def test_mistakes_are_found_on_their_side(cell, mistake, text):
    layer = LAYERS[cell](3, 5, seed=0)

    found = report(layer, with_weights(layer, mistake))

    assert not found.ok
    assert any(hint.startswith("they agree if") and text in hint for hint in found.hints), found


def test_a_candidate_bias_in_the_wrong_place_is_found():
    layer = sr.GRU(3, 5, seed=0)
    joined = layer.state_dict()
    joined["bias_ih_l0"][10:] += joined["bias_hh_l0"][10:]
    joined["bias_hh_l0"][10:] = 0

    found = report(layer, with_weights(layer, lambda name, _: joined[name]))

    assert "the recurrent bias of n is added to its input bias" in found.hints[0]


@every(
    "ours, theirs, text",
    [
        (sr.GRU(3, 5, seed=0), {"reset_after": False}, "ours has reset_after=False"),
        (sr.GRU(3, 5, seed=0, reset_after=False), {"reset_after": True}, "reset_after=True"),
        (sr.RNN(3, 5, seed=0), {"nonlinearity": "relu"}, "ours has relu"),
        (sr.LSTM(3, 5, seed=0), {"recurrent_activation": "hard_sigmoid"}, "have hard_sigmoid"),
        (sr.LSTM(3, 5, seed=0), {"recurrent_activation": "keras_hard_sigmoid"}, "have keras_hard"),
        (sr.GRU(3, 5, seed=0), {"reverse": True}, "takes the steps from the last to the first"),
        (sr.GRU(3, 5, seed=0), {"reverse": True, "keep_order": False}, "stay in that order"),
    ],
)
def test_another_cell_or_direction_is_found(ours, theirs, text):
    found = report(ours, twin_of(ours, **theirs))

    assert not found.ok
    assert any(text in hint for hint in found.hints), str(found)


def test_exchanged_directions_are_found():
    layer = sr.GRU(3, 5, bidirectional=True, seed=0)
    values = layer.state_dict()
    other = {
        name: values[f"{name}_reverse" if f"{name}_reverse" in values else name[: -len("_reverse")]]
        for name in values
    }

    found = report(layer, with_weights(layer, lambda name, _: other[name]))

    assert found.hints == ["they agree if both directions are exchanged"]


def test_axes_and_states_are_found():
    layer = sr.LSTM(3, 5, seed=0)

    axes = report(layer, lambda x: layer(x.swapaxes(0, 1))[0].swapaxes(0, 1))
    swapped = report(layer, lambda x: (layer(x)[0], layer(x)[1][::-1]))
    x = np.ones((6, 2, 3), "f")
    state = (np.ones((1, 2, 5), "f"), np.ones((1, 2, 5), "f"))

    class Forgetful(type(layer)):
        def __call__(self, x, state=None):
            return super().__call__(x)

    forgetful = Forgetful(3, 5, seed=0)
    zeros = report(layer, forgetful, x, state=state, gradients=False)

    assert axes.hints == ["they agree if the axes of time and batch are swapped"]
    assert swapped.hints == ["they agree if their states come as c, then h"]
    assert zeros.hints == ["they agree if ours begins with states of zeros"]


def test_what_cannot_be_explained_is_not():
    layer = sr.LSTM(3, 5, seed=0)

    (hint,) = report(layer, reference.LSTM(3, 5, seed=1, dtype="float32")).hints
    near = report(layer, with_weights(
        layer, lambda name, one: permute_gates(one, "ifgo", "iofg") * np.float32(1.01)
    ))  # fmt: skip

    assert hint.startswith("not explained")
    assert not near.ok
    assert re.match(r"not explained; .* shrinks from .* gates i, f, g, o|not expl", near.hints[0])
    assert "onnx" in near.hints[0] or "g, o, f" in near.hints[0]


def test_what_changes_nothing_explains_nothing(rng):
    layer = sr.LSTM(3, 5, seed=0)
    for name in ("bias_ih_l0", "bias_hh_l0"):
        setattr(layer, name, 0 * getattr(layer, name))
    bound = report(layer, layer).differences["output"].tolerance

    def near(x):  # just beyond what rounding explains
        output = layer(x)[0]
        return output + np.float32(3 * bound * np.abs(output).max())

    (hint,) = report(layer, near).hints

    assert hint.startswith("not explained")


# Refusals


def test_arguments_are_checked():
    layer, twin = sr.LSTM(3, 4, seed=0), reference.LSTM(3, 4, dtype="float32", seed=0)
    zeros = np.zeros((1, 3, 4), "f")
    for kind, message, arguments, named in [
        (TypeError, "ours: expected a layer of simdrnn, got function", (report, twin), {}),
        (TypeError, "theirs: expected a PyTorch module, a Keras layer, an ONNX model or session, a "
         "layer of simdrnn, or a function of x, got int", (layer, 3), {}),
        (TypeError, "theirs: expected a function that returns an output", (layer, lambda x: None),
         {}),
        (TypeError, "x: expected dtype float32, got float64",
         (layer, twin, np.ones((5, 2, 3))), {}),
        (ValueError, "x: expected (T, B, I), none of them 0, got shape (5, 3)",
         (layer, twin, np.ones((5, 3), "f")), {}),
        (ValueError, "x: expected shape (T, B, 3)", (layer, twin, np.ones((5, 2, 4), "f")), {}),
        (ValueError, "T: expected a positive integer, got 0", (layer, twin), {"T": 0}),
        (ValueError, "B: expected a positive integer, got 0", (layer, twin), {"B": 0}),
        (ValueError, "state: expected 'random', got 'zero'", (layer, twin), {"state": "zero"}),
        (ValueError, "state: expected None, as theirs cannot be given one", (layer, len),
         {"state": (zeros, zeros)}),
        (TypeError, "gradients: expected True or False, got 1", (layer, twin), {"gradients": 1}),
    ]:  # fmt: skip
        with pytest.raises(kind, match=re.escape(message)):
            report(*arguments, **named)
    with pytest.raises(TypeError, match="state: expected a tuple"):
        report(layer, twin, state=zeros)


def test_no_package_is_imported():
    code = (
        "import sys, simdrnn as sr; layer = sr.GRU(2, 3, seed=0);"
        "assert sr.parity_report(layer, lambda x: layer(x)[0], show=False).ok;"
        "found = {'torch', 'keras', 'onnx', 'onnxruntime', 'jax'} & {*sys.modules};"
        "sys.exit(str(found) if found else 0)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


# What acts on some inputs only


def behind(layer, act):
    return lambda x: layer(act(x))[0]


ACTS = {
    "clamp": lambda x: np.clip(x, -5, 5),
    "far clamp": lambda x: np.clip(x, -150, 150),
    "mask of a number": lambda x: np.where(x == np.float32(-99), 0, x),
    "mask of an odd number": lambda x: np.where(x == np.float32(-42.25), 0, x),
    "steps of a number": lambda x: np.where((x == 0.75).all(-1, keepdims=True), 0, x),
    "empty steps": lambda x: np.where((x == 0).all(-1, keepdims=True), 1, x),
    "small numbers": lambda x: np.where(abs(x) < 1e-3, 0, x),
}


@every("name", ACTS)
@every("batch_first", [False, True])
def test_what_acts_on_some_numbers_is_found(name, batch_first):
    layer = sr.LSTM(4, 5, batch_first=batch_first, seed=0)

    found = report(layer, behind(layer, ACTS[name]))

    assert not found.ok
    assert all(one.ok for one in found.differences.values())
    assert "acts on some inputs only" in found.hints[-1]
    assert report(layer, behind(layer, lambda x: x)).further


@every("steps", [64, 100, 256])
def test_what_acts_on_many_steps_is_found(steps):
    layer = sr.GRU(4, 5, seed=0)

    def cut(x):
        output = layer(x)[0].copy()
        output[steps:] = 0
        return output

    assert not report(layer, cut).ok


def test_what_cannot_be_run_on_other_sizes_is_noted():
    layer = sr.GRU(4, 5, seed=0)

    def fixed(x):
        if x.shape != (12, 3, 4):
            raise RuntimeError("no such size")
        return layer(x)[0]

    found = report(layer, fixed)

    assert found.ok
    assert any("on many steps: not compared" in note for note in found.notes)
