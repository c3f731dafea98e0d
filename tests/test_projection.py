"""LSTM with a projection: the compiled engine against the reference, and its bits."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    PATTERNS,
    Case,
    as_tuple,
    assert_close,
    assert_same_bits,
    make_problem,
    results,
    tolerance,
)
from simdrnn import reference

CELLS = (
    "lstm",
    "lstm_peephole",
    "lstm_coupled_input",
    "lstm_coupled_forget",
    "lstm_peephole_coupled_input",
    "lstm_peephole_coupled_forget",
)

# Hidden and projected sizes: full vectors and parts of them, on every ISA.
SIZES = [(5, 1), (5, 3), (19, 8), (19, 17), (32, 1), (32, 3), (32, 8), (32, 17)]

OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "clips": {"gate_clip": 0.7, "cell_clip": 0.4, "proj_clip": 0.15},
    "step-clips": {"step_grad_clip": 0.1, "step_grad_norm": 0.15},
    "zoneout": {"zoneout": (0.3, 0.2), "proj_clip": 0.2},
    "zoneout-h": {"zoneout": (0.4, 0.0)},
    "zoneout-c": {"zoneout": (0.0, 0.4)},
    "dropouts": {"recurrent_dropout": 0.3, "input_dropout": 0.3, "candidate_dropout": 0.2},
    "dropouts-by-gate": {"recurrent_dropout": 0.3, "recurrent_dropout_per_gate": True},
    "activations": {"activation": "softsign", "output_activation": "elu"},
    "no-bias": {"bias": False},
}

STACKS = {
    "layer": {},
    "both": {"bidirectional": True},
    "layers-both": {"num_layers": 3, "bidirectional": True, "dropout": 0.3},
}


def pair(
    cell: str = "lstm",
    H: int = 19,
    P: int = 8,
    seed: int = 0,
    dtype: str = "float64",
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Return the same problem of both engines; rows are in arguments of `make_problem`."""
    return tuple(
        make_problem(
            module, cell, rng=np.random.default_rng(seed), I=6, H=H, proj_size=P, dtype=dtype,
            **{"T": 7, "B": 5} | kwargs,
        )
        for module in (sr, reference)
    )  # fmt: skip


def assert_equal(pair: tuple[Any, Any], **call: Any) -> None:
    """Compare all results of both engines, each within the tolerance of the exact ones."""
    ours, twin = pair
    layer, (T, B) = ours.layer, ours.x.shape[:2]
    directions = 2 if layer.bidirectional else 1
    inputs = max(layer.input_size, directions * layer.proj_size)
    longest = max(inputs + layer.proj_size, 4 * layer.hidden_size, T * B)
    # A step is a product deeper than those of other cells: it counts twice.
    allowed = 2 * tolerance(layer.dtype, 2 * T * layer.num_layers, longest)

    assert_close(results(ours, **call), results(twin, **call), allowed)


# -- equal to the reference ------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_sizes_and_patterns(sizes, pattern, dtype):
    assert_equal(pair(H=sizes[0], P=sizes[1], pattern=pattern, dtype=dtype))


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_cells_and_options(cell, name, dtype):
    assert_equal(pair(cell, pattern="all-hold", dtype=dtype, **OPTIONS[name]))


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("stack", STACKS)
def test_stacks_and_options(stack, name):
    assert_equal(pair(pattern="all", **STACKS[stack], **OPTIONS[name]))


@pytest.mark.parametrize("name", ["none", "dropouts", "dropouts-by-gate"])
def test_lone_rows_of_many_tiles(isa, name):
    # Two tiles and more of h, which a lone row takes at once.
    assert_equal(pair(H=150, P=140, B=1, T=5, **OPTIONS[name]))


@pytest.mark.parametrize("name", OPTIONS)
def test_recording_for_inference_has_the_means_of_what_is_drawn(name):
    for training in (False, True):
        ours, twin = pair(pattern="mask", **OPTIONS[name])
        assert_equal((ours, twin), training=training)
    # What is not recorded is inference too, and takes the engine's short way.
    for call in ({}, ours.call):
        got, want = (problem.layer(problem.x, problem.state, **call) for problem in (ours, twin))
        assert_close(got, want, 2 * tolerance("float64", 14, 4 * 19))


@pytest.mark.parametrize("sizes", [(1, 1), (40, 2), (3, 33), (0, 3), (3, 0)], ids=str)
def test_steps_and_rows(sizes, dtype):
    T, B = sizes

    assert_equal(pair(T=T, B=B, dtype=dtype, num_layers=2, bidirectional=True))


@pytest.mark.parametrize("name", ["none", "zoneout"])
def test_reset_states_have_gradients_of_their_own(name, rng):
    ours, twin = pair(pattern="reset", **OPTIONS[name])
    given = tuple(rng.standard_normal(np.shape(member)) for member in ours.state)

    found = []
    for problem in (ours, twin):
        tape = copy.deepcopy(problem.layer).record(
            problem.x, problem.state, **problem.call, reset_state=given
        )
        grads = tape.backward(problem.d_output, problem.d_state)
        found.append((tape.output, as_tuple(grads.state), as_tuple(grads.reset_state)))

    assert_close(found[0], found[1], 2 * tolerance("float64", 14, 4 * 19))


def test_an_infinite_h_has_reached_no_clip():
    made_by, projected = sr.LSTM(6, 5, seed=0), sr.LSTM(6, 5, proj_size=2, seed=0)
    for layer in (made_by, projected):
        layer.weight_hh_l0 = np.zeros_like(layer.weight_hh_l0)
        layer.bias_ih_l0 = np.full(20, 3.0, "float32")  # the cell's h is positive
    projected.weight_hr_l0 = np.full((2, 5), np.inf, "float32")
    shared = ("weight_ih_l0", "bias_hh_l0")
    made_by.load_state_dict({name: getattr(projected, name) for name in shared}, strict=False)
    x, d_h = np.ones((1, 1, 6), "float32"), np.array([[[2.0, -3.0]]], "float32")

    tape = projected.record(x)

    assert np.isinf(tape.output).all()
    want = d_h[0, 0, :, None] * made_by(x)[0][0, 0]
    assert_same_bits(tape.backward(d_h).params["weight_hr_l0"], want)


# -- bits ------------------------------------------------------------------------------------------


def take_rows(problem: Any, rows: Any) -> Any:
    """Return the problem of some rows of the batch, in that order."""

    def pick(state: Any) -> Any:
        return tuple(np.ascontiguousarray(member[:, rows]) for member in state)

    call = {
        name: value[rows] if name == "lengths" else value[:, rows]
        for name, value in problem.call.items()
    }
    return type(problem)(
        problem.layer, problem.x[:, rows], pick(problem.state), call,
        problem.d_output[:, rows], pick(problem.d_state),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["none", "clips", "step-clips", "zoneout-h"])
@pytest.mark.parametrize("sizes", [(19, 17), (32, 3), (70, 33)], ids=str)
def test_rows_do_not_depend_on_their_company(sizes, name, dtype):
    inference = {"training": False}  # random masks belong to a place in the batch
    problem, _ = pair(H=sizes[0], P=sizes[1], pattern="all", B=17, dtype=dtype, **OPTIONS[name])
    whole = results(problem, **inference)

    for rows in ([0], [5], [16, 3], list(range(7)), list(range(16, -1, -1))):
        got = results(take_rows(problem, rows), **inference)
        assert_same_bits(got["output"], whole["output"][:, rows], str(rows))
        assert_same_bits(got["d_x"], whole["d_x"][:, rows], str(rows))
        for key in ("state", "d_state"):
            want = tuple(member[:, rows] for member in whole[key])
            assert_same_bits(got[key], want, f"{rows} {key}")


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("sizes", [(19, 8), (33, 17)], ids=str)
def test_instruction_sets_agree(isa, sizes, name, dtype):
    problem, _ = pair(
        H=sizes[0], P=sizes[1], pattern="all", dtype=dtype, num_layers=2, bidirectional=True,
        **OPTIONS[name],
    )  # fmt: skip
    got = results(problem)
    sr.isa.use("scalar")

    assert_same_bits(got, results(problem))


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("every", [1, 3, 7])
def test_checkpoints_change_no_bit(every, name, dtype):
    problem, twin = pair(
        pattern="all-hold", B=400, dtype=dtype, num_layers=2, bidirectional=True, **OPTIONS[name]
    )

    for one in (problem, twin) if every == 3 and name == "zoneout" else (problem,):
        assert_same_bits(results(one, checkpoint_every=every), results(one))


def planned(threads: int, T: int, B: int, H: int, P: int, **other: Any) -> dict[str, Any]:
    """Return the plan of a call with 60 inputs."""
    return sr._core.testing.plan(T, B, 60, H, 4, threads, projected_size=P, **other)


@pytest.mark.parametrize("name", ["none", "clips", "zoneout", "dropouts"])
@pytest.mark.parametrize("pattern", ["plain", "all"])
@pytest.mark.parametrize("sizes", [(3, 449, 100), (5, 449, 17), (5, 449, 3)], ids=str)
def test_threads_that_share_rows_change_no_bit(threads, sizes, pattern, name):
    B, H, P = sizes
    gang = planned(threads, 120, B, H, P)["gang"]
    assert gang == (threads if P > 3 else min(threads, 4))  # a small step is not worth more
    problem = make_problem(
        sr, "lstm", rng=np.random.default_rng(0), T=120, B=B, I=60, H=H, proj_size=P,
        pattern=pattern, dtype="float32", **OPTIONS[name],
    )  # fmt: skip
    want = results(problem, num_threads=1)

    assert_same_bits(results(problem, num_threads=threads), want)
    assert_same_bits(results(problem, num_threads=threads, checkpoint_every=50), want)


@pytest.mark.parametrize("stack", ["both", "layers-both"])
def test_threads_with_rows_of_their_own_change_no_bit(threads, stack, dtype):
    problem = make_problem(
        sr, "lstm_peephole", rng=np.random.default_rng(0), T=49, B=47, I=60, H=70, proj_size=31,
        pattern="all", dtype=dtype, **STACKS[stack], **OPTIONS["zoneout"],
    )  # fmt: skip
    want = results(problem, num_threads=1)

    assert_same_bits(results(problem, num_threads=threads), want)


@pytest.mark.parametrize("sizes", [{"directions": 2}, {"layers": 2}], ids=str)
def test_layers_and_directions_side_by_side_change_no_bit(sizes, dtype):
    assert planned(2, 2500, 1, 40, 20, **sizes)["schedule"] == next(iter(sizes))
    case = Case("lstm", dtype, T=2500, B=1, I=60, H=40, P=20, **sizes)
    problem = case.draw(sr)
    want = results(problem, num_threads=1)

    for threads in (2, 3):
        assert_same_bits(results(problem, num_threads=threads), want)


@pytest.mark.parametrize("name", ["none", "clips"])
def test_chunks_of_a_sequence_have_the_bits_of_one_call(name, dtype):
    problem, _ = pair(T=23, dtype=dtype, num_layers=2, **OPTIONS[name])
    layer, x = problem.layer, problem.x
    output, state = layer(x, problem.state)

    carried, parts = problem.state, []
    for chunk in np.split(x, [1, 2, 9, 20]):
        part, carried = layer(chunk, carried)
        parts.append(part)

    assert_same_bits(np.concatenate(parts), output)
    assert_same_bits(carried, state)


# -- what it costs ---------------------------------------------------------------------------------


def test_plans_count_the_weights_there_are():
    # Of 512 units 1024 x 512 recurrent weights of each gate outgrow a cache, a projection's do not.
    assert planned(2, 100, 16, 512, 0)["why"] == "heavy_weights"
    assert planned(2, 100, 16, 512, 64)["why"] == "many_rows"
    # Work for a second thread: H * (4 * (I + P) + P) multiplications for each step and row.
    work = 100 * (4 * (60 + 8) + 8) * 2
    steps = 2 * 4e6 / work
    assert planned(2, int(1.05 * steps) + 1, 1, 100, 8)["why"] != "little_work"
    assert planned(2, int(0.95 * steps), 1, 100, 8)["why"] == "little_work"


def test_packed_weights_are_those_of_the_projection():
    full, projected = sr.LSTM(64, 256, seed=0), sr.LSTM(64, 256, proj_size=64, seed=0)

    sizes = [sr.explain(layer, 10, 10).packed_bytes for layer in (full, projected)]

    weights = [4 * 4 * 256 * (64 + 256), 4 * (4 * 256 * (64 + 64) + 64 * 256)]
    for size, weight in zip(sizes, weights, strict=True):  # for forward and for backward
        assert 2 * weight <= size <= 2.1 * weight
