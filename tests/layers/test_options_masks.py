"""What is random about a step: exactly what follows from the documented counter."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import ENGINES, assert_close, few, make_layer, tolerance
from helpers_options import RANDOM, model, random_option, shown
from simdrnn.engine.random_words import Feature, call_key, happens, multipliers, philox

SHAPE = (3, 4, 19)  # T, B, H: more than one vector, and a part of one
C_ZONEOUT = Feature.ZONEOUT + 1
FEATURES = {
    "input": Feature.INPUT,
    "recurrent": Feature.RECURRENT,
    "candidate": Feature.CANDIDATE,
    "zoneout": Feature.ZONEOUT,
    "zoneout-c": C_ZONEOUT,
}
# Once per sequence: the mask of step 0 is that of all.
ONCE = (Feature.INPUT, Feature.RECURRENT)

# Words of the counter (1, 2, 3, feature << 24 | 5) with the key 0x0123456789abcdef, worked out with
# Python's integers from the paper.
WORDS = {
    Feature.BETWEEN_LAYERS: "e60cbf1f 6db06b71 3a090b35 9a72354e",
    Feature.INPUT: "363caa27 61c3846b 33c9ab3d 5aab50ef",
    Feature.RECURRENT: "a9891239 aed9ca27 6f5533f3 583e1c5f",
    Feature.CANDIDATE: "7ca6eb93 dc60ee1f 5f54f40b 8524294b",
    Feature.ZONEOUT: "ea02722d 9fb7a450 00bfa57a 2099a092",
    C_ZONEOUT: "aeb9bac7 b853523f 8794ca54 06f620d0",
    Feature.WEIGHT_DROPOUT: "ff64ada7 fc2eea02 daf4386f 6b21e06b",
}


@pytest.mark.parametrize("feature", WORDS)
def test_words_by_value(feature):
    key = 0x0123456789ABCDEF
    words = [int(word, 16) for word in WORDS[feature].split()]

    found = philox((1, 2, 3, feature << 24 | 5), (key & 0xFFFFFFFF, key >> 32))

    assert [int(word) for word in found] == words
    # Units 4 to 7 of row 2 at step 3 take them: something happens below p * 2^32.
    for index, word in enumerate(words):
        for probability, expected in (((word + 0.5) / 2**32, True), (word / 2**32, False)):
            drawn = happens((4, 3, 8), feature, 5, probability, key)
            assert drawn[3, 2, 4 + index] == expected


@few(name=FEATURES, engine=ENGINES, call=[0, 3])
def test_engines_draw_what_the_counter_says(engine, name, call):
    feature, (T, B, H) = FEATURES[name], SHAPE

    seen = shown(engine, feature, 0.4, SHAPE, call=call)

    want = happens((T, B, H), feature, 0, 0.4, call_key(11, call))
    if feature in ONCE:
        want = np.broadcast_to(want[:1], (1 if feature == Feature.RECURRENT else T, B, H))
    np.testing.assert_array_equal(seen, want)
    assert 0 < seen.mean() < 1


@pytest.mark.parametrize("probability", [0.25, 0.4, 0.9])
def test_what_is_kept_is_scaled(engine, dtype, probability):
    T, B, H = SHAPE
    layer = make_layer(engine, "rnn_tanh", H, H, dtype=dtype, seed=1, bias=False,
                       activation="identity", input_dropout=probability)  # fmt: skip
    layer.weight_ih_l0, layer.weight_hh_l0 = np.eye(H, dtype=dtype), np.zeros((H, H), dtype)

    output = layer.record(np.ones((T, B, H), dtype)).output

    mask = multipliers((1, B, H), 0, probability, call_key(1, 0), dtype, Feature.INPUT)
    np.testing.assert_array_equal(output, np.broadcast_to(mask, (T, B, H)))


MODELLED = {
    f"{cell}-{name}": (cell, option)
    for cell in ("rnn_tanh", "lstm")
    for name in RANDOM
    if (option := random_option(name, cell))
}
MODELLED |= {
    f"{cell}-all": (cell, {k: v for _, o in MODELLED.values() for k, v in o.items()} | last)
    for cell, last in (("lstm", {"zoneout": (0.2, 0.6)}),)
}


@few(case=MODELLED, engine=ENGINES, training=[True, False])
def test_every_layer_and_direction_is_what_the_documents_say(engine, case, training, rng):
    cell, options = MODELLED[case]
    layer = make_layer(
        engine, cell, 3, 19, 3, bidirectional=True, dropout=0.3, dtype="float64", seed=6, **options
    )
    x = rng.standard_normal((5, 3, 3))
    layer.record(x)

    got = layer.record(x, training=training).output

    want = model(layer, x, call=1, training=training)
    # What is kept grows by at most 1 / 0.6 and 1 / 0.7 on its way into a sum.
    assert_close(got, want, tolerance("float64", 5 * 3, 4 * 19) / (0.6 * 0.7))
