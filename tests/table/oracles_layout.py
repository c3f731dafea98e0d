"""Oracles: how arguments and results are laid out in memory changes no bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import simdrnn as sr
from closeness import assert_same_bits
from oracle_case import FLAGS, SEQUENCES, STATES, Case
from problems import Problem, as_tuple, build, each


def in_memory(kind: str, array: Any) -> Any:
    """Return an array equal to one of (T, B, ...) in memory laid out in another way."""
    if kind == "apart":
        wide = np.full((*array.shape[:-1], array.shape[-1] + 5), np.nan, array.dtype)
        wide[..., 2 : array.shape[-1] + 2] = array
        return wide[..., 2 : array.shape[-1] + 2]
    if kind == "steps":
        return np.repeat(array, 2, axis=0)[::2]
    if kind == "backwards":
        return np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    if kind == "inner":
        return np.repeat(array, 3, axis=-1)[..., ::3]
    if kind == "fortran":
        return np.asfortranarray(array)
    return array


def turned(value: Any) -> Any:
    """Return batch before time."""
    return None if value is None else value.swapaxes(0, 1)


def laid_out(case: Case) -> tuple[Problem, Callable[[Any], Any]]:
    """Return the problem in the axes and memory of the row; and how its sequences look there."""
    axes, memory, problem = case.of["axes"], case.of["memory"], case.problem
    stored = problem.changed(
        x=in_memory(memory, problem.x),
        d_output=None if problem.d_output is None else in_memory(memory, problem.d_output),
    )
    call = dict(problem.call)
    if axes == "time":
        return stored, lambda value: value
    if axes == "batch":
        layer = build(sr, case.of, batch_first=True)
        call |= {name: turned(call[name]) for name in FLAGS if name in call}
        return stored.changed(
            layer=layer, x=turned(stored.x), d_output=turned(stored.d_output), call=call
        ), turned
    call |= {name: call[name][:, 0] for name in FLAGS if name in call}
    if "lengths" in call:
        call["lengths"] = int(call["lengths"][0])
    if "reset_state" in call:
        call["reset_state"] = each(lambda member: member[:, 0], call["reset_state"])
    return stored.changed(
        x=stored.x[:, 0],
        state=each(lambda member: member[:, 0], problem.state),
        d_output=None if problem.d_output is None else stored.d_output[:, 0],
        d_state=each(lambda member: member[:, 0], problem.d_state),
        d_last=None if problem.d_last is None else problem.d_last[0],
        call=call,
    ), lambda value: value[:, 0]


def layouts_change_no_bit(case: Case) -> None:
    problem, seen = laid_out(case)
    want = {name: seen(v) if name in SEQUENCES else v for name, v in case.want.items()}
    if case.of["axes"] == "unbatched":
        rows = {name: tuple(m[:, 0] for m in want[name]) for name in STATES if name in want}
        want |= rows | {name: want[name][0] for name in ("last_output",) if name in want}

    assert_same_bits(problem.results(), want)


def output_goes_where_it_is_to_go(case: Case) -> None:
    problem, _ = laid_out(case)
    want, state = problem.layer(problem.x, problem.state, **problem.call)
    room = np.full((*want.shape[:-1], want.shape[-1] + 4), np.pi, want.dtype)

    out = room[..., 1 : want.shape[-1] + 1]
    got, after = problem.layer(problem.x, problem.state, out=out, **problem.call)

    assert got is out
    assert_same_bits((out, as_tuple(after)), (want, as_tuple(state)))
    assert (room[..., 0] == np.pi).all()
    assert (room[..., want.shape[-1] + 1 :] == np.pi).all()
