"""Every structure's gradients against finite differences, and its bits in any batch."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import ENGINES, INFOS, assert_same_bits, few
from helpers_structure import ALL, build, draw

RANDOM = {"lengths": "random", "mask": "random", "reset": "random"}


@few(engine=ENGINES, name=ALL, masked_output=["zero", "hold"])
def test_every_structure(engine, name, masked_output):
    layer = build(engine, "lstm", name)

    report = sr.gradcheck(
        layer, 4, 3, **RANDOM, masked_output=masked_output, entries=2, directions=2
    )

    assert report.ok
    assert report.skipped == 0


@few(engine=ENGINES, cell=["lstm", "gru_reset_before"], name=["learned-2", "learned-sum"])
def test_learned_states(engine, cell, name):
    layer = build(engine, cell, name)

    report = sr.gradcheck(layer, 4, 3, **RANDOM, entries=3, state=None)

    learned = [tensor for tensor in report.tensors if tensor[1:3] == "_0"]
    assert len(learned) == (2 if INFOS[cell].states > 1 else 1) * 2 * layer.num_layers
    assert all(abs(report.tensors[tensor].got) > 1e-3 for tensor in learned)
    assert "state" not in report.tensors


RESETTING = ("learned-2", "residual-mul", "turned")


@few(
    engine=ENGINES,
    state=["random", None],
    reset_state=["random", "zero", "learned", "given", None],
    name=RESETTING,
)
def test_states_that_resets_go_to(engine, name, reset_state, state):
    layer = build(engine, "lstm", name, learn_initial_state=True)

    report = sr.gradcheck(layer, 5, 3, **RANDOM, entries=2, state=state, reset_state=reset_state)

    assert ("reset_state[1]" in report.tensors) == (reset_state == "random")
    uses = state is None or reset_state in ("learned", None)
    assert (report.tensors["h_0_l0"].got != 0) == uses


def test_words_for_states_are_checked():
    layer = sr.GRU(2, 3, dtype="float64")

    with pytest.raises(ValueError, match="state: expected 'random', got 'zero'"):
        sr.gradcheck(layer, 3, 2, state="zero")
    with pytest.raises(ValueError, match="reset_state: expected 'random' or 'zero' or 'learned'"):
        sr.gradcheck(layer, 3, 2, reset="random", reset_state="last")


@pytest.mark.parametrize("name", ["reverse-2", "sum-2", "residual-3"])
def test_padding_changes_no_bit_of_dropout(built, name, rng):
    layer, other = (build(sr, "gru", name) for _ in range(2))
    x, state, _ = draw(layer, "plain", rng)
    padded = np.concatenate([x, np.full((3, *x.shape[1:]), np.nan)])

    want = layer.record(x, state).output

    got = other.record(padded, state, lengths=np.full(x.shape[1], len(x))).output
    assert_same_bits(got[: len(x)], want)
    assert not got[len(x) :].any()
