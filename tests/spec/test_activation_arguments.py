"""Activations by name: what is accepted, what it means, what is refused and why."""

from __future__ import annotations

import re

import numpy as np
import pytest

from helpers_loops import every
from simdrnn.spec.activations import ACTIVATIONS, Activation, parse_activation

WITHOUT = ("sigmoid", "tanh", "relu", "softsign", "softplus", "identity")
ONNX = {
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "ThresholdedRelu": "thresholded_relu",
    "Elu": "elu",
    "HardSigmoid": "hard_sigmoid",
    "Softsign": "softsign",
    "Softplus": "softplus",
    "ScaledTanh": "scaled_tanh",
    "Affine": "affine",
}
MUST_BE_GIVEN = ("scaled_tanh", "affine")


def given(name):
    """Return an argument that is complete."""
    return (name, 2.0, 0.5) if name in MUST_BE_GIVEN else name


@every("name", ACTIVATIONS)
@every("spell", [str, str.upper, str.title])
def test_names_are_known_in_any_case(name, spell):
    argument = given(name)
    spelled = (spell(name), 2.0, 0.5) if isinstance(argument, tuple) else spell(name)

    assert parse_activation("activation", spelled) == parse_activation("activation", argument)
    assert parse_activation("activation", spelled).name == name


@every("name", ONNX)
def test_the_names_of_onnx_are_known(name):
    parsed = parse_activation("activation", given(ONNX[name]))

    spelled = (name, 2.0, 0.5) if ONNX[name] in MUST_BE_GIVEN else name
    assert parse_activation("activation", spelled) == parsed


@every(
    "value, want",
    [
        ("leaky_relu", ("leaky_relu", 0.01, 0.0)),
        ("thresholded_relu", ("thresholded_relu", 1.0, 0.0)),
        ("elu", ("elu", 1.0, 0.0)),
        ("hard_sigmoid", ("hard_sigmoid", 0.2, 0.5)),
        (("hard_sigmoid", 0.3), ("hard_sigmoid", 0.3, 0.5)),
        (("hard_sigmoid", 0.3, 0.1), ("hard_sigmoid", 0.3, 0.1)),
        ("keras_hard_sigmoid", ("hard_sigmoid", 1 / 6, 0.5)),
        ("KerasHardSigmoid", ("hard_sigmoid", 1 / 6, 0.5)),
        (["elu", 2], ("elu", 2.0, 0.0)),
        (("affine", -1, np.float32(0.5)), ("affine", -1.0, 0.5)),
        (("scaled_tanh", 0, 0), ("scaled_tanh", 0.0, 0.0)),
        (("tanh",), ("tanh", 0.0, 0.0)),
        (("leaky_relu", 0), ("leaky_relu", 0.0, 0.0)),
        (("hard_sigmoid", -0.2), ("hard_sigmoid", -0.2, 0.5)),
    ],
)
def test_parameters_are_filled_in(value, want):
    got = parse_activation("activation", value)

    assert got == want
    assert isinstance(got, Activation)
    assert [type(part) for part in got] == [str, float, float]


@every("name", ACTIVATIONS)
def test_what_was_parsed_parses_to_itself(name):
    parsed = parse_activation("activation", given(name))

    assert parse_activation("activation", parsed) == parsed
    assert parse_activation("activation", parsed.argument) == parsed
    assert isinstance(parsed.argument, str) == (name in WITHOUT)


@every("name", ["swish", "", "sig moid", "tanh ", "leakyrelu_"])
def test_an_unknown_name_lists_the_known(name):
    with pytest.raises(ValueError, match=r"^recurrent_activation: expected one of sigmoid, ") as e:
        parse_activation("recurrent_activation", name)

    assert str(e.value).endswith(f"got {name!r}")
    assert all(known in str(e.value) for known in (*ACTIVATIONS, "keras_hard_sigmoid"))


@every("value", [None, 3, b"tanh", np.tanh, (), ("elu", 1, 2, 3), (1.0, "elu")])
def test_other_types_are_refused(value):
    text = "activation: expected a name, (name, alpha) or (name, alpha, beta), got "

    with pytest.raises(TypeError, match=re.escape(text + repr(value))):
        parse_activation("activation", value)


@every("name", [*WITHOUT, "keras_hard_sigmoid"])
@every("parameters", [(1.0,), (0.0,), (0.0, 0.0)])
def test_those_that_take_no_parameter_get_none(name, parameters):
    value = (name, *parameters)

    with pytest.raises(ValueError, match=rf"activation: expected '{name}' alone, .* got ") as e:
        parse_activation("activation", value)

    assert str(e.value).endswith(repr(value))


@pytest.mark.parametrize("name", ["leaky_relu", "thresholded_relu", "elu"])
def test_those_that_take_alpha_take_no_beta(name):
    with pytest.raises(ValueError, match=f"activation: expected '{name}' with alpha alone, got "):
        parse_activation("activation", (name, 1.0, 0.0))


@pytest.mark.parametrize("value", [Activation("tanh", 2.0), Activation("elu", 1.0, 0.5)])
def test_a_record_with_a_needless_parameter_is_refused(value):
    with pytest.raises(ValueError, match=f"activation: expected '{value.name}' (alone|with alpha)"):
        parse_activation("activation", value)


@every("name", MUST_BE_GIVEN)
@every("parameters", [(), (1.0,)])
def test_those_without_a_useful_default_must_get_both(name, parameters):
    text = rf"^activation: expected \('{name}', alpha, beta\), got "

    with pytest.raises(ValueError, match=text):
        parse_activation("activation", (name, *parameters))


@pytest.mark.parametrize("name", ["leaky_relu", "thresholded_relu", "elu"])
def test_a_slope_that_the_value_does_not_tell_is_refused(name):
    text = (
        rf"^activation alpha: expected a number of at least 0 for '{name}' \(below it, .*got -0.1"
    )

    with pytest.raises(ValueError, match=text):
        parse_activation("activation", (name, -0.1))


@every(
    "number, error, text",
    [
        (float("nan"), ValueError, "a finite number, got nan"),
        (float("inf"), ValueError, "a finite number, got inf"),
        (10**400, ValueError, "a finite number, got inf"),
        (3.5e38, ValueError, "a number within float32's range, got 3.5e+38"),
        (-3.5e38, ValueError, "a number within float32's range, got -3.5e+38"),
        ("1", TypeError, "a finite number, got '1'"),
        (None, TypeError, "a finite number, got None"),
        (True, TypeError, "a finite number, got True"),
        (1j, TypeError, "a finite number, got 1j"),
    ],
)
@every("letter", ["alpha", "beta"])
def test_parameters_are_finite_numbers(letter, number, error, text):
    value = ("affine", number, 1.0) if letter == "alpha" else ("affine", 1.0, number)

    with pytest.raises(error, match=re.escape(f"activation {letter}: expected {text}")):
        parse_activation("activation", value)


def test_the_largest_number_of_float32_is_taken():
    largest = float(np.finfo(np.float32).max)

    assert parse_activation("activation", ("affine", -largest, largest)).beta == largest
