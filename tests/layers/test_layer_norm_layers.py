"""Layer normalisation in what is built of layers: stacks, chunks, states over time, last output."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import as_tuple, assert_same_bits, make_problem
from helpers_layer_norm import PLACEMENTS, scattered
from helpers_loops import every

pytestmark = pytest.mark.usefixtures("built")


def stack(module):
    """Stack layers of each placement and both kinds of states."""
    sizes = {"dtype": "float64", "seed": 0}
    return module.Stack(
        [
            module.LSTM(2, 5, layer_norm="haste", **sizes),
            module.GRU(5, 5, layer_norm="tf", **sizes),
            module.LSTM(5, 5, layer_norm="torch", **sizes),
        ],
        skip="residual",
    )


def test_gradients_of_stacks_are_those_of_differences():
    assert sr.gradcheck(stack(sr), T=4, B=3, entries=8, directions=2, seed=2, lengths="random").ok


def drawn(placement, rng, module=sr, **options):
    """Draw an LSTM's problem."""
    sizes = {"T": 11, "B": 5, "H": 19, "pattern": "all"}
    problem = make_problem(module, "lstm", rng=rng, layer_norm=placement, **sizes, **options)
    return scattered(problem)


@every("k", [1, 4])
@every("placement", PLACEMENTS)
def test_chunks_are_the_bits_of_one_call(placement, k, rng):
    problem = drawn(placement, rng, num_layers=2)
    output, state = problem.layer(problem.x, problem.state, **problem.call)

    chunks = list(sr.tbptt(problem.layer, problem.x, k, problem.state, **problem.call))

    assert_same_bits(np.concatenate([chunk.tape.output for chunk in chunks]), output)
    assert_same_bits(chunks[-1].tape.state, state)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_states_over_time_are_those_of_shorter_calls(placement, rng):
    problem = drawn(placement, rng)
    layer, x = problem.layer, problem.x

    _, state, every = layer(x, problem.state, return_all_states=True)

    for t in (1, 6, len(x)):
        _, until = layer(x[:t], problem.state)
        assert_same_bits(tuple(member[t - 1] for member in as_tuple(every)), as_tuple(until))
    assert_same_bits(tuple(member[-1] for member in as_tuple(every)), as_tuple(state))


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_last_outputs_are_those_of_the_last_steps(placement, rng):
    problem = drawn(placement, rng, bidirectional=True)
    tape = problem.layer.record(problem.x, problem.state, lengths=[11, 4, 7, 1, 9])
    d_last = rng.standard_normal(tape.last_output.shape)

    h = tape.state[0]

    assert_same_bits(tape.last_output, np.concatenate([h[0], h[1]], axis=-1))
    d_state = (np.stack(np.split(d_last, 2, axis=-1)), np.zeros_like(tape.state[1]))
    got, want = tape.backward(d_last_output=d_last), tape.backward(d_state=d_state)
    assert_same_bits(got.x, want.x)
    assert_same_bits(got.params, want.params)
