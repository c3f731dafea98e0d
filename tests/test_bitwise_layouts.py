"""The same bits, however arguments and results are laid out in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers import KINDS, Case, assert_same_bits, results


def layouts(x: Any) -> dict[str, Any]:
    """Return arrays equal to `x` in memory laid out in many ways."""
    T, B, I = x.shape  # noqa: E741
    wide = np.full((T, B, I + 5), np.nan, x.dtype)
    wide[..., 2 : I + 2] = x
    return {
        "rows-apart": wide[..., 2 : I + 2],
        "batch-first": np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1),
        "steps-apart": np.repeat(x, 2, axis=0)[::2],
        "backwards": np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
        "inner-stride": np.repeat(x, 3, axis=2)[..., ::3],
        "fortran": np.asfortranarray(x),
    }


@pytest.mark.parametrize("layout", list(layouts(np.zeros((1, 1, 1)))))
@pytest.mark.parametrize("batch", [1, 3, 7])
@pytest.mark.parametrize("cell", KINDS)
def test_layout_of_arguments_changes_no_bit(isa, dtype, cell, batch, layout):
    problem = Case(cell, dtype, T=27, B=batch, layers=2, directions=2).draw(sr)
    want = results(problem)

    problem.x = layouts(problem.x)[layout]
    problem.d_output = layouts(problem.d_output)[layout]
    got = results(problem)

    assert_same_bits(got, want)


@pytest.mark.parametrize("layout", ["rows-apart", "batch-first"])
@pytest.mark.parametrize("cell", KINDS)
def test_layout_of_out_changes_no_bit(isa, dtype, cell, layout):
    problem = Case(cell, dtype, T=27, B=7, layers=2, directions=2, pattern="all").draw(sr)
    want, _ = problem.layer(problem.x, problem.state, **problem.call)

    out = layouts(np.full_like(want, np.nan))[layout]
    problem.layer(problem.x, problem.state, out=out, **problem.call)

    assert_same_bits(out, want)
