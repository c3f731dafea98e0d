"""Oracles: calls in turn are one call."""

from __future__ import annotations

from typing import Any

import numpy as np

import simdrnn as sr
from closeness import assert_same_bits
from oracle_case import FLAGS, Case
from problems import Problem, as_tuple


def first_state(case: Case) -> Any:
    """Return the state that a call begins with, as one that is given."""
    problem = case.problem
    if problem.state is not None:
        return problem.state
    return problem.layer(problem.x[:0], **_empty(problem))[1]


def _empty(problem: Problem) -> dict[str, Any]:
    return {"attention": problem.call["attention"][:0]} if "attention" in problem.call else {}


def part_of(case: Case, begin: int, end: int) -> Problem:
    """Return the problem of some steps."""
    problem, call = case.problem, dict(case.problem.call)
    call |= {name: call[name][begin:end] for name in FLAGS if name in call}
    if "lengths" in call:
        call["lengths"] = np.clip(call["lengths"] - begin, 0, end - begin)
    d_output = None if problem.d_output is None else problem.d_output[begin:end]
    return problem.changed(
        x=problem.x[begin:end], call=call, d_output=d_output, d_last=None, training=False
    )


def two_chunks_are_one_call(case: Case) -> None:
    T = case.of.T
    cut = int(case.words.integers(0, T + 1))
    whole = case.problem.changed(training=False, d_last=None)
    want = whole.results()

    first = part_of(case, 0, cut).changed(state=first_state(case))
    before = first.record()
    second = part_of(case, cut, T).changed(state=before.state)
    after = second.record()
    late = after.backward(second.d_output, case.problem.d_state)
    early = before.backward(first.d_output, late.state)

    output = np.concatenate([before.output, after.output])
    assert_same_bits(output, want["output"], "output")
    assert_same_bits(as_tuple(after.state), want["state"], "state")
    assert_same_bits(np.concatenate([early.x, late.x]), want["d_x"], "d_x")
    assert_same_bits(as_tuple(early.state), want["d_state"], "d_state")


def truncated_chunks_are_one_call(case: Case) -> None:
    given = {"reset_state": "given"} if "reset" in case.problem.call else {}
    for more in ({}, given) if given else ({},):
        problem = case.problem.changed(call=case.problem.call | more)
        want = problem.record(training=False)

        chunks = sr.tbptt(
            problem.layer, problem.x, 3, problem.state, training=False, **problem.call
        )

        tapes = [chunk.tape for chunk in chunks]
        assert_same_bits(np.concatenate([tape.output for tape in tapes]), want.output, "output")
        assert_same_bits(as_tuple(tapes[-1].state), as_tuple(want.state), "state")


def resets_go_to_the_state_of_the_call_only_where_they_are_told(case: Case) -> None:
    call = case.problem.call
    by_name = "learned" if case.of["learned"] == "on" else "zero"

    named = case.problem.changed(call=call | {"reset_state": by_name}).results()
    given = case.problem.changed(call=call | {"reset_state": "given"}).results()
    apart = case.problem.changed(call=call | {"reset_state": first_state(case)}).results()

    assert_same_bits(named, case.want, by_name)
    for name in ("output", "state", "d_x"):
        assert_same_bits(given[name], apart[name], name)
