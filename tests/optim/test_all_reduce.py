"""Data-parallel training: the hook that averages gradients, and clipping after it."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits, tolerance
from helpers_loops import every
from helpers_workers import B, H, I, T, in_processes, in_threads, train
from simdrnn.optim import SGD, Adam, AdamW, RMSprop

KINDS = [SGD, Adam, AdamW, RMSprop]
all_kinds = every("kind", KINDS)
STEPS = 4
MOMENTUM = {"lr": 0.1, "momentum": 0.9}


def nothing(buffer):
    """Average over one worker."""


def assert_as_one(workers, one, dtype):
    """Fail unless all workers have the same bits, which are those of one process but for rounding.

    A gradient is within `tolerance` of the exact one, relative to the largest; so are two. Each of
    n steps adds such an error, and the momentum and the parameters hand it on to all later ones.
    """
    for other in workers[1:]:
        assert_same_bits(other, workers[0])
    allowed = 2 * tolerance(dtype, 2 * T, T * B) * STEPS * STEPS
    scale = max(float(np.abs(array).max()) for name, array in one.items() if name != "steps")
    for name, array in one.items():
        np.testing.assert_allclose(
            workers[0][name], array, rtol=0, atol=allowed * scale, err_msg=name
        )


def test_two_processes_train_as_one(dtype):
    one = train(slice(0, B), SGD, dtype, STEPS, **MOMENTUM)

    workers = in_processes(2, SGD, dtype, STEPS, **MOMENTUM)

    assert_as_one(workers, one, dtype)


@every("cuts", [(0, 4, 8), (0, 3, 8), (0, 1, 2, 8), (0, 8, 8)], ids=str)
def test_unequal_shards_count_by_their_rows(cuts):
    shards = [slice(*pair) for pair in pairwise(cuts)]
    one = train(slice(0, B), SGD, "float64", STEPS, **MOMENTUM)

    workers = in_threads(shards, SGD, "float64", STEPS, **MOMENTUM)

    assert_as_one(workers, one, "float64")


def test_workers_clip_by_the_norm_of_the_mean():
    options = MOMENTUM | {"max_norm": 0.05}
    one = train(slice(0, B), SGD, "float64", STEPS, **options)
    assert (one["norms"] > 0.1).all()  # it does clip

    workers = in_threads([slice(0, 5), slice(5, B)], SGD, "float64", STEPS, **options)

    assert_as_one(workers, one, "float64")


@all_kinds
def test_every_optimiser_stays_the_same_on_all_workers(kind):
    workers = in_threads([slice(0, 4), slice(4, B)], kind, "float32", STEPS, lr=0.01)
    alone = train(slice(0, B), kind, "float32", STEPS, lr=0.01)

    assert_same_bits(workers[1], workers[0])
    assert not all(np.array_equal(workers[0][name], alone[name]) for name in alone)
    assert workers[0]["steps"] == STEPS


# What the hook is given


def problem():
    """Two layers and an array of two dtypes, and gradients of them."""
    rng = np.random.default_rng(3)
    layers = [sr.GRU(I, H, seed=0), {"a": np.ones(4), "b": np.ones((), "float32")}, np.ones((2, 3))]
    grads = [
        {name: rng.standard_normal(a.shape).astype("f4") for name, a in
         layers[0].parameters().items()},
        {"a": rng.standard_normal(4), "b": np.float32(3.0)},
        rng.standard_normal((3, 2)).T,
    ]  # fmt: skip
    return layers, grads


def values(layers):
    return [*layers[0].state_dict().values(), *map(np.copy, layers[1].values()), layers[2].copy()]


def test_the_hook_gets_all_gradients_of_a_dtype_in_one_piece():
    layers, grads = problem()
    seen = []

    SGD(layers, lr=0.1, all_reduce=lambda buffer: seen.append(buffer.copy())).step(grads)
    flags = []
    SGD(layers, lr=0.1, all_reduce=lambda buffer: flags.append(buffer.flags)).step(grads)

    singles = [*grads[0].values(), grads[1]["b"]]
    doubles = [grads[1]["a"], grads[2]]
    for buffer, arrays in zip(seen, (singles, doubles), strict=True):
        want = np.concatenate([np.ravel(array) for array in arrays])
        assert_same_bits(buffer, want)
    assert all(flag.c_contiguous and flag.writeable and flag.aligned for flag in flags)


@all_kinds
def test_what_the_hook_leaves_is_what_updates(kind):
    layers, grads = problem()
    others, _ = problem()
    kept = pickle.dumps(grads)

    def halve(buffer):
        buffer *= 0.5
        return buffer  # which is allowed, as ``out=`` functions return it

    one = kind(layers, lr=0.1, all_reduce=halve)
    two = kind(others, lr=0.1)
    for _ in range(2):
        one.step(grads)
        two.step([{name: a * np.float32(0.5) for name, a in grads[0].items()},
                  {"a": grads[1]["a"] * 0.5, "b": np.float32(1.5)}, grads[2] * 0.5])  # fmt: skip

    assert_same_bits(tuple(values(layers)), tuple(values(others)))
    assert pickle.dumps(grads) == kept


@all_kinds
@every("max_norm", [0.1, 1e9, np.float32(0.5), 0.0, float("inf")])
def test_clipping_in_a_step_is_clipping_before_it(kind, max_norm):
    layers, grads = problem()
    others, given = problem()
    kept = pickle.dumps(grads)

    norm = kind(layers, lr=0.1).step(grads, max_norm=max_norm)
    given[1]["b"] = np.array(given[1]["b"])
    want = sr.clip_grad_norm_(given, max_norm)
    kind(others, lr=0.1).step(given)

    assert norm == pytest.approx(want, rel=1e-14)
    for one, other in zip(values(layers), values(others), strict=True):
        np.testing.assert_allclose(one, other, rtol=4 * float(np.finfo(one.dtype).eps))
    assert pickle.dumps(grads) == kept


def test_a_step_without_clipping_returns_nothing():
    weight = np.ones(3)

    assert SGD(weight).step(weight.copy()) is None
    assert SGD(weight, all_reduce=nothing).step(weight.copy()) is None


# What is refused


def test_a_hook_that_fails_changes_nothing():
    layers, grads = problem()

    def fail(buffer):
        buffer[...] = 7.0
        raise ConnectionError("a worker is gone")

    optimizer = Adam(layers, all_reduce=fail)
    before, state = values(layers), optimizer.state_dict()

    with pytest.raises(ConnectionError, match="gone"):
        optimizer.step(grads)

    assert_same_bits(tuple(values(layers)), tuple(before))
    assert repr(optimizer.state_dict()) == repr(state)


@every("result", [lambda b: b * 0.5, lambda b: b[:], lambda b: True, id])
def test_a_hook_that_does_not_work_in_place_is_refused(result):
    weight = np.ones(3)

    with pytest.raises(TypeError, match="all_reduce: expected None, with the buffer of float64"):
        SGD(weight, lr=0.1, all_reduce=result).step(np.ones(3))

    assert (weight == 1.0).all()


@every("hook", ["mean", 3, np.ones(3), []])
@all_kinds
def test_no_callable_is_refused(kind, hook):
    with pytest.raises(TypeError, match="all_reduce: expected a callable or None, got "):
        kind(np.ones(3), all_reduce=hook)


@every("limit", [-1.0, float("nan"), "1", True, [1.0]])
def test_no_limit_is_refused_before_the_workers_meet(limit):
    met = []
    weight = np.ones(3)

    with pytest.raises((TypeError, ValueError), match="max_norm: expected a number"):
        SGD(weight, all_reduce=met.append).step(np.ones(3), max_norm=limit)
    with pytest.raises(ValueError, match="grads: expected shape"):
        SGD(weight, all_reduce=met.append).step(np.ones(4))

    assert met == []
    assert (weight == 1.0).all()
