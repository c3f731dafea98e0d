"""`sr.tbptt` and `sr.diagnose` of `sr.Model`, as it is."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits

pytest.importorskip("simdrnn.model")


def make_model():
    stack = sr.Stack([sr.LSTM(4, 6, seed=1), sr.GRU(6, 6, seed=2)], skip="residual")
    return sr.Model(embedding=sr.Embedding(9, 4, seed=0), rnn=stack, head=sr.Linear(6, 3, seed=3))


@pytest.mark.parametrize("goal", [None, "given"])
def test_chunks_of_a_model_are_one_call(goal, rng):
    model, x = make_model(), rng.integers(0, 9, (20, 4))
    call = {"reset": rng.random((20, 4)) < 0.2, "lengths": [20, 0, 11, 3], "reset_state": goal}
    whole = model.record(x, **call)

    chunks = list(sr.tbptt(model, x, 6, checkpoint_every=4, **call))

    assert_same_bits(np.concatenate([own.tape.output for own in chunks]), whole.output)
    (chunk,) = sr.tbptt(model, x, 20, **call)
    d_output = rng.standard_normal(whole.output.shape).astype("float32")
    assert_same_bits(chunk.tape.backward(d_output).params, whole.backward(d_output).params)


def test_what_is_frozen_stays_so_from_chunk_to_chunk(rng):
    model, x = make_model(), rng.integers(0, 9, (20, 4))
    model.freeze("embedding")
    before, optimizer = model.state_dict(), sr.optim.Adam(model, lr=1e-2)

    for chunk in sr.tbptt(model, x, 6):
        optimizer.step(chunk.tape.backward(chunk.tape.output))

    changed = {name for name, value in model.state_dict().items() if (value != before[name]).any()}
    assert changed == {name for name in before if not name.startswith("embedding")}


def test_states_of_several_parts_are_a_tuple(rng):
    model = sr.Model(a=sr.GRU(2, 5, seed=0), b=sr.LSTM(5, 5, seed=1), head=sr.Linear(5, 1, seed=2))
    x = rng.standard_normal((20, 3, 2)).astype("float32")
    whole = model.record(x)

    *_, last = sr.tbptt(model, x, 6)

    for one, other in zip(last.tape.state, whole.state, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_pools_cannot_be_cut():
    model = sr.Model(rnn=sr.GRU(2, 5), pooling=sr.Pooling("last"), head=sr.Linear(5, 1))

    with pytest.raises(TypeError, match="pooling: expected parts that put something out at each"):
        sr.tbptt(model, np.zeros((20, 3, 2), "float32"), 6)


def test_parts_of_a_model_are_diagnosed_by_name(rng):
    model = make_model()
    sr.init.apply(model.rnn[0], bias=[sr.init.zeros(), sr.init.chrono(t_max=60)], seed=0)

    found = sr.diagnose(model.record(rng.integers(0, 9, (60, 4))))

    assert found.troubles == {"rnn.1": ("vanish",)}
    assert found.suggestions[0].startswith("rnn, level 1: sr.init.apply(model.rnn[1], ")
