"""Parameters: any value assigned or loaded is taken, or refused by name and nothing changes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from helpers import assert_close
from helpers_inputs import NO_BOOL, REFUSED, SEEDS, Given, arrays, assert_refused, layers


@given(st.data())
def test_assigned_parameters(data):
    layer = copy.deepcopy(data.draw(layers())[0])
    rng = np.random.default_rng(data.draw(SEEDS))
    name = data.draw(st.sampled_from([*layer.parameters()]))
    before = layer.state_dict()
    argument = data.draw(arrays(rng.standard_normal(before[name].shape).astype(layer.dtype)))

    if argument.refused:
        assert_refused({name: argument}, setattr, layer, name, argument.value)
        assert_close(layer.state_dict(), before, 0.0)
    else:
        setattr(layer, name, argument.value)
        assert_close(layer.state_dict(), before | {name: argument.plain}, 0.0)


@given(st.data())
def test_loaded_parameters(data):
    layer = copy.deepcopy(data.draw(layers())[0])
    rng = np.random.default_rng(data.draw(SEEDS))
    before = layer.state_dict()
    arguments = {
        name: data.draw(arrays(rng.standard_normal(value.shape).astype(layer.dtype)))
        for name, value in before.items()
    }
    passed: Any = {name: argument.value for name, argument in arguments.items()}
    change = data.draw(st.sampled_from(["none"] * 4 + ["missing", "unexpected", "strict", "list"]))
    strict: Any = True
    if change == "missing":
        del passed[data.draw(st.sampled_from([*passed]))]
    elif change == "unexpected":
        passed[3] = np.zeros(2)
    elif change == "list":
        passed = data.draw(st.sampled_from([list(passed), None, 3, "weights", before.items()]))
    elif change == "strict":
        strict = data.draw(st.sampled_from(NO_BOOL))
    if change != "none":
        name = "strict" if change == "strict" else "state_dict"
        arguments = arguments | {name: Given(passed, REFUSED, change)}

    if any(argument.refused for argument in arguments.values()):
        assert_refused(arguments, layer.load_state_dict, passed, strict)
        assert_close(layer.state_dict(), before, 0.0)
    else:
        layer.load_state_dict(passed)
        assert_close(layer.state_dict(), {n: a.plain for n, a in arguments.items()}, 0.0)
