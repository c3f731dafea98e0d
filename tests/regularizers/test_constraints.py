"""Constraints: what they keep true of weights through every update, and what they refuse."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from simdrnn.regularizers import Bounded, Connectivity, Dale, Fixed

H = 12
OPTIMISERS = {
    "sgd": lambda layers, **k: sr.optim.SGD(
        layers, lr=0.3, momentum=0.9, nesterov=True, weight_decay=0.1, **k
    ),
    "adam": lambda layers, **k: sr.optim.Adam(layers, lr=0.05, amsgrad=True, weight_decay=0.1, **k),
    "adamw": lambda layers, **k: sr.optim.AdamW(layers, lr=0.05, weight_decay=0.1, **k),
    "rmsprop": lambda layers, **k: sr.optim.RMSprop(
        layers, lr=0.05, momentum=0.5, centered=True, weight_decay=0.1, **k
    ),
}


def network(dtype="float64", **options):
    return sr.CTRNN(3, H, seed=1, dtype=dtype, **options)


def random_mask(*shape):
    return np.random.default_rng(3).random(shape) < 0.4


def gradients(layer, rng):
    """Return gradients that push every parameter about, larger than the weights are."""
    return {
        name: rng.standard_normal(value.shape).astype(value.dtype)
        for name, value in layer.parameters().items()
    }


@every("dtype")
@every("kind", OPTIMISERS)
def test_all_of_them_hold_after_every_step(kind, dtype):
    layer, rng = network(dtype), np.random.default_rng(0)
    mask = random_mask(H, H)
    layer.leak_l0 = rng.uniform(0.1, 0.9, H).astype(dtype)
    law = Dale(layer, 0.75)
    constraints = [
        Connectivity(layer, mask), law, Fixed(layer, "bias_ih*"), Bounded(layer, 0.1, 1, "leak*"),
    ]  # fmt: skip
    fixed, free = layer.bias_ih_l0.copy(), layer.weight_ih_l0.copy()
    optimizer = OPTIMISERS[kind](layer, constraints=constraints)

    crossed = moved = 0
    for _ in range(100):
        before = layer.weight_hh_l0.copy()
        optimizer.step(gradients(layer, rng))

        weights = layer.weight_hh_l0
        assert (weights[~mask] == 0).all()
        assert (weights * law.signs >= 0).all()
        assert (layer.bias_ih_l0 == fixed).all()
        # Of float32 the bounds are its nearest numbers.
        assert layer.dtype.type(0.1) <= layer.leak_l0.min()
        assert layer.leak_l0.max() <= 1
        crossed += int(((before != 0) & (weights == 0)).sum())
        moved += int(((before == 0) & (weights != 0)).sum())
    assert crossed > 0
    assert moved > 0
    assert (layer.weight_ih_l0 != free).all()


def test_what_does_not_exist_counts_in_no_norm():
    layer, mask = network(), random_mask(H, H)
    grads = gradients(layer, np.random.default_rng(0))
    kept = {name: value.copy() for name, value in grads.items()}
    constraints = [Connectivity(layer, mask), Fixed(layer, ["bias*", "leak*"])]
    optimizer = sr.optim.SGD(layer, lr=0.1, constraints=constraints)

    norm = optimizer.step(grads, max_norm=1.0)

    left = (grads["weight_ih_l0"], grads["weight_hh_l0"][mask])
    assert norm == pytest.approx(np.sqrt(sum((g**2).sum() for g in left)), rel=1e-13)
    for name, value in kept.items():
        np.testing.assert_array_equal(grads[name], value)  # the caller's, as they were


def test_gradients_and_weights_obey_by_hand():
    layer, mask = network(), random_mask(H, H)
    wiring = Connectivity(layer, mask)
    tape = layer.record(np.ones((4, 2, 3)))
    grads = tape.backward(np.ones_like(tape.output))
    assert (grads.params["weight_hh_l0"][~mask] != 0).all()

    wiring.restrict_(grads)
    layer.weight_hh_l0 = np.ones((H, H))
    wiring.apply_()

    assert ((grads.params["weight_hh_l0"] != 0) == mask).all()
    assert (layer.weight_hh_l0 == mask).all()
    with pytest.raises(ValueError, match=r"^grads: expected a gradient of weight_hh_l0"):
        wiring.restrict_({})


def test_signs_are_set_and_sizes_kept():
    layer = network()
    before = layer.weight_hh_l0.copy()
    signs = np.where(np.arange(H) % 3, 1, -1)

    law = Dale(layer, signs)

    np.testing.assert_array_equal(law.signs, signs)
    np.testing.assert_array_equal(layer.weight_hh_l0, abs(before) * signs)
    head = sr.Linear(H, 2, seed=0)
    Dale(head, law.signs, "weight")
    assert (head.weight * signs > 0).all()


def test_a_mask_may_be_that_of_a_gate():
    layer, mask = sr.LSTM(3, 5, seed=0), random_mask(5, 5)

    Connectivity(layer, mask)

    assert ((layer.weight_hh_l0 != 0) == np.tile(mask, (4, 1))).all()


def test_what_is_fixed_may_be_assigned():
    layer = network()
    optimizer = sr.optim.AdamW(layer, lr=0.1, constraints=[Fixed(layer, "leak*")])
    layer.leak_l0 = np.full(H, 0.05)

    optimizer.step(gradients(layer, np.random.default_rng(0)))

    assert (layer.leak_l0 == 0.05).all()


def test_they_are_of_one_owner_among_several():
    layers = [network(), sr.Linear(H, 2, dtype="float64", seed=0), network()]
    wiring = Connectivity(layers[2], random_mask(H, H))
    optimizer = sr.optim.Adam(layers, lr=0.1, constraints=[wiring])
    rng = np.random.default_rng(0)

    optimizer.step([gradients(layer, rng) for layer in layers])

    assert (layers[0].weight_hh_l0 != 0).all()
    assert ((layers[2].weight_hh_l0 != 0) <= wiring.mask).all()


def test_pickles_keep_them():
    layer = network()
    optimizer = sr.optim.Adam(layer, lr=0.1, constraints=[Connectivity(layer, random_mask(H, H))])
    again, restored = pickle.loads(pickle.dumps((layer, optimizer)))

    for one, opt in ((layer, optimizer), (again, restored)):
        opt.step(gradients(one, np.random.default_rng(0)))

    np.testing.assert_array_equal(again.weight_hh_l0, layer.weight_hh_l0)
    assert (again.weight_hh_l0[~random_mask(H, H)] == 0).all()


def test_the_law_leaves_not_a_number_to_be_seen():
    layer = network()
    law = Dale(layer, 0.5)
    layer.weight_hh_l0 = np.full((H, H), np.nan)

    law.apply_()

    assert np.isnan(layer.weight_hh_l0).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda n: Connectivity(n, np.ones((H, 3))), ValueError,
         r"^mask: expected shape \(12, 12\) as weight_hh_l0 has, got \(12, 3\)"),
        (lambda n: Connectivity(n, np.full((H, H), 0.5)), ValueError, "^mask: expected booleans"),
        (lambda n: Connectivity(n, [[1], [1, 0]]), TypeError, "^mask: expected booleans"),
        (lambda n: Connectivity(n, "all"), TypeError, "^mask: expected booleans"),
        (lambda n: Connectivity(n, np.eye(H), "weight_hr*"), ValueError, "^names: expected pat"),
        (lambda n: Connectivity(np.eye(H), np.eye(H)), TypeError, "^layer: expected a layer"),
        (lambda n: Dale(n, 1.5), ValueError, r"^signs: expected a share in \[0, 1\]"),
        (lambda n: Dale(n, [1, -1]), ValueError, r"^signs: expected shape \(12,\)"),
        (lambda n: Dale(n, np.zeros(H)), ValueError, "^signs: expected 1 and -1"),
        (lambda n: Dale(n, [[1], [1, -1]]), TypeError, "^signs: expected a share or an array"),
        (lambda n: Dale(n, True), TypeError, "^signs: expected a share or an array"),
        (lambda n: Dale(n, 0.8, "weight*"), ValueError, "^names: expected matrices with as many"),
        (lambda n: Dale(n, 0.8, "bias*"), ValueError, "^names: expected matrices with as many"),
        (lambda n: Bounded(n, 1, 0, "leak*"), ValueError, "^high: expected at least low=1"),
        (lambda n: Bounded(n, np.nan, 0, "leak*"), ValueError, "^low: expected a number"),
        (lambda n: Bounded(n, "0", 1, "leak*"), TypeError, "^low: expected a number"),
        (lambda n: Fixed(n, "leak*").restrict_(None), TypeError, "^grads: .* got NoneType"),
        (lambda n: Fixed(n, "leak*").restrict_([np.ones(H)]), TypeError, "^grads: .* got list"),
        (lambda n: sr.optim.SGD(n, constraints=Fixed(n, "leak*")), TypeError,
         "^constraints: expected a list of constraints, got Fixed"),
        (lambda n: sr.optim.SGD(n, constraints=["leak"]), TypeError,
         r"^constraints\[0\]: expected one of sr.regularizers', got str"),
        (lambda n: sr.optim.SGD(n, constraints=[Fixed(network(), "leak*")]), ValueError,
         r"^constraints\[0\]: expected one on what is trained, got one on CTRNN"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(network())


def test_what_a_model_has_frozen_obeys_when_it_is_trained_again():
    model = sr.Model(rnn=sr.RNN(3, 4, seed=0), head=sr.Linear(4, 2, seed=1))
    law = Connectivity(model, ~np.eye(4, dtype=bool), "rnn.weight_hh*")
    optimizer = sr.optim.SGD(model, lr=0.1, constraints=[law])
    model.rnn.weight_hh_l0 = np.ones((4, 4), "float32")
    inputs = model.rnn.weight_ih_l0.copy()

    def step():
        tape = model.record(np.ones((5, 2, 3), "float32"))
        optimizer.step(tape.backward(np.ones_like(tape.output)))
        return model.rnn.weight_hh_l0

    model.freeze("rnn.weight_hh*")
    assert (step() == 1.0).all()
    assert (model.rnn.weight_ih_l0 != inputs).any()  # the others were trained

    model.trainable("rnn.weight_hh*")
    assert (np.diag(step()) == 0.0).all()
