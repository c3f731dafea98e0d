"""The tape of the NumPy twin: every rule against differences, conventions at kinks by value."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import difference_step, difference_tolerance
from helpers_loops import every
from simdrnn.reference.activations import LOG_SIGMOID, activation_of
from simdrnn.reference.autodiff import _OF_FUNCTION, _OF_UFUNC, Tape, apply
from simdrnn.reference.heads import product
from simdrnn.reference.layer_norm import normal
from simdrnn.reference.options import clip, limit_gradient
from simdrnn.spec.activations import Activation as Named
from simdrnn.spec.options import Options

CHOICE = np.array([[True], [False]])

# What is done, and the shapes of its operands, which are positive.
PRIMITIVES = {
    "add": (np.add, (2, 3), (3,)),
    "subtract": (np.subtract, (2, 1), (2, 3)),
    "multiply": (np.multiply, (4, 2, 3), (2, 1)),
    "divide": (np.divide, (3,), (2, 3)),
    "negative": (np.negative, (2, 3)),
    "matmul": (np.matmul, (4, 1, 2, 3), (5, 3, 2)),
    "exp": (np.exp, (2, 3)),
    "log": (np.log, (2, 3)),
    "sqrt": (np.sqrt, (2, 3)),
    "maximum": (np.maximum, (2, 3), (2, 3)),
    "where": (lambda a, b: np.where(CHOICE, a, b), (2, 3), (3,)),
    "operators": (lambda a, b: (2.0 - a) * b / (a + 1.0) - (-a), (2, 3), (2, 3)),
    "operators reflected": (lambda a: 1.0 / (1.0 + 2.0 * a) - np.ones(3) * a, (2, 3)),
    "product of matrices": (lambda a, b: a @ b.T, (2, 3), (4, 3)),
    "part": (lambda a: a[1:, None] * a[0] + a[..., -1:], (3, 2)),
    "parts": (lambda a: sum(part * k for k, part in enumerate(a)), (3, 2)),
    "reshape": (lambda a: a.reshape(3, 2) * np.arange(6.0).reshape(3, 2), (2, 3)),
    "swapaxes": (lambda a: a.swapaxes(0, 2) * np.arange(24.0).reshape(4, 3, 2), (2, 3, 4)),
    "mean": (lambda a: a * a.mean(axis=(0, 2), keepdims=True), (2, 3, 4)),
    "used several times": (lambda a: a * a + a * a[0], (2, 3)),
    "norm": (lambda a: normal(a, 1e-3), (4, 2, 3)),
    "heads": (product, (1, 2, 6), (3, 6, 2)),
    "log sigmoid": (LOG_SIGMOID, (2, 3)),
}


@every("name", PRIMITIVES)
def test_gradients_match_differences(name, rng):
    function, *shapes = PRIMITIVES[name]
    values = [0.5 + rng.random(shape) for shape in shapes]
    plain = function(*values)
    weights = rng.standard_normal(plain.shape)
    tape, step = Tape(), difference_step()
    variables = [tape.variable(value) for value in values]

    made = function(*variables)
    tape.back([(made, weights)])

    np.testing.assert_array_equal(made.value, plain)
    allowed = difference_tolerance(float(np.abs(weights * plain).sum()))
    for place, (variable, value) in enumerate(zip(variables, values, strict=True)):
        direction = rng.standard_normal(value.shape)
        direction /= np.linalg.norm(direction)
        gradient = tape.gradient(variable)
        assert gradient.shape == value.shape
        ahead, behind = (
            function(*values[:place], value + way * step * direction, *values[place + 1 :])
            for way in (1, -1)
        )
        difference = ((ahead - behind) * weights).sum() / (2 * step)
        assert abs(difference - (gradient * direction).sum()) <= allowed


def test_every_rule_is_among_them():
    rules = {*_OF_UFUNC, *_OF_FUNCTION}

    assert {rule.__name__ for rule in rules} <= {*PRIMITIVES}


def gradient_of(function, value, d=None):
    """Return the gradient of the sum of a function, or that of its product with `d`."""
    tape, value = Tape(), np.asarray(value, float)
    x = tape.variable(value)
    made = function(x)
    tape.back([(made, np.ones(made.shape) if d is None else np.asarray(d, float))])
    return tape.gradient(x).tolist()


NAN = float("nan")
KINKS = {
    "clip": (lambda x: clip(x, 2.0), [-3, -2, -1, 2, 5], [0, 0, 1, 0, 0]),
    "no clip": (lambda x: clip(x, None) * 1.0, [-3, 5], [1, 1]),
    "relu": (activation_of(Named("relu")), [-1, 0, 1], [0, 0, 1]),
    "leaky relu": (activation_of(Named("leaky_relu", 0.25)), [-1, 0, 1], [0.25, 0.25, 1]),
    "hard sigmoid": (
        activation_of(Named("hard_sigmoid", 0.5, 0.5)),
        [-2, -1, 0, 1, 2],
        [0, 0, 0.5, 0, 0],
    ),
    "maximum, first": (lambda x: np.maximum(x, 1.0), [0, 1, 2], [0, 1, 1]),
    "maximum, second": (lambda x: np.maximum(1.0, x), [0, 1, 2], [0, 0, 1]),
    "not chosen": (lambda x: np.where([True, False], x, 1.0 / x), [1, 2], [1, -0.25]),
}


@every("name", KINKS)
def test_slopes_at_kinks(name):
    function, values, slopes = KINKS[name]

    assert gradient_of(function, values) == slopes


def test_what_is_not_chosen_gets_nothing_of_what_is_not_a_number():
    d = np.array([[NAN], [2.0]])

    assert gradient_of(lambda x: np.where(CHOICE, 0.0, x), [[1.0], [1.0]], d) == [[0.0], [2.0]]


def test_limits_act_on_the_gradient_alone():
    options = Options(step_grad_clip=3.0, step_grad_norm=2.5)
    h = np.array([[7.0, 9.0], [1.0, 1.0]])

    assert limit_gradient(h, options) is h
    found = gradient_of(lambda h: limit_gradient(h, options), h, [[3.0, -5.0], [0.5, 1.0]])

    factor = 2.5 / np.sqrt(18.0)
    np.testing.assert_allclose(found, [[3.0 * factor, -3.0 * factor], [0.5, 1.0]], rtol=1e-15)


def test_own_rules_see_the_result_and_the_operands():
    rules = (lambda d, y, a, b: d * y + b, None)

    found = gradient_of(lambda x: apply(lambda a, b: a + b, rules, x, 10.0), [1.0, 2.0], [3.0, 4.0])

    assert found == [3.0 * 11 + 10, 4.0 * 12 + 10]
    assert apply(lambda a, b: a + b, rules, 1.0, 10.0) == 11.0


def test_gradients_add_up_until_they_are_taken_and_change_no_array():
    tape = Tape()
    x, d = tape.variable(np.array([1.0, 2.0])), np.array([1.0, 10.0])
    both = x + x

    tape.back([(both, d)])
    tape.back([(both, d), (x * x, d), (np.ones(2), d)])  # what is not a variable is none's result

    assert tape.gradient(x).tolist() == [2 + 2 + 2, 20 + 20 + 40]
    assert tape.gradient(x).tolist() == [0, 0]
    assert d.tolist() == [1, 10]
    assert x.value.tolist() == [1, 2]


def test_a_tape_that_is_cleared_keeps_what_variables_received():
    tape = Tape()
    x = tape.variable(np.array([1.0, 2.0]))

    for factor in (2.0, 3.0):
        tape.back([(x * factor, np.ones(2))])
        tape.clear()

    assert tape.gradient(x).tolist() == [5, 5]


REFUSED = {
    "a function without a rule": lambda x: np.sin(x),
    "another function": lambda x: np.linalg.norm(x),
    "becoming an array": np.asarray,
    "standing in an array": lambda x: np.zeros(2).__setitem__(slice(None), x),
    "a given place for the result": lambda x: np.add(x, 1.0, out=np.zeros(2)),
    "adding in place": lambda x: np.zeros(2).__iadd__(x),
    "reducing": lambda x: np.add.reduce(x),
}


def test_a_variable_where_no_rule_is_foreseen_is_an_error():
    tape = Tape()
    x = tape.variable(np.array([1.0, 2.0]))

    with pytest.raises(IndexError):
        tape.back([(apply(np.multiply, [None], x, x), np.ones(2))])


def test_two_tapes_do_not_mix():
    x, y = (Tape().variable(np.ones(2)) for _ in range(2))

    with pytest.raises(ValueError, match="variables: expected those of one tape"):
        x * y


@every("name", REFUSED)
def test_what_has_no_rule_is_refused(name):
    with pytest.raises(TypeError):
        REFUSED[name](Tape().variable(np.array([1.0, 2.0])))
