"""Activations of both engines: values, derivatives from values, special arguments."""

from __future__ import annotations

import re

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits, difference_step, difference_tolerance
from helpers_loops import every, instruction_set
from helpers_source import ROOT
from helpers_ulp import WIDER, last_place
from simdrnn.reference.activations import activation_of, log_sigmoid, softplus
from simdrnn.spec.activations import ACTIVATIONS, Activation

HEADER = ROOT / "csrc" / "kernels" / "simd" / "activations.hpp"

PLAIN = ("sigmoid", "tanh", "relu", "softsign", "softplus", "identity")
CASES = [
    *map(Activation, PLAIN),
    *(Activation("leaky_relu", a) for a in (0.0, 0.01, 1.7)),
    *(Activation("thresholded_relu", a) for a in (0.0, 1.0, 2.5)),
    *(Activation("elu", a) for a in (0.0, 1.0, 1.9)),
    *(Activation("hard_sigmoid", *ab) for ab in ((0.2, 0.5), (1 / 6, 0.5), (-0.3, 0.4), (0, 0.7))),
    *(Activation("scaled_tanh", *ab) for ab in ((1.7159, 2 / 3), (-0.9, 0.3), (0, 2), (3, 0))),
    *(Activation("affine", *ab) for ab in ((2, -1), (-0.7, 0.3), (0, 0.5))),
]

if np.finfo(np.longdouble).nmant < 60:
    pytest.skip("long double here is no wider than double", allow_module_level=True)


every_case = every("case", CASES, ids=lambda case: f"{case.name}-{case.alpha:.3g}-{case.beta:.3g}")


def compiled(case, x):
    return sr._core.testing.activation(case.name, case.alpha, case.beta, x, slope=False)


def compiled_slope(case, y):
    return sr._core.testing.activation(case.name, case.alpha, case.beta, y, slope=True)


def of_reference(case, x):
    return activation_of(case).function(x)


def reference_slope(case, y):
    return activation_of(case).derivative(y)


# Functions (activate, slope) of one engine, and its dtype.
every_backend = every(
    "backend",
    [
        (compiled, compiled_slope, "float32"),
        (compiled, compiled_slope, "float64"),
        (of_reference, reference_slope, "float64"),
    ],
    ids=lambda backend: f"{backend[0].__name__}-{backend[2]}",
)


def arguments(dtype):
    """Return finite arguments of all sizes, zeros and kinks among them."""
    sizes = np.geomspace(1e-36, 1e36, 100_003)
    near = np.linspace(-25, 25, 200_001)
    return np.concatenate([-sizes, near, [0.0, -0.0, 1.0, 2.5, -2.5, 3.0, -3.0], sizes]).astype(
        dtype
    )


def rounded(case, dtype):
    """Return alpha and beta as the engine holds them, in the wider type."""
    return (WIDER[dtype](np.dtype(dtype).type(value)) for value in case[1:])


def exact(case, x):
    """Compute the values in the wider type, by ONNX's definitions."""
    a, b = rounded(case, x.dtype.name)
    x = x.astype(WIDER[x.dtype.name])
    with np.errstate(over="ignore", under="ignore"):
        return {
            "sigmoid": lambda: 1 / (1 + np.exp(-x)),
            "tanh": lambda: np.tanh(x),
            "relu": lambda: np.maximum(x, 0),
            "leaky_relu": lambda: np.where(x < 0, a * x, x),
            "thresholded_relu": lambda: x * (x > a),
            "elu": lambda: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x),
            "hard_sigmoid": lambda: np.maximum(0, np.minimum(1, a * x + b)),
            "softsign": lambda: x / (1 + np.abs(x)),
            "softplus": lambda: np.logaddexp(0, x),
            "scaled_tanh": lambda: a * np.tanh(b * x),
            "affine": lambda: a * x + b,
            "identity": lambda: x,
        }[case.name]()


def exact_slope(case, x):
    """Compute the derivatives in the wider type, as functions of the argument."""
    a, b = rounded(case, x.dtype.name)
    x = x.astype(WIDER[x.dtype.name])
    positive = (x > 0).astype(x.dtype)
    with np.errstate(over="ignore", under="ignore"):
        sigmoid = 1 / (1 + np.exp(-x))
        line = a * x + b
        return {
            "sigmoid": lambda: sigmoid * (1 - sigmoid),
            "tanh": lambda: 1 - np.tanh(x) ** 2,
            "relu": lambda: positive,
            "leaky_relu": lambda: np.where(x > 0, 1, a),
            "thresholded_relu": lambda: (x > a).astype(x.dtype),
            "elu": lambda: np.where(x > 0, 1, a * np.exp(np.minimum(x, 0))),
            "hard_sigmoid": lambda: a * ((line > 0) & (line < 1)),
            "softsign": lambda: 1 / (1 + np.abs(x)) ** 2,
            "softplus": lambda: sigmoid,
            "scaled_tanh": lambda: a * b * (1 - np.tanh(b * x) ** 2),
            "affine": lambda: np.full_like(x, a),
            "identity": lambda: np.ones_like(x),
        }[case.name]()


def test_names_are_those_of_the_compiled_engine_in_its_order():
    assert sorted(sr._core.activations()) == sorted(ACTIVATIONS)


def test_every_name_has_a_case():
    assert {case.name for case in CASES} == set(ACTIVATIONS)


def header_units():
    """Return name -> the largest error that the header allows."""
    line = re.compile(r"^//   (\w+) {2,}\S.*? {2,}([\d.]+) {2,}\S", re.M)
    return {name: float(units) for name, units in line.findall(HEADER.read_text())}


@every_case
@every_backend
def test_values_are_within_the_header(backend, case):
    activate, _, dtype = backend
    x = arguments(dtype)
    want = exact(case, x)

    got = activate(case, x)

    # Sums that cancel show the roundings of what went in: of the reference, and of `exact`.
    offset = abs(case.beta) if case.name in ("affine", "hard_sigmoid") else 0.0
    rounding = np.finfo(WIDER[dtype] if activate is compiled else dtype).eps
    slack = rounding * (np.abs(want) + offset) if offset else 0.0
    error = (np.abs(got - want) - slack) / last_place(want, dtype)
    error = error[(np.abs(want) > 1.01 * np.finfo(dtype).tiny) | (want == 0)]
    print(f"{error.max():.3f} units")
    assert error.max() <= header_units()[case.name]


@every_case
@every("dtype")
def test_slopes_of_values_are_within_the_header(case, dtype):
    y = compiled(case, arguments(dtype))
    # The reference's formulas, in the wider type, on the very values.
    wide = Activation(case.name, *rounded(case, dtype))
    want = activation_of(wide).derivative(y.astype(WIDER[dtype]))

    got = compiled_slope(case, y)

    assert got.dtype == dtype
    error = np.abs(got - want) / last_place(np.abs(want).max(), dtype)
    assert error.max() <= 2


@every_case
@every_backend
def test_slopes_of_values_are_the_derivatives(backend, case):
    activate, slope, dtype = backend
    x = arguments(dtype)
    want = exact_slope(case, x)
    y = activate(case, x)

    got = slope(case, y)

    # A value is off by some units u of its last place, and so is the slope by |d slope / d y| u:
    # at most 2 u for these (tanh's -2y; scaled_tanh's 2 b y / a), once more where values round to
    # a bound. There the hard sigmoid jumps: those that rounded onto its bounds are left out.
    units = 2 * header_units()[case.name] + 2
    scale = max(1.0, abs(case.alpha), abs(case.beta), abs(case.alpha * case.beta))
    jumped = (case.name == "hard_sigmoid") & ((y == 0) | (y == 1))
    error = np.where(jumped, np.abs(got), np.abs(got - want))
    assert error.max() <= units * scale * np.finfo(dtype).eps


@every_case
def test_derivatives_of_the_reference_are_those_of_its_functions(case, rng):
    function, derivative = activation_of(case)
    x, h = rng.uniform(-6, 6, 2000), difference_step()
    # Away from kinks, which finite differences step over.
    kinks = [0.0, case.alpha]
    if case.name == "hard_sigmoid" and case.alpha:
        kinks += [-case.beta / case.alpha, (1 - case.beta) / case.alpha]
    x = x[np.all([np.abs(x - kink) > 2 * h for kink in kinks], axis=0)]

    got = derivative(function(x))

    want = (function(x + h) - function(x - h)) / (2 * h)
    assert np.abs(got - want).max() <= difference_tolerance(1 + abs(case.alpha * case.beta))


@every("name", ["sigmoid", "tanh", "softplus"])
@every("dtype")
@every("isa")
def test_by_name_is_the_same_function(isa, name, dtype):
    x = arguments(dtype)

    assert_same_bits(compiled(Activation(name), x), sr._core.testing.math(name, x))


@every_case
@every("dtype")
def test_instruction_sets_agree(case, dtype):
    x = np.concatenate([arguments(dtype), np.array([np.inf, -np.inf], dtype)])
    got = {}
    for isa in sr.isa.available():
        with instruction_set(isa):
            y = compiled(case, x)
            got[isa] = y, compiled_slope(case, y)
    want, want_slope = got.pop("scalar")

    real = ~np.isnan(want)  # 0 * infinity, of which payloads may differ
    for y, slope in got.values():
        assert np.isnan(y[~real]).all()
        assert_same_bits(y[real], want[real])
        assert_same_bits(slope[real], want_slope[real])


@every_case
@every_backend
def test_nan_stays_nan(backend, case):
    activate, slope, dtype = backend
    nan = np.full(37, np.nan, dtype)

    assert np.isnan(activate(case, nan)).all()
    if case.name in ("affine", "identity") or case[:2] == ("scaled_tanh", 0):
        np.testing.assert_array_equal(slope(case, nan), exact_slope(case, np.zeros(37, dtype)))
    else:
        assert np.isnan(slope(case, nan)).all()


INFINITIES = {  # values at -infinity and infinity, and the slopes there
    Activation("sigmoid"): (0, 1, 0, 0),
    Activation("tanh"): (-1, 1, 0, 0),
    Activation("relu"): (0, np.inf, 0, 1),
    Activation("leaky_relu", 0.5): (-np.inf, np.inf, 0.5, 1),
    Activation("thresholded_relu", 1.0): (0, np.inf, 0, 1),
    Activation("elu", 2.0): (-2, np.inf, 0, 1),
    Activation("hard_sigmoid", 0.25, 0.5): (0, 1, 0, 0),
    Activation("hard_sigmoid", -0.25, 0.5): (1, 0, 0, 0),
    Activation("softsign"): (-1, 1, 0, 0),
    Activation("softplus"): (0, np.inf, 0, 1),
    Activation("scaled_tanh", 2.0, -3.0): (2, -2, 0, 0),
    Activation("affine", -2.0, 1.0): (np.inf, -np.inf, -2, -2),
    Activation("identity"): (-np.inf, np.inf, 1, 1),
}


@every("name", ACTIVATIONS)
@every_backend
def test_infinities_have_limits(backend, name):
    activate, slope, dtype = backend
    for case, (low, high, left, right) in INFINITIES.items():
        if case.name == name:
            y = activate(case, np.array([-np.inf, np.inf], dtype))

            np.testing.assert_array_equal(y, [low, high])
            np.testing.assert_array_equal(slope(case, y), [left, right])


@every_case
@every_backend
def test_values_are_monotone(backend, case):
    activate, _, dtype = backend
    x = np.sort(arguments(dtype))

    steps = np.diff(activate(case, x[np.abs(x) < 30]))

    rising = case.alpha * case.beta >= 0 if case.name == "scaled_tanh" else case.alpha >= 0
    # Neighbours may be out of order by the error of a value.
    allowed = 2 * header_units()[case.name] * np.finfo(dtype).eps * max(1, abs(case.alpha))
    assert ((steps if rising else -steps) >= -allowed).all()


@pytest.mark.parametrize("function", [softplus, log_sigmoid], ids=["softplus", "log_sigmoid"])
def test_the_reference_of_logarithms(function):
    x = np.concatenate([np.linspace(-700, 700, 100_001), np.linspace(-1, 1, 100_001)])
    sign = 1 if function is softplus else -1
    wide = sign * x.astype(np.longdouble)
    want = sign * (np.maximum(wide, 0) + np.log1p(np.exp(-np.abs(wide))))

    got = function(x)

    # NumPy's exp and log1p are each good to a unit or so, and the sum rounds once more.
    assert (np.abs(got - want) / last_place(want, "float64")).max() <= 3
    np.testing.assert_array_equal(function(sign * np.array([-np.inf, np.inf])), [0, sign * np.inf])
