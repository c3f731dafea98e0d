"""The counter-based generator, and the masks made from it."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from helpers import CELLS, ENGINES, few, make_layer, make_problem
from simdrnn import reference
from simdrnn.engine.random_words import multipliers, philox

# Known answers published with the generator (Random123, file kat_vectors).
KNOWN = [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN, ids=["zeros", "ones", "pi"])
def test_philox_gives_the_published_answers(counter, key, answer):
    words = philox(counter, key)

    assert " ".join(f"{int(word):08x}" for word in words) == answer


def test_each_value_depends_on_its_own_place_only():
    whole = multipliers((5, 4, 10), 1, 0.5, 99, "float64")

    part = multipliers((3, 2, 7), 1, 0.5, 99, "float64")

    np.testing.assert_array_equal(whole[:3, :2, :7], part)


@pytest.mark.parametrize(("layer", "key"), [(0, 99), (1, 98), (1, 99 + 2**32)])
def test_layer_and_both_halves_of_the_key_change_the_mask(layer, key):
    mask = multipliers((5, 4, 10), 1, 0.5, 99, "float64")

    other = multipliers((5, 4, 10), layer, 0.5, key, "float64")

    assert not np.array_equal(mask, other)


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.9, 1.0])
def test_a_share_of_the_values_is_kept_and_scaled(probability, dtype):
    mask = multipliers((50, 20, 40), 0, probability, 7, dtype)

    kept = np.count_nonzero(mask) / mask.size
    deviation = np.sqrt(probability * (1 - probability) / mask.size)
    assert abs(kept - (1 - probability)) <= 6 * deviation
    scale = np.dtype(dtype).type(1 / (1 - probability) if probability < 1 else 0)
    assert set(np.unique(mask)) <= {np.dtype(dtype).type(0), scale}


@few(engine=ENGINES, cell=CELLS)
def test_training_runs_draw_new_masks_and_inference_none(engine, cell, rng):
    # So many units that those of a cell with ReLU are not all silent.
    problem = make_problem(engine, cell, rng=rng, H=24, num_layers=2, dropout=0.5)
    layer = problem.layer

    plain = layer(problem.x)[0]
    first, second = layer.record(problem.x), layer.record(problem.x)
    off = layer.record(problem.x, training=False)

    assert not np.array_equal(first.output, second.output)
    assert not np.array_equal(first.output, plain)
    np.testing.assert_array_equal(off.output, plain)


def test_masks_follow_from_seed_and_count_of_training_calls(engine, rng):
    problem = make_problem(engine, "gru", rng=rng, num_layers=2, dropout=0.5)
    twin = copy.deepcopy(problem.layer)
    problem.layer(problem.x)
    problem.layer.record(problem.x, training=False)

    got = [problem.layer.record(problem.x).output for _ in range(2)]

    want = [twin.record(problem.x).output for _ in range(2)]
    np.testing.assert_array_equal(got, want)


def test_compiled_layers_drop_what_the_reference_drops(rng):
    pytest.importorskip("simdrnn._core", reason="the extension is not built")
    import simdrnn as sr

    arguments = {"num_layers": 2, "dropout": 0.5, "seed": 3, "dtype": "float64"}
    # With an identity above, zeros of the dropped layer below are zeros of the output.
    compiled = make_layer(sr, "rnn_relu", 4, 6, bias=False, **arguments)
    twin = make_layer(reference, "rnn_relu", 4, 6, bias=False, **arguments)
    for layer in (compiled, twin):
        layer.weight_ih_l1, layer.weight_hh_l1 = np.eye(6), np.zeros((6, 6))
    x = rng.standard_normal((5, 3, 4))

    got, want = compiled.record(x).output, twin.record(x).output

    np.testing.assert_array_equal(got == 0, want == 0)
