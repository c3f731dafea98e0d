"""Cells whose gates do not all have both products, and cells with parameters of their own."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_close, assert_same_bits, tolerance
from helpers_loops import every
from simdrnn import reference

H, B = 19, 3  # a last vector that is not full, on every instruction set


def sigmoid(value):
    return 0.5 * (1 + np.tanh(0.5 * value))


def one_step(layer, rng):
    """Record one step; return its input, state, gradient of the output, and all gradients."""
    x, h, d = (rng.standard_normal(shape) for shape in ((1, B, 4), (1, B, H), (1, B, H)))
    x, h, d = (array.astype(layer.dtype) for array in (x, h, d))
    return x[0], h[0], d[0], layer.record(x, h).backward(d).params


@every("dtype")
@every("engine")
def test_gradients_of_what_units_share_are_sums_over_units_and_rows(engine, dtype, rng):
    layer = engine.FastRNN(4, H, dtype=dtype, seed=0)
    x, h, d, found = one_step(layer, rng)
    pre = x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
    alpha, beta = (sigmoid(float(value[0])) for value in (layer.alpha_l0, layer.beta_l0))

    terms = {
        "alpha_l0": d * np.tanh(pre) * alpha * (1 - alpha),
        "beta_l0": d * h * beta * (1 - beta),
    }

    for name, parts in terms.items():
        assert found[name].shape == (1,)
        # Terms of both signs: what counts is the size of what is added.
        allowed = tolerance(dtype, 1, B * H) * np.abs(parts).sum()
        assert abs(float(found[name][0]) - float(parts.sum(dtype="float64"))) <= allowed


def test_gradients_of_what_units_share_flow_in_time_and_stacks(rng):
    layers = [
        m.FastGRNN(5, H, 2, bidirectional=True, seed=1, dtype="float64") for m in (sr, reference)
    ]
    x, d = rng.standard_normal((7, B, 5)), rng.standard_normal((7, B, 2 * H))

    got, want = (layer.record(x).backward(d).params for layer in layers)

    for name in want:
        if name.startswith(("zeta", "nu")):
            # A sum that cancels: relative to the largest of the gradients of its kind.
            scale = max(float(np.abs(want[n]).max()) for n in want if n.startswith(("zeta", "nu")))
            assert abs(got[name] - want[name]).max() <= tolerance("float64", 14, 7 * B * H) * scale


def test_shared_parameters_are_one_number_each_and_begin_as_in_the_paper(engine):
    fast, gated = engine.FastRNN(2, 3, seed=0), engine.FastGRNN(2, 3, seed=0)

    assert fast.num_parameters == 3 * 2 + 3 * 3 + 2 * 3 + 2
    assert (fast.alpha_l0.tolist(), fast.beta_l0.tolist()) == ([-3.0], [3.0])
    assert (gated.zeta_l0.tolist(), gated.nu_l0.tolist()) == ([1.0], [-4.0])


@every("dtype")
@every("engine")
def test_a_new_value_of_a_shared_parameter_is_used(engine, dtype, rng):
    layer = engine.FastRNN(4, H, dtype=dtype, seed=0)
    x, h = (rng.standard_normal(shape).astype(dtype) for shape in ((1, B, 4), (1, B, H)))

    layer.alpha_l0, layer.beta_l0 = np.array([-200.0], dtype), np.array([200.0], dtype)

    np.testing.assert_array_equal(layer(x, h)[0], h)  # nothing is written, all is kept
    with pytest.raises(ValueError, match=r"alpha_l0: expected shape .*, got \(19,\)"):
        layer.alpha_l0 = np.zeros(H, dtype)


@every("dtype")
@every("engine")
def test_biases_of_its_own_are_left_out_with_the_others(engine, dtype, rng):
    bare, full = (engine.FastGRNN(4, H, bias=b, dtype=dtype, seed=0) for b in (False, True))
    assert list(bare.parameters()) == ["weight_ih_l0", "weight_hh_l0", "zeta_l0", "nu_l0"]
    sr.init.apply(full, bias=sr.init.zeros())
    bare.load_state_dict({name: full.parameters()[name] for name in bare.parameters()})
    x = rng.standard_normal((6, B, 4)).astype(dtype)

    tapes = [layer.record(x) for layer in (bare, full)]
    found = [tape.backward(tape.output) for tape in tapes]

    assert_same_bits(tapes[0].output, tapes[1].output)
    assert_same_bits(found[0].x, found[1].x)
    assert_same_bits(found[0].params, {name: found[1].params[name] for name in bare.parameters()})
    assert {*found[1].params} - {*found[0].params} == {"bias_z_l0", "bias_h_l0"}


@every("dtype")
@every("engine")
def test_units_of_an_independent_network_do_not_meet(engine, dtype, rng):
    layer = engine.IndRNN(4, H, dtype=dtype, seed=0)
    x, h = (rng.standard_normal(shape).astype(dtype) for shape in ((9, B, 4), (1, B, H)))
    other = h.copy()
    other[..., 7] += 1

    one, two = layer(x, h)[0], layer(x, other)[0]

    assert (one[..., 7] != two[..., 7]).any()
    one[..., 7] = two[..., 7]
    assert_same_bits(one, two)
    assert 0 <= layer.weight_u_l0.min() < 0.3 < 0.7 < layer.weight_u_l0.max() < 1


def test_gradients_do_not_grow_where_the_weight_of_the_old_state_is_bounded(engine):
    T = 1000
    layer = engine.IndRNN(4, H, dtype="float64", seed=0)
    layer.weight_u_l0 = np.full(H, 2 ** (1 / T))
    layer.weight_ih_l0, layer.bias_ih_l0 = np.zeros((H, 4)), np.ones(H)

    d_state = layer.record(np.zeros((T, B, 4))).backward(d_state=np.ones((1, B, H))).state

    np.testing.assert_allclose(d_state, 2.0, rtol=2 * T * np.finfo("float64").eps)


@every("option", ["recurrent_dropout", "weight_dropout"])
@every("engine")
def test_what_drops_for_the_recurrent_product_needs_one(engine, option):
    with pytest.raises(
        ValueError, match=f"{option}: expected a cell with a recurrent product, got"
    ):
        engine.IndRNN(2, 3, **{option: 0.5})
    engine.RAN(2, 3, **{option: 0.5})


def test_activations_of_cells_with_more_or_fewer_of_them_than_gates(engine, rng):
    x = rng.standard_normal((1, B, 4))
    independent = engine.IndRNN(4, H, dtype="float64", seed=0, activation="tanh")
    linear = engine.RAN(4, H, dtype="float64", seed=0, output_activation="identity")
    gated = engine.FastGRNN(4, H, dtype="float64", seed=0, activation="identity",
                            recurrent_activation="hard_sigmoid")  # fmt: skip

    pre = x[0] @ independent.weight_ih_l0.T + independent.bias_ih_l0
    assert_close(independent(x)[0][0], np.tanh(pre), tolerance("float64", 1, 4))
    output, (h, c) = linear(x)
    np.testing.assert_array_equal(h, c)
    shared = x[0] @ gated.weight_ih_l0.T
    z = np.clip(0.2 * (shared + gated.bias_z_l0) + 0.5, 0, 1)
    want = (sigmoid(1.0) * (1 - z) + sigmoid(-4.0)) * (shared + gated.bias_h_l0)
    assert_close(gated(x)[0][0], want, tolerance("float64", 1, 4))
    np.testing.assert_array_equal(output[0], h[0])


def test_each_block_of_recurrent_weights_acts_on_its_own(engine, rng):
    layer = engine.MinimalRNN(4, H, dtype="float64", seed=0)
    x, d = rng.standard_normal((1, B, 4)), rng.standard_normal((1, B, H))

    without_h = layer.record(x).backward(d).params["weight_hh_l0"]
    layer.bias_ih_l0 = np.zeros(H)
    no_latent = layer.record(np.zeros((1, B, 4)), rng.standard_normal((1, B, H)))
    without_z = no_latent.backward(d).params["weight_hh_l0"]  # z = tanh(0)

    assert (without_h[:H].any(), without_h[H:].all()) == (False, True)  # R_h takes h
    assert (without_z[:H].all(), without_z[H:].any()) == (True, False)  # R_z takes z


def test_matrices_are_told_apart_by_the_gates_that_they_make(engine):
    names = {
        "IndRNN": [], "FastGRNN": ["a"], "RAN": ["i", "f"], "MinimalRNN": ["u", "u of its operand"],
        "GRU": ["r", "z", "n"],
    }  # fmt: skip
    for layer, wanted in names.items():
        tape = getattr(engine, layer)(2, 3, seed=0).record(
            np.ones((4, 2, 2), engine.RNN(1, 1).dtype)
        )

        (found,) = sr.diagnose(tape).layers

        assert list(found.recurrent_radius) == wanted
        assert all(radius > 0 for radius in found.recurrent_radius.values())


def test_both_activations_of_shared_weights_are_looked_at(engine):
    tape = engine.FastGRNN(2, 3, seed=0).record(np.ones((4, 2, 2), engine.RNN(1, 1).dtype))

    assert list(sr.diagnose(tape).layers[0].saturation) == ["z", "n"]
