"""When the random options of a step act, and how often: off outside training, fresh each call."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    CELLS,
    DTYPES,
    ENGINES,
    as_tuple,
    assert_close,
    assert_same_bits,
    few,
    make_layer,
)
from helpers_options import PROBABILITY, RANDOM, random_option, shown
from helpers_structure import draw
from simdrnn.engine.random_words import Feature

H = 19
DROPOUTS = [
    (cell, option)
    for cell in CELLS
    for name in RANDOM
    if (option := random_option(name, cell)) and "zoneout" not in option
]
EVERYTHING = [
    (cell, {key: value for one in found if one for key, value in one.items()})
    for cell in CELLS
    if (found := [random_option(name, cell) for name in RANDOM])
]


def outcome(layer, x, state, **call):
    tape = layer.record(x, state, **call)
    grads = tape.backward(tape.output, tape.state)
    return tape.output, as_tuple(tape.state), grads.x, as_tuple(grads.state), grads.params


@few(engine=ENGINES, case=DROPOUTS, dtype=DTYPES)
def test_dropouts_are_off_where_not_training(engine, case, dtype, rng):
    cell, options = case
    shape = {"num_layers": 2, "bidirectional": True, "dtype": dtype, "seed": 1}
    layer, plain = (make_layer(engine, cell, 3, H, **shape, **more) for more in (options, {}))
    x, state, pattern = draw(layer, "all", rng)

    output, after = layer(x, state, **pattern)

    want, want_after = plain(x, state, **pattern)
    assert_same_bits((output, as_tuple(after)), (want, as_tuple(want_after)))
    assert_same_bits(
        outcome(layer, x, state, training=False, **pattern),
        outcome(plain, x, state, training=False, **pattern),
    )


ZONEOUTS = [
    (cell, option)
    for cell in CELLS
    for option in ({"zoneout": 0.7}, random_option("pair", cell))
    if option
]


@few(engine=ENGINES, case=ZONEOUTS, dtype=DTYPES)
def test_zoneout_is_its_mean_where_not_training(engine, case, dtype, rng):
    cell, options = case
    layer, plain = (make_layer(engine, cell, 3, H, dtype=dtype, seed=1, **m) for m in (options, {}))
    x, state, _ = draw(layer, "plain", rng, T=1)

    output, after = layer(x, state)

    old, new = as_tuple(state), as_tuple(plain(x, state)[1])
    shares = layer.options.zoneouts(len(old))
    want = tuple(p * was + (1 - p) * made for p, was, made in zip(shares, old, new, strict=True))
    want = tuple(one.astype(dtype) for one in want)
    # Three roundings, and that of the probability.
    assert_close(as_tuple(after), want, 4 * float(np.finfo(dtype).eps))
    assert_same_bits(output[0], as_tuple(after)[0][0])
    tape = layer.record(x, state, training=False)
    assert_same_bits((tape.output, as_tuple(tape.state)), (output, as_tuple(after)))


@few(engine=ENGINES, case=EVERYTHING)
def test_draws_follow_from_seed_and_number_of_the_call(engine, case, rng):
    cell, options = case
    layer, other = (make_layer(engine, cell, 3, H, seed=s, **options) for s in (1, 2))
    other.load_state_dict(layer.state_dict())
    twin = copy.deepcopy(layer)
    x = rng.standard_normal((4, 2, 3)).astype(layer.dtype)

    layer(x)
    layer.record(x, training=False)
    first, second = layer.record(x).output, layer.record(x).output

    assert_same_bits((first, second), (twin.record(x).output, twin.record(x).output))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other.record(x).output)
    assert not np.array_equal(first, layer(x)[0])


# Statistics. A share of n independent draws is off by more than 5 standard deviations with
# probability below 6e-7; draws here are the same in every run.

SHAPE = (20, 25, 80)
FEATURES = {
    "input": Feature.INPUT,
    "recurrent": Feature.RECURRENT,
    "candidate": Feature.CANDIDATE,
    "zoneout": Feature.ZONEOUT,
    "zoneout-c": Feature.ZONEOUT + 1,
}


def once(feature, seen):
    """Return the independent draws: one step of those that are made once per sequence."""
    return seen[:1] if feature in (Feature.INPUT, Feature.RECURRENT) else seen


@few(engine=ENGINES, name=FEATURES, probability=[0.05, PROBABILITY, 0.95])
def test_things_happen_as_often_as_asked(engine, name, probability):
    seen = once(FEATURES[name], shown(engine, FEATURES[name], probability, SHAPE))

    deviation = math.sqrt(probability * (1 - probability))
    assert abs(seen.mean() - probability) < 5 * deviation / math.sqrt(seen.size)
    for axis in range(3):  # for every unit, row and step, too
        shares = seen.mean(axis=tuple({0, 1, 2} - {axis}))
        assert (
            abs(shares - probability) < 5 * deviation * math.sqrt(shares.size / seen.size)
        ).all()


@pytest.mark.usefixtures("built")
def test_features_calls_steps_rows_and_units_have_nothing_in_common():
    drawn = {
        f"{name}-{call}": once(feature, shown(sr, feature, 0.5, SHAPE, call=call))
        for name, feature in FEATURES.items()
        for call in (0, 1)
    }
    for feature in (Feature.CANDIDATE, Feature.ZONEOUT):
        name = f"{feature.name.lower()}-0"
        seen = drawn[name]
        drawn[f"{name}-next step"] = np.roll(seen, 1, axis=0)
        drawn[f"{name}-next row"] = np.roll(seen, 1, axis=1)
        drawn[f"{name}-next unit"] = np.roll(seen, 1, axis=2)

    for (one, a), (other, b) in itertools.combinations(drawn.items(), 2):
        least = min(len(a), len(b))
        product = (a[:least] - 0.5) * (b[:least] - 0.5)
        assert abs(product.mean()) < 5 * 0.25 / math.sqrt(product.size), (one, other)


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("merge", ["concat", "sum"])  # layers joined by the engine, and outside it
@pytest.mark.parametrize("option", ["recurrent_dropout", "zoneout"])
def test_layers_and_directions_have_nothing_in_common(option, merge):
    rows, units = 60, 40
    layer = sr.RNN(
        units, units, 2, bidirectional=True, activation="identity", bias=False, dtype="float64",
        seed=1, merge=merge, **{option: 0.5},
    )  # fmt: skip
    for name, value in layer.parameters().items():
        passes_on = option == "recurrent_dropout" and name.startswith("weight_hh")
        setattr(layer, name, np.eye(units) if passes_on else 0 * value)

    final = layer.record(np.zeros((1, rows, units)), np.ones((4, rows, units))).state

    happened = final == (0 if option == "recurrent_dropout" else 1)
    for a, b in itertools.combinations(happened, 2):
        product = (a - 0.5) * (b - 0.5)
        assert abs(product.mean()) < 5 * 0.25 / math.sqrt(product.size)
