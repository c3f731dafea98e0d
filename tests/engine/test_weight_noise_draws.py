"""How recurrent weights are dropped and what is added to weights, as random numbers; mistakes."""

from __future__ import annotations

import copy
import itertools
import math
import pickle

import numpy as np
import pytest

import simdrnn as sr
from simdrnn.engine.random_words import Feature, call_key, normals, philox
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.tape import recording_of
from simdrnn.layers.weight_noise import ChangedWeights

KEY = 0x0123456789ABCDEF


def noise_of(layer, call=0):
    """Return what a call adds to the weights of a layer whose weights are all zero, by name."""
    return ChangedWeights.draw(
        bound_layer(layer), call_key(layer.seed, call)
    ).bound.parameters.copies()


def zeroed(**options):
    """Return a layer with enough weights for statistics, all of them zero."""
    layer = sr.reference.GRU(40, 60, 2, bidirectional=True, seed=5, **options)
    layer.load_state_dict({name: 0 * value for name, value in layer.state_dict().items()})
    return layer


def test_normal_numbers_are_made_of_the_words_as_documented():
    drawn = normals((2, 3, 7), Feature.WEIGHT_NOISE, 9, KEY)

    for t, b, f in itertools.product(range(2), range(3), range(7)):
        words = philox(
            (f // 4, b, t, Feature.WEIGHT_NOISE << 24 | 9), (KEY & 0xFFFFFFFF, KEY >> 32)
        )
        u, v = (int(word) for word in words[f % 4 // 2 * 2 :][:2])
        radius, angle = math.sqrt(-2 * math.log((u + 0.5) / 2**32)), 2 * math.pi * v / 2**32
        want = radius * (math.sin(angle) if f % 2 else math.cos(angle))
        assert drawn[t, b, f] == pytest.approx(want, rel=1e-12, abs=1e-12)


def test_the_first_numbers_are_these():
    drawn = normals((1, 1, 4), Feature.WEIGHT_NOISE, 0, call_key(0, 0))

    # By the formula above, of the words db8a6244 fc5386b4 db3e454d 25637479.
    first = [0.5520773738459869, -0.0499143911776071, 0.33834088855500294, 0.44217269240934176]
    np.testing.assert_allclose(drawn.ravel(), first, rtol=1e-12)


def test_noise_has_the_moments_of_the_normal_distribution():
    count = 400_000
    drawn = normals((1, 100, count // 100), Feature.WEIGHT_NOISE, 0, KEY).ravel()

    # Of n independent numbers: standard deviations of the mean, the variance, and a share.
    assert abs(drawn.mean()) < 5 / math.sqrt(count)
    assert abs(drawn.var() - 1) < 5 * math.sqrt(2 / count)
    for bound in (0.5, 1.0, 2.0, 3.0):
        share = math.erf(bound / math.sqrt(2))
        got = np.mean(np.abs(drawn) < bound)
        assert abs(got - share) < 5 * math.sqrt(share * (1 - share) / count)
    # Of one pair and of neighbours: nothing in common.
    for lag in (1, 2, 3, 4):
        assert abs(np.mean(drawn[lag:] * drawn[:-lag])) < 5 / math.sqrt(count - lag)


def test_noise_is_on_every_weight_and_has_the_deviation_asked_for():
    layer = zeroed(weight_noise=0.25, learn_initial_state=True)

    drawn = noise_of(layer)

    for name, value in drawn.items():
        if name.startswith("h_0"):
            assert not value.any()
            continue
        assert abs(value.mean()) < 5 * 0.25 / math.sqrt(value.size)
        assert abs(value.var() / 0.25**2 - 1) < 5 * math.sqrt(2 / value.size)


def test_noise_is_independent_between_parameters_layers_directions_and_calls():
    layer = zeroed(weight_noise=1.0)

    drawn = [value.ravel() for call in (0, 1) for value in noise_of(layer, call).values()]

    for one, other in itertools.combinations(drawn, 2):
        n = min(one.size, other.size)
        assert abs(np.dot(one[:n], other[:n]) / n) < 5 / math.sqrt(n)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_recurrent_weights_are_kept_as_often_as_expected(probability):
    layer = zeroed(weight_dropout=probability)

    masks = [ChangedWeights.draw(bound_layer(layer), call_key(5, call)).dropped for call in (0, 1)]

    recurrent = [name for name in layer.parameters() if name.startswith("weight_hh")]
    assert list(masks[0]) == list(masks[1]) == recurrent
    flat = [mask.ravel() for call in masks for mask in call.values()]
    deviation = math.sqrt(probability * (1 - probability))
    for one in flat:
        assert abs(one.mean() - probability) < 5 * deviation / math.sqrt(one.size)
    for one, other in itertools.combinations(flat, 2):
        both = np.mean((one - probability) * (other - probability))
        assert abs(both) < 5 * deviation**2 / math.sqrt(one.size)


def test_the_mean_over_calls_is_the_layer():
    layer = sr.reference.RNN(1, 8, seed=0, weight_dropout=0.3)
    calls = 2000

    total = sum(
        ChangedWeights.draw(bound_layer(layer), call_key(0, call)).bound.parameters.arrays[
            "weight_hh_l0"
        ]
        for call in range(calls)
    )

    deviation = np.abs(layer.weight_hh_l0) * math.sqrt(0.3 / 0.7 / calls)
    assert (np.abs(total / calls - layer.weight_hh_l0) < 5 * deviation).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weight_dropout": 1.0}, ValueError, r"weight_dropout: expected a number in \[0, 1\)"),
        ({"weight_dropout": -0.1}, ValueError, r"weight_dropout: expected a number in \[0, 1\)"),
        ({"weight_dropout": "0.5"}, TypeError, r"weight_dropout: expected a number in \[0, 1\)"),
        ({"weight_noise": 0.0}, ValueError, "weight_noise: expected a positive finite number"),
        ({"weight_noise": -1.0}, ValueError, "weight_noise: expected a positive finite number"),
        ({"weight_noise": math.inf}, ValueError, "weight_noise: expected a positive finite number"),
        ({"weight_noise": None, "weight_nois": 1}, TypeError, "weight_nois: unknown option"),
    ],
)
def test_mistakes(engine, options, error, message):
    with pytest.raises(error, match=message):
        engine.GRU(2, 3, **options)


def test_they_are_shown_copied_and_pickled(engine):
    layer = engine.LSTM(2, 3, seed=0, dtype="float64", weight_dropout=0.5, weight_noise=0.1)
    x = np.ones((3, 2, 2))
    twins = [copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]

    assert "weight_dropout=0.5, weight_noise=0.1" in repr(layer)
    want = layer.record(x)
    for twin in twins:
        assert repr(twin) == repr(layer)
        np.testing.assert_array_equal(twin.record(x).output, want.output)


def test_a_probability_of_zero_is_off(engine):
    layer, plain = (engine.GRU(2, 3, seed=0, **extra) for extra in ({"weight_dropout": 0.0}, {}))
    x = np.ones((3, 2, 2), layer.dtype)

    tape = layer.record(x)

    assert recording_of(tape).changed is None
    np.testing.assert_array_equal(tape.output, plain.record(x).output)
