from __future__ import annotations

import copy
import pickle
from itertools import pairwise, product

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from helpers_nn import assert_close, central_difference
from simdrnn.losses import CRF

TAGS = 3
LENGTHS = np.array([5, 3, 1, 0])
HOLES = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0], [1, 1, 1, 1], [0, 1, 1, 0]], bool)
REALS = {
    "all": {},
    "lengths": {"lengths": LENGTHS},
    "mask": {"mask": HOLES},
    "both": {"lengths": LENGTHS, "mask": HOLES},
}


def case(dtype="float64"):
    rng = np.random.default_rng(12)
    crf = CRF(TAGS, dtype=dtype, seed=1)
    for name, array in crf.parameters().items():
        setattr(crf, name, rng.normal(0.0, 1.0, array.shape).astype(dtype))
    return crf, rng.normal(0.0, 2.0, (5, 4, TAGS)).astype(dtype), rng.integers(0, TAGS, (5, 4))


def real_of(lengths=None, mask=None):
    real = np.ones((5, 4), bool) if mask is None else mask.copy()
    return real if lengths is None else real & (np.arange(5)[:, None] < lengths)


def score(crf, steps, path):
    """Return the score of one path of tags over steps (n, K)."""
    if not path:
        return 0.0
    between = sum(crf.transitions[one, other] for one, other in pairwise(path))
    return crf.start[path[0]] + steps[range(len(path)), path].sum() + between + crf.end[path[-1]]


def all_paths(crf, steps):
    """Return all paths over steps (n, K), with their probabilities."""
    paths = list(product(range(TAGS), repeat=len(steps)))
    weight = np.exp([score(crf, steps, path) for path in paths])
    return np.array(paths, int).reshape(len(paths), -1), weight / weight.sum()


@every("kind", REALS)
def test_value_decoding_and_marginals_are_those_of_all_paths(kind):
    crf, scores, tags = case()
    real = real_of(**REALS[kind])
    total, best, marginals = 0.0, np.full((5, 4), -1), np.zeros((5, 4, TAGS))
    for row in range(4):
        at = real[:, row]
        paths, probability = all_paths(crf, scores[at, row])
        total -= np.log(probability[(paths == tags[at, row]).all(axis=1)][0])
        best[at, row] = paths[probability.argmax()]
        marginals[at, row] = np.einsum("p,ptk->tk", probability, paths[..., None] == range(TAGS))

    tape = crf.record(scores, tags, **REALS[kind])

    assert_close(tape.value, total / real.sum(), 1e-13)
    assert float(tape) == tape.value
    np.testing.assert_array_equal(crf.decode(scores, **REALS[kind]), best)
    assert_close(crf.marginals(scores, **REALS[kind]), marginals, 1e-13)


@every("kind", REALS)
@every("weights", [None, np.array([1.0, 0.0, 2.5, 1.5])])
def test_gradients_equal_finite_differences(kind, weights):
    crf, scores, tags = case()
    options = {**REALS[kind], "weights": weights}
    parameters = crf.state_dict()

    grads = crf.record(scores, tags, **options).backward(-2.0)

    def value():
        crf.load_state_dict(parameters)
        return -2.0 * crf.record(scores, tags, **options).value

    assert_close(grads.x, central_difference(value, scores, 2.0**-17), 1e-9)
    assert list(grads.params) == list(parameters)
    for name, array in parameters.items():
        assert_close(grads.params[name], central_difference(value, array, 2.0**-17), 1e-9)


def test_weights_are_those_of_rows():
    crf, scores, tags = case()
    options = REALS["lengths"]

    whole = crf.record(scores, tags, **options, weights=np.array([2.0, 1.0, 0.0, 9.0])).value

    each = [crf.record(scores[:, [row]], tags[:, [row]], lengths=LENGTHS[[row]]) for row in (0, 1)]
    assert_close(whole, (2 * 5 * each[0].value + 3 * each[1].value) / 13, 1e-14)


def test_what_is_not_real_may_hold_anything():
    crf, scores, tags = case("float32")
    want = crf.record(scores, tags, mask=HOLES)
    scores[~HOLES], tags[~HOLES] = np.nan, -100

    tape = crf.record(scores, tags, mask=HOLES)

    grads, wanted = tape.backward(), want.backward()
    assert tape.value == want.value
    np.testing.assert_array_equal(grads.x, wanted.x)
    np.testing.assert_array_equal(grads.x[~HOLES], 0.0)
    for name in grads.params:
        assert grads.params[name].dtype == np.float32
        np.testing.assert_array_equal(grads.params[name], wanted.params[name])


@every("shape", [(5, 4), (0, 4), (5, 0)])
def test_nothing_real_trains_nothing(shape):
    crf, _, _ = case()
    scores = np.full((*shape, TAGS), np.nan)

    tape = crf.record(scores, np.zeros(shape, int), mask=np.zeros(shape, bool))

    assert tape.value == 0.0
    grads = tape.backward()
    for gradient in (grads.x, *grads.params.values()):
        np.testing.assert_array_equal(gradient, 0.0)
    assert (crf.decode(scores, mask=np.zeros(shape, bool)) == -1).all()


def test_what_is_ruled_out_stays_so():
    crf, scores, tags = case("float32")
    crf.transitions = np.where(np.eye(TAGS, dtype=bool), np.float32(-np.inf), crf.transitions)
    tags[:] = np.arange(5)[:, None] % TAGS
    optimizer = sr.optim.Adam(crf, lr=0.1)
    before = crf.record(scores, tags).value

    for _ in range(20):
        optimizer.step(crf.record(scores, tags).backward())

    assert np.isneginf(np.diag(crf.transitions)).all()
    assert crf.record(scores, tags).value < 0.5 * before
    found = crf.decode(scores * 100)
    assert (found[1:] != found[:-1]).all()
    assert crf.record(scores, np.zeros_like(tags)).value == np.inf


def test_long_sequences_and_large_scores_do_not_overflow():
    crf = CRF(4, seed=0)
    scores = np.random.default_rng(0).normal(0.0, 1e6, (2000, 1, 4)).astype("float32")

    tape = crf.record(scores, scores.argmax(axis=2))

    assert 0.0 <= tape.value < 1e-3
    assert all(np.isfinite(array).all() for array in tape.backward().params.values())


def test_a_tape_keeps_what_it_was_recorded_with():
    crf, scores, tags = case()
    tape = crf.record(scores, tags)
    want = tape.backward()

    crf.start = crf.start + 1.0
    scores[:], tags[:] = 0.0, 0

    np.testing.assert_array_equal(tape.backward().x, want.x)


def test_copies_and_shows_itself():
    crf, scores, _ = case()

    for twin in (copy.deepcopy(crf), pickle.loads(pickle.dumps(crf))):
        np.testing.assert_array_equal(twin.decode(scores), crf.decode(scores))
    assert repr(crf) == "CRF(3, dtype=float64)"
    assert crf.num_parameters == 15


X, Y = np.zeros((4, 2, 3), "float32"), np.zeros((4, 2), int)


@every(
    "call, error, message",
    [
        (lambda crf: CRF(0), ValueError, "num_tags: expected a positive integer, got 0"),
        (lambda crf: crf.record(X[0], Y), ValueError, r"scores: expected shape \(T, B, K\)"),
        (lambda crf: crf.record(X.astype("f8"), Y), TypeError, "scores: expected dtype float32"),
        (lambda crf: crf.record(X, Y[0]), ValueError, r"tags: expected shape \(T, B\) = \(4, 2\)"),
        (lambda crf: crf.record(X, Y + 3), ValueError, r"tags: expected integers in \[0, 3\)"),
        (lambda crf: crf.record(X, Y * 1.0), TypeError, "tags: expected an integer dtype"),
        (lambda crf: crf.record(X, Y, lengths=[5, 1]), ValueError, "lengths: expected values in"),
        (
            lambda crf: crf.decode(X * np.nan),
            ValueError,
            "scores: expected numbers, got NaN in row",
        ),
        (lambda crf: crf.decode(X, mask=Y), TypeError, "mask: expected dtype bool"),
        (lambda crf: crf.record(X, Y, weights=np.ones(4)), ValueError, "weights: expected the sh"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(CRF(3, seed=0))
