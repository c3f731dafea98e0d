"""`TreeMean`: gradients of several workers with the bits of one."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_loops import every
from simdrnn.optim import Adam, TreeMean

T, B, I, H = 6, 16, 3, 5  # noqa: E741


class Meeting:
    """An exchange for each of several workers in threads."""

    def __init__(self, ranks):
        self.barrier, self.sent = threading.Barrier(ranks), [None] * ranks

    def of(self, rank):
        def exchange(buffer, partner):
            self.sent[rank] = buffer.copy()
            self.barrier.wait(30)
            other = self.sent[partner]
            self.barrier.wait(30)
            return other

        return exchange


def train(rank, ranks, exchange, dtype, steps=100):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((T, B, I)).astype(dtype)
    y = np.tanh(x.sum(axis=-1, keepdims=True))
    mean = TreeMean(4, rank=rank, ranks=ranks, exchange=exchange)
    layer = sr.LSTM(I, H, bidirectional=True, dtype=dtype, seed=0)
    head = sr.Linear(2 * H, 1, dtype=dtype, seed=1)
    optimizer = Adam([layer, head], lr=1e-2, all_reduce=mean)
    norms = []

    def gradients(rows):
        tape = layer.record(x[:, rows], num_threads=1)
        out = head.record(tape.output, num_threads=1)
        grads = out.backward(sr.mse(out.output, y[:, rows]).backward())
        return [tape.backward(grads.x), grads]

    for _ in range(steps):
        grads = mean.sum(gradients(rows) for rows in mean.rows(B))
        norms.append(optimizer.step(grads, max_norm=0.5))
    return (*layer.state_dict().values(), *head.state_dict().values(), np.array(norms))


def in_threads(ranks, dtype):
    meeting, results = Meeting(ranks), [None] * ranks

    def work(rank):
        results[rank] = train(rank, ranks, meeting.of(rank), dtype)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_workers_train_with_the_bits_of_one(dtype):
    one = train(0, 1, None, dtype)

    for ranks in (2, 4):
        for worker in in_threads(ranks, dtype):
            assert_same_bits(worker, one)


def test_the_tree_is_the_pairwise_sum():
    parts = np.random.default_rng(0).standard_normal((8, 3)).astype("float32")
    mean = TreeMean(8)

    total = mean.sum(list(parts))

    level = parts
    while len(level) > 1:
        level = level[0::2] + level[1::2]
    assert_same_bits(total, level[0])
    mean(total)
    assert_same_bits(total, level[0] / np.float32(8))


def test_gradients_are_summed_in_their_structure():
    first = [sr.Gradients(None, None, {"w": np.ones(2)}), {"b": np.ones(1)}, np.ones((2, 2))]
    second = [sr.Gradients(None, None, {"w": np.ones(2)}), {"b": np.full(1, 3.0)}, np.ones((2, 2))]

    total = TreeMean(2).sum([first, second])

    assert total[0]["w"].tolist() == [2.0, 2.0]
    assert total[1]["b"].tolist() == [4.0]
    assert total[2].tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert first[2].tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_what_is_not_finite_has_the_same_bits_on_both_sides():
    nans = np.array([0x7FC00001, 0x7FC00002], "uint32").view("float32")
    meeting = [np.array([nans[0]]), np.array([nans[1]])]
    found = [array.copy() for array in meeting]

    for rank in (0, 1):
        other = meeting[1 - rank]
        TreeMean(2, rank=rank, ranks=2, exchange=lambda _, __, other=other: other)(found[rank])

    assert found[0].view("uint32") == found[1].view("uint32")


@every(
    "arguments, words",
    [
        ({"slices": 3}, "slices: expected a power of two, got 3"),
        ({"slices": 4, "ranks": 8, "exchange": print}, "ranks: expected at most slices=4, got 8"),
        ({"slices": 4, "ranks": 3}, "ranks: expected a power of two, got 3"),
        ({"slices": 4, "ranks": 2, "rank": 2, "exchange": print}, "rank: expected 0 <= rank"),
        ({"slices": 4, "ranks": 2}, "exchange: expected a callable for 2 ranks, got None"),
        ({"slices": 4, "exchange": 3}, "exchange: expected a callable, got int"),
        ({"slices": 4, "rank": 0.0}, "rank: expected an integer, got float"),
    ],
    ids=str,
)
def test_numbers_that_do_not_fit_are_refused(arguments, words):
    with pytest.raises((ValueError, TypeError), match=words):
        TreeMean(**arguments)


def test_slices_that_do_not_fit_are_refused():
    mean, one = TreeMean(4), np.ones(2)

    with pytest.raises(ValueError, match="batch_size: expected a multiple of slices=4, got 6"):
        mean.rows(6)
    with pytest.raises(ValueError, match="grads: expected one for each of 4 slices, got 3"):
        mean.sum([one] * 3)
    with pytest.raises(ValueError, match=r"grads: expected shape \(2,\) of float64, got \(3,\)"):
        mean.sum([one, one, one, np.ones(3)])
    with pytest.raises(TypeError, match="grads: expected the structure of the first slice, dict"):
        mean.sum([{"a": one}, one, one, one])
    with pytest.raises(TypeError, match="grads: expected gradients of several slices, got None"):
        mean.sum(None)
    with pytest.raises(
        TypeError, match=r"grads\['a'\]: expected dtype float32 or float64, got <U1"
    ):
        mean.sum([{"a": np.array(["x"])}] * 4)
    with pytest.raises(ValueError, match="grads: expected names"):
        mean.sum([{"a": one}, {"b": one}, {"a": one}, {"a": one}])


def test_an_exchange_of_something_else_is_refused():
    mean = TreeMean(2, ranks=2, exchange=lambda buffer, partner: buffer[:1])

    with pytest.raises(
        ValueError, match=r"exchange: expected shape \(3,\) of float32 from worker 1"
    ):
        mean(np.ones(3, "float32"))
