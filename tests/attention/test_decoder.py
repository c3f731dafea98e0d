"""Decoders with input feeding: one recorded call, one step at a time, and the way back."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_loops import every
from helpers_nn import assert_close, central_difference

VOCABULARY, E, H, M, F = 7, 3, 5, 4, 6


def make(kind="general", layer="GRU", combine=True, dtype="float64", embedding=True, **options):
    """Return a decoder of small sizes."""
    memory = H if kind == "dot" else M
    fed = F if combine else memory
    attention = {"dot": (), "general": (H, memory), "additive": (H, memory, 3)}[kind]
    first = options.pop("batch_first", False)
    module = options.pop("module", sr)
    return sr.AttentionDecoder(
        sr.Embedding(VOCABULARY, E, dtype=dtype, seed=0) if embedding else None,
        getattr(module, layer)(E + fed, H, dtype=dtype, seed=1, **options),
        sr.Attention(kind, *attention, dtype=dtype, seed=2, batch_first=first),
        sr.Linear(memory + H, F, dtype=dtype, seed=3) if combine else None,
    )


def draw(rng, decoder, T=4, B=3, S=5):
    """Return tokens (T, B), or vectors, and a memory (S, B, M)."""
    memory = H if decoder.attention.kind == "dot" else M
    tokens = rng.integers(0, VOCABULARY, (T, B))
    if decoder.embedding is None:
        tokens = rng.standard_normal((T, B, E)).astype(decoder.dtype)
    return tokens, rng.standard_normal((S, B, memory)).astype(decoder.dtype)


def lengths_of(padded):
    return {"lengths": [4, 0, 2], "memory_lengths": [5, 2, 0]} if padded else {}


ROWS = [
    ("dot", "GRU", True, {}),
    ("general", "LSTM", True, {"num_layers": 2}),
    ("additive", "LSTM", False, {"layer_norm": True}),
    ("general", "IndRNN", False, {}),
    ("general", "GRU", True, {"learn_initial_state": True, "residual": True, "num_layers": 2}),
    ("dot", "FastRNN", True, {"embedding": False}),
]


def flat(state):
    return dict(enumerate(state)) if isinstance(state, tuple) else {0: state}


@every("padded", [False, True])
@every("kind, layer, combine, options", ROWS)
def test_gradients_are_those_of_finite_differences(rng, padded, kind, layer, combine, options):
    decoder = make(kind, layer, combine, **options)
    tokens, memory = draw(rng, decoder)
    given = lengths_of(padded)
    tape = decoder.record(tokens, memory, **given)
    learned = bool(options.get("learn_initial_state"))
    state = None
    if not learned:
        state = {k: rng.standard_normal(one.shape) for k, one in flat(tape.state).items()}
    d_state = {k: rng.standard_normal(one.shape) for k, one in flat(tape.state).items()}
    d_output, d_weights = (rng.standard_normal(one.shape) for one in (tape.output, tape.weights))
    parameters = decoder.state_dict()

    def form(states):
        if states is None:
            return None
        return tuple(states.values()) if len(states) > 1 else states[0]

    def record():
        decoder.load_state_dict(parameters)
        return decoder.record(tokens, memory, form(state), **given)

    def loss():
        tape = record()
        states = flat(tape.state)
        total = (tape.output * d_output).sum() + (tape.weights * d_weights).sum()
        return float(total + sum((states[k] * one).sum() for k, one in d_state.items()))

    grads = record().backward(d_output, d_weights, form(d_state))

    found, wanted = {"memory": grads.memory, **grads.params}, {"memory": memory, **parameters}
    if state is not None:
        found |= {f"state{k}": one for k, one in flat(grads.state).items()}
        wanted |= {f"state{k}": one for k, one in state.items()}
    if decoder.embedding is None:
        found["x"], wanted["x"] = grads.x, tokens
    assert list(grads.params) == list(decoder.parameters())
    for name, array in wanted.items():
        assert_close(found[name], central_difference(loss, array, 1e-5), 1e-7)
    if padded:
        assert not tape.output[2:, 2].any()
        assert not tape.output[:, 1].any()
        assert not tape.weights[:, 2].any()


@every("kind, layer, combine, options", ROWS)
def test_a_step_at_a_time_has_the_bits_of_a_call(rng, kind, layer, combine, options):
    decoder = make(kind, layer, combine, "float32", **options)
    tokens, memory = draw(rng, decoder)
    tape = decoder.record(tokens, memory, memory_lengths=[5, 2, 0])

    state = decoder.start(memory, memory_lengths=[5, 2, 0])
    for step, given in enumerate(tokens):
        output, state = decoder.step(given, state)
        assert_same_bits((output, state.weights), (tape.output[step], tape.weights[step]))

    assert_same_bits(dict(enumerate(state.states)), flat(tape.state))
    called = decoder(tokens, memory, memory_lengths=[5, 2, 0])
    assert_same_bits(called, (tape.output, tape.weights))


def test_bits_of_a_row_are_its_own(rng):
    decoder = make("general", "LSTM", dtype="float32")
    tokens, memory = draw(rng, decoder, T=6, B=5, S=9)
    given = {"lengths": [6, 3, 1, 6, 2], "memory_lengths": [9, 4, 9, 1, 0]}
    tape = decoder.record(tokens, memory, **given)
    d_output = rng.standard_normal(tape.output.shape).astype("f4")
    grads = tape.backward(d_output)

    for threads in (1, 2):
        again = decoder.record(tokens, memory, num_threads=threads, **given)
        back = again.backward(d_output)
        assert_same_bits(again.output, tape.output)
        assert_same_bits((back.memory, back.params), (grads.memory, grads.params))
    for row in (1, 3):
        own, steps, real = slice(row, row + 1), given["lengths"][row], given["memory_lengths"][row]
        alone = decoder.record(tokens[:steps, own], memory[:real, own])
        back = alone.backward(d_output[:steps, own])
        assert_same_bits(alone.output, tape.output[:steps, own])
        assert_same_bits(back.memory, grads.memory[:real, own])


def test_without_a_way_from_step_to_step_it_is_the_layer_and_the_attention(rng):
    """Where nothing is fed, one call of each is the same, with the same bits of gradients."""
    decoder = make("general", "LSTM", dtype="float32")
    tokens, memory = draw(rng, decoder, T=6)
    layer, attention = decoder.layer, decoder.attention
    weight = layer.state_dict()["weight_ih_l0"]
    weight[:, E:] = 0
    layer.weight_ih_l0 = weight
    tape = decoder.record(tokens, memory)
    d_output = rng.standard_normal(tape.output.shape).astype("f4")
    grads = tape.backward(d_output)

    fed = np.concatenate([np.zeros((1, 3, F), "f4"), tape.output[:-1]])
    cell = layer.record(np.concatenate([decoder.embedding(tokens), fed], axis=2))
    found = attention.record(cell.output, memory)
    joined = np.concatenate([found.output, cell.output], axis=2)
    made = decoder.combine.record(joined)
    output = np.tanh(made.output)
    back = made.backward(d_output * (1 - tape.output * tape.output))
    of_attention = found.backward(back.x[..., :M].copy())
    of_layer = cell.backward(back.x[..., M:] + of_attention.x)

    assert_close(tape.output, output, 1e-6)
    assert_same_bits(tape.weights, found.weights)
    for part, one in (("combine", back), ("attention", of_attention), ("layer", of_layer)):
        for name, value in one.params.items():
            assert_same_bits(grads.params[f"{part}.{name}"], value)
    assert_same_bits(grads.memory, of_attention.memory)


@every("sizes", [(0, 2, 3), (2, 0, 3), (2, 3, 0), (0, 0, 0)])
@every("kind", ["general", "additive"])
def test_nothing_is_a_size(rng, kind, sizes):
    decoder, (T, B, S) = make(kind, "LSTM"), sizes
    tokens, memory = draw(rng, decoder, T, B, S)

    tape = decoder.record(tokens, memory, lengths=np.full(B, T), memory_lengths=np.full(B, S))
    grads = tape.backward(np.ones_like(tape.output), np.ones_like(tape.weights))

    assert tape.output.shape == (T, B, F)
    assert tape.weights.shape == (T, B, S)
    assert grads.memory.shape == memory.shape
    assert np.isfinite(tape.output).all()
    state = decoder.start(memory)
    _, state = decoder.step(np.zeros(B, int), state)
    assert state.take(np.zeros(0, int)).fed.shape == (0, F)


def test_batch_first_turns_what_has_steps(rng):
    decoder, turned = make(), make(batch_first=True)
    tokens, memory = draw(rng, decoder)
    want = decoder.record(tokens, memory, **lengths_of(True))
    grads = want.backward(np.ones_like(want.output))

    tape = turned.record(tokens.T, memory.swapaxes(0, 1), **lengths_of(True))
    back = tape.backward(np.ones_like(tape.output))

    assert_same_bits(tape.output.swapaxes(0, 1), want.output)
    assert_same_bits(tape.weights.swapaxes(0, 1), want.weights)
    assert_same_bits(back.memory.swapaxes(0, 1), grads.memory)
    assert_same_bits(back.params, grads.params)


def test_the_twin_agrees(rng):
    ours, twin = make("additive", "LSTM"), make("additive", "LSTM", module=sr.reference)
    tokens, memory = draw(rng, ours)
    tapes = [one.record(tokens, memory, **lengths_of(True)) for one in (ours, twin)]
    grads = [tape.backward(np.ones_like(tape.output)) for tape in tapes]

    assert_close(tapes[0].output, tapes[1].output, 1e-13)
    for name, value in grads[0].params.items():
        assert_close(value, grads[1].params[name], 1e-12)


def test_it_is_saved_copied_and_trained(rng, tmp_path):
    decoder = make("additive", "LSTM", dtype="float32")
    tokens, memory = draw(rng, decoder)
    want = decoder.record(tokens, memory)
    decoder.save(tmp_path / "decoder.npz")

    for twin in (
        sr.load(tmp_path / "decoder.npz"), pickle.loads(pickle.dumps(decoder)),
        copy.deepcopy(decoder),
    ):  # fmt: skip
        assert repr(twin) == repr(decoder)
        assert_same_bits(twin(tokens, memory), (want.output, want.weights))
    sr.load(tmp_path / "decoder.npz").save(tmp_path / "again.npz")
    without = make("dot", combine=False, embedding=False)
    without.save(tmp_path / "without.npz")
    assert repr(sr.load(tmp_path / "without.npz")) == repr(without)
    before = decoder.state_dict()
    grads = want.backward(np.ones_like(want.output))
    sr.optim.Adam([decoder], lr=0.1).step([grads])
    assert all((before[name] != one).any() for name, one in decoder.parameters().items())
    with pytest.raises(ValueError, match="got parameters changed since"):
        want.backward()
    with pytest.raises(TypeError, match="record again"):
        pickle.dumps(want)


def test_rows_are_taken_and_share_what_they_attend_to(rng):
    decoder = make("additive", dtype="float32")
    _, memory = draw(rng, decoder, B=2)
    start = decoder.start(memory, memory_lengths=[5, 3])
    twice = start.take([0, 0, 1, 1])
    assert twice.memory is start.memory

    first, state = decoder.step(np.array([1, 2, 1, 2]), twice)
    apart = [decoder.step(np.array([token, token]), start)[0] for token in (1, 2)]
    assert_same_bits(first, np.stack(apart, axis=1).reshape(4, F))

    turned = state.take([3, 0, 2])  # no longer as many of each
    assert turned.memory is not start.memory
    second, _ = decoder.step(np.array([4, 5, 6]), turned)
    whole, _ = decoder.step(np.array([5, 0, 6, 4]), state)
    assert_same_bits(second, whole[[3, 0, 2]])
    swapped, _ = decoder.step(np.array([2, 1]), start.take([1, 0]))  # as many, in another order
    assert_same_bits(swapped, decoder.step(np.array([1, 2]), start)[0][::-1])
    with pytest.raises(ValueError, match=r"rows: expected integers in \[0, 2\), got -1"):
        start.take([0, -1])
    decoder.attention.bias = np.zeros(3, "f4")
    with pytest.raises(ValueError, match="state: expected one that began with the present"):
        decoder.step(np.array([1, 1]), start)


@every(
    "change, message",
    [
        ({"embedding": "x"}, "embedding: expected an Embedding or None, got str"),
        ({"layer": sr.GRUCell(9, 5)}, "layer: expected a recurrent layer, got GRUCell"),
        ({"layer": sr.GRU(9, 5, bidirectional=True)}, "layer: expected a causal layer"),
        ({"layer": sr.GRU(9, 5, zoneout=0.1)}, "layer: expected no zoneout, which is drawn once"),
        ({"layer": sr.GRU(8, 5)}, "layer: expected input_size = E + F = 3 + 6, got 8"),
        (
            {"layer": sr.GRU(9, 5, dtype="float64")},
            "embedding: expected dtype float64 as the layer",
        ),
        ({"layer": sr.AUGRU(9, 5)}, "layer: expected a cell without attention of its own"),
        ({"attention": sr.Attention("general", 4, 4)}, "attention: expected query_size = 5, what"),
        ({"combine": sr.Linear(8, 6)}, "combine: expected in_features = M + H = 4 + 5, got 8"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message):
    parts = {
        "embedding": sr.Embedding(7, 3), "layer": sr.GRU(9, 5),
        "attention": sr.Attention("general", 5, 4), "combine": sr.Linear(9, 6),
    }  # fmt: skip
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        sr.AttentionDecoder(**parts | change)


@every(
    "change, message",
    [
        ({"tokens": np.ones((4, 2), int)}, "tokens: expected shape (T, B) = (4, 3), got (4, 2)"),
        ({"tokens": np.full((4, 3), 7)}, "tokens: expected integers in [0, 7), got 7"),
        ({"tokens": np.ones((4, 3))}, "tokens: expected an integer dtype, got float64"),
        ({"tokens": np.ones(3, int)}, "tokens: expected shape (T, B), got (3,)"),
        ({"memory": np.ones((5, 4))}, "memory: expected shape (S, B, M) with M = 4, got (5, 4)"),
        ({"tokens": [[1], [1, 2]]}, "tokens: expected integers, got list, whose members differ"),
        ({"tokens": np.ma.ones((4, 3), int)}, "tokens: expected a plain array, got a masked array"),
        ({"memory_lengths": [6, 0, 0]}, "memory_lengths: expected values in [0, S] = [0, 5], got"),
        ({"memory_mask": np.ones((5, 3))}, "memory_mask: expected dtype bool, got float64"),
        ({"lengths": [5, 0, 0]}, "lengths: expected values in [0, T] = [0, 4], got 5 in row 0"),
        ({"state": np.ones((1, 2, 5))}, "state: expected shape (L*D, B, H) = (1, 3, 5), got"),
    ],
)
def test_calls_say_what_is_wrong(change, message):
    given = {"tokens": np.ones((4, 3), int), "memory": np.ones((5, 3, 4))} | change

    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        make().record(**given)
