"""What must hold of every row of the table: oracles, each with the cases that it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import simdrnn as sr
from closeness import assert_near, assert_same_bits
from covering import Row
from oracle_case import Case, instruction_set_of, using
from oracles_layout import layouts_change_no_bit, output_goes_where_it_is_to_go
from oracles_rows import (
    flags_that_leave_nothing_out_change_no_bit,
    poisoned_rows_leave_the_others_alone,
    rows_and_steps_without_work_change_no_bit,
    rows_are_what_they_are_alone,
    what_is_not_real_is_not_read,
)
from oracles_time import (
    resets_go_to_the_state_of_the_call_only_where_they_are_told,
    truncated_chunks_are_one_call,
    two_chunks_are_one_call,
)
from problems import as_tuple, draw, outcome
from simdrnn import reference

# Steps of all layers and directions that the reference takes: it is slow.
REFERENCE_STEPS = 400


def equals_the_reference(case: Case) -> None:
    of, twin = case.of, draw(reference, case.row)
    assert_near(case.want, twin.results(), twin, of)


def instruction_sets_agree(case: Case) -> None:
    for isa in sr.isa.available():
        if isa != sr.isa.active() and (isa != "scalar" or case.of.quick):
            with using(isa):
                assert_same_bits(case.problem.results(), case.want, isa)


# -- the same call once more -----------------------------------------------------------------------


def threads_change_no_bit(case: Case) -> None:
    for threads in {case.of["threads"], 2} - {1}:
        got = case.problem.results(num_threads=threads)
        assert_same_bits(got, case.want, f"{threads} threads")


def recording_changes_no_bit(case: Case) -> None:
    got = case.problem.run()

    tape = case.problem.record(training=False)

    assert_same_bits(got, {"output": tape.output, "state": as_tuple(tape.state)})
    if not case.drawn:
        assert_same_bits(got, {name: case.want[name] for name in got})


def states_over_time_end_in_the_state(case: Case) -> None:
    tape = case.problem.record(training=False)

    output, state, over_time = case.problem.layer(
        case.problem.x, case.problem.state, return_all_states=True, **case.problem.call
    )

    assert_same_bits((output, as_tuple(state)), (tape.output, as_tuple(tape.state)))
    assert_same_bits(as_tuple(tape.all_states), as_tuple(over_time))
    backwards = case.of["directions"] in ("reversed", "turned")
    for one, last in zip(as_tuple(over_time), as_tuple(state), strict=True):
        step = case.of.directions
        if case.of["directions"] != "turned":
            assert_same_bits(one[0 if backwards else -1, ::step], last[::step])
        if step == 2:
            assert_same_bits(one[0, 1::2], last[1::2])


def backward_may_be_repeated(case: Case) -> None:
    tape = case.problem.record()
    tape.backward(tape.output)

    again = outcome(tape, case.problem)

    assert_same_bits(again, case.want)


def checkpoints_change_no_bit(case: Case) -> None:
    for every in {case.of["checkpoints"], 2} - {0}:
        threads = case.of["threads"]
        got = case.problem.results(checkpoint_every=every, num_threads=threads)
        assert_same_bits(got, case.want, f"every {every}")


class Oracle(NamedTuple):
    """What must hold, and of which cases."""

    check: Callable[[Case], None]
    applies: Callable[[Case], bool] = lambda case: True


def _reference_is_quick(case: Case) -> bool:
    of = case.of
    return of.T * of.layers * of.directions <= REFERENCE_STEPS


def _goes_forward(case: Case) -> bool:
    return case.of["directions"] == "one"


def _resets_by_default(case: Case) -> bool:
    return "reset" in case.problem.call and "reset_state" not in case.problem.call


ORACLES = tuple(
    Oracle(*given)
    for given in (
        (equals_the_reference, _reference_is_quick),
        (instruction_sets_agree,),
        (threads_change_no_bit,),
        (recording_changes_no_bit,),
        (states_over_time_end_in_the_state,),
        (backward_may_be_repeated,),
        (checkpoints_change_no_bit,),
        (layouts_change_no_bit,),
        (output_goes_where_it_is_to_go,),
        (rows_are_what_they_are_alone,),
        (poisoned_rows_leave_the_others_alone,),
        (rows_and_steps_without_work_change_no_bit, lambda case: case.of["axes"] != "unbatched"),
        (what_is_not_real_is_not_read,),
        (flags_that_leave_nothing_out_change_no_bit,),
        (two_chunks_are_one_call, _goes_forward),
        (truncated_chunks_are_one_call, _goes_forward),
        (resets_go_to_the_state_of_the_call_only_where_they_are_told, _resets_by_default),
    )
)


def failures(row: Row, oracles: tuple[Oracle, ...] = ORACLES) -> dict[str, Exception]:
    """Return what every oracle that applies and does not hold says: its name -> the error."""
    found: dict[str, Exception] = {}
    with using(instruction_set_of(row)):
        case = Case(row)
        for oracle in oracles:
            if oracle.applies(case):
                try:
                    oracle.check(case)
                except Exception as error:
                    found[oracle.check.__name__] = error
    return found
