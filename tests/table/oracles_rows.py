"""Oracles: a row's company, and what is not real, change no bit of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from closeness import assert_same_bits
from oracle_case import FLAGS, SEQUENCES, STATES, Case
from problems import Problem, as_tuple, each


def take(problem: Problem, rows: Any) -> Problem:
    """Return the problem of some rows of the batch, in that order."""
    call = dict(problem.call)
    call |= {name: call[name][:, rows] for name in FLAGS if name in call}
    if "lengths" in call:
        call["lengths"] = call["lengths"][rows]
    pick = lambda member: np.ascontiguousarray(member[:, rows])  # noqa: E731
    if "reset_state" in call:
        call["reset_state"] = each(pick, call["reset_state"])
    return problem.changed(
        x=problem.x[:, rows],
        state=each(pick, problem.state),
        call=call,
        d_output=None if problem.d_output is None else problem.d_output[:, rows],
        d_state=each(pick, problem.d_state),
        d_last=None if problem.d_last is None else problem.d_last[rows],
    )


def of_rows(found: Mapping[str, Any], rows: Any) -> dict[str, Any]:
    """Pick rows of everything that has rows: all results but gradients of parameters."""
    picked: dict[str, Any] = {n: found[n][:, rows] for n in SEQUENCES if n in found}
    picked |= {n: tuple(m[:, rows] for m in found[n]) for n in STATES if n in found}
    return picked | ({"last_output": found["last_output"][rows]} if "last_output" in found else {})


def rows_are_what_they_are_alone(case: Case) -> None:
    B = case.of.B
    if case.drawn:  # draws depend on the place in the batch, and on nothing that stands behind it
        choices = [np.arange(n) for n in {1, max(1, B - 1)}]
    else:
        one, other = case.words.integers(0, B, 2)
        order = case.words.permutation(B)
        choices = [np.array([one]), np.array([other]), order, order[: max(1, B // 2)]]
    for rows in choices:
        alone = take(case.problem, rows).results()
        assert_same_bits(of_rows(alone, slice(None)), of_rows(case.want, rows), f"rows {rows}")


def poisoned_rows_leave_the_others_alone(case: Case) -> None:
    ill = case.words.random(case.of.B) < 0.5
    healthy = np.flatnonzero(~ill)
    problem = copy.deepcopy(case.problem)
    for array in (
        problem.x,
        problem.d_output,
        *as_tuple(problem.state),
        *as_tuple(problem.d_state),
    ):
        if array is not None:
            array[:, ill] = case.words.choice([np.nan, np.inf, -np.inf])

    with np.errstate(all="ignore"):
        got = problem.results()

    assert_same_bits(of_rows(got, healthy), of_rows(case.want, healthy))


def rows_and_steps_without_work_change_no_bit(case: Case) -> None:
    rows, steps = (
        int(case.words.choice([1, 7, 30] if case.of.T < 100 else [1])),
        int(case.words.choice([0, 1, 13])),
    )
    if case.drawn and case.of["directions"] in ("reversed", "turned"):
        steps = 0  # draws are numbered in the order in which steps are taken
    T, B = case.of.T, case.of.B

    def widen(array: Any, steps: int = 0) -> Any:
        if array is None:
            return None
        fill = np.nan if array.dtype.kind == "f" else True
        widths = [(0, steps), (0, rows), *[(0, 0)] * (array.ndim - 2)]
        return np.pad(array, widths, constant_values=fill)

    call = dict(case.problem.call)
    call |= {name: widen(call[name], steps) for name in FLAGS if name in call}
    call["lengths"] = np.concatenate([call.get("lengths", np.full(B, T)), np.zeros(rows, int)])
    if "reset_state" in call:
        call["reset_state"] = each(widen, call["reset_state"])
    d_last, d_output = case.problem.d_last, widen(case.problem.d_output, steps)
    if d_output is not None:  # what is held is put out there
        d_output[T:] = d_output[:, B:] = 0
    longer = case.problem.changed(
        x=widen(case.problem.x, steps),
        state=each(widen, case.problem.state),
        call=call,
        d_output=d_output,
        d_state=each(widen, case.problem.d_state),
        d_last=None if d_last is None else np.concatenate([d_last, d_last[:1].repeat(rows, 0)]),
    )

    got = longer.results()

    kept = of_rows(got, slice(B))
    kept |= {name: kept[name][:T] for name in SEQUENCES if name in kept}
    assert_same_bits(kept, of_rows(case.want, slice(None)))
    if not any(name[1:3] == "_0" for name in got["d_params"]):  # NaN states of rows without steps
        assert_same_bits(got["d_params"], case.want["d_params"])


# -- what is not real ------------------------------------------------------------------------------


def what_is_not_real_is_not_read(case: Case) -> None:
    problem = copy.deepcopy(case.problem)
    problem.x[~case.real] = case.words.choice([np.nan, np.inf])
    if "attention" in problem.call:
        problem.call["attention"][~case.real] = np.nan
    for name in {"mask", "reset"} & {*problem.call}:
        problem.call[name][~case.within] ^= True
    if problem.d_output is not None and case.of["masked_output"] == "zero":
        if case.of["directions"] == "turned":  # whose real steps stand elsewhere
            problem.d_output[~case.within] = 1e3
        else:
            problem.d_output[~case.real] = 1e3

    assert_same_bits(problem.results(), case.want)


def flags_that_leave_nothing_out_change_no_bit(case: Case) -> None:
    T, B, call = case.of.T, case.of.B, case.problem.call
    idle = {
        "lengths": np.full(B, T),
        "mask": np.ones((T, B), bool),
        "reset": np.zeros((T, B), bool),
    }
    more = {name: value for name, value in idle.items() if name not in call}
    less = {name: call[name] for name in call if case.of.row.get(name) not in ("full", "idle")}
    if "reset" not in less:
        less.pop("reset_state", None)

    for given in (call | more, less):
        got = case.problem.changed(call=given).results()
        got = {name: got.get(name, case.want[name]) for name in case.want}
        got.pop("d_reset_state", None)
        assert_same_bits(got, {n: v for n, v in case.want.items() if n != "d_reset_state"})
