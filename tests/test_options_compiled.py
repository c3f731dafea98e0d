"""Options of a step on the compiled engine: against the reference, and the same bits anyhow."""

from __future__ import annotations

import copy
import zlib

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    CELLS,
    INFOS,
    PATTERNS,
    assert_close,
    assert_same_bits,
    make_problem,
    results,
    suited,
)
from helpers import tolerance as rounding
from helpers_options import RANDOM, activations, every_option, random_option
from simdrnn import reference

T, B, I, H = 4, 5, 6, 19  # noqa: E741  more than one vector of units, and a part of one
BY_GATE = {"recurrent_dropout": 0.4, "recurrent_dropout_per_gate": True}
OPTIONS = {
    f"{cell}-{name}": (cell, option)
    for cell in CELLS
    for name, option in {
        **{name: random_option(name, cell) for name in RANDOM},
        "by gate": suited(cell, BY_GATE) or None,
        "activations": activations(cell),
        "every": every_option(cell) | {"step_grad_clip": 0.5, "step_grad_norm": 0.4},
    }.items()
    if option is not None
}
pytestmark = pytest.mark.usefixtures("built")


def problem(module, case, *parts, B=B, **extra):
    """Draw a problem: the same whatever the module."""
    cell, options = OPTIONS[case]
    seed = zlib.crc32(repr((case, *parts)).encode())
    shape = {"num_layers": 2, "bidirectional": True, "dropout": 0.3} | extra
    return make_problem(
        module, cell, rng=np.random.default_rng(seed), T=T, B=B, I=I, H=H, **shape, **options
    )


def tolerance(case, dtype):
    """Return how far results may be apart.

    What dropout keeps is scaled by 1 / 0.6 and 1 / 0.7 where it enters a sum.
    """
    info = INFOS[OPTIONS[case][0]]
    longest = max(2 * H + H, (info.gates + info.separate + info.phases - 1) * H, T * B)
    return rounding(dtype, T * 2, longest) / (0.6 * 0.7)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", OPTIONS)
def test_results_are_those_of_the_reference(case, dtype, training):
    # Patterns take turns: with the cells, each meets each option.
    turn = zlib.crc32(f"{case}{dtype}{training}".encode()) % len(PATTERNS)
    pattern = PATTERNS[turn]
    compiled, twin = (
        problem(module, case, dtype, pattern=pattern, dtype=dtype) for module in (sr, reference)
    )

    got, want = (results(one, training=training) for one in (compiled, twin))

    assert_close(got, want, tolerance(case, dtype))


# A lone row takes its tiles two by two, but not of a product over a part of the panels.
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru_reset_before", "ugrnn"])
def test_a_lone_row_of_many_units(cell, dtype):
    shape = {"T": 3, "B": 1, "I": 6, "H": 130, "dtype": dtype}
    compiled, twin = (
        make_problem(
            module, cell, rng=np.random.default_rng(1), **shape, **OPTIONS[f"{cell}-by gate"][1]
        )
        for module in (sr, reference)
    )

    assert_close(results(compiled), results(twin), rounding(dtype, 3, 4 * 130) / 0.6)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru_reset_before"])
def test_every_pattern_with_every_option(cell, pattern, dtype):
    case = f"{cell}-every"
    compiled, twin = (
        problem(module, case, "p", pattern=pattern, dtype=dtype) for module in (sr, reference)
    )

    assert_close(results(compiled), results(twin), tolerance(case, dtype))


EVERY = [case for case in OPTIONS if case.endswith("-every")]


@pytest.mark.parametrize("pattern", ["plain", "all-hold"])
@pytest.mark.parametrize("case", EVERY)
def test_threads_instruction_sets_and_checkpoints_change_no_bit(case, pattern, dtype):
    one = problem(sr, case, "bits", B=7, pattern=pattern, dtype=dtype)
    want, active = results(one, num_threads=1), sr.isa.active()

    assert_same_bits(results(one, num_threads=3), want)
    if INFOS[OPTIONS[case][0]].saved:
        assert_same_bits(results(one, checkpoint_every=2), want)
    try:
        for name in sr.isa.available():
            sr.isa.use(name)
            assert_same_bits(results(one), want, name)
    finally:
        sr.isa.use(active)


@pytest.mark.parametrize("case", EVERY)
def test_units_are_shared_by_threads_without_a_difference(case):
    cell, options = OPTIONS[case]
    one = make_problem(
        sr, cell, rng=np.random.default_rng(1), T=3, B=2, I=8, H=150, dtype="float32", **options
    )

    want = results(one, num_threads=1)

    for threads in (2, 5):
        assert_same_bits(results(one, num_threads=threads), want)


@pytest.mark.parametrize("case", EVERY)
def test_a_row_does_not_depend_on_the_rows_behind_it(case, dtype):
    whole = problem(sr, case, "rows", B=9, pattern="all", dtype=dtype)
    many = copy.deepcopy(whole.layer).record(whole.x, whole.state, **whole.call)

    for rows in (1, 4, 8):
        call = {n: v[:rows] if n == "lengths" else v[:, :rows] for n, v in whole.call.items()}
        state = (
            tuple(one[:, :rows] for one in whole.state)
            if isinstance(whole.state, tuple)
            else whole.state[:, :rows]
        )
        few = copy.deepcopy(whole.layer).record(whole.x[:, :rows], state, **call)
        assert_same_bits(few.output, many.output[:, :rows])
        grads = (tape.backward(tape.output).x for tape in (few, many))
        assert_same_bits(next(grads), np.ascontiguousarray(next(grads)[:, :rows]))


@pytest.mark.parametrize("case", [case for case in EVERY if "lstm" in case or "gru" in case])
def test_steps_behind_change_nothing(case, dtype):
    long = problem(sr, case, "steps", dtype=dtype, bidirectional=False)
    whole = copy.deepcopy(long.layer).record(long.x, long.state)

    part = copy.deepcopy(long.layer).record(long.x[:2], long.state)

    assert_same_bits(part.output, whole.output[:2])
