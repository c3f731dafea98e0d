"""Streams of every causal row of the table: however a sequence is cut, the bits are one call's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from closeness import assert_same_bits
from covering import Row
from oracle_case import Case, instruction_set_of, using
from problems import as_tuple
from rows import busy_rows, label, small_rows


def causal(row: Row) -> bool:
    return row.get("directions", "one") == "one"


ROWS = [row for row in (*small_rows(), *busy_rows()) if causal(row)]


def plain_call(case: Case) -> tuple[Any, Any, dict[str, Any]]:
    """Return what one call puts out, its final state, and what belongs to every step."""
    problem = case.problem
    beside = {n: v for n, v in problem.call.items() if n == "attention"}
    output, state = problem.layer(problem.x, problem.state, num_threads=1, **beside)
    return output, state, beside


def test_rows_of_the_table_are_causal_or_refused():
    refused = [row for row in small_rows() if not causal(row)][:12]

    assert len(ROWS) > 100
    for row in refused:
        with pytest.raises(ValueError, match=r"stream: expected a layer"):
            Case(row).problem.layer.stream()


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_chunks_are_one_call(row):
    with using(instruction_set_of(row)):
        case = Case(row)
        want, final, beside = plain_call(case)
        x, T = np.ascontiguousarray(case.problem.x), case.of.T
        stream = case.problem.layer.stream(case.of.B, num_threads=case.of["threads"])
        if case.problem.state is not None:
            stream.state = case.problem.state
        parts, begin = [], 0
        while begin < T:
            end = min(T, begin + int(case.words.choice([1, 1, 2, 3, max(1, T // 2)])))
            own = {name: value[begin:end] for name, value in beside.items()}
            if end - begin == 1:
                own = {name: value[0] for name, value in own.items()}
                parts.append(stream.step(x[begin], **own)[None])
            else:
                parts.append(stream.feed(x[begin:end], **own))
            begin = end

    assert_same_bits(np.concatenate(parts), np.ascontiguousarray(want), "output")
    assert_same_bits(as_tuple(stream.state), as_tuple(final), "state")


@pytest.mark.parametrize("row", [row for row in ROWS if row.get("B", 2) > 1][::3], ids=label)
def test_rows_that_come_and_go_are_one_call_each(row):
    """Each at its own pace, in any company, in any order."""
    with using(instruction_set_of(row)):
        case = Case(row)
        want, final, beside = plain_call(case)
        x, B = case.problem.x, case.of.B
        T = min(case.of.T, 30)
        stream = case.problem.layer.stream(B, num_threads=case.of["threads"])
        if case.problem.state is not None:
            stream.state = case.problem.state
        taken, got = np.zeros(B, int), np.zeros_like(want[:T])
        while (taken < T).any():
            rows = case.words.permutation(np.flatnonzero(taken < T))
            rows = rows[: int(case.words.integers(1, len(rows) + 1))]
            own = {n: np.ascontiguousarray(v[taken[rows], rows]) for n, v in beside.items()}
            made = stream.step(np.ascontiguousarray(x[taken[rows], rows]), rows=rows, **own)
            got[taken[rows], rows] = made
            taken[rows] += 1

    assert_same_bits(got, np.ascontiguousarray(want[:T]), "output")
    if T == case.of.T:
        assert_same_bits(as_tuple(stream.state), as_tuple(final), "state")
