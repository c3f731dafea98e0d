"""exp, tanh, logarithms of the vector layer, held to the tables in their headers."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_loops import every, instruction_set
from helpers_source import ROOT
from helpers_ulp import WIDER, last_place

SIMD = ROOT / "csrc" / "kernels" / "simd"
HEADERS = [SIMD / "math.hpp", SIMD / "log.hpp"]
LOGARITHMS = ("log", "log1p")
NAMES = ("exp", "sigmoid", "tanh", "expm1_below_zero", *LOGARITHMS, "softplus", "log_sigmoid")
DTYPES = ("float32", "float64")

BITS = {"float32": np.uint32, "float64": np.uint64}

# Where the code or the result changes its course: bounds of ranges, clamps, rounding to a zero.
TURNS = {
    "float32": [0, 0.04332, 0.34657, 9.01, 10, 17.3, 87.33, 87.68, 88.03, 88.2, 88.37, 88.73, 89],
    "float64": [0.0, 0.34657, 18.7, 20.0, 36.7, 708.39, 708.74, 708.9, 709.43, 709.78, 709.9],
}

if np.finfo(np.longdouble).nmant < 60:
    pytest.skip("long double here is no wider than double", allow_module_level=True)


class Bound(NamedTuple):
    """A line of the table: between low and high, errors are at most `ulp` units of last place."""

    low: float
    high: float
    ulp: float


@lru_cache
def table() -> dict[tuple[str, str], Bound]:
    """Read the headers; a line without a type holds for both unless the other has its own."""
    line = re.compile(r"//   (\w+)( \(f64\))? +(?:(all)|\[(\S+), (\S+)\]) +(\S+) ULP")
    found = {}
    text = "\n".join(header.read_text() for header in HEADERS)
    for name, double, everywhere, low, high, ulp in line.findall(text):
        ends = ("-inf", "inf") if everywhere else (low, high)
        bound = Bound(*(float(end) for end in ends), float(ulp))
        for dtype in DTYPES[1:] if double else DTYPES:
            found[name, dtype] = bound
    return found


def run(name: str, x: Any) -> Any:
    """Apply a function of the active ISA."""
    return sr._core.testing.math(name, x)


def exact(name: str, x: Any) -> Any:
    """Apply the function in the wider type."""
    with np.errstate(all="ignore"):  # NaNs may signal; logarithms have an edge
        x = x.astype(WIDER[x.dtype.name])
        if name == "sigmoid":
            return 1 / (1 + np.exp(-x))  # nothing cancels: both terms are positive
        if name == "expm1_below_zero":
            return np.expm1(np.minimum(x, 0))
        if name in ("softplus", "log_sigmoid"):
            sign = 1 if name == "softplus" else -1
            value = np.log1p(np.exp(-np.abs(x))) + np.maximum(sign * x, 0)
            return sign * value
        return getattr(np, name)(x)


@lru_cache
def walk(dtype: str) -> Any:
    """Return bit patterns from one end to the other, and all patterns near the turns."""
    unsigned = BITS[dtype]
    last = np.iinfo(unsigned).max
    stride = 1021 if dtype == "float32" else last // 500_000 | 1
    patterns = [np.arange(0, last, stride, dtype=unsigned)]
    near = np.arange(-3000, 3000).astype(unsigned)  # wraps around: +0 and -0 have neighbours
    for turn in TURNS[dtype]:
        for value in (turn, -turn):
            patterns.append(np.array(value, dtype).view(unsigned) + near)
    # Strides of patterns are even in the logarithm: look where the functions bend, too.
    dense = np.concatenate([np.linspace(-1, 1, 200_003) * scale for scale in (1, 20, 100, 750)])
    return np.concatenate([*(p.view(dtype) for p in patterns), dense.astype(dtype)])


@lru_cache
def walked(name: str, dtype: str) -> Any:
    """Return the exact values on the walk."""
    return exact(name, walk(dtype))


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Name of a function."""
    return str(request.param)


@pytest.fixture(params=[name for name in NAMES if name not in LOGARITHMS])
def bounded(request: pytest.FixtureRequest) -> str:
    """Name of a function that has a limit to both sides."""
    return str(request.param)


def test_the_headers_have_a_line_for_every_function_and_type():
    names = set(table())

    assert names == {(name, dtype) for name in NAMES for dtype in DTYPES}


def test_the_headers_promise_at_most_three_units():
    worst = max(bound.ulp for bound in table().values())

    assert worst <= 3


def errors(name: str, dtype: str) -> tuple[Any, Any]:
    """Return the arguments within the table's bounds, and the errors there, in units."""
    bound, x, want = table()[name, dtype], walk(dtype), walked(name, dtype)
    inside = (x >= bound.low) & (x <= bound.high)
    x, want = x[inside], want[inside]
    got = run(name, x).astype(want.dtype)
    error = np.zeros_like(want)
    np.subtract(got, want, out=error, where=got != want)  # infinities may be equal
    with np.errstate(invalid="ignore"):  # the last place of infinity
        return x, np.abs(error) / last_place(want, dtype)


@every("dtype")
def test_errors_are_within_the_headers_and_no_more_than_a_unit_below(name, dtype):
    bound = table()[name, dtype]

    x, error = errors(name, dtype)  # of one instruction set: they agree, see below

    worst = np.argmax(error)
    print(f"{error[worst]:.3f} ULP at {x[worst]!r}")
    assert x.size > 500_000
    assert bound.ulp - 1 < error[worst] <= bound.ulp


@every("name", NAMES)
@every("dtype")
@every("isa")
def test_nan_gives_nan(isa, name, dtype):
    unsigned = BITS[dtype]
    infinity = np.array(np.inf, dtype).view(unsigned)
    payloads = np.arange(1, 5000, dtype=unsigned)
    sign = unsigned(1) << unsigned(8 * infinity.itemsize - 1)
    x = np.concatenate([infinity + payloads, sign + infinity + payloads, [sign - unsigned(1)]])

    got = run(name, x.astype(unsigned).view(dtype))

    assert np.isnan(got).all()


@every(
    "function, x, y",
    [
        ("exp", -np.inf, 0.0),
        ("exp", np.inf, np.inf),
        ("exp", 0.0, 1.0),
        ("exp", -0.0, 1.0),
        ("sigmoid", -np.inf, 0.0),
        ("sigmoid", np.inf, 1.0),
        ("sigmoid", 0.0, 0.5),
        ("sigmoid", -0.0, 0.5),
        ("tanh", -np.inf, -1.0),
        ("tanh", np.inf, 1.0),
        ("tanh", 0.0, 0.0),
        ("tanh", -0.0, 0.0),
        ("expm1_below_zero", -np.inf, -1.0),
        ("expm1_below_zero", np.inf, 0.0),
        ("log", np.inf, np.inf),
        ("log", 1.0, 0.0),
        ("log", 0.0, -np.inf),
        ("log", -0.0, -np.inf),
        ("log", -1.0, np.nan),
        ("log", -np.inf, np.nan),
        ("log1p", np.inf, np.inf),
        ("log1p", 0.0, 0.0),
        ("log1p", -1.0, -np.inf),
        ("log1p", -1.5, np.nan),
        ("log1p", -np.inf, np.nan),
        ("softplus", -np.inf, 0.0),
        ("softplus", np.inf, np.inf),
        ("log_sigmoid", -np.inf, -np.inf),
        ("log_sigmoid", np.inf, 0.0),
    ],
)
@every("dtype")
@every("isa")
def test_special_values(isa, function, x, y, dtype):
    got = run(function, np.full(33, x, dtype))

    np.testing.assert_array_equal(got, y)


# From where on a function has its limit, to both sides.
LIMITS = {
    ("exp", "float32"): (-87.7, 0.0, 88.38, np.inf),
    ("exp", "float64"): (-708.8, 0.0, 709.44, np.inf),
    ("sigmoid", "float32"): (-88.8, 0.0, 18.0, 1.0),
    ("sigmoid", "float64"): (-709.5, 0.0, 38.0, 1.0),
    ("tanh", "float32"): (-10.0, -1.0, 10.0, 1.0),
    ("tanh", "float64"): (-20.0, -1.0, 20.0, 1.0),
    ("expm1_below_zero", "float32"): (-18.0, -1.0, 0.0, 0.0),
    ("expm1_below_zero", "float64"): (-38.0, -1.0, 0.0, 0.0),
    ("softplus", "float32"): (-87.7, 0.0, np.inf, np.inf),
    ("softplus", "float64"): (-708.8, 0.0, np.inf, np.inf),
    ("log_sigmoid", "float32"): (-np.inf, -np.inf, 87.7, 0.0),
    ("log_sigmoid", "float64"): (-np.inf, -np.inf, 708.8, 0.0),
}


@every("dtype")
def test_limits_are_reached_and_kept_and_never_passed(bounded, dtype):
    low, bottom, high, top = LIMITS[bounded, dtype]
    x = walk(dtype)

    got = run(bounded, x)

    assert (got[x <= low] == bottom).all()
    assert (got[x >= high] == top).all()
    known = got[~np.isnan(x)]
    assert ((known >= bottom) & (known <= top)).all()


@every("dtype")
def test_values_between_range_and_limit_decay(isa, dtype):
    for name in ("exp", "sigmoid", "softplus"):
        x = np.linspace(table()[name, dtype].low, LIMITS[name, dtype][0], 10_001).astype(dtype)

        got = run(name, x)

        assert (np.diff(got) <= 0).all(), name
        assert got[0] <= 2 * np.finfo(dtype).tiny, name


@every("dtype")
def test_instruction_sets_agree(name, dtype):
    x = walk(dtype)
    got = {}
    for isa in sr.isa.available():
        with instruction_set(isa):
            got[isa] = run(name, x)
    want = got.pop("scalar")

    real = ~np.isnan(want)  # payloads of NaNs may differ
    for values in got.values():
        assert np.isnan(values[~real]).all()
        assert_same_bits(values[real], want[real])


@every("name", NAMES)
@every("dtype")
@every("isa")
def test_arrays_of_any_size_are_filled(isa, name, dtype):
    x = np.linspace(-3, 3, 40).astype(dtype)
    want = run(name, x)

    for size in range(36):
        assert_same_bits(run(name, x[:size]), want[:size])
