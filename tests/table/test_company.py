"""What the table's oracles do not say of bits: poison stays, long calls are cut in time."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import KINDS, Case, as_tuple, assert_same_bits


@pytest.mark.parametrize("cell", KINDS)
def test_poisoned_rows_stay_poisoned(isa, cell):
    for dtype in ("float32", "float64"):
        problem = Case(cell, dtype, T=6, B=8, H=19).draw(sr)

        problem.x[2, 4] = np.nan
        output, state = problem.layer(problem.x, problem.state)

        assert np.isnan(output[2:, 4]).all()
        assert all(np.isnan(member[:, 4]).all() for member in as_tuple(state))


def test_parallel_regions_cut_in_time_change_no_bit(dtype):
    case = Case("lstm", dtype, T=45, B=64, I=128, H=256)
    problem = case.draw(sr)
    chunk = sr._core.testing.plan(45, 64, 128, 256, 4, 1)["forward_chunk"]
    halves = problem.layer(problem.x[:20], problem.state, num_threads=1)

    output, _ = problem.layer(problem.x, problem.state, num_threads=1)

    assert chunk < case.T
    rest = problem.layer(problem.x[20:], halves[1], num_threads=1)
    assert_same_bits(output, np.concatenate([halves[0], rest[0]]))
