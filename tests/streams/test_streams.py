"""What a stream is and does: arguments, states, rows, copies, and errors that change nothing."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import simdrnn as sr
from closeness import assert_same_bits
from helpers_memory import assert_asks_for_no_memory
from simdrnn import reference

RNG = np.random.default_rng(0)


def draw(*shape, dtype="float32"):
    return RNG.standard_normal(shape).astype(dtype)


def stacks(dtype="float32"):
    """Return stacks of every kind, which take 6 numbers."""
    found = {}
    for skip in (None, "residual", "highway", "concat"):
        inputs = 12 if skip == "concat" else 6
        layers = [
            sr.LSTM(6, 6, num_layers=2, residual=True, seed=1, dtype=dtype),
            sr.GRU(inputs, 6, learn_initial_state=True, seed=2, dtype=dtype),
            sr.RNN(inputs, 6, seed=3, dtype=dtype),
        ]
        found[str(skip)] = sr.Stack(layers, skip=skip, seed=4)
    found["single"] = sr.Stack([sr.MGU(6, 5, seed=5, dtype=dtype)])
    return found


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["None", "residual", "highway", "concat", "single"])
def test_stacks_in_chunks_are_one_call(name, dtype, batch):
    stack = stacks(dtype)[name]
    x = draw(83, batch, 6, dtype=dtype)  # more than a block of steps
    stack[0].weight_ih_l0 = stack[0].weight_ih_l0 * 2
    want, state = stack(x)
    stream = stack.stream(batch)

    got = [stream.feed(x[:70]), stream.step(x[70])[None], stream.feed(x[71:])]

    assert stream.output_size == want.shape[-1]
    assert_same_bits(np.concatenate(got), want)
    assert_same_bits(stream.state, state)
    again = stack.stream(batch)
    rows = np.arange(batch)[::-1]
    assert_same_bits(again.feed(x[:, rows], rows=rows)[:, rows], want)
    assert_same_bits(again.state, state)


def test_subnormal_numbers_are_what_a_call_makes_of_them():
    """Joins between layers are NumPy's, which keeps them; kernels take them for zeros."""
    stack = sr.Stack([sr.RNN(4, 4, seed=0), sr.RNN(4, 4, seed=1)], skip="residual")
    x = np.full((3, 1, 4), 1e-40, "float32")

    want, _ = stack(x)
    assert (want != 0).any()
    assert_same_bits(stack.stream().feed(x), want)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_streams_of_the_reference_are_its_calls(name):
    layer = getattr(reference, name)(3, 4, num_layers=2, residual=True, seed=0)
    x = RNG.standard_normal((7, 3, 3))
    want, state = layer(x)
    stream = layer.stream(3)
    parts = [stream.feed(x[:4]), stream.step(x[4])[None], stream.feed(x[5:])]

    np.testing.assert_allclose(np.concatenate(parts), want, rtol=1e-12, atol=1e-15)
    for got, expected in zip(np.atleast_1d(stream.state), np.atleast_1d(state), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)
    other = pickle.loads(pickle.dumps(stream))
    rows = [2, 0]
    one = other.step(x[0, rows], rows=rows)
    assert_same_bits(stream.clone().step(x[0, rows], rows=rows), one)
    stream.reset(rows)
    assert not np.asarray(stream.state)[..., rows, :].any()


def test_a_step_of_an_attention_cell_takes_its_numbers():
    layer = sr.AUGRU(3, 4, seed=0)
    x, attention = draw(5, 2, 3), draw(5, 2)
    want, _ = layer(x, attention=attention)
    stream = layer.stream(2)

    first = stream.step(x[0], attention=attention[0])
    rest = stream.feed(x[1:], attention=attention[1:])

    assert_same_bits(np.concatenate([first[None], rest]), want)
    with pytest.raises(ValueError, match=r"attention: expected shape \(B,\) = \(2,\)"):
        stream.step(x[0])
    with pytest.raises(ValueError, match="attention: expected None, as gru takes no attention"):
        sr.GRU(3, 4).stream(2).step(x[0], attention=attention[0])


def test_batch_first_layers_have_batch_first_chunks():
    layer = sr.LSTM(3, 4, batch_first=True, seed=0)
    x = draw(2, 9, 3)
    want, state = layer(x)
    stream = layer.stream(2)
    out = np.empty((2, 5, 4), "float32")

    first = stream.feed(x[:, :5], out=out)

    assert first is out
    assert_same_bits(np.concatenate([first, stream.feed(x[:, 5:])], axis=1), want)
    assert_same_bits(stream.state, state)


def test_inputs_and_outputs_of_any_layout():
    layer = sr.GRU(3, 4, seed=0)
    x = draw(6, 2, 3)
    want, _ = layer(x)
    stream = layer.stream(2)
    wide = np.zeros((2, 9), "float32")

    for t in range(3):
        given = [x[t], np.asfortranarray(x[t]), x[t].tolist()][t]
        given = np.array(given, "float32") if t == 2 else given
        out = wide[:, :4] if t else np.empty((2, 4), "float32")
        assert stream.step(given, out=out) is out
        assert_same_bits(out.copy(), want[t])
    assert not wide[:, 4:].any()
    spread = np.empty((3, 2, 8), "float32")
    stream.feed(x[3:, ::-1][:, ::-1], out=spread[..., :4])
    assert_same_bits(spread[..., :4].copy(), want[3:])
    assert_same_bits(stream.feed(x[:0]), np.empty((0, 2, 4), "float32"))
    assert_same_bits(stream.step(x[0][:0], rows=[]), np.empty((0, 4), "float32"))


def test_weights_are_those_of_when_it_was_made():
    layer = sr.LSTM(3, 4, seed=0)
    x = draw(5, 2, 3)
    want, _ = layer(x)
    stream, other = layer.stream(2), layer.stream(2)
    assert stream._frozen.owner is other._frozen.owner
    layer.weight_hh_l0 = layer.weight_hh_l0 * 2
    later = layer.stream(2)

    copies = [pickle.loads(pickle.dumps(stream)), stream.clone(), copy.deepcopy(stream)]

    for one in (stream, other, *copies):
        assert_same_bits(one.feed(x), want)
    assert_same_bits(later.feed(x), layer(x)[0])
    first, second = pickle.loads(pickle.dumps((other, stream)))
    assert first._frozen.owner is second._frozen.owner
    assert_same_bits(first.state, other.state)


def test_streams_of_parameters_that_are_being_written_are_refused():
    """As a signal handler would make them in the middle of an optimiser's step."""
    layer = sr.LSTM(3, 4, seed=0)
    stack = sr.Stack([layer])

    with layer._update_parameters() as arrays:
        arrays["weight_ih_l0"][...] = 0
        for owner in (layer, stack):
            with pytest.raises(ValueError, match="stream: expected parameters that are whole"):
                owner.stream()
    want, _ = layer(draw(3, 1, 3))
    assert want.shape == layer.stream().feed(draw(3, 1, 3)).shape


def test_pickles_of_layers_are_no_larger_for_their_streams():
    layer = sr.LSTM(8, 16, seed=0)
    before = len(pickle.dumps(layer))
    stream = layer.stream()

    assert len(pickle.dumps(layer)) == before
    stack = sr.Stack([layer, sr.LSTM(16, 16, seed=1)], skip="highway")
    size = len(pickle.dumps(stack))
    stream = stack.stream()
    assert len(pickle.dumps(stack)) == size
    assert_same_bits(pickle.loads(pickle.dumps(stream)).step(np.ones((1, 8), "float32")),
                     stream.step(np.ones((1, 8), "float32")))  # fmt: skip


def test_resets_go_to_what_was_learned():
    layer = sr.LSTM(3, 4, num_layers=2, learn_initial_state=True, seed=0)
    for name in ("h_0_l0", "c_0_l0", "h_0_l1", "c_0_l1"):
        setattr(layer, name, draw(4))
    x = draw(6, 3, 3)
    reset = np.zeros((6, 3), bool)
    reset[3, [0, 2]] = True
    want, state = layer(x, reset=reset)
    stream = layer.stream(3)
    layer.h_0_l0 = draw(4)  # the stream has those of before

    first = stream.feed(x[:3])
    stream.reset(rows=[2, 0])
    second = stream.feed(x[3:])

    assert_same_bits(np.concatenate([first, second]), want)
    assert_same_bits(stream.state, state)
    stream.reset()
    assert_same_bits(stream.feed(x[:3]), first)


def test_states_are_copies_that_go_in_and_out():
    layer = sr.LSTM(3, 6, proj_size=2, num_layers=2, seed=0)
    x = draw(8, 2, 3)
    stream = layer.stream(2)
    stream.feed(x[:4])
    kept = stream.state
    want = stream.feed(x[4:])

    assert [part.shape for part in kept] == [(2, 2, 2), (2, 2, 6)]
    stream.reset()
    stream.state = kept
    assert_same_bits(stream.feed(x[4:]), want)
    assert_same_bits(layer(x[4:], kept)[0], want)


REFUSED = [
    (
        lambda s, x: s.step(x[:1]),
        ValueError,
        r"x: expected shape \(B, I\) = \(3, 2\), got \(1, 2\)",
    ),
    (lambda s, x: s.step(x[:, :1]), ValueError, "x: expected shape"),
    (lambda s, x: s.step(x.astype("float64")), TypeError, "x: expected dtype float32, got float64"),
    (lambda s, x: s.step(x, rows=[0, 1]), ValueError, r"x: expected shape \(N, I\) = \(2, 2\)"),
    (lambda s, x: s.step(x, rows=[0, 1, 1]), ValueError, "rows: expected each row once, got 1 2 "),
    (lambda s, x: s.step(x, rows=[0, 1, 3]), ValueError, r"rows: expected numbers in \[0, B\)"),
    (lambda s, x: s.step(x, rows=[0, 1, -1]), ValueError, "rows: expected numbers in"),
    (lambda s, x: s.step(x, rows=[2**70, 1, 0]), (TypeError, ValueError), "rows: expected"),
    (lambda s, x: s.step(x, rows=np.array([0.0, 1, 2])), TypeError, "rows: expected a list of row"),
    (lambda s, x: s.step(x, rows=[[0], [1, 2]]), TypeError, "rows: expected a list of row numbers"),
    (lambda s, x: s.step(x, rows=[True, False, True]), TypeError, "rows: expected a list of row"),
    (lambda s, x: s.step(x, out=np.empty((3, 5), "float32")), ValueError, "out: expected shape"),
    (lambda s, x: s.step(x, out=np.empty((3, 4))), TypeError, "out: expected dtype float32"),
    (lambda s, x: s.step(x, out=[1]), TypeError, "out: expected a numpy.ndarray"),
    (lambda s, x: s.step(), TypeError, "missing 1 required positional argument: 'x'"),
    (lambda s, x: s.step(x, other=1), TypeError, "unexpected keyword argument 'other'"),
    (lambda s, x: s.feed(x), ValueError, r"\(t, B, I\) = \(t, 3, 2\), got \(3, 2\); a single"),
    (lambda s, x: s.feed(x[None, :2]), ValueError, r"chunk: expected shape \(t, B, I\)"),
    (lambda s, x: s.reset([5]), ValueError, "rows: expected numbers in"),
    (lambda s, x: setattr(s, "state", None), TypeError, "state: expected a tuple"),
    (lambda s, x: setattr(s, "state", s.state[:1]), TypeError, "state: expected a tuple"),
]


def test_streams_are_of_a_layer():
    for make in (sr.Stream, lambda: sr.Stream.__new__(sr.Stream), lambda: sr.Stream(sr.GRU(2, 4))):
        with pytest.raises(TypeError, match=r"Stream: expected one that layer\.stream\("):
            make()


def test_rows_that_no_memory_holds_are_told():
    with pytest.raises(
        MemoryError, match=r"batch_size: .* states, \d{13} bytes, .* got 2147483647"
    ):
        sr.GRU(3, 1000).stream(2**31 - 1)


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_errors_say_what_is_wrong_and_change_nothing(index):
    call, error, message = REFUSED[index]
    stream, x = sr.LSTM(2, 4, seed=0).stream(3), draw(3, 2)
    stream.step(x)
    before = stream.state

    with pytest.raises(error, match=message):
        call(stream, x)
    assert_same_bits(stream.state, before)


def test_outputs_that_overlap_or_are_read_only_are_refused():
    stream = sr.LSTM(4, 4, seed=0).stream(2)
    both = draw(3, 4)
    fixed = np.empty((2, 4), "float32")
    fixed.flags.writeable = False

    with pytest.raises(ValueError, match="out: expected memory of its own"):
        stream.step(both[:2], out=both[1:])
    with pytest.raises(ValueError, match="out: expected a writable array"):
        stream.step(both[:2], out=fixed)
    assert not np.asarray(stream.state).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bidirectional": True}, "stream: expected a layer of one direction, got bidirectional"),
        ({"reverse": True}, "stream: expected a layer that runs forward in time"),
    ],
)
def test_what_is_not_causal_is_refused(options, message):
    layer = sr.LSTM(2, 4, **options)

    with pytest.raises(ValueError, match=message):
        layer.stream()
    with pytest.raises(ValueError, match=message.replace("stream", r"layers\[0\]")):
        sr.Stack([layer]).stream()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected"),
        ({"batch_size": 2**31}, "batch_size: expected at most"),
        ({"num_threads": 0}, "num_threads: expected"),
        ({"num_threads": None}, "num_threads: expected"),
    ],
)
def test_arguments_of_streams_are_checked(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        sr.LSTM(2, 4).stream(**arguments)


@pytest.mark.thread_unsafe(reason="traces what the whole process allocates")
def test_steps_into_out_ask_for_no_memory():
    stream = sr.LSTM(8, 16, num_layers=2, seed=0).stream(4)
    x, y, some = draw(4, 8), np.empty((4, 16), "float32"), np.empty((2, 16), "float32")
    rows = np.array([3, 1])
    half = x[rows]

    def steps():
        stream.step(x, out=y)
        stream.step(half, out=some, rows=rows)

    assert_asks_for_no_memory(steps)


def test_streams_show_what_they_are():
    stream = sr.LSTM(3, 4).stream(2)

    assert repr(stream) == "LSTM(3, 4).stream(batch_size=2)"
    assert isinstance(stream, sr.Stream)
    assert (stream.input_size, stream.output_size, stream.batch_size) == (3, 4, 2)
    assert stream.dtype == np.float32
    assert stream.nbytes > 0
    assert type(stream).step.__doc__.splitlines()[0] == sr.Stream.step.__doc__.splitlines()[0]
