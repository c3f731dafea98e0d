"""What back-propagation carries, as engines hand it out to `sr.diagnose`."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    CELLS,
    ENGINES,
    PATTERNS,
    Case,
    as_tuple,
    assert_close,
    assert_same_bits,
    clip_options,
    difference_step,
    difference_tolerance,
    few,
    make_layer,
    make_problem,
    tolerance,
)
from simdrnn import reference
from simdrnn.layers.tape import recording_of

T, B, H = 7, 4, 5


def traces(tape, d_output, d_state):
    """Return the traces by direction, (T, B, S + 1, H), filled with NaN before."""
    recording = recording_of(tape)
    layer, (steps, batch) = recording.bound, recording.run.x.shape[:2]
    blocks = layer.info.states + 1
    shape = (steps, batch, blocks * layer.sizes.hidden_size)
    found = [np.full(shape, np.nan, layer.dtype) for _ in range(len(layer.passes))]
    recording_of(tape).backward(d_output, d_state, trace=found)
    return [trace.reshape(steps, batch, blocks, -1) for trace in found]


def traces_of(problem, **call):
    tape = copy.deepcopy(problem.layer).record(problem.x, problem.state, **problem.call, **call)
    return traces(tape, problem.d_output, problem.d_state)


@few(engine=ENGINES, cell=CELLS, clip=["unclipped", "every"])
def test_trace_is_the_gradient_of_the_state_that_the_rest_of_the_sequence_starts_from(
    engine, cell, clip, rng
):
    problem = make_problem(
        engine, cell, rng=rng, T=T, B=B, H=H, num_layers=2, **clip_options(cell, clip)
    )
    layer, lengths = problem.layer, np.array([T, 3, 0, 5])
    mask = rng.random((T, B)) < 0.8
    problem.call = {"lengths": lengths, "mask": mask, "masked_output": "hold"}
    found = traces_of(problem)
    real = mask & (np.arange(T)[:, None] < lengths)
    # Both go through the same operations, but for the order of NumPy's sums.
    allowed = tolerance("float64", T * 2, 4 * H)

    for t in range(T):
        hold = {"masked_output": "hold"}
        head = {"lengths": np.minimum(lengths, t + 1), "mask": mask[: t + 1], **hold}
        tail = {"lengths": np.maximum(lengths - t - 1, 0), "mask": mask[t + 1 :], **hold}
        state = layer.record(problem.x[: t + 1], problem.state, **head).state
        rest = layer.record(problem.x[t + 1 :], state, **tail)
        want = as_tuple(rest.backward(problem.d_output[t + 1 :], problem.d_state).state)
        for index, trace in enumerate(found):
            got = trace[t, real[t]]
            assert_close(got[:, -1], want[0][index, real[t]], allowed, "arriving")
            for k in range(1, len(want)):
                assert_close(got[:, k], want[k][index, real[t]], allowed, f"state {k}")


@few(engine=ENGINES, cell=CELLS)
def test_trace_equals_finite_differences(engine, cell, rng):
    problem = make_problem(engine, cell, rng=rng, T=T, B=2, H=3, num_layers=2)
    layer, t, step = problem.layer, 3, difference_step()
    states = as_tuple(layer.record(problem.x[: t + 1], problem.state).state)
    (trace,) = traces_of(problem)[1:]

    def loss(index, place, change):
        moved = [state.copy() for state in states]
        moved[index][(1, *place)] += change
        tape = layer.record(problem.x[t + 1 :], moved[0] if len(moved) == 1 else tuple(moved))
        ends = zip(as_tuple(tape.state), as_tuple(problem.d_state), strict=True)
        terms = [tape.output * problem.d_output[t + 1 :], *(a * b for a, b in ends)]
        # The output of step t is the h that is moved.
        above = problem.d_output[t][place] * moved[0][(1, *place)]
        return sum(term.sum() for term in terms) + above, sum(np.abs(x).sum() for x in terms)

    for index in range(len(states)):
        for place in np.ndindex(2, 3):
            (right, scale), (left, _) = loss(index, place, step), loss(index, place, -step)
            got = trace[(t, place[0], index, place[1])]
            assert abs(got - (right - left) / (2 * step)) <= difference_tolerance(scale)


CLIPPED = ("unclipped", "every", "steps", "hidden", "unclipped", "step-norm")
CASES = [
    Case(
        cell, "float64", pattern=PATTERNS[n % 6], layers=2, directions=2,
        clip=CLIPPED[(n + n // 6) % 6], dropout=0.4,
    )
    for n, cell in enumerate(CELLS)
]  # fmt: skip


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_compiled_trace_equals_the_reference(case):
    got, want = traces_of(case.draw(sr)), traces_of(case.draw(reference))

    for index, (ours, theirs) in enumerate(zip(got, want, strict=True)):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))  # only real steps
        assert_close(np.nan_to_num(ours), np.nan_to_num(theirs), case.tolerance(), str(index))


@pytest.mark.usefixtures("built")
@few(cell=CELLS, shape=[(40, 1, 20, 300), (300, 6, 9, 21)])
def test_bits_of_the_trace_do_not_depend_on_threads(cell, shape, rng):
    steps, batch, inputs, hidden = shape
    problem = make_problem(
        sr, cell, rng=rng, T=steps, B=batch, I=inputs, H=hidden, dtype="float32", pattern="all"
    )
    one = traces_of(problem, num_threads=1)

    for count in (2, 3, 7):
        assert_same_bits(tuple(traces_of(problem, num_threads=count)), tuple(one))


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("cell", CELLS)
def test_a_trace_changes_no_gradient(cell, rng):
    problem = make_problem(
        sr, cell, rng=rng, T=T, B=B, pattern="all", **clip_options(cell, "every")
    )
    tape = problem.record()
    plain = tape.backward(problem.d_output, problem.d_state)
    shape = (T, B, (len(as_tuple(problem.d_state)) + 1) * problem.layer.hidden_size)
    traced = recording_of(tape).backward(problem.d_output, problem.d_state, trace=[np.zeros(shape)])

    assert_same_bits(traced.x, plain.x)
    assert_same_bits(as_tuple(traced.state), as_tuple(plain.state))
    assert_same_bits(traced.params, plain.params)


@pytest.mark.usefixtures("built")
def test_a_trace_that_does_not_fit_is_refused():
    layer = make_layer(sr, "lstm", 2, 3, seed=0)
    tape = layer.record(np.zeros((4, 2, 2), "float32"))

    with pytest.raises(ValueError, match="trace: expected 72 C-contiguous, aligned elements"):
        recording_of(tape).backward(None, None, trace=[np.zeros((4, 2, 6), "float32")])
    with pytest.raises(ValueError, match="trace: expected one array per layer and direction"):
        recording_of(tape).backward(None, None, trace=[])
    with pytest.raises(TypeError, match="trace: expected dtype float32, got float64"):
        recording_of(tape).backward(None, None, trace=[np.zeros((4, 2, 9))])
