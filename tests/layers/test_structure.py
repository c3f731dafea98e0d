"""Merging, residuals and reversal, against the same layers put together by hand."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import (
    CELLS,
    ENGINES,
    LAYERS,
    PATTERNS,
    as_tuple,
    assert_close,
    assert_same_bits,
    few,
    tolerance,
)
from helpers_structure import STRUCTURES, H, build, draw, real_steps, results
from simdrnn.engine.composed import Composed
from simdrnn.engine.packing import Packing
from simdrnn.engine.random_words import multipliers
from simdrnn.layers.bound import bound_layer
from simdrnn.spec.structure import Structure

ALLOWED = tolerance("float64", 12, 4 * H)


def plain_twin(layer, engine, **options):
    """Return a layer of one layer with the weights of another's first, without its structure."""
    kind = getattr(engine, type(layer).__name__)
    twin = kind(layer.input_size, layer.hidden_size, dtype=layer.dtype, **options)
    twin.load_state_dict({name: getattr(layer, name) for name in twin.parameters()})
    return twin


@few(engine=ENGINES, merge=["sum", "mul", "ave", "none"], pattern=PATTERNS)
def test_directions_merge(engine, merge, pattern, rng):
    layer = build(engine, "lstm", merge)
    x, state, call = draw(layer, pattern, rng)
    both, want_state = plain_twin(layer, engine, bidirectional=True)(x, state, **call)
    forward, reverse = both[..., :H], both[..., H:]
    want = {
        "sum": forward + reverse,
        "mul": forward * reverse,
        "ave": (forward + reverse) / 2,
        "none": np.stack([forward, reverse], axis=2),
    }[merge]

    output, after = layer(x, state, **call)

    assert_same_bits(output, want)
    assert_same_bits(after, want_state)


@pytest.mark.parametrize("merge", ["sum", "mul", "ave"])
def test_what_is_merged_is_what_the_next_layer_gets(engine, merge, rng):
    layer = engine.GRU(2, H, 2, bidirectional=True, merge=merge, dtype="float64", seed=0)
    x = rng.standard_normal((5, 3, 2))
    first = plain_twin(layer, engine, bidirectional=True, merge=merge)
    second = engine.GRU(H, H, bidirectional=True, merge=merge, dtype="float64")
    second.load_state_dict(
        {name: getattr(layer, name.replace("_l0", "_l1")) for name in second.parameters()}
    )

    output, state = layer(x)

    below, low = first(x)
    above, high = second(below)
    assert layer.weight_ih_l1.shape == (3 * H, H)
    assert_same_bits(output, above)
    assert_same_bits(state, np.concatenate([low, high]))


@few(engine=ENGINES, cell=CELLS, pattern=PATTERNS)
def test_inputs_are_added_at_real_steps(engine, cell, pattern, rng):
    layer = build(engine, cell, "residual")
    x, state, call = draw(layer, pattern, rng)
    real = real_steps(call, *x.shape[:2])[..., None]
    x = np.where(real, x, np.nan)
    twin = plain_twin(layer, engine, **LAYERS[cell][1])

    output, after = layer(x, state, **call)

    made, want_state = twin(x, state, **call)
    assert_same_bits(output, np.where(real, made + x, made))
    assert_same_bits(as_tuple(after), as_tuple(want_state))


@pytest.mark.parametrize("pattern", ["plain", "all", "all-hold"])
def test_residual_layers_are_their_layers_by_hand(engine, pattern, rng):
    layer = engine.LSTM(H, H, 2, residual=True, dropout=0.5, dtype="float64", seed=3)
    x, (h, c), call = draw(layer, pattern, rng)
    real = real_steps(call, *x.shape[:2])[..., None]
    first = plain_twin(layer, engine)
    second = engine.LSTM(H, H, dtype="float64")
    second.load_state_dict({n: getattr(layer, n.replace("0", "1")) for n in second.parameters()})
    scale = multipliers(x.shape, 0, 0.5, 3, np.float64)  # the key of a first call is the seed

    tape = layer.record(x, (h, c), **call)
    grads = tape.backward(np.ones_like(x))

    low = first.record(x, (h[:1], c[:1]), **call)
    given = (low.output + np.where(real, x, 0)) * scale
    high = second.record(given, (h[1:], c[1:]), **call)
    assert_close(tape.output, high.output + np.where(real, given, 0), ALLOWED)
    above = high.backward(np.ones_like(x))
    d_joined = (above.x + real) * scale
    below = low.backward(d_joined)
    assert_close(grads.x, below.x + np.where(real, d_joined, 0), ALLOWED)
    for name, value in below.params.items():
        assert_close(grads.params[name], value, ALLOWED, name)
        other = name.replace("0", "1")
        assert_close(grads.params[other], above.params[name], ALLOWED, other)


def test_residuals_are_where_sizes_agree(engine, rng):
    layer = engine.GRU(2, H, 2, residual=True, dtype="float64", seed=0)  # not in the first layer
    x = rng.standard_normal((4, 2, 2))
    first = plain_twin(layer, engine)
    second = engine.GRU(H, H, dtype="float64")
    second.load_state_dict({n: getattr(layer, n.replace("0", "1")) for n in second.parameters()})

    output, _ = layer(x)

    below = first(x)[0]
    assert_same_bits(output, second(below)[0] + below)


@few(engine=ENGINES, cell=CELLS, pattern=PATTERNS)
def test_reversed_layers_are_the_reverse_direction(engine, cell, pattern, rng):
    layer = build(engine, cell, "reverse")
    x, state, call = draw(layer, pattern, rng)
    both = build(engine, cell, "none")
    for name, value in layer.parameters().items():
        setattr(both, f"{name}_reverse", value)
    zeros = tuple(np.concatenate([np.zeros_like(one), one]) for one in as_tuple(state))
    form = zeros if isinstance(state, tuple) else zeros[0]

    output, after = layer(x, state, **call)

    want, want_state = both(x, form, **call)
    assert_same_bits(output, np.ascontiguousarray(want[:, :, 1]))
    assert_same_bits(as_tuple(after), tuple(one[1:] for one in as_tuple(want_state)))


@few(engine=ENGINES, pattern=PATTERNS)
def test_gradients_of_reversed_layers_are_those_of_the_reverse_direction(engine, pattern, rng):
    layer, both = build(engine, "lstm", "reverse"), build(engine, "lstm", "none")
    x, state, call = draw(layer, pattern, rng)
    for name, value in layer.parameters().items():
        setattr(both, f"{name}_reverse", value)
    zeros = tuple(np.concatenate([np.zeros_like(one), one]) for one in state)
    d_output = rng.standard_normal((*x.shape[:2], H))

    grads = layer.record(x, state, **call).backward(d_output, state)

    d_both = np.stack([np.zeros_like(d_output), d_output], axis=2)
    want = both.record(x, zeros, **call).backward(d_both, zeros)
    assert_close(grads.x, want.x, ALLOWED)
    assert_close(grads.state, tuple(one[1:] for one in want.state), ALLOWED)
    for name, value in grads.params.items():
        assert_close(value, want.params[f"{name}_reverse"], ALLOWED, name)


@few(engine=ENGINES, pattern=PATTERNS)
def test_outputs_in_the_order_they_were_made_in(engine, pattern, rng):
    kept, turned = (
        engine.GRU(2, H, 2, reverse=True, keep_order=order, dtype="float64", seed=0)
        for order in (True, False)
    )
    x, state, call = draw(kept, pattern, rng)
    lengths = call.get("lengths", np.full(x.shape[1], len(x)))

    output, after = turned(x, state, **call)

    want, want_state = kept(x, state, **call)
    assert_same_bits(after, want_state)
    for b, n in enumerate(lengths):
        assert_same_bits(output[:n, b], want[:n, b][::-1])
        assert_same_bits(output[n:, b], want[n:, b])


@few(engine=ENGINES, cell=CELLS, both=[False, True], pattern=["plain", "all", "all-hold"])
def test_layers_one_by_one_are_the_engine_own_stack(engine, cell, both, pattern, rng):
    layer, other = (
        build(engine, cell, "learned-2", bidirectional=both, dropout=0.5) for _ in range(2)
    )
    x, state, call = draw(layer, pattern, rng)
    bound = bound_layer(other)
    sizes = (bound.info.name, other.dtype, other.input_size, H, 2, 1 + both, other.options)
    bound.network = Composed(bound.engine, Structure(), *sizes)
    bound.ready = other._ready = Packing(bound.network, bound.parameters, bound.passes.packed).ready

    assert_same_bits(results(other, x, state, **call), results(layer, x, state, **call))


@few(engine=ENGINES, name=STRUCTURES)
def test_layouts(engine, name, rng):
    layer = build(engine, "gru", name)
    turned = build(engine, "gru", name, batch_first=True)
    x, state, call = draw(layer, "plain", rng)
    want, _ = layer(x, state, **call)
    out = np.empty(np.swapaxes(want, 0, 1).shape)

    output, _ = turned(x.swapaxes(0, 1), state, out=out)
    single, after = layer(x[:, 1], state[:, 1])

    assert output is out
    assert_same_bits(np.swapaxes(output, 0, 1), want)
    assert_close(single, want[:, 1], ALLOWED)  # bits are the compiled engine's promise
    assert after.shape == state[:, 1].shape
