"""`sr.generate`: what it draws, from what, and the models that it takes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import simdrnn as sr
from simdrnn.engine.random_words import call_key, uniforms

V = 11


def parts(layer=None, dtype="float32", seed=0):
    layer = sr.LSTM(6, 8, num_layers=2, seed=seed, dtype=dtype) if layer is None else layer
    embedding = sr.Embedding(V, 6, seed=seed + 1, dtype=dtype)
    return [embedding, layer, sr.Linear(layer_width(layer), V, seed=seed + 2, dtype=dtype)]


def layer_width(layer):
    return layer.output_size if isinstance(layer, sr.Stack) else layer.hidden_size


def logits_behind(model, tokens):
    """Return the last logits (V,) of one call over all tokens of a row."""
    embedding, layer, head = model
    x = embedding(np.array(tokens)[:, None])
    output, _ = layer(x)
    return head(output[-1])[0]


def drawn_by_hand(logits, temperature, top_k, number):
    """Draw as the documentation says, in NumPy."""
    numbers = logits.astype(np.float64)
    if temperature == 0:
        return int(np.argmax(numbers))
    kept = np.argsort(-numbers, kind="stable")[: len(numbers) if top_k is None else top_k]
    weights = np.zeros(len(numbers))
    weights[kept] = np.exp((numbers[kept] - numbers.max()) / temperature)
    sums = np.cumsum(weights)
    return int(np.searchsorted(sums, number * sums[-1], side="right"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.3, 4), (2.5, 2), (0, None)])
def test_tokens_are_those_of_whole_calls(temperature, top_k, dtype):
    model = parts(dtype=dtype)
    prompts, lengths = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 1, 2]]), [4, 1, 3]
    numbers = uniforms(12, 3, call_key(5, 0))

    got = sr.generate(model, prompts, 12, temperature, top_k, seed=5, lengths=lengths)

    assert got.shape == (12, 3)
    for row, length in enumerate(lengths):
        text = prompts[:length, row].tolist()
        for step in range(12):
            logits = logits_behind(model, text)
            text.append(drawn_by_hand(logits, temperature, top_k, numbers[step, row]))
        assert got[:, row].tolist() == text[length:]


def test_seeds_fix_what_is_drawn_and_rows_have_numbers_of_their_own():
    model = parts()
    same = np.repeat(np.array([[1], [2]]), 3, axis=1)

    first = sr.generate(model, same, 20, seed=1)

    assert (sr.generate(model, same, 20, seed=1) == first).all()
    assert (sr.generate(model, same[:, :1], 20, seed=1)[:, 0] == first[:, 0]).all()
    assert (sr.generate(model, [1, 2], 20, seed=1) == first[:, 0]).all()
    assert (sr.generate(model, [1, 2], 7, seed=1) == first[:7, 0]).all()
    assert (first[:, 1] != first[:, 0]).any()
    assert (sr.generate(model, same, 20, seed=2) != first).any()


def test_models_in_every_form():
    layer = sr.Stack([sr.GRU(6, 6, seed=0), sr.LSTM(6, 6, seed=1)], skip="residual")
    embedding, _, head = model = parts(layer)
    want = sr.generate(model, [1, 2, 3], 15, seed=0)

    named = SimpleNamespace(embedding=embedding, rnn=layer, head=head)
    other = SimpleNamespace(embedding=embedding, layer=layer, head=lambda h: head(h))

    def step(tokens, state):
        output, state = layer(embedding(tokens[None]), state)
        return head(output[0]), state

    for form in (named, other, step):
        assert (sr.generate(form, [1, 2, 3], 15, seed=0) == want).all()
    chain = [embedding, sr.GRU(6, 5, seed=0), sr.RNN(5, 4, seed=1), sr.Linear(4, V, seed=2)]
    stacked = [embedding, sr.Stack(chain[1:3]), chain[3]]
    assert (sr.generate(chain, [1], 9, seed=3) == sr.generate(stacked, [1], 9, seed=3)).all()


def test_batch_first_models_have_batch_first_prompts():
    model = parts(sr.LSTM(6, 8, batch_first=True, seed=0))
    plain = parts(sr.LSTM(6, 8, seed=0))
    prompts = np.array([[1, 2, 3], [4, 5, 6]])

    got = sr.generate(model, prompts, 5, seed=1, lengths=[2, 3])

    assert got.shape == (2, 5)
    assert (sr.generate(plain, prompts.T, 5, seed=1, lengths=[2, 3]) == got.T).all()


def test_a_softmax_is_drawn_from():
    odds = np.array([0.5, 0.25, 0.125, 0.125, 0.0])
    with np.errstate(divide="ignore"):
        logits = np.log(np.tile(odds, (4000, 1)))

    drawn = sr.generate(lambda tokens, state: (logits, None), np.zeros((1, 4000), int), 5, seed=0)

    found = np.bincount(drawn.ravel(), minlength=5) / drawn.size
    assert found[4] == 0
    # Five standard deviations.
    assert np.abs(found - odds).max() < 5 * np.sqrt(0.25 / drawn.size)


def test_ties_go_to_the_first():
    logits = np.array([[1.0, 3.0, 3.0, 3.0, 2.0]])

    def draw(**options):
        return sr.generate(lambda tokens, state: (logits, None), [0], 200, seed=0, **options)

    assert set(draw(temperature=0)) == {1}
    assert set(draw(top_k=1)) == {1}
    assert set(draw(top_k=2)) == {1, 2}
    assert set(draw(top_k=4)) == {1, 2, 3, 4}
    assert set(draw(top_k=10**30)) == {0, 1, 2, 3, 4}


REFUSED = [
    ({"prompt": []}, ValueError, "prompt: expected shape .* with a token at least"),
    ({"prompt": np.zeros((0, 2), int)}, ValueError, "prompt: expected shape"),
    ({"prompt": [1, V]}, ValueError, rf"prompt: expected integers in \[0, {V}\), got {V}"),
    ({"steps": -1}, ValueError, "steps: expected"),
    ({"steps": 10**30}, MemoryError, "steps=10000.*: too large for any memory"),
    ({"temperature": -1.0}, ValueError, "temperature: expected a number of at least 0"),
    ({"temperature": float("nan")}, ValueError, "temperature: expected"),
    ({"top_k": 0}, ValueError, "top_k: expected"),
    ({"seed": -1}, ValueError, "seed: expected"),
    ({"lengths": 0}, ValueError, "lengths: expected at least one token"),
    ({"model": sr.LSTM(3, 4)}, TypeError, "model: expected an object with embedding"),
    ({"model": 3}, TypeError, "model: expected an object with embedding"),
    ({"model": [sr.Linear(2, 3), sr.LSTM(3, 4), sr.Linear(4, 3)]}, TypeError,
     "model: expected an Embedding"),
    ({"model": [sr.Embedding(2, 3), sr.Linear(3, 4), sr.Linear(4, 3)]}, TypeError,
     "model: expected recurrent layers"),
    ({"model": lambda tokens, state: (np.full((1, 3), np.nan), state)}, ValueError,
     "logits: expected finite numbers, got NaN"),
    ({"model": lambda tokens, state: (np.full((1, 3), -np.inf), state)}, ValueError,
     "logits: expected finite numbers"),
    ({"model": lambda tokens, state: (np.ones(3), state)}, ValueError, "model: logits: expected"),
    ({"model": lambda tokens, state: (np.ones((1, 3), int), state)}, TypeError,
     "model: expected logits of float32 or float64, got int64"),
    ({"model": lambda tokens, state: np.ones((1, 3))}, TypeError, r"model: expected \(logits"),
    ({"model": lambda tokens, state: (np.ones((2, 3)), state), "lengths": [1, 2],
      "prompt": [[0, 0], [1, 1]]}, ValueError, "lengths: expected prompts of one length"),
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_what_does_not_fit_is_refused(index):
    changed, error, message = REFUSED[index]
    given = {"model": parts(), "prompt": [1, 2], "steps": 3} | changed

    with pytest.raises(error, match=message):
        sr.generate(given.pop("model"), given.pop("prompt"), given.pop("steps"), **given)


def test_heads_of_more_tokens_than_the_embedding_are_told():
    embedding, layer, _ = parts()
    with pytest.raises(ValueError, match="head: expected logits for the 11 tokens"):
        sr.generate([embedding, layer, lambda h: np.eye(20)[[19]]], [1], 3, temperature=0)


def test_nothing_asked_for_is_nothing():
    assert sr.generate(parts(), [1, 2], 0).shape == (0,)
    assert sr.generate(parts(), np.zeros((2, 0), int), 4).shape == (4, 0)


def by_whole_calls(model, prompts, steps):
    """Return the likeliest tokens (steps, B), each from a call over all before it."""
    tokens = np.array(prompts)
    for _ in range(steps):
        logits = model(tokens)[0]
        logits = logits if logits.ndim == 2 else logits[-1]
        tokens = np.concatenate([tokens, logits.argmax(axis=-1)[None]])
    return tokens[len(prompts) :]


@pytest.mark.parametrize(
    "between",
    [
        {"body": sr.GRU(6, 8, seed=1)},
        {"rnn": sr.GRU(6, 8, seed=1), "more": sr.LSTM(8, 8, seed=2)},
        {"rnn": sr.GRU(6, 8, seed=1), "middle": sr.Linear(8, 8, seed=2)},
        {"drop": sr.Dropout(0.5), "rnn": sr.GRU(6, 8, seed=1), "other": sr.Dropout(0.5)},
        {"rnn": sr.GRU(6, 8, seed=1), "pooling": sr.Pooling("last")},
    ],
    ids=lambda between: "-".join(between),
)
def test_every_part_of_a_model_is_run_under_any_name(between):
    model = sr.Model(embedding=sr.Embedding(V, 6, seed=0), **between, head=sr.Linear(8, V, seed=3))
    prompts = [[1, 2, 3], [4, 5, 6]]  # a model that is no chain of these names took B for T

    got = sr.generate(model, prompts, 12, temperature=0)

    assert (got == by_whole_calls(model, prompts, 12)).all()


def test_models_that_cannot_be_run_by_steps_are_refused():
    embedding, layer, head = parts(sr.GRU(6, 8))
    with pytest.raises(ValueError, match=r"model: expected a pooling of 'last' .* got 'mean'"):
        sr.generate(sr.Model(a=embedding, b=layer, c=sr.Pooling("mean"), d=head), [1], 3)
    with pytest.raises(TypeError, match="model: expected an object with embedding"):
        sr.generate(sr.Model(a=embedding, b=layer), [1], 3)
    with pytest.raises(TypeError, match="model: expected recurrent layers"):
        sr.generate(sr.Model(a=embedding, z=sr.Linear(6, 6), b=layer, d=head), [1], 3)
