"""Layer normalisation: the same bits however a call is run."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import INFOS, assert_same_bits, make_problem, results
from helpers_layer_norm import PLACEMENTS, layer_of, scattered

# What makes steps differ from row to row, and all that acts on a step.
EVERYTHING = {
    "num_layers": 2,
    "dropout": 0.2,
    "zoneout": 0.2,
    "recurrent_dropout": 0.2,
    "hidden_clip": 0.7,
}
KINDS = ("lstm", "lstm_peephole_coupled_input", "gru", "rnn_tanh")


def drawn(cell, placement, rng, **kwargs):
    """Draw a problem with `EVERYTHING`, its parameters moved."""
    sizes = {"T": 13, "B": 11, "I": 10, "H": 37} | kwargs
    return scattered(make_problem(sr, cell, rng=rng, layer_norm=placement, **EVERYTHING, **sizes))


@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("hidden", [19, 37])
@pytest.mark.parametrize("per_gate", [False, True])
def test_instruction_sets_agree(placement, cell, hidden, per_gate, dtype, rng):
    problem = drawn(
        cell, placement, rng, dtype=dtype, H=hidden, pattern="all", bidirectional=True,
        recurrent_dropout_per_gate=per_gate,
    )  # fmt: skip
    before, found = sr.isa.active(), {}

    try:
        for name in sr.isa.available():
            sr.isa.use(name)
            found[name] = results(problem)
    finally:
        sr.isa.use(before)

    want = found.pop("scalar")
    for name, got in found.items():
        assert_same_bits(got, want, name)


@pytest.mark.parametrize("batch", [1, 3, 40])
@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_threads_change_no_bit(threads, placement, cell, batch, rng):
    problem = drawn(cell, placement, rng, dtype="float32", pattern="all", B=batch, H=120, T=30)
    want = results(problem, num_threads=1)

    got = results(problem, num_threads=threads)

    assert_same_bits(got, want)


@pytest.mark.parametrize("forward", [True, False])
def test_threads_do_not_share_a_row(forward):
    sizes = {"num_threads": 2, "T": 64, "B": 2}
    layers = [sr.LSTM(256, 512, layer_norm=norm, seed=0) for norm in (None, True)]

    plain, normal = (sr.explain(layer, **sizes) for layer in layers)

    schedules = [(one.forward if forward else one.backward).schedule for one in (plain, normal)]
    assert schedules[0] == "units"
    assert schedules[1] != "units"


@pytest.mark.parametrize("every", [1, 4, 13])
@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_checkpoints_give_the_bits_of_a_plain_tape(placement, cell, every, rng):
    problem = drawn(cell, placement, rng, dtype="float32", pattern="all", bidirectional=True)
    want = results(problem)

    got = results(problem, checkpoint_every=every)

    assert_same_bits(got, want)


@pytest.mark.parametrize("hidden", [1, 5, 16, 19, 35])
@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_rows_alone_give_what_the_batch_gives(placement, cell, hidden, dtype, rng):
    sizes = {"T": 4, "B": 17, "I": 3, "H": hidden, "dtype": dtype}
    layer = scattered(make_problem(sr, cell, rng=rng, layer_norm=placement, **sizes)).layer
    x = rng.standard_normal((4, 17, 3)).astype(dtype)
    d = rng.standard_normal((4, 17, hidden)).astype(dtype)
    tape = layer.record(x)
    whole = tape.backward(d)

    for rows in [slice(0, n) for n in range(1, 17)] + [slice(16, 17), slice(4, 9)]:
        part = layer.record(x[:, rows])
        assert_same_bits(part.output, tape.output[:, rows])
        assert_same_bits(part.backward(d[:, rows]).x, whole.x[:, rows])


@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_calls_in_turn_give_the_bits_of_one(placement, cell, rng):
    layer = layer_of(cell, placement, {"num_layers": 2}, seed=3)
    x = rng.standard_normal((9, 4, 3))
    output, final = layer(x)

    first, state = layer(x[:5])
    second, state = layer(x[5:], state)

    assert_same_bits(np.concatenate([first, second]), output)
    assert_same_bits(state, final)


@pytest.mark.parametrize("cell", KINDS)
def test_recording_changes_no_bit_and_keeps_what_it_says(cell, rng):
    info = INFOS[cell]
    layer = layer_of(cell, "tf", {}, seed=3)
    x = rng.standard_normal((9, 4, 3))

    tape = layer.record(x)

    assert_same_bits(tape.output, layer(x)[0])
    sums = 2 * info.gates + (info.normalise >= 0)
    assert tape.nbytes == 8 * 9 * 4 * 5 * (1 + sums + info.saved)
