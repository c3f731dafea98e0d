"""Optimisers on parameters that are frozen, or have rates of their own."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from helpers_nn import needs_torch
from simdrnn.optim import SGD, Adam, AdamW, RMSprop

SHAPES = {"embedding": (3, 2), "rnn.weight": (2, 2), "rnn.bias": (2,)}
KINDS = [
    (SGD, {"momentum": 0.9}),
    (Adam, {"amsgrad": True}),
    (AdamW, {}),
    (RMSprop, {"momentum": 0.5}),
]
RNG = np.random.default_rng(5)
GRADS = [{n: RNG.standard_normal(shape) for n, shape in SHAPES.items()} for _ in range(6)]


def weights():
    rng = np.random.default_rng(4)
    return {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}


@every("kind, options", KINDS)
def test_groups_are_optimisers_of_their_own(kind, options):
    together, apart = weights(), weights()
    base = {"lr": 0.1, "weight_decay": 0.2, **options}
    groups = {"rnn.*": {"lr": 0.03}, "*bias*": {"weight_decay": 0.0}}
    optimizer = kind(together, **base, groups=groups)
    others = {
        "embedding": kind({"embedding": apart["embedding"]}, **base),
        "rnn.weight": kind({"rnn.weight": apart["rnn.weight"]}, **base | {"lr": 0.03}),
        "rnn.bias": kind(
            {"rnn.bias": apart["rnn.bias"]}, **base | {"lr": 0.03, "weight_decay": 0.0}
        ),
    }

    for number, grads in enumerate(GRADS):
        if number == 3:
            optimizer.lr *= 0.5  # a power of two: no rounding
            for one in others.values():
                one.lr *= 0.5
        optimizer.step(grads)
        for name, one in others.items():
            one.step({name: grads[name]})

    for name in SHAPES:
        assert np.array_equal(together[name], apart[name]), name


@every("kind, options", KINDS)
def test_frozen_parameters_stay_and_go_on_as_those_of_an_optimiser_that_rested(kind, options):
    def model():
        return sr.Model(
            a=sr.Linear(2, 2, dtype="float64", seed=0), b=sr.Linear(2, 1, dtype="float64", seed=1)
        )

    found, wanted = model(), model()
    optimizer = kind(found, lr=0.1, weight_decay=0.3, **options)
    others = {part: kind(wanted.parts[part], lr=0.1, weight_decay=0.3, **options) for part in "ab"}
    rng = np.random.default_rng(2)
    for number in range(6):
        grads = {name: rng.standard_normal(v.shape) for name, v in found.parameters().items()}
        resting = number in (0, 1, 4)
        if resting:
            found.freeze("a")
            given = {n: g for n, g in grads.items() if n.startswith("b.") or number == 1}
        else:
            found.trainable("a")
            given = grads
        norm = optimizer.step(given, max_norm=1e9)
        counted = [g for n, g in grads.items() if n.startswith("b.") or not resting]
        assert norm == pytest.approx(np.sqrt(sum((g**2).sum() for g in counted)))
        for part in "b" if resting else "ab":
            own = {n.partition(".")[2]: g for n, g in grads.items() if n.startswith(part)}
            others[part].step(own, max_norm=1e9)

    for name, value in wanted.parameters().items():
        assert np.array_equal(found.parameters()[name], value), name
    twin = kind(found, lr=0.1, weight_decay=0.3, **options)
    twin.load_state_dict(optimizer.state_dict())
    assert twin.state_dict()["missed"] == {"a.weight": 3, "a.bias": 3}


def test_reductions_see_what_is_trained():
    model = sr.Model(a=sr.Linear(2, 2, seed=0), b=sr.Linear(2, 1, seed=1))
    sizes = []
    optimizer = SGD(model, lr=0.1, all_reduce=lambda buffer: sizes.append(buffer.size))
    grads = {name: np.ones_like(v) for name, v in model.parameters().items()}

    optimizer.step(grads)
    model.freeze("a.weight")
    optimizer.step(grads)

    assert sizes == [9, 5]


def test_states_with_groups_belong_to_optimisers_with_the_same():
    groups = {"rnn.*": {"lr": 0.03}}
    optimizer = Adam(weights(), lr=0.1, groups=groups)
    optimizer.step(GRADS[0])
    state = optimizer.state_dict()

    json.dumps(state["groups"])
    Adam(weights(), lr=0.1, groups=groups).load_state_dict(state)
    assert copy.deepcopy(optimizer).state_dict()["groups"] == state["groups"]
    with pytest.raises(ValueError, match="groups: expected"):
        Adam(weights(), lr=0.1, groups={"rnn.*": {"lr": 0.05}}).load_state_dict(state)
    with pytest.raises(ValueError, match="state: expected the names"):
        Adam(weights(), lr=0.1).load_state_dict(state)
    missed = Adam(weights(), lr=0.1).state_dict() | {"missed": {"rnn.bias": 3}}
    with pytest.raises(ValueError, match="missed: expected at most step=0, got 3"):
        Adam(weights(), lr=0.1).load_state_dict(missed)


@pytest.mark.peers
@needs_torch
def test_groups_and_frozen_parameters_are_pytorchs():
    import torch

    ours = weights()
    theirs = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in ours.items()}
    optimizer = AdamW(ours, lr=0.1, groups={"rnn.*": {"lr": 0.03}, "*bias": {"weight_decay": 0.0}})
    other = torch.optim.AdamW([
        {"params": [theirs["embedding"]]},
        {"params": [theirs["rnn.weight"]], "lr": 0.03},
        {"params": [theirs["rnn.bias"]], "lr": 0.03, "weight_decay": 0.0},
    ], lr=0.1)  # fmt: skip
    for grads in GRADS:
        optimizer.step(grads)
        for name, parameter in theirs.items():
            parameter.grad = torch.tensor(grads[name])
        other.step()

    for name, parameter in theirs.items():
        np.testing.assert_allclose(ours[name], parameter.detach().numpy(), rtol=1e-12, atol=1e-14)


@every("groups, error, message", [
    ([], TypeError, "groups: expected a dict pattern -> options, got list"),
    ({1: {"lr": 0.1}}, TypeError, "groups: expected patterns as strings, got 1"),
    ({"head*": {"lr": 0.1}}, ValueError, r"groups: expected patterns of some of .* got 'head\*'"),
    ({"rnn*": {"momentum": 0.1}}, ValueError, r"groups\['rnn\*'\]: expected a dict with lr or"),
    ({"rnn*": {}}, ValueError, r"groups\['rnn\*'\]: expected a dict with lr or"),
    ({"rnn*": {"lr": -1}}, ValueError, r"groups\['rnn\*'\]\['lr'\]: expected a number"),
])  # fmt: skip
def test_bad_groups_get_a_sentence(groups, error, message):
    with pytest.raises(error, match=message):
        Adam(weights(), groups=groups)


def test_a_groups_rate_needs_a_rate_to_be_part_of():
    with pytest.raises(ValueError, match="expected an optimiser whose lr is above 0"):
        Adam(weights(), lr=0.0, groups={"rnn*": {"lr": 0.1}})
