"""Streams in threads: many of one layer, one in two, and what a fork leaves of them."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import simdrnn as sr
from closeness import assert_same_bits
from helpers import printed, program

RNG = np.random.default_rng(0)


def until_refused(stream):
    """Look at a stream now and then until another thread is inside."""
    while True:
        try:
            stream.state  # noqa: B018
        except ValueError:
            return
        time.sleep(0.001)


def test_64_streams_of_one_layer_in_64_threads():
    layer = sr.LSTM(24, 96, seed=0)  # steps that are done without the GIL
    x = RNG.standard_normal((64, 12, 16, 24)).astype("float32")
    want = [layer(one)[0] for one in x]
    ready = threading.Barrier(64)

    def run(index):
        stream = layer.stream(16)
        ready.wait(timeout=60)
        return np.stack([stream.step(one) for one in x[index]])

    with ThreadPoolExecutor(64) as pool:
        for got, expected in zip(pool.map(run, range(64)), want, strict=True):
            assert_same_bits(got, expected)


def assert_others_are_refused(stream, x, want, state):
    """Feed a stream while another thread calls it in every way: that changes nothing."""
    refused: list[str] = []

    def intrude():
        until_refused(stream)
        for call in (
            lambda: stream.step(x[0]),
            lambda: stream.feed(x[:2]),
            lambda: stream.reset(),
            lambda: stream.state,
            lambda: setattr(stream, "state", state),
            lambda: stream.clone(),
        ):
            try:
                call()
            except ValueError as error:
                refused.append(str(error))

    other = threading.Thread(target=intrude)
    other.start()
    got = stream.feed(x)
    other.join()

    assert_same_bits(got, want)
    assert_same_bits(stream.state, state)
    assert len(refused) == 6
    assert all(text.startswith("stream: expected one thread at a time") for text in refused)


def test_a_second_thread_inside_is_refused_and_changes_nothing():
    layer = sr.LSTM(64, 256, seed=0)
    x = RNG.standard_normal((1500, 8, 64)).astype("float32")

    assert_others_are_refused(layer.stream(8), x, *layer(x))


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_streams_with_threads_of_their_own(rows):
    """Threads share the hidden units of few rows, or have rows of their own."""
    layer = sr.GRU(300, 400, num_layers=2, seed=0)
    x = RNG.standard_normal((25, rows, 300)).astype("float32")
    want, state = layer(x, num_threads=1)
    stream = layer.stream(rows, num_threads=2)
    order = RNG.permutation(rows)

    first = stream.feed(x[:10])
    second = stream.feed(x[10:, order], rows=order)

    assert_same_bits(first, want[:10])
    assert_same_bits(second, want[10:, order])
    assert_same_bits(stream.state, state)


@pytest.mark.parametrize("kind", ["two phases", "projected", "plain"])
def test_threads_share_few_rows_and_then_have_rows_of_their_own(kind):
    """What a thread keeps for its own rows is not the memory of those that it helped with."""
    options = {"two phases": {"reset_after": False}, "projected": {"proj_size": 64}, "plain": {}}
    layer = (sr.LSTM if kind == "projected" else sr.GRU)(64, 256, seed=0, **options[kind])
    x = RNG.standard_normal((16, 64, 64)).astype("float32")
    few = np.arange(2)
    stream, alone = layer.stream(64, num_threads=2), layer.stream(64)

    for _ in range(10):
        assert_same_bits(stream.feed(x[:, few], rows=few), alone.feed(x[:, few], rows=few))
        assert_same_bits(stream.feed(x), alone.feed(x))
    assert_same_bits(stream.state, alone.state)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("threads", [1, 2])
def test_forked_children_go_on_with_their_copies(threads):
    printed_ = printed(
        program(
            f"""
            layer = sr.LSTM(64, 512, seed=0)
            x = x[:, :8].copy()
            stream = layer.stream(8, num_threads={threads})
            stream.feed(x[:20])
            want = layer(x)[0][20:].tobytes()
            signal.alarm(60)
            child = os.fork()
            if child == 0:
                os._exit(stream.feed(x[20:]).tobytes() != want)
            print(stream.feed(x[20:]).tobytes() == want, os.waitpid(child, 0)[1])
            """
        )
    )

    assert printed_ == "True 0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signal.alarm")
def test_ctrl_c_stops_a_long_chunk_and_leaves_the_states():
    printed_ = printed(
        program(
            """
            big = np.zeros((20000, 8, 64), "float32")
            stream = sr.LSTM(64, 512, seed=0).stream(8)
            stream.feed(big[:2] + 1)
            before = stream.state[1].tobytes()

            def stop(*_):
                try:
                    stream.step(big[0])
                except ValueError as error:
                    print(str(error)[:42], end="; ")
                raise KeyboardInterrupt

            signal.signal(signal.SIGALRM, stop)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            try:
                stream.feed(big)
            except KeyboardInterrupt:
                print(stream.state[1].tobytes() == before)
            """
        )
    )

    assert printed_ == "stream: expected one thread at a time, got; True"


def test_a_second_thread_inside_a_models_stream_is_refused():
    model = sr.Model(
        embedding=sr.Embedding(50, 64, seed=2),
        rnn=sr.LSTM(64, 256, seed=0),
        head=sr.Linear(256, 8, seed=1),
    )
    x = RNG.integers(0, 50, (1500, 8))  # several pieces

    assert_others_are_refused(model.stream(8), x, *model(x))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_models_go_on_in_forked_children_and_ctrl_c_leaves_their_states():
    printed_ = printed(
        program(
            """
            model = sr.Model(embedding=sr.Embedding(50, 64, seed=0),
                             rnn=sr.LSTM(64, 512, seed=1), head=sr.Linear(512, 8, seed=2))
            tokens = np.random.default_rng(0).integers(0, 50, (20000, 8))
            stream = model.stream(8)
            stream.feed(tokens[:20])
            want = model(tokens[:40])[0][20:].tobytes()
            signal.alarm(60)
            child = os.fork()
            if child == 0:
                os._exit(stream.feed(tokens[20:40]).tobytes() != want)
            print(stream.feed(tokens[20:40]).tobytes() == want, os.waitpid(child, 0)[1])
            before = stream.state[1].tobytes()

            def stop(*_):
                raise KeyboardInterrupt

            signal.signal(signal.SIGALRM, stop)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            try:
                stream.feed(tokens)
            except KeyboardInterrupt:
                print(stream.state[1].tobytes() == before)
            """
        )
    )

    assert printed_ == "True 0\nTrue"
