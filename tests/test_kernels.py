"""Every kernel equals the reference, at sizes around every lane, tile and chunk."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    CELLS,
    CLIPS,
    COMMON,
    PATTERNS,
    Case,
    as_tuple,
    assert_close,
    clip_options,
    make_layer,
    results,
)
from helpers_cover import cover
from simdrnn import reference

# Vectors have 1, 4, 8 or 16 lanes and tiles up to 4 vectors; the left and right neighbours of their
# widths leave and fill remainders. Row tiles have 3 or 6 rows.
SIZES = [1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 67, 130]
FACTORS: dict[str, list[Any]] = {
    "H": SIZES,
    "B": [1, 2, 3, 4, 5, 6, 7, 8, 13],
    "I": SIZES,
    "T": [1, 2, 3, 4, 5, 6, 7, 8, 9],
    "pattern": list(PATTERNS),
    "clip": list(CLIPS),
    "layers": [1, 2, 3],
    "directions": [1, 2],
    "dropout": [0.0, 0.4],
    "bias": [True, False],
    "state": [True, False],
}
# Units and inputs are the two sides of no tile: their sizes need not meet in every pair.
# Loops are the same for all cells: those that are not common take every fifth row of the cover,
# each another one.
COVERING = [
    Case(cell, dtype, **row)
    for place, row in enumerate(cover(FACTORS, free=frozenset({"H", "I"})))
    for number, cell in enumerate(CELLS)
    for dtype in ("float32", "float64")
    if cell in COMMON or (place + number) % 5 == 0
]
ISAS = ("scalar", "avx2", "avx512")

# One lane has no remainders, and is slow: sizes beyond a few tiles add nothing.
SCALAR_SIZES = 33


def runs(cases: list[Case]) -> list[Any]:
    """Pair cases with the instruction sets to run them on; one case's runs are neighbours."""
    return [
        pytest.param(isa, case, id=f"{case}-{isa}")
        for case in cases
        for isa in ISAS
        if isa != "scalar" or max(case.H, case.I) <= SCALAR_SIZES
    ]


def over(cases: list[Case]) -> Any:
    """Parametrise a test over instruction sets and cases."""
    return pytest.mark.parametrize(("isa", "case"), runs(cases), indirect=["isa"])


@lru_cache(maxsize=1)
def reference_forward(case: Case) -> tuple[Any, Any]:
    """Compute output and final state by the reference."""
    tape = case.draw(reference).record()
    return tape.output, as_tuple(tape.state)


@lru_cache(maxsize=1)
def reference_results(case: Case) -> dict[str, Any]:
    """Compute output, final state and gradients by the reference."""
    return results(case.draw(reference))


@over(COVERING)
def test_output_and_state_equal_the_reference(isa, case):
    want_output, want_state = reference_forward(case)

    tape = case.draw(sr).record()

    assert_close(tape.output, want_output, case.tolerance(), "output")
    assert_close(as_tuple(tape.state), want_state, case.tolerance(), "state")


@over(COVERING)
def test_gradients_equal_the_reference(isa, case):
    want = reference_results(case)

    got = results(case.draw(sr))

    assert_close(got, want, case.tolerance())


CLIPPED = [
    Case(cell, dtype, T=6, B=5, I=4, H=19, layers=2, directions=2, pattern="all", clip=clip)
    for cell in CELLS
    for dtype in ("float32", "float64")
    for clip in CLIPS
    if clip_options(cell, clip)
]


@over(CLIPPED)
def test_clips_equal_the_reference(isa, case):
    want = reference_results(case)

    got = results(case.draw(sr))

    assert_close(got, want, case.tolerance())


# With every clip on, those of a simple cell hide each other: its h is an activation's value.
@pytest.mark.parametrize("case", [case for case in CLIPPED if case.clip != "every"], ids=str)
def test_each_clip_of_these_problems_bites(case):
    want = reference_results(case)

    for name in clip_options(case.cell, case.clip):
        weaker = without(case, name)

        gradient = results(weaker)["d_params"]["weight_ih_l0"]
        assert not np.array_equal(gradient, want["d_params"]["weight_ih_l0"]), name


def without(case: Case, name: str) -> Any:
    """Return the case's problem for the reference with one clip off."""
    problem = case.draw(reference)
    options = clip_options(case.cell, case.clip)
    del options[name]
    layer = make_layer(
        reference,
        case.cell,
        case.I,
        case.H,
        dtype=case.dtype,
        num_layers=case.layers,
        bidirectional=case.directions == 2,
        **options,
    )
    layer.load_state_dict(problem.layer.state_dict())
    problem.layer = layer
    return problem


# Few rows: input products are formed for 24, 12 and 8 steps at once, and again for the rest.
# More rows: gradients are walked back in chunks of 384 rows, which sequences and their cuts span.
LONG = [
    Case(cell, dtype, T=T, B=B, I=7, H=9, directions=2, pattern=pattern, clip=clip)
    for cell in CELLS
    for dtype, T, B, pattern, clip in (
        ("float32", 60, 1, "plain", "unclipped"),
        ("float64", 30, 2, "all", "unclipped"),
        ("float32", 20, 3, "all-hold", "unclipped"),
        ("float64", 500, 1, "mask", "steps"),
        ("float32", 100, 13, "all", "unclipped"),
        ("float64", 100, 13, "all-hold", "steps"),
        ("float64", 200, 5, "plain", "unclipped"),
    )
]


@over(LONG)
def test_long_sequences_equal_the_reference(isa, case):
    want = reference_results(case)

    got = results(case.draw(sr))

    assert_close(got, want, case.tolerance())


DROPPED = [
    Case(cell, dtype, T=40, B=13, I=5, H=19, layers=3, directions=2, pattern=pattern, dropout=0.4)
    for cell in CELLS
    for dtype, pattern in (("float32", "plain"), ("float64", "all"))
]


@over(DROPPED)
def test_dropout_equals_the_reference(isa, case):
    want = reference_results(case)

    got = results(case.draw(sr))

    assert_close(got, want, case.tolerance())


@pytest.mark.parametrize("missing", ["output", "state", "both"])
@pytest.mark.parametrize("cell", CELLS)
def test_missing_gradients_are_zero(isa, cell, missing):
    case = Case(cell, "float64", layers=2, directions=2, pattern="all-hold")
    problem, twin = case.draw(sr), case.draw(reference)
    for each in (problem, twin):
        each.d_output = None if missing != "state" else each.d_output
        each.d_state = None if missing != "output" else each.d_state

    got, want = results(problem), results(twin)

    assert_close(got, want, case.tolerance())
