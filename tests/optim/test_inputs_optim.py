"""Clipping and optimisers: any argument is right, or is refused by name and nothing changes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import simdrnn as sr
from helpers import assert_close, assert_same_bits, tolerance
from helpers_inputs import (
    BOOLS,
    FLOATS,
    NO_NUMBERS,
    OBJECTS,
    REFUSED,
    SEEDS,
    Given,
    arrays,
    assert_refused,
    refusal,
    snapshot,
    values,
)
from helpers_loops import every


@st.composite
def clippable(draw, plain):
    """Draw a form of a gradient to be changed in place: an array, which can be written."""
    # No arrays at all, an empty dict is a tree without leaves, and both types are right.
    never = {"none", "dict", "ragged", "dtype float32", "dtype float64"}
    argument = draw(arrays(plain, shapes=False, never=never))
    writable = isinstance(argument.value, np.ndarray) and argument.form not in {
        "swapped",
        "read-only",
    }
    return argument if argument.refused or writable else argument._replace(plain=REFUSED)


@given(st.data())
def test_clip_grad(data):
    rng = np.random.default_rng(data.draw(SEEDS))
    dtype = data.draw(FLOATS)
    plain = {
        name: np.asarray(rng.standard_normal(shape)).astype(dtype)
        for name, shape in {"a": (3, 2), "b": (0, 2), "c": ()}.items()
    }
    members = {name: data.draw(clippable(a)) for name, a in plain.items()}
    tree = {name: member.value for name, member in members.items()}
    form = data.draw(st.sampled_from(["dict", "list", "gradients", "nested"]))
    passed = {
        "dict": tree,
        "list": list(tree.values()),
        "gradients": sr.Gradients(None, None, tree),
        "nested": [tree["a"], {"b": tree["b"]}, (sr.Gradients(None, None, {"c": tree["c"]}),)],
    }[form]
    function = data.draw(st.sampled_from([sr.clip_grad_norm_, sr.clip_grad_value_]))
    name = {sr.clip_grad_norm_: "max_norm", sr.clip_grad_value_: "clip_value"}[function]
    limit = data.draw(
        values([0, 0.5, 1e300, float("inf"), np.float32(1)], [-1, float("nan"), True, *NO_NUMBERS])
    )
    arguments = {name: limit}
    if any(member.refused for member in members.values()):
        arguments["grads_or_list"] = Given(passed, REFUSED, str(members))
    before = snapshot(tree)

    if any(argument.refused for argument in arguments.values()):
        assert_refused(arguments, function, passed, limit.value)
        assert snapshot(tree) == before
    else:
        got = function(passed, limit.value)
        wanted = list(plain.values())
        want = function(wanted, limit.value)
        assert (got is None and want is None) or np.isclose(got, want)
        for one, other in zip(tree.values(), wanted, strict=True):
            assert_close(one, other, tolerance(dtype, 1, 7))


@every("bad", [value for form, value in OBJECTS.items() if form != "dict"])
def test_clip_grad_of_anything_else(bad):
    for function in (sr.clip_grad_norm_, sr.clip_grad_value_):
        error = refusal(function, bad, 1.0)
        assert str(error).startswith("grads_or_list")


RATES = [0, 0.5, 1e-3, np.float32(0.25)]
NO_RATES = [-1, float("nan"), float("inf"), 10**400, True, *NO_NUMBERS]
RATE, DECAY = values(RATES, NO_RATES), values([0, 0.5, 0.9], [1, *NO_RATES])
OPTIMISERS = {
    "SGD": {"momentum": RATE, "dampening": RATE, "weight_decay": RATE},
    "Adam": {
        "betas": values([(0.9, 0.99), [0, 0]], [None, 0.9, (1,), (1, 1), (0.9, "1"), "ab", (2, 0)]),
        "eps": RATE,
        "weight_decay": RATE,
        "amsgrad": BOOLS,
    },
    "RMSprop": {"alpha": DECAY, "eps": RATE, "momentum": RATE, "centered": BOOLS},
}
OPTIMISERS["RMSprop"]["alpha"] = values([0, 0.5, 1], NO_RATES)
OPTIMISERS["AdamW"] = OPTIMISERS["Adam"]


@every("kind", OPTIMISERS)
@settings(max_examples=80)
@given(data=st.data())
def test_optimisers(kind, data):
    rng = np.random.default_rng(data.draw(SEEDS))
    dtype = data.draw(FLOATS)
    layer, weight = sr.RNN(2, 3, dtype=dtype, seed=0), np.ones((2, 3), dtype)
    twin, twin_weight = copy.deepcopy(layer), weight.copy()
    options = data.draw(st.fixed_dictionaries({}, optional={"lr": RATE} | OPTIMISERS[kind]))
    passed = {name: option.value for name, option in options.items()}
    make = getattr(sr.optim, kind)
    if any(option.refused for option in options.values()):
        assert_refused(options, make, [layer, weight], **passed)
        return

    optimiser, plain_optimiser = (
        make([layer, weight], **passed),
        make([twin, twin_weight], **passed),
    )
    plain = {n: rng.standard_normal(p.shape).astype(dtype) for n, p in layer.parameters().items()}
    plain_weight = rng.standard_normal(weight.shape).astype(dtype)
    grads = {name: data.draw(arrays(value)) for name, value in plain.items()}
    last = data.draw(arrays(plain_weight))
    form = data.draw(st.sampled_from(["right"] * 6 + ["short", "alone", "missing", "none"]))
    tree = {name: member.value for name, member in grads.items()}
    step: Any = [sr.Gradients(None, None, tree), last.value]
    if form == "short":
        step = step[:1]
    elif form == "alone":
        step = step[0]
    elif form == "missing":
        del tree["weight_hh_l0"]
    elif form == "none":
        step = None
    before = snapshot([layer.state_dict(), weight, optimiser.state_dict()["state"]])

    if form != "right" or last.refused or any(member.refused for member in grads.values()):
        assert_refused({"grads": Given(step, REFUSED, form)}, optimiser.step, step)
        assert snapshot([layer.state_dict(), weight, optimiser.state_dict()["state"]]) == before
    else:
        optimiser.step(step)
        plain_optimiser.step([plain, plain_weight])
        assert_same_bits(layer.state_dict(), twin.state_dict())
        np.testing.assert_array_equal(weight, twin_weight)


@given(data=st.data())
def test_assigned_learning_rate(data):
    optimiser = sr.optim.SGD(np.zeros(2), lr=0.125)
    rate = data.draw(RATE)

    if rate.refused:
        assert_refused({"lr": rate}, setattr, optimiser, "lr", rate.value)
        assert optimiser.lr == 0.125
    else:
        optimiser.lr = rate.value
        assert optimiser.lr == rate.value
