"""Beam search: what all sequences written out say, greedy with one, each source by itself."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_loops import every

VOCABULARY, END = 4, 2


def make(rng, batch=1):
    """Return a decoder that ends now and then, its step, and the state before the first one."""
    decoder = sr.AttentionDecoder(
        sr.Embedding(VOCABULARY, 3, dtype="float64", seed=0),
        sr.GRU(3 + 5, 6, dtype="float64", seed=1),
        sr.Attention("general", 6, 4, dtype="float64", seed=2),
        sr.Linear(4 + 6, 5, dtype="float64", seed=3),
    )
    head = sr.Linear(5, VOCABULARY, dtype="float64", seed=4)
    head.weight = 6 * head.weight

    def step(tokens, state):
        output, state = decoder.step(tokens, state)
        return head(output), state

    memory = rng.standard_normal((5, batch, 4))
    return step, decoder.start(memory, memory_lengths=rng.integers(1, 6, batch))


def log_softmax(logits):
    powers = np.exp(logits - logits.max())
    return np.log(powers / powers.sum())


def all_sequences(step, state, length, alpha):
    """Return (ended, score, log-probability, tokens) of every sequence, the best first."""
    found = []
    others = [token for token in range(VOCABULARY) if token != END]
    for count in range(length + 1):
        for told in itertools.product(others, repeat=count):
            whole = [*told, END] if count < length else list(told)
            total, given, now = 0.0, 0, state
            for token in whole:
                logits, now = step(np.array([given]), now)
                total += log_softmax(logits[0])[token]
                given = token
            score = total / ((5 + len(whole)) / 6) ** alpha
            found.append((count < length, score, total, list(told)))
    return sorted(found, key=lambda one: (not one[0], -one[1]))


@every("alpha", [0.0, 0.6, 2.0])
def test_a_beam_that_holds_everything_finds_the_best_of_all(rng, alpha):
    step, state = make(rng)
    want = all_sequences(step, state, 3, alpha)

    found = sr.beam_search(
        step, state, [0], END, max_length=3, beam=len(want) + 5, length_penalty=alpha
    )

    assert found.lengths[0, : len(want)].tolist() == [len(one[3]) for one in want]
    for place, (ended, score, total, told) in enumerate(want):
        assert found.tokens[0, place, : len(told)].tolist() == told
        assert found.ended[0, place] == ended
        np.testing.assert_allclose(found.scores[0, place], score, rtol=1e-12)
        np.testing.assert_allclose(found.log_probabilities[0, place], total, rtol=1e-12)
    assert (found.scores[0, len(want) :] == -np.inf).all()
    assert not found.lengths[0, len(want) :].any()


def test_a_beam_of_one_is_greedy(rng):
    step, state = make(rng, batch=6)
    want = np.full((6, 8), END)
    tokens, now, ended = np.zeros(6, int), state, np.zeros(6, bool)
    for place in range(8):
        logits, now = step(tokens, now)
        tokens = np.where(ended, END, logits.argmax(axis=1))
        ended |= tokens == END
        want[:, place] = tokens

    found = sr.beam_search(step, state, np.zeros(6, int), END, max_length=8, beam=1)

    assert (found.ended[:, 0] == ended).all()
    assert found.best() == [[t for t in row if t != END] for row in want.tolist()]


def test_a_source_has_a_result_of_its_own(rng):
    step, state = make(rng, batch=5)
    together = sr.beam_search(step, state, np.zeros(5, int), END, max_length=7, beam=3)
    assert len(set(map(tuple, together.best()))) > 1

    for row in range(5):
        alone = sr.beam_search(step, state.take([row]), [0], END, max_length=7, beam=3)
        assert alone.best()[0] == together.best()[row]
        assert_same_bits(alone.scores[0], together.scores[row])
    # A beam is at least as good as a narrower one here, and what it reports is what it found.
    assert (np.diff(together.scores, axis=1)[together.ended[:, 1:]] <= 0).all()


def test_states_of_any_form_are_taken_by_row():
    seen = []

    def step(tokens, state):
        seen.append(state["h"][0][0, :, 0].tolist())
        after = state["h"][0] + tokens[None, :, None]
        logits = np.tile([0.0, -1.0, -2.0, -9.0], (len(tokens), 1))
        return logits, {"h": (after,), "none": None}

    state = {"h": (np.array([[[10.0], [20.0]]]),), "none": None}
    found = sr.beam_search(step, state, [0, 1], 3, max_length=2, beam=2)

    assert seen == [[10.0, 20.0], [10.0, 10.0, 21.0, 21.0]]
    assert found.tokens.tolist() == [[[0, 0], [0, 1]]] * 2
    assert not found.ended.any()


def test_nothing_to_search_for():
    found = sr.beam_search(lambda tokens, state: 1 / 0, None, np.zeros(0, int), 0, max_length=3)

    assert found.tokens.shape == (0, 4, 0)
    assert found.best() == []


def _step(logits, state=None):
    return lambda tokens, given: (logits, state)


@every(
    "change, message",
    [
        ({"start": [[0]]}, "start: expected shape (B,), got (1, 1)"),
        ({"start": [0.5]}, "start: expected an integer dtype, got float64"),
        ({"end": 4}, "end: expected an integer in [0, 4), got 4"),
        ({"beam": 0}, "beam: expected a positive integer, got 0"),
        ({"max_length": 0}, "max_length: expected a positive integer, got 0"),
        ({"length_penalty": -1}, "length_penalty: expected a number in [0, inf), got -1"),
        (
            {"start": [2**64 - 1]},
            "start: expected integers of at most 9223372036854775807, got",
        ),
        ({"beam": 10**30}, "beam=1000000000000000000000000000000: too large for any memory"),
        (
            {"length_penalty": 1e9},
            "length_penalty: expected a number for which ((5 + max",
        ),
        ({"step": None}, "step: expected a function (tokens, state) -> (logits, state), got None"),
        ({"step": sr.GRU(1, 4)}, "-> (logits, state), got GRU, which takes whole sequences"),
        ({"step": sr.Model(rnn=sr.GRU(1, 4))}, "got Model, which takes whole sequences"),
        (
            {"step": _step([[1.0], [1.0, 2.0]])},
            "step: expected logits of float32 or float64, got",
        ),
        ({"step": _step(np.ma.zeros((1, 4)))}, "step: expected a plain array, got a masked array"),
        ({"step": lambda tokens, state: 3}, "step: expected (logits, state) of it, got int"),
        ({"step": _step(np.zeros((2, 4)))}, "step: expected logits of shape (N, V) = (1, V), got"),
        ({"step": _step(np.zeros((1, 4), int))}, "step: expected logits of float32 or float64"),
        ({"step": _step(np.full((1, 4), np.nan))}, "step: expected finite logits, got NaN"),
        ({"step": _step(np.zeros((1, 4)), np.zeros(1))}, "state: expected arrays (..., N, H) of N"),
    ],
)
def test_mistakes_are_named(change, message):
    given = {"step": _step(np.zeros((1, 4))), "state": None, "start": [0], "end": 3}
    with pytest.raises((TypeError, ValueError, MemoryError), match=re.escape(message)):
        sr.beam_search(**{"max_length": 2, **given, **change})
