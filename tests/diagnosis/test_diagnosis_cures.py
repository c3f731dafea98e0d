"""What a diagnosis says to write is written, and what was wrong is so no longer."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr

I, H = 4, 32  # noqa: E741 (of x; of every layer)


def code_of(suggestion):
    """Return the call of `sr.init.apply` in a suggestion."""
    start = suggestion.index("sr.init.apply(")
    depth = 0
    for end, letter in enumerate(suggestion[start:], start):
        depth += (letter == "(") - (letter == ")")
        if letter == ")" and not depth:
            return suggestion[start : end + 1]
    raise AssertionError(suggestion)


def follow(suggestion, layer, **names):
    """Do what a suggestion says; return the layer, or the one to take instead."""
    if suggestion.startswith("sr.LSTM or sr.GRU"):
        layer = sr.LSTM(layer.input_size, layer.hidden_size, seed=0)
    eval(code_of(suggestion), {"sr": sr, "layer": layer} | names)  # it is ours, and short
    return layer


def rnn(nonlinearity="tanh", **recipe):
    return sr.init.apply(sr.RNN(I, H, nonlinearity=nonlinearity, seed=0), seed=0, **recipe)


def small(nonlinearity):
    return rnn(nonlinearity, weight_hh=sr.init.spectral_radius(0.6))


def large(nonlinearity, radius=2.0):
    return rnn(nonlinearity, weight_hh=sr.init.spectral_radius(radius))


STRONG = {"weight_ih": sr.init.uniform(3.0)}
GATED, SMALLER = "sr.LSTM or sr.GRU", "smaller recurrent weights"

# What is sick, of what, over how many steps; how the suggestion begins that is followed, and what
# may be left of it.
SICK = {
    "vanishing tanh": (lambda: small("tanh"), "vanish", 100, GATED, ()),
    "vanishing tanh, briefly": (lambda: small("tanh"), "vanish", 20, "sr.init.apply", ()),
    "vanishing relu": (lambda: small("relu"), "vanish", 100, GATED, ()),
    "vanishing relu, kept": (lambda: small("relu"), "vanish", 100, "sr.init.apply", ()),
    "vanishing LSTM": (lambda: sr.LSTM(I, H, seed=0), "vanish", 300, "sr.init.apply", ()),
    "vanishing GRU": (lambda: sr.GRU(I, H, seed=0), "vanish", 300, "sr.init.apply", ()),
    "exploding relu": (lambda: large("relu"), "explode", 100, SMALLER, ()),
    "overflowing relu": (lambda: large("relu"), "nonfinite", 300, SMALLER, ()),
    "exploding tanh": (lambda: large("tanh", 3.0), "explode", 100, GATED, ()),
    "exploding tanh, smaller": (lambda: large("tanh", 3.0), "explode", 100, SMALLER, ("vanish",)),
    "saturated tanh": (lambda: rnn(**STRONG), "saturated", 10, "smaller initial weights", ()),
}  # fmt: skip


@pytest.mark.parametrize("case", SICK)
def test_the_cure_that_is_named_cures(case, rng):
    make, trouble, steps, begin, left = SICK[case]
    x = rng.standard_normal((steps, 8, I)).astype("float32")
    with np.errstate(all="ignore"):
        sick = sr.diagnose(make().record(x))
    assert trouble in sick.troubles

    cure = next(text for text in sick.suggestions if text.startswith(begin))
    healed = sr.diagnose(follow(cure, make()).record(x))

    assert healed.troubles == left
    assert left or healed.verdict == "steady"


def test_units_that_see_themselves_alone_are_told_what_to_keep(rng):
    x = rng.standard_normal((100, 8, I)).astype("float32")
    layer = sr.IndRNN(I, H, 2, seed=0)

    sick = sr.diagnose(layer.record(x))
    for suggestion, name in zip(sick.suggestions[:2], ("weight_u_l0", "weight_u_l1"), strict=True):
        code, _ = suggestion.split(", so that")
        assert code.startswith(f"layer.{name} = ")
        exec(code, {"layer": layer, "numpy": np})  # it is ours, and short

    assert sick.troubles == ("vanish",)
    assert sr.diagnose(layer.record(x)).troubles == ()


def test_inputs_that_saturate_are_told_from_weights_that_do(rng):
    x = (290.0 + 8.0 * rng.standard_normal((100, 8, I))).astype("float32")
    layer = sr.LSTM(I, H, seed=0)
    sr.init.apply(layer, bias=[sr.init.zeros(), sr.init.chrono(t_max=100)], seed=0)

    sick = sr.diagnose(layer.record(x))
    healed = sr.diagnose(layer.record((x - x.mean()) / x.std()))

    assert "saturated" in sick.troubles
    assert sick.suggestions[0].startswith("inputs of mean 0 and variance 1, (x - mean) / deviation")
    assert "their mean is 290 and their standard deviation 8" in sick.suggestions[0]
    assert healed.troubles == ()


def test_clips_inside_back_propagation_cure_what_explodes(rng):
    x = rng.standard_normal((100, 8, I)).astype("float32")
    sick, layer = large("tanh", 3.0), sr.RNN(I, H, step_grad_norm=1.0)
    layer.load_state_dict(sick.state_dict())

    assert sr.diagnose(sick.record(x)).suggestions[0].startswith("step_grad_norm")
    assert "explode" not in sr.diagnose(layer.record(x)).troubles


def test_gates_that_hold_on_are_not_called_saturated(rng):
    """An LSTM that keeps its state for 500 steps writes little: its input gate is near 0."""
    layer = sr.LSTM(I, H, seed=0)
    sr.init.apply(layer, bias=[sr.init.zeros(), sr.init.chrono(t_max=500)], seed=0)

    (found,) = sr.diagnose(layer.record(rng.standard_normal((500, 4, I)).astype("float32"))).layers

    assert found.saturation["i"].left > 0.8
    assert found.saturated == ()
    assert found.keep == "f"


def test_each_level_of_a_stack_gets_its_own_cure(rng):
    stack = sr.Stack([large("relu"), sr.LSTM(H, H, seed=0)])
    x = rng.standard_normal((100, 8, I)).astype("float32")

    told = []
    for _ in range(3):  # the upper one is judged by what the lower one makes
        found = sr.diagnose(stack.record(x))
        told.append(found.troubles)
        for text in found.suggestions:
            place, suggestion = text.split(": ", 1)
            if "sr.init.apply" in suggestion:
                follow(suggestion, stack[int(place.removeprefix("level "))], stack=stack)

    assert told[0] == {"0": ("explode",), "1": ("saturated",)}
    assert [list(troubles) for troubles in told] == [["0", "1"], ["1"], []]
