"""Streams of whole models: the bits of calling them, whatever their parts; and what is refused."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest

import simdrnn as sr
from closeness import assert_same_bits
from helpers_cover import cover
from helpers_memory import assert_asks_for_no_memory
from simdrnn import reference

RNG = np.random.default_rng(0)
TOKENS, STEPS = 11, 83  # more steps than a block of the engine

FACTORS = {
    "cell": sr.list_cells(),
    "embedding": [True, False],
    "recurrent": ["layer", "layers", "stack", "two parts", "model"],
    "head": [None, "linear", "two", "no bias"],
    "pooling": [None, "last"],
    "batch": [1, 5],
    "dtype": ["float32", "float64"],
    "batch_first": [False, True],
    "threads": [1, 2],
}
ROWS = [
    # What is beside a cell that takes attention must take it, too.
    row | {"recurrent": "layers"} if row["cell"] == "AUGRU" else row
    for row in cover(FACTORS, frozenset())
]


def draw(*shape, dtype="float32"):
    return RNG.standard_normal(shape).astype(dtype)


def recurrent_parts(row, **options):
    """Return recurrent parts, which take 6 numbers, and how many they make."""
    kind, cell = row["recurrent"], getattr(sr, row["cell"])
    if kind == "layers":
        return {"rnn": cell(6, 7, num_layers=2, seed=1, **options)}, 7
    if kind == "layer":
        return {"rnn": cell(6, 7, seed=1, **options)}, 7
    layers = [cell(6, 6, seed=1, **options), sr.GRU(6, 6, seed=2, **options)]
    if kind == "stack":
        # With a skip no one knows the last output from the states.
        skip = None if row["pooling"] else "highway"
        return {"rnn": sr.Stack(layers, skip=skip, seed=3)}, 6
    if kind == "two parts":
        return {"rnn": layers[0], "drop": sr.Dropout(0.5, dtype=options["dtype"]),
                "more": layers[1]}, 6  # fmt: skip
    return {"rnn": sr.Model(one=layers[0], two=layers[1])}, 6


def model_of(row):
    """Return the model of a row, with weights that make a difference."""
    dtype = row["dtype"]
    parts = {"embedding": sr.Embedding(TOKENS, 6, dtype=dtype, seed=4)} if row["embedding"] else {}
    own, width = recurrent_parts(row, dtype=dtype, batch_first=row["batch_first"])
    parts |= own
    if row["pooling"] and row["recurrent"] != "model":
        parts["pooling"] = sr.Pooling("last", dtype=dtype)
    head = row["head"]
    if head is not None:
        parts["head"] = sr.Linear(width, 9, bias=head != "no bias", seed=5, dtype=dtype)
    if head == "two":
        parts["second"] = sr.Linear(9, 40, seed=6, dtype=dtype)
    return sr.Model(**parts)


def given(row, steps=STEPS):
    """Return what a model of a row is fed, (T, B) or (T, B, I)."""
    if row["embedding"]:
        return RNG.integers(0, TOKENS, (steps, row["batch"]))
    return draw(steps, row["batch"], 6, dtype=row["dtype"])


def laid_out(row, sequence):
    return sequence.swapaxes(0, 1) if row["batch_first"] else sequence


def takes_attention(row):
    return row["cell"] == "AUGRU"


def label(row):
    return "-".join(f"{value}" for value in row.values())


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_every_way_of_cutting_a_sequence_has_the_bits_of_one_call(row):
    model, x = model_of(row), given(row)
    beside = draw(STEPS, row["batch"], dtype=row["dtype"]) if takes_attention(row) else None
    called = {} if beside is None else {"attention": laid_out(row, beside)}
    pooled = row["pooling"] and row["recurrent"] != "model"
    want, state = model(laid_out(row, x), **called)
    stream = model.stream(row["batch"], num_threads=row["threads"])
    made = []

    for begin, end in pairwise([0, 1, 2, 5, 77, STEPS]):
        own = {} if beside is None else {"attention": beside[begin:end]}
        if end - begin == 1:
            own = {name: value[0] for name, value in own.items()}
            made.append(stream.step(x[begin], **own)[None])
            continue
        own = {name: laid_out(row, value) for name, value in own.items()}
        made.append(laid_out(row, stream.feed(laid_out(row, x[begin:end]), **own)))

    whole = np.concatenate(made)
    assert stream.output_size == whole.shape[-1]
    assert_same_bits(whole[-1] if pooled else laid_out(row, whole), want)
    assert_same_bits(stream.state, state)
    if pooled:  # each step is what the model makes of all up to it
        early = {name: laid_out(row, beside[:3]) for name in called}
        assert_same_bits(whole[2], model(laid_out(row, x[:3]), **early)[0])


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row["batch"] > 1 and not takes_attention(row)][::2], ids=label
)
def test_rows_that_come_and_go_are_one_call_each(row):
    row = row | {"pooling": None}
    model, x = model_of(row), given(row, 12)
    want = laid_out(row, model(laid_out(row, x))[0])
    stream = model.stream(row["batch"])
    taken, got = np.zeros(row["batch"], int), np.zeros_like(want)

    while (taken < 12).any():
        rows = RNG.permutation(np.flatnonzero(taken < 12))
        rows = rows[: RNG.integers(1, len(rows) + 1)]
        step = np.ascontiguousarray(x[taken[rows], rows])
        out = np.empty((len(rows), stream.output_size), row["dtype"])
        assert stream.step(step, out=out, rows=rows) is out
        got[taken[rows], rows] = out
        taken[rows] += 1

    assert_same_bits(got, want)
    stream.reset(rows=[1, 3])
    again = stream.step(x[0, [3, 1]], rows=[3, 1])
    assert_same_bits(again, want[0, [3, 1]])


def test_attention_goes_to_the_parts_that_take_it():
    below, above = sr.GRU(3, 4, seed=0), sr.AUGRU(4, 5, seed=1)
    x, attention = draw(6, 2, 3), draw(6, 2)
    want, _ = above(below(x)[0], attention=attention)
    stream = sr.Model(below=below, above=above).stream(2)

    first = stream.step(x[0], attention=attention[0])

    assert_same_bits(first, want[0])
    assert_same_bits(stream.feed(x[1:], attention=attention[1:]), want[1:])
    with pytest.raises(ValueError, match=r"attention: expected shape \(B,\)"):
        stream.step(x[0])


def language_model(**options):
    return sr.Model(
        embedding=sr.Embedding(TOKENS, 6, seed=0),
        rnn=sr.LSTM(6, 8, seed=1, **options),
        head=sr.Linear(8, TOKENS, seed=2),
    )


@pytest.mark.parametrize("dtype", ["int32", "uint8", "uint64", ">i8", "list"])
def test_integers_of_any_kind_and_layout(dtype):
    model, tokens = language_model(), RNG.integers(0, TOKENS, (4, 3))
    want, _ = model(tokens)
    stream = model.stream(3)
    other = tokens.tolist() if dtype == "list" else np.asfortranarray(tokens.astype(dtype))
    wide = np.zeros((2, 3, 2 * TOKENS), "float32")

    first = stream.step(other[0])
    second = stream.step(other[1], out=wide[0, :, :TOKENS]).copy()
    rest = stream.feed(other[2:], out=wide[..., TOKENS:])

    assert_same_bits(first, want[0])
    assert_same_bits(second, want[1])
    assert_same_bits(rest.copy(), want[2:])
    assert_same_bits(stream.step([], rows=[]), np.empty((0, TOKENS), "float32"))
    assert_same_bits(stream.feed(tokens[:0]), np.empty((0, 3, TOKENS), "float32"))


@pytest.mark.parametrize("kind", ["linear", "embedding", "both"])
def test_models_without_a_state(kind):
    parts = {
        "linear": {"head": sr.Linear(6, 4, seed=0)},
        "embedding": {"embedding": sr.Embedding(TOKENS, 6, seed=1)},
        "both": {"embedding": sr.Embedding(TOKENS, 6, seed=1), "head": sr.Linear(6, 4, seed=0)},
    }[kind]
    model = sr.Model(**parts)
    x = draw(5, 2, 6) if kind == "linear" else RNG.integers(0, TOKENS, (5, 2))
    want, _ = model(x)
    stream = model.stream(2)

    assert_same_bits(np.concatenate([stream.step(x[0])[None], stream.feed(x[1:])]), want)
    assert stream.state is None
    stream.state = None
    with pytest.raises(ValueError, match="state: expected None, since no part has a state"):
        stream.state = draw(1, 2, 6)
    with pytest.raises(ValueError, match="attention: expected None, as no part takes attention"):
        stream.step(x[0], attention=draw(2))
    assert_same_bits(pickle.loads(pickle.dumps(stream)).step(x[1]), want[1])


def test_large_heads_are_shared_by_threads_without_a_bit_of_difference():
    model = sr.Model(rnn=sr.GRU(16, 300, seed=0), head=sr.Linear(300, 9000, seed=1))
    x = draw(6, 2, 16)
    want, _ = model(x, num_threads=1)

    stream = model.stream(2, num_threads=2)

    assert_same_bits(stream.step(x[0]), want[0])
    assert_same_bits(stream.feed(x[1:]), want[1:])


def test_weights_are_those_of_when_it_was_made():
    model, tokens = language_model(), RNG.integers(0, TOKENS, (5, 2))
    model.fit((tokens, tokens), sr.softmax_cross_entropy, epochs=1, verbose=False, seed=0)
    want, state = model(tokens)
    before = len(pickle.dumps(model))
    stream, other = model.stream(2), model.stream(2)
    assert stream._frozen.owner is other._frozen.owner
    assert stream._frozen.owner.trainer is None
    model.embedding.weight = model.embedding.weight * 2
    model.rnn.weight_hh_l0 = model.rnn.weight_hh_l0 * 2
    model.head.bias = model.head.bias + 1

    copies = [pickle.loads(pickle.dumps(stream)), stream.clone(), copy.deepcopy(stream)]

    for one in (stream, other, *copies):
        assert_same_bits(one.feed(tokens), want)
        assert_same_bits(one.state, state)
    later = model.stream(2)
    assert_same_bits(later.feed(tokens), model(tokens)[0])
    assert len(pickle.dumps(model)) == before
    half = pickle.loads(pickle.dumps(later))
    assert_same_bits(half.feed(tokens), later.feed(tokens))


def test_tied_arrays_stay_tied_in_what_is_pickled():
    model = sr.Model(
        embedding=sr.Embedding(500, 8, seed=0), rnn=sr.GRU(8, 8), head=sr.Linear(8, 500)
    )
    tokens = RNG.integers(0, 500, (4, 2))
    before = model.stream(2)
    model.tie("head.weight", "embedding.weight")
    want, _ = model(tokens)
    stream = model.stream(2)

    assert_same_bits(stream.feed(tokens), want)
    again = pickle.loads(pickle.dumps(stream)).clone()
    assert_same_bits(again.feed(tokens), model(tokens, stream.state)[0])
    assert list(stream._frozen.owner.parameters()) == list(model.parameters())
    assert not (before.feed(tokens) == want).all()


def test_streams_of_parameters_that_are_being_written_are_refused():
    model = sr.Model(a=sr.Model(rnn=sr.Stack([sr.LSTM(3, 4, seed=0)])), head=sr.Linear(4, 2))

    for part in (model.a.rnn[0], model.head):
        with part._update_parameters() as arrays:
            next(iter(arrays.values()))[...] = 0
            with pytest.raises(ValueError, match="stream: expected parameters that are whole"):
                model.stream()
    assert_same_bits(model.stream().feed(draw(3, 1, 3) * 0), model(draw(3, 1, 3) * 0)[0])


def test_states_have_the_form_of_the_models():
    layers = [sr.LSTM(4, 4, seed=1), sr.GRU(4, 4, learn_initial_state=True, seed=2)]
    model = sr.Model(a=sr.GRU(3, 4, seed=0), b=sr.Stack(layers), head=sr.Linear(4, 2, seed=3))
    layers[1].h_0_l0 = draw(4)
    x = draw(9, 2, 3)
    stream = model.stream(2)
    stream.feed(x[:4])
    kept = stream.state
    want = stream.feed(x[4:])

    assert_same_bits(kept, model(x[:4])[1])
    stream.reset()
    assert_same_bits(stream.state[1][1][0], np.tile(layers[1].h_0_l0, (2, 1)))
    stream.state = kept
    assert_same_bits(stream.feed(x[4:]), want)
    for wrong, message in (
        (kept[:1], "state: expected a tuple of 2, one for each part, got tuple of 1"),
        ((kept[0], kept[1][0]), r"state\[1\]\[0\]: expected"),
        ((kept[0], kept[1][:1]), r"state\[1\]: expected a tuple of 2, one for each layer"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            stream.state = wrong
    assert_same_bits(stream.state, model(x)[1])


REFUSED = [
    ({"rnn": sr.LSTM(3, 4, bidirectional=True)},
     "rnn: expected a layer of one direction, got bidirectional=True"),
    ({"rnn": sr.GRU(3, 4, reverse=True)}, "rnn: expected a layer that runs forward in time"),
    ({"rnn": sr.Stack([sr.GRU(3, 4), sr.GRU(4, 4, bidirectional=True)])},
     r"rnn\[1\]: expected a layer of one direction"),
    ({"inner": sr.Model(rnn=sr.GRU(3, 4, reverse=True))},
     r"inner\.rnn: expected a layer that runs forward in time"),
    ({"rnn": sr.GRU(3, 4), "squeeze": sr.Pooling("mean"), "head": sr.Linear(4, 2)},
     "squeeze: expected a pooling of 'last' in a stream, got 'mean', which looks at all steps"),
    ({"rnn": sr.GRU(3, 4), "crf": sr.losses.CRF(4)}, "crf|CRF"),
    ({"rnn": sr.GRU(3, 4), "words": sr.Embedding(5, 4)},
     "words: expected an Embedding as the first part of a stream alone"),
    ({"drop": sr.Dropout(0.5)}, "stream: expected a model of layers, .*, got nothing but Dropout"),
    ({"rnn": sr.GRU(3, 4), "attention": sr.Attention("dot")},
     "model: expected parts that follow each other, but attention"),
    ({"inner": sr.Model(rnn=sr.GRU(3, 4)), "head": sr.Linear(5, 2)},
     "head: expected a part that takes vectors of 4 of float32, got one of 5 of float32"),
    ({"inner": sr.Model(rnn=sr.GRU(3, 4)), "head": sr.Linear(4, 2, dtype="float64")},
     "head: expected a part that takes vectors of 4 of float32, got one of 4 of float64"),
    ({"inner": sr.Model(rnn=sr.GRU(3, 4, batch_first=True)), "more": sr.GRU(4, 4)},
     "more: expected parts that all have batch_first, or none"),
    ({"inner": sr.Model(rnn=sr.GRU(3, 4), pooling=sr.Pooling()), "more": sr.GRU(4, 4)},
     "more: it needs steps, and a Pooling has made one of them"),
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_what_a_stream_cannot_hold_is_named(index):
    parts, message = REFUSED[index]
    with pytest.raises(ValueError, match=message):
        sr.Model(**parts).stream()


class Doubling:
    """A part of a user's own."""

    def parameters(self):
        return {}

    def _update_parameters(self):
        raise NotImplementedError

    def record(self, x):
        raise NotImplementedError


def test_parts_of_users_are_refused():
    with pytest.raises(ValueError, match=r"own: expected what a stream .* got Doubling"):
        sr.Model(rnn=sr.GRU(3, 4), own=Doubling()).stream()


WRONG = [
    (lambda s: s.step([1, 2, TOKENS]), ValueError, rf"x: expected integers in \[0, {TOKENS}\)"),
    (lambda s: s.step(np.array([1, -1, 2])), ValueError, "x: expected integers .* got -1"),
    (lambda s: s.step(np.array([TOKENS, 1, 2])), ValueError, "x: expected integers .* got 11"),
    (lambda s: s.feed([[1, 2, 3], [1, 2, TOKENS]]), ValueError, "chunk: expected integers"),
    (lambda s: s.step(np.array([2**63, 1, 1], "uint64")), ValueError, "x: expected integers in"),
    (lambda s: s.step([1, 2]), ValueError, r"x: expected shape \(B,\) = \(3,\), got \(2,\)"),
    (lambda s: s.step([[1, 2, 3]]), ValueError, r"x: expected shape \(B,\)"),
    (lambda s: s.step([1.0, 2.0, 3.0]), TypeError, "x: expected an integer dtype"),
    (lambda s: s.step([True, False, True]), TypeError, "x: expected an integer dtype"),
    (lambda s: s.step(np.zeros((3, 6), "float32")), TypeError, "x: expected an integer dtype"),
    (lambda s: s.feed([1, 2, 3]), ValueError, r"chunk: expected shape \(t, B\) .* for step"),
    (lambda s: s.step([1, 2, 3], out=np.empty((3, 8), "float32")), ValueError, "out: expected sh"),
    (lambda s: s.step([1, 2], rows=[0, 0]), ValueError, "rows: expected each row once"),
    (lambda s: s.step([1, 2, 3], attention=[1, 2, 3]), ValueError, "attention: expected None"),
]


@pytest.mark.parametrize("index", range(len(WRONG)))
def test_errors_say_what_is_wrong_and_change_nothing(index):
    call, error, message = WRONG[index]
    stream = language_model().stream(3)
    stream.step([1, 2, 3])
    before = stream.state

    with pytest.raises(error, match=message):
        call(stream)
    assert_same_bits(stream.state, before)


def test_outputs_over_what_is_given_are_refused():
    stream = sr.Model(rnn=sr.GRU(4, 4, seed=0), head=sr.Linear(4, 4)).stream(2)
    both = draw(3, 4)
    with pytest.raises(ValueError, match="out: expected memory of its own"):
        stream.step(both[:2], out=both[1:])
    tokens = np.zeros(2 * TOKENS, "int64")  # as numbers and as what they are replaced by
    stream = language_model().stream(2)
    with pytest.raises(ValueError, match="out: expected memory of its own"):
        stream.step(tokens[:2], out=tokens.view("float32")[: 2 * TOKENS].reshape(2, TOKENS))
    assert not np.asarray(stream.state).any()


@pytest.mark.thread_unsafe(reason="traces what the whole process allocates")
def test_a_step_is_one_call_that_asks_for_no_memory(monkeypatch):
    stream = language_model().stream(4)
    x, y, some = np.arange(4), np.empty((4, TOKENS), "float32"), np.empty((2, TOKENS), "float32")
    rows = np.array([3, 1])

    def steps():
        stream.step(x, out=y)
        stream.step(x[:2], out=some, rows=rows)

    def python(*arguments, **named):
        raise AssertionError("a step that is usual does without Python")

    monkeypatch.setattr(sr.Stream, "_step", python)
    assert_asks_for_no_memory(steps)


def test_streams_of_the_reference_are_its_calls():
    model = sr.Model(
        embedding=sr.Embedding(TOKENS, 6, dtype="float64", seed=0),
        rnn=reference.LSTM(6, 8, seed=1),
        head=sr.Linear(8, 4, dtype="float64", seed=2),
    )
    tokens = RNG.integers(0, TOKENS, (6, 3))
    want, state = model(tokens)
    stream = model.stream(3)

    made = np.concatenate([stream.feed(tokens[:4]), stream.step(tokens[4])[None],
                           stream.feed(tokens[5:])])  # fmt: skip

    np.testing.assert_allclose(made, want, rtol=1e-12, atol=1e-15)
    for got, expected in zip(stream.state, state, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)
    other = pickle.loads(pickle.dumps(stream))
    assert_same_bits(other.step([1, 2], rows=[2, 0]), stream.step([1, 2], rows=[2, 0]))


def test_streams_show_what_they_are():
    stream = language_model().stream(2)

    assert repr(stream) == repr(language_model()) + ".stream(batch_size=2)"
    assert (stream.input_size, stream.output_size, stream.dtype) == (None, TOKENS, np.float32)
    assert stream.nbytes > 2 * (8 + 8) * 4
    assert sr.Model(rnn=sr.GRU(3, 4), head=sr.Linear(4, 2)).stream().input_size == 3
