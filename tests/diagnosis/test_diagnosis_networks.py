"""`sr.diagnose` of stacks, of chunks, and of models by their parts."""

from __future__ import annotations

import io

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every


def make_stack(engine, **extra):
    """Make a stack of a layer that forgets below one that keeps."""
    below = engine.RNN(3, 4, dtype="float64", seed=0)
    sr.init.apply(below, weight_hh=sr.init.spectral_radius(0.3), seed=0)
    above = engine.LSTM(4, 4, 2, dtype="float64", seed=1, **extra)
    sr.init.apply(above, bias=[sr.init.zeros(), sr.init.chrono(t_max=40)], seed=0)
    return sr.Stack([below, above])


def assert_same(one, other):
    """Compare what was measured of two layers, to the bit."""
    for name in one.gradient:
        np.testing.assert_array_equal(one.gradient[name], other.gradient[name])
    assert (one.slope, one.span, one.driven) == (other.slope, other.span, other.driven)
    for name, gate in one.saturation.items():
        np.testing.assert_array_equal(gate.left_by_unit, other.saturation[name].left_by_unit)
    assert one.recurrent_radius == pytest.approx(other.recurrent_radius)


def test_levels_are_diagnosed_as_their_layers_by_hand(engine, rng):
    stack, x = make_stack(engine), rng.standard_normal((40, 2, 3))
    tape = stack.record(x, lengths=[40, 25])
    d_output = rng.standard_normal(tape.output.shape)
    below = stack[0].record(x, lengths=[40, 25])
    above = stack[1].record(below.output, lengths=[40, 25])

    found = sr.diagnose(tape, d_output)
    wanted = [
        sr.diagnose(below, above.backward(d_output).x),
        sr.diagnose(above, d_output),
    ]

    assert list(found.parts) == ["0", "1"]
    for own, want in zip(found.parts.values(), wanted, strict=True):
        for one, other in zip(own.layers, want.layers, strict=True):
            assert_same(one, other)
            assert one.verdict == other.verdict
    assert found.troubles == {"0": ("vanish",)}
    assert found.verdict == "vanish"
    assert [layer.name for layer in found.layers] == [
        "level 0, layer 0", "level 1, layer 0", "level 1, layer 1"
    ]  # fmt: skip


def test_without_a_loss_it_begins_with_the_last_state_of_the_top(engine, rng):
    stack, x = make_stack(engine), rng.standard_normal((30, 2, 3))

    found = sr.diagnose(stack.record(x))

    top = found.parts["1"].layers[1].gradient["h"]
    np.testing.assert_allclose(top[-1], 1.0)
    assert found.parts["0"].layers[0].driven  # from above, at every step
    assert found.troubles == {"0": ("vanish",)}


def test_words_and_suggestions_name_the_level(engine, rng):
    found = sr.diagnose(make_stack(engine).record(rng.standard_normal((40, 2, 3))))

    text = str(found)
    assert text.startswith("0 rnn_tanh, 1 lstm: gradients vanish.\n")
    assert "level 0, layer 0 (rnn_tanh): gradients vanish." in text
    assert "level 1, layer 1 (lstm): gradients neither vanish nor explode." in text
    assert found.suggestions[0].startswith("level 0: sr.LSTM or sr.GRU")
    assert "sr.init.apply(stack[0], bias=" in found.suggestions[0]
    assert "Try:\n  - level 0: sr.LSTM" in text


def test_a_network_is_drawn(engine, rng):
    pytest.importorskip("matplotlib")
    found = sr.diagnose(make_stack(engine).record(rng.standard_normal((9, 2, 3))))

    figure = found.plot()
    figure.savefig(io.BytesIO(), format="png")

    assert len(figure.axes[0].lines) == 1 + 2 * 2  # h of the RNN; h and c of two layers


def test_the_first_number_that_is_none_is_that_of_its_level(engine, rng):
    stack, x = make_stack(engine), rng.standard_normal((8, 2, 3))
    stack[1].weight_hh_l1 = np.full((16, 4), np.nan)

    first = sr.diagnose(stack.record(x)).first_nonfinite
    assert (first.part, first.quantity, first.given) == ("level 1", "weight_hh_l1", True)

    stack, d_output = make_stack(engine), np.zeros((8, 2, 4))
    d_output[2, 1] = np.nan
    found = sr.diagnose(stack.record(x), d_output)
    assert found.first_nonfinite.part == "level 1"  # on the way back it comes there first
    assert found.troubles["1"][0] == "nonfinite"


@every("k", [10, 40])
@every("engine")
def test_a_chunk_is_diagnosed_as_its_tape(engine, k, rng):
    stack, x = make_stack(engine), rng.standard_normal((40, 2, 3))
    layer = stack[1]
    inputs = rng.standard_normal((40, 2, 4))
    *_, of_layer = sr.tbptt(layer, inputs, k, training=False)
    *_, of_stack = sr.tbptt(stack, x, k, training=False)
    state = layer(inputs[: 40 - k])[1] if k < 40 else None
    alone = layer.record(inputs[40 - k :], state, training=False)

    for one, other in zip(
        sr.diagnose(of_layer.tape).layers, sr.diagnose(alone).layers, strict=True
    ):
        assert_same(one, other)
        assert one.span == k
    assert list(sr.diagnose(of_stack.tape).parts) == ["0", "1"]
    given = of_stack.tape.output
    assert sr.diagnose(of_stack.tape, given).parts["1"].layers[1].driven


class Named:
    """A tape of parts under names, as a model's."""

    def __init__(self, embedding, stack, layer, tokens):
        self.tapes = {"embedding": embedding.record(tokens)}
        self.tapes["below"] = stack.record(self.tapes["embedding"].output)
        self.tapes["above"] = layer.record(self.tapes["below"].output)

    def backward(self, d_output=None, d_state=None):
        below, above = (None, None) if d_state is None else d_state
        grads = self.tapes["above"].backward(d_output, above)
        grads = self.tapes["below"].backward(grads.x, below)
        return self.tapes["embedding"].backward(grads.x)


def test_parts_of_a_model_are_told_apart(engine, rng):
    embedding = sr.Embedding(7, 3, dtype="float64", seed=0)
    sick = engine.RNN(4, 4, dtype="float64", seed=0)
    sr.init.apply(sick, weight_hh=sr.init.spectral_radius(0.2), seed=0)
    tape = Named(embedding, make_stack(engine), sick, rng.integers(0, 7, (40, 2)))

    found = sr.diagnose(tape)

    assert list(found.parts) == ["below.0", "below.1", "above"]
    assert found.troubles == {"below.0": ("vanish",), "above": ("vanish",)}
    assert found.suggestions[0].startswith("below, level 0: ")
    assert "sr.init.apply(model.below[0], " in found.suggestions[0]
    assert any("sr.init.apply(model.above, " in text for text in found.suggestions)


def test_nothing_is_watched_afterwards(engine, rng):
    stack, x = make_stack(engine), rng.standard_normal((6, 2, 3))
    tape = stack.record(x)
    before = tape.backward(tape.output)
    sr.diagnose(tape, tape.output)
    with pytest.raises(ValueError, match="d_output: expected shape"):
        sr.diagnose(tape, tape.output[:3])

    after = tape.backward(tape.output)
    np.testing.assert_array_equal(before.x, after.x)


def test_what_is_no_tape_is_refused():
    head = sr.Linear(2, 3)

    for nothing in (head, head.record(np.ones((2, 2), "float32")), None):
        with pytest.raises(TypeError, match=r"tape: expected a Tape, made by layer\.record"):
            sr.diagnose(nothing)
