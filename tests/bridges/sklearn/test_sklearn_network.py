"""The parts under the estimators: gradients, objectives, sequences, mini-batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_loops import every
from helpers_nn import central_difference, difference_tolerance

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from simdrnn.sklearn.network import Network, make_layers
from simdrnn.sklearn.objectives import cross_entropy, squared_error, squared_error_of_steps
from simdrnn.sklearn.scaling import Scaling
from simdrnn.sklearn.sequences import Sequences, as_sequence_list, batches_of
from simdrnn.sklearn.workers import Workers

pytestmark = pytest.mark.peers


def network(pooling, hidden=3, outputs=2, dtype="float64", **options):
    rng = np.random.RandomState(0)
    layers = make_layers(
        "gru", 2, hidden, 1, dropout=0.0, dtype=dtype, options=None, rng=rng,
        **{"bidirectional": False, **options},
    )  # fmt: skip
    return Network(layers, outputs, pooling, rng)


@every("lengths", [None, [4, 1, 3]], ids=["whole", "ragged"])
@every("arguments", [{}, {"bidirectional": True}, {"hidden": (3, 2)}], ids=str)
@every("pooling", ["last", "mean", "max", "none"])
def test_gradients_are_those_of_what_is_predicted(pooling, arguments, lengths, rng):
    model = network(pooling, **arguments)
    x = rng.normal(size=(4, 3, 2))
    lengths = None if lengths is None else np.array(lengths)
    shape = (4, 3, 2) if pooling == "none" else (3, 2)
    cotangent = rng.normal(size=shape)
    if pooling == "none" and lengths is not None:
        cotangent[np.arange(4)[:, None] >= lengths] = 0.0

    tape = model.record(x, lengths, None)
    gradients = tape.backward(cotangent)

    outputs = model(x, lengths, None)
    if pooling == "none" and lengths is not None:
        outputs, kept = (value[cotangent != 0] for value in (outputs, tape.output))
    else:
        kept = tape.output
    # A handful of products of at most 6 terms below 3.
    np.testing.assert_allclose(outputs, kept, rtol=0, atol=1e-14)
    step = 1e-5
    for part, own in zip(model.parts, gradients, strict=True):
        for name, array in part.state_dict().items():

            def loss(array=array, part=part, name=name):
                part.load_state_dict({name: array}, strict=False)
                return float((model(x, lengths, None) * cotangent).sum())

            found = central_difference(loss, array, step)
            part.load_state_dict({name: array}, strict=False)
            bound = difference_tolerance(step, third=500.0, operations=2000, magnitude=3.0)
            np.testing.assert_allclose(own.params[name], found, rtol=0, atol=bound)


@every("weights", [None, [1.0, 0.0, 2.5], [0.0, 0.0, 0.0]], ids=str)
@every("objective", [cross_entropy, squared_error])
def test_objectives_are_weighted_means(objective, weights, rng):
    scores = rng.normal(size=(3, 4))
    classes = objective is cross_entropy
    targets = np.array([3, 0, 1]) if classes else rng.normal(size=(3, 4))
    weights = None if weights is None else np.array(weights)

    value, gradient = objective(scores, targets, weights)

    if classes:
        rows = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(3), targets]
    else:
        rows = np.square(scores - targets).mean(axis=1)
    counts = np.ones(3) if weights is None else weights
    wanted = (rows * counts).sum() / (counts.sum() or 1.0)
    np.testing.assert_allclose(value, wanted, rtol=1e-14, atol=1e-15)
    step = 1e-5
    found = central_difference(lambda: objective(scores, targets, weights)[0], scores, step)
    bound = difference_tolerance(step, third=10.0, operations=100, magnitude=10.0)
    np.testing.assert_allclose(gradient, found, rtol=0, atol=bound)


def test_errors_of_padding_do_not_count():
    found, targets = np.zeros((3, 2, 1)), np.ones((3, 2, 1))
    targets[2, 1] = 100.0

    value, gradient = squared_error_of_steps(found, targets, np.array([3, 2]))

    assert value == 1.0
    assert gradient.ravel().tolist() == [-0.4, -0.4, -0.4, -0.4, -0.4, 0.0]


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=60),
    st.integers(1, 70),
    st.booleans(),
)
def test_mini_batches_have_everything_once(lengths, size, shuffled):
    lengths = np.array(lengths)
    rng = np.random.RandomState(0) if shuffled else None

    batches = list(batches_of(lengths, size, rng))

    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    sizes = sorted(map(len, batches))
    assert len(batches) == -(-len(lengths) // size)
    assert all(one == size for one in sizes[1:])


def test_mini_batches_have_little_padding_and_change():
    lengths = np.random.RandomState(1).randint(1, 100, 512)  # all sorted together
    rng = np.random.RandomState(0)

    first, second = (list(batches_of(lengths, 32, rng)) for _ in range(2))

    def padded(batches):
        return sum(len(batch) * lengths[batch].max() for batch in batches) / lengths.sum()

    assert padded(first) < 1.15  # in the order they come it would be about twice the steps
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}
    tops = [lengths[batch].max() for batch in first]
    assert tops != sorted(tops)  # nor do they come from short to long


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_batches_are_the_sequences_side_by_side(lengths, data):
    items = [np.full((length, 2), 10.0 * k) + np.arange(length)[:, None] for k, length in
             enumerate(lengths)]  # fmt: skip
    sequences = Sequences.of_list(items)
    indices = np.array(data.draw(st.lists(st.integers(0, len(items) - 1), min_size=1, max_size=9)))

    x, found = sequences.batch(indices)

    assert x.shape == (max(lengths[i] for i in indices), len(indices), 2)
    assert found is None or found.tolist() == [lengths[i] for i in indices]
    for place, index in enumerate(indices):
        np.testing.assert_array_equal(x[: lengths[index], place], items[index])
    np.testing.assert_array_equal(
        sequences.take(indices).steps(), np.concatenate([items[index] for index in indices])
    )


@every(
    "given_as, count",
    [
        ([np.zeros((2, 1)), np.zeros((3, 1))], 2),
        ([np.zeros(2), np.zeros(2)], 2),
        ([[[1.0], [2.0]], [[3.0]]], 2),
        ([[1.0, 2.0], [3.0]], 2),
        ([[1.0, 2.0], [3.0, 4.0]], None),
        ([1.0, 2.0], None),
        ([], None),
        (["ab", "c"], None),
        (np.zeros((2, 2)), None),
        (np.array(["ab", "c"], dtype=object), None),
    ],
    ids=str,
)
def test_lists_are_sequences_or_arrays(given_as, count):
    items = as_sequence_list(given_as)

    assert (items if items is None else len(items)) == count


def test_constant_features_keep_their_scale():
    rows = np.full((1000, 2), 0.1)
    rows[:, 1] = np.arange(1000)

    scaling = Scaling.of("X", rows, Workers())

    assert scaling.scale[0] == 1.0
    np.testing.assert_allclose(scaling.scale[1], rows[:, 1].std())
    assert np.abs(scaling.apply("X", rows, np.dtype("float64"))[:, 0]).max() < 1e-12
    np.testing.assert_allclose(scaling.undo(scaling.apply("X", rows, rows.dtype)), rows)
