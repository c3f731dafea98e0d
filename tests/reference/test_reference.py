"""Rung 1: the NumPy twin's gradients are right, and its sequences mean what the contract says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    CELLS,
    PATTERNS,
    Problem,
    as_tuple,
    assert_close,
    difference_step,
    difference_tolerance,
    flat_gradients,
    loss,
    loss_scale,
    loss_terms,
    make_problem,
    printed,
    substitute,
    tolerance,
    variables,
)
from helpers_loops import every, in_turn
from simdrnn import reference
from simdrnn.reference.options import StepOptions
from simdrnn.spec.options import Options

STACKS = [(1, False), (1, True), (2, True)]
FORWARD_CLIPS = [(cell, clip) for cell in CELLS for clip in ("gate_clip", "hidden_clip")]
FORWARD_CLIPS.append(("lstm", "cell_clip"))


def unit_direction(values: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Draw a direction of length 1 over several arrays."""
    drawn = {name: rng.standard_normal(value.shape) for name, value in values.items()}
    length = np.sqrt(sum((value**2).sum() for value in drawn.values()))
    return {name: value / length for name, value in drawn.items()}


def moved(problem: Problem, direction: dict[str, Any], distance: float) -> Problem:
    """Return the problem with its variables moved along a direction."""
    values = variables(problem)
    for name, step in direction.items():
        values[name] = values[name] + distance * step
    return substitute(problem, values)


def assert_gradients_match_differences(problem: Problem, rng: np.random.Generator) -> None:
    """Compare the derivative along one random direction for each array by itself."""
    step, allowed = difference_step(), difference_tolerance(loss_scale(problem))
    gradients = flat_gradients(problem)
    for name, value in variables(problem).items():
        direction = unit_direction({name: value}, rng)

        ahead, behind = (loss(moved(problem, direction, way * step)) for way in (1, -1))

        analytic = (gradients[name] * direction[name]).sum()
        assert abs((ahead - behind) / (2 * step) - analytic) <= allowed, name


@every(*in_turn({"cell": CELLS, "pattern": PATTERNS, "layers, both": STACKS}, rounds=2))
def test_gradients_match_differences(cell, layers, both, pattern, rng):
    problem = make_problem(
        reference, cell, rng=rng, pattern=pattern, num_layers=layers, bidirectional=both
    )

    assert_gradients_match_differences(problem, rng)


@every("cell, clip", FORWARD_CLIPS)
def test_gradients_match_differences_where_clips_are_reached(cell, clip, rng):
    problem = make_problem(reference, cell, rng=rng, pattern="reset", bidirectional=True)
    clipped = make_problem(
        reference, cell, rng=rng, pattern="reset", bidirectional=True, **{clip: 0.25}
    )
    clipped.layer.load_state_dict(problem.layer.state_dict())
    same_arguments = replace(clipped, x=problem.x, state=problem.state, call=problem.call)
    assert not np.array_equal(same_arguments.record().output, problem.record().output)

    assert_gradients_match_differences(same_arguments, rng)


@every("cell", CELLS[::3])
def test_gradients_match_differences_with_dropout(cell, rng):
    problem = make_problem(
        reference, cell, rng=rng, num_layers=3, bidirectional=True, dropout=0.4, pattern="lengths"
    )

    assert_gradients_match_differences(problem, rng)


@every("cell", CELLS)
def test_gradients_match_differences_without_bias_and_states(cell, rng):
    problem = make_problem(reference, cell, rng=rng, with_state=False, bias=False, pattern="all")

    assert_gradients_match_differences(problem, rng)


@every(*in_turn({"cell": CELLS, "pattern": PATTERNS}))
def test_backward_is_the_adjoint_of_the_derivative(cell, pattern, rng):
    problem = make_problem(
        reference, cell, rng=rng, pattern=pattern, num_layers=2, bidirectional=True
    )
    direction = unit_direction(variables(problem), rng)
    step = difference_step()

    ahead = loss_terms(moved(problem, direction, step))
    behind = loss_terms(moved(problem, direction, -step))
    pushed = sum(((a - b) / (2 * step)).sum() for a, b in zip(ahead, behind, strict=True))
    pulled = sum((flat_gradients(problem)[name] * u).sum() for name, u in direction.items())

    assert abs(pushed - pulled) <= difference_tolerance(loss_scale(problem))


@every("missing", ["d_output", "d_state", "both"])
@every("cell", CELLS)
def test_missing_gradients_are_zero(cell, missing, rng):
    problem = make_problem(reference, cell, rng=rng)
    names = ("d_output", "d_state") if missing == "both" else (missing,)
    absent = replace(problem, **dict.fromkeys(names))
    zero = {
        name: tuple(np.zeros_like(v) for v in value)
        if isinstance(value := getattr(problem, name), tuple)
        else np.zeros_like(value)
        for name in names
    }

    got, want = flat_gradients(absent), flat_gradients(replace(problem, **zero))

    assert_close(got, want, 0.0)


def stepwise_gradients(problem: Problem, limit: Any) -> dict[str, Any]:
    """Back-propagate step by step through single-step calls of a layer without step clips."""
    layer, tapes, state = problem.layer, [], problem.state
    for t in range(len(problem.x)):
        tapes.append(layer.record(problem.x[t : t + 1], state))
        state = tapes[-1].state
    is_tuple = isinstance(state, tuple)
    d_state, params, d_x = problem.d_state, {}, []
    for t in reversed(range(len(tapes))):
        d_h, *rest = d_state if is_tuple else (d_state,)
        d_h = limit(d_h) + problem.d_output[t : t + 1]
        grads = tapes[t].backward(None, (d_h, *rest) if is_tuple else d_h)
        d_state = grads.state
        d_x.insert(0, grads.x)
        params = {name: params.get(name, 0.0) + value for name, value in grads.params.items()}
    return {"x": np.concatenate(d_x), "state": d_state} | params


@every("cell", CELLS)
@every("option", ["step_grad_clip", "step_grad_norm"])
def test_step_gradient_is_limited_before_the_output_gradient_is_added(cell, option, rng):
    bound = 0.3
    problem = make_problem(reference, cell, rng=rng, **{option: bound})
    plain = make_problem(reference, cell, rng=rng)
    plain.layer.load_state_dict(problem.layer.state_dict())

    def limit(d_h: Any) -> Any:
        if option == "step_grad_clip":
            return np.minimum(np.maximum(d_h, -bound), bound)
        norms = np.sqrt((d_h**2).sum(axis=-1, keepdims=True))
        return np.where(norms > bound, d_h * bound / np.where(norms > 0, norms, 1.0), d_h)

    grads = problem.gradients()
    want = stepwise_gradients(replace(problem, layer=plain.layer), limit)

    got = {"x": grads.x, "state": grads.state} | grads.params
    assert_close(got, want, tolerance("float64", 5, 5 * 4))


@every("option", ["step_grad_clip", "step_grad_norm"])
@every("cell", CELLS)
def test_step_limits_leave_gradients_the_same_for_any_chunks(cell, option, rng):
    problem = make_problem(reference, cell, rng=rng, T=6, **{option: 0.2})

    grads = problem.gradients()
    first = problem.layer.record(problem.x[:2], problem.state)
    second = problem.layer.record(problem.x[2:], first.state)
    late = second.backward(problem.d_output[2:], problem.d_state)
    early = first.backward(problem.d_output[:2], late.state)

    allowed = tolerance("float64", 6, 6 * 4)
    assert_close(np.concatenate([early.x, late.x]), grads.x, allowed)
    assert_close(early.state, grads.state, allowed)
    sums = {name: early.params[name] + late.params[name] for name in grads.params}
    assert_close(sums, grads.params, allowed)


@every("name", sorted(reference.CELLS))
def test_cells_save_what_their_info_counts(name, rng):
    cell = reference.CELLS[name]
    info = cell.info
    taken = info.pre + info.params + info.step_inputs
    pre = tuple(rng.standard_normal((2, 3)) for _ in range(taken))
    state = tuple(rng.standard_normal((2, 3)) for _ in range(info.states))
    options = StepOptions(Options.parse(info, {}))

    following, saved = cell.forward(pre, state, options)

    assert (len(following), len(saved)) == (info.states, info.saved)


def test_both_engines_count_alike():
    pytest.importorskip("simdrnn._core", reason="the extension is not built")
    from simdrnn.spec.cell import compiled_cells

    infos = {name: cell.info for name, cell in reference.CELLS.items()}

    assert infos == compiled_cells()


def test_it_does_without_the_kernels():
    # Of the compiled part only locks and counters are there: what it would compute with is not.
    code = f"""
        import sys, types
        package = types.ModuleType("simdrnn")
        package.__path__ = {[*sr.__path__]!r}
        sys.modules["simdrnn"] = package
        from simdrnn import _core as whole
        part = types.ModuleType("simdrnn._core")
        for name in ("Counter", "Holding", "ParameterLock", "after_fork", "before_fork"):
            setattr(part, name, getattr(whole, name))
        package._core = sys.modules["simdrnn._core"] = part

        import numpy as np
        from simdrnn import reference
        for cell in reference.CELLS.values():
            if cell.info.layer and not cell.info.step_inputs:
                layer = getattr(reference, cell.info.layer)(2, 3, num_layers=2, dropout=0.1)
                tape = layer.record(np.ones((4, 5, 2)), lengths=[4, 3, 2, 1, 0])
                assert np.isfinite(tape.backward(tape.output).x).all()
        x = np.ones((4, 5, 2))
        tape, x[0] = layer.record(x), 2.0
        try:
            tape.backward(tape.output)
        except ValueError as error:
            assert str(error).startswith("x: expected what was recorded")
        else:
            raise AssertionError
        merged = reference.GRU(3, 3, bidirectional=True, merge="sum", residual=True)
        cell = reference.LSTMCell(2, 3)
        print(merged(np.ones((4, 5, 3)))[0].shape, cell(np.ones((5, 2)))[0].shape)
    """

    assert printed(code) == "(4, 5, 3) (5, 3)"


@every("cell", ["RNN", "LSTM", "GRU", "IndRNN", "SLSTM"])
def test_what_rows_without_steps_carry_may_be_anything(cell):
    layer = getattr(reference, cell)(2, 3, seed=0)
    _, state = layer(np.ones((1, 3, 2)))
    for one in as_tuple(state):
        one[:, 1] = np.nan

    tape = layer.record(np.ones((4, 3, 2)), state, lengths=[4, 0, 2])
    grads = tape.backward(tape.output)

    assert all(np.isfinite(value).all() for value in grads.params.values())
    for one in as_tuple(grads.state):
        assert np.isfinite(one).all()
        assert not one[:, 1].any()
