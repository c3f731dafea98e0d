"""Initialisers: what they promise of the numbers they draw, on every cell and both engines."""

from __future__ import annotations

import math

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    CELLS,
    INFOS,
    RECURRENT,
    assert_same_bits,
    bias_rows,
    gates_with_rows,
    make_layer,
)
from helpers_init import FORGETFUL, SIGMAS, SPARE, total_bias, unit
from helpers_loops import every
from simdrnn import init, reference


def of_kind(layer, start):
    return {name: value for name, value in layer.parameters().items() if name.startswith(start)}


def gates(weight, hidden):
    return weight.astype("float64").reshape(-1, hidden, weight.shape[1])


def gram_error(matrix):
    """Return how far the shorter side's vectors are from orthonormal, elementwise."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    return np.abs(tall.T @ tall - np.eye(tall.shape[1])).max()


def orthogonality(dtype, rows, columns):
    """Return a bound on `gram_error` of an orthogonal matrix rounded to `dtype`.

    Householder QR applies as many reflections as the shorter side has vectors, each of them a sum
    over the longer one: by `helpers.tolerance`'s model a column is off by 6 u sqrt(rows columns)
    (Higham 2002, theorem 19.4, with probabilistic constants). Rounding moves each entry by at most
    u of itself, and a product of two unit columns by 2 u more.
    """
    return 2 * 6 * unit("float64") * math.sqrt(rows * columns) + 2 * unit(dtype)


@every("cell", RECURRENT)
@every("dtype")
@every("engine")
def test_orthogonal_gates_in_every_layer_and_direction(engine, cell, dtype):
    H = 16
    layer = make_layer(engine, cell, 5, H, 2, bidirectional=True, dtype=dtype)

    init.apply(layer, weight_ih=init.orthogonal(), weight_hh=init.orthogonal(), seed=3)

    weights = of_kind(layer, "weight_ih") | of_kind(layer, "weight_hh")
    assert len(weights) == 8
    for weight in weights.values():
        for matrix in gates(weight, H):
            assert gram_error(matrix) <= orthogonality(dtype, *matrix.shape)
    matrices = sum(len(gates_with_rows(cell, kind)) for kind in ("weight_ih", "weight_hh"))
    assert len({matrix.tobytes() for w in weights.values() for matrix in gates(w, H)}) == (
        4 * matrices
    )


def test_orthogonal_with_a_gain_and_fused(dtype):
    layer = sr.LSTM(5, 16, dtype=dtype)

    init.apply(layer, weight_hh=init.orthogonal(gain=2.0, fused=True), seed=3)

    whole = layer.weight_hh_l0.astype("float64") / 2
    assert gram_error(whole) <= orthogonality(dtype, *whole.shape)
    assert gram_error(whole[:16]) > 0.1  # no gate is orthogonal by itself


def test_orthogonal_matrices_are_uniformly_distributed():
    # Elements of uniform orthogonal matrices have mean 0, also those on the diagonal, which QR's
    # own choice of signs would make negative. Their variance is 1 / H.
    H, draws = 2, 4000
    layer = sr.reference.RNN(1, H)
    rng = np.random.default_rng(0)

    diagonals = [init.orthogonal()(layer, rng, "weight_hh")["weight_hh_l0"][0, 0]
                 for _ in range(draws)]  # fmt: skip

    assert abs(np.mean(diagonals)) < SIGMAS * math.sqrt(1 / H / draws)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell not in RECURRENT])
def test_a_cell_without_recurrent_matrices_has_none_to_initialise(engine, cell):
    layer = make_layer(engine, cell, 3, 4, 2, seed=0)
    before = layer.state_dict()

    with pytest.raises(ValueError, match=f"weight_hh: expected a cell with .* got {cell}"):
        init.apply(layer, weight_ih=init.zeros(), weight_hh=init.orthogonal())

    assert_same_bits(layer.state_dict(), before)


def test_biases_of_the_cells_own_are_biases(engine):
    layer = engine.FastGRNN(3, 4, 2, seed=0)
    before = layer.state_dict()

    init.apply(layer, bias=init.zeros())

    changed = [name for name in before if (layer.parameters()[name] != before[name]).any()]
    assert changed == ["bias_z_l0", "bias_h_l0", "bias_z_l1", "bias_h_l1"]
    assert not any(layer.parameters()[name].any() for name in changed)


@every("cell", RECURRENT)
@every("value", [0.5, 1.25])
@every("dtype")
@every("engine")
def test_spectral_radius_of_every_gate(engine, cell, dtype, value):
    H = 12
    layer = make_layer(engine, cell, 3, H, 2, dtype=dtype)

    init.apply(layer, weight_hh=init.spectral_radius(value, base=init.glorot_normal()), seed=5)

    for weight in of_kind(layer, "weight_hh").values():
        for matrix in gates(weight, H):
            values, vectors = np.linalg.eig(matrix)
            # Bauer and Fike 1960: eigenvalues move by at most the eigenvectors' condition number
            # times the change, whose norm is at most u times the Frobenius norm for the rounding
            # to `dtype`, and some tens of double roundings in the algorithm.
            change = (unit(dtype) + 10 * H * unit("float64")) * np.linalg.norm(matrix)
            assert abs(np.abs(values).max() - value) <= np.linalg.cond(vectors) * change


def test_spectral_radius_scales_what_is_there():
    layer = sr.GRU(3, 4, dtype="float64", seed=0)
    before = gates(layer.weight_hh_l0, 4)

    init.apply(layer, weight_hh=init.spectral_radius(0.9))

    ratio = gates(layer.weight_hh_l0, 4) / before
    np.testing.assert_allclose(ratio, ratio[:, :1, :1] * np.ones((1, 4, 4)), rtol=1e-15)
    assert len(np.unique(ratio.round(6))) == 3  # each gate by a factor of its own


@every("dtype")
@every("engine")
def test_uniform_reaches_its_bounds_and_not_beyond(engine, dtype):
    H, n = 64, 4 * 64 * 64
    layer = engine.LSTM(3, H, dtype=dtype)

    init.apply(layer, weight_hh=init.uniform(), bias=init.uniform(0.25), seed=1)

    weight, bound = layer.weight_hh_l0.astype("float64"), 1 / math.sqrt(H)
    assert bound == 0.125
    assert np.abs(weight).max() <= bound
    assert min(weight.max(), -weight.min()) > bound * (1 - 2 * SPARE / n)
    assert abs(weight.mean()) < SIGMAS * bound / math.sqrt(3 * n)
    biases = np.array(list(of_kind(layer, "bias").values()), "float64")
    assert 0.2 < np.abs(biases).max() <= 0.25
    assert biases.any(axis=1).all()  # PyTorch draws both


@every("fused", [False, True])
@every("make, kurtosis", [(init.glorot_uniform, 1.8), (init.glorot_normal, 3)])
def test_glorot_variance(make, kurtosis, fused):
    I, H, G, gain = 200, 300, 3, 1.5  # noqa: E741
    layer = sr.GRU(I, H, dtype="float64")

    init.apply(layer, weight_ih=make(gain, fused=fused), seed=2)

    weight = layer.weight_ih_l0
    variance = gain**2 * 2 / (I + (G * H if fused else H))
    assert abs(weight.mean()) < SIGMAS * math.sqrt(variance / weight.size)
    spread = variance * math.sqrt((kurtosis - 1) / weight.size)
    assert abs(np.mean(weight**2) - variance) < SIGMAS * spread
    if make is init.glorot_uniform:
        assert np.abs(weight).max() <= math.sqrt(3 * variance)


@every("cell", RECURRENT)
@every("dtype")
@every("engine")
def test_identity_in_every_gate(engine, cell, dtype):
    layer = make_layer(engine, cell, 3, 4, bidirectional=True, dtype=dtype)

    init.apply(layer, weight_hh=init.identity(0.5))

    for weight in of_kind(layer, "weight_hh").values():
        want = np.tile(0.5 * np.eye(4), (len(gates_with_rows(cell, "weight_hh")), 1))
        np.testing.assert_array_equal(weight, want)


@every("cell", FORGETFUL)
@every("suffix", ["_l0", "_l1_reverse"])
@every("dtype")
@every("engine")
def test_forget_bias_is_the_sum_of_both(engine, cell, dtype, suffix):
    layer = make_layer(engine, cell, 3, 4, 2, bidirectional=True, dtype=dtype, seed=0)
    before, keep = layer.state_dict(), INFOS[cell].keep

    init.apply(layer, bias=init.unit_forget_bias())

    np.testing.assert_array_equal(total_bias(layer, keep, suffix), np.ones(4))
    places = bias_rows(cell, keep, 4)
    for name, value in layer.parameters().items():
        others = np.ones(len(value), bool)
        others[places.get(name[: len("bias_ih")], slice(0, 0))] = False
        np.testing.assert_array_equal(value[others], before[name][others])


@every("cell", [c for c in FORGETFUL if not c.startswith("gru")])
def test_forget_bias_is_that_of_the_constructor(cell):
    by_hand = make_layer(sr, cell, 3, 4, seed=0, forget_bias=1.5)

    layer = init.apply(make_layer(sr, cell, 3, 4, seed=0), bias=init.forget_bias(1.5))

    assert_same_bits(layer.state_dict(), by_hand.state_dict())


# sLSTM adds to what it keeps, and to its normaliser: tests/layers/test_slstm.py.
@every("cell", [cell for cell in FORGETFUL if INFOS[cell].states < 4])
@every("engine")
def test_a_large_forget_bias_keeps_the_state(engine, cell, rng):
    # The gate that the table names is the one that keeps: with it open the state stays.
    layer = make_layer(engine, cell, 3, 4, dtype="float64", seed=0)
    writes = INFOS[cell].write >= 0
    closed = init.chrono(1e12) if writes else init.zeros()  # closes the input gate as well
    init.apply(layer, bias=[closed, init.forget_bias(60.0)], seed=0)
    start = rng.standard_normal((1, 2, 4))
    state = (start, start) if INFOS[cell].states > 1 else start

    _, final = layer(rng.standard_normal((5, 2, 3)), state)

    kept = final[1] if INFOS[cell].states > 1 else final
    # Of an LSTM's c, at most 5 writes of sigmoid(-log u) = 1 / (1 + u) each, u up to 1e12.
    np.testing.assert_allclose(kept, start, rtol=0, atol=1e-6)


RECIPE = {
    "weight_ih": init.glorot_uniform(),
    "weight_hh": init.orthogonal(),
    "bias": [init.zeros(), init.chrono(20.0)],
}


def test_equal_seeds_give_equal_values_on_both_engines_and_in_both_dtypes():
    layers = [
        init.apply(module.LSTM(3, 4, 2, bidirectional=True, dtype=dtype), **RECIPE, seed=7)
        for module in (sr, reference)
        for dtype in ("float64", "float32")
    ]

    wide, narrow, twin, narrow_twin = (layer.state_dict() for layer in layers)
    assert_same_bits(wide, twin)
    assert_same_bits(narrow, narrow_twin)
    assert_same_bits({name: value.astype("float32") for name, value in wide.items()}, narrow)


def test_other_seeds_give_other_values():
    one, other, none, fresh = (
        init.apply(sr.LSTM(3, 4), **RECIPE, seed=seed).weight_hh_l0.tobytes()
        for seed in (0, 1, None, None)
    )

    assert len({one, other, none, fresh}) == 4


def test_kinds_draw_from_streams_of_their_own():
    all_three = init.apply(sr.LSTM(3, 4), **RECIPE, seed=7)

    alone = init.apply(sr.LSTM(3, 4, seed=1), weight_hh=RECIPE["weight_hh"], seed=7)

    np.testing.assert_array_equal(alone.weight_hh_l0, all_three.weight_hh_l0)
    np.testing.assert_array_equal(alone.bias_ih_l0, sr.LSTM(3, 4, seed=1).bias_ih_l0)


def test_kinds_do_not_draw_the_same_numbers():
    one, other = (init.uniform(), init.uniform())
    layer = init.apply(sr.RNN(4, 4), weight_ih=one, weight_hh=other, seed=7)

    assert not np.isin(layer.weight_ih_l0, layer.weight_hh_l0).any()


@every("kind", ["RNNCell", "LSTMCell", "GRUCell"])
@every("engine")
def test_single_cells_get_what_layers_get(engine, kind):
    arguments = {"weight_ih": init.glorot_normal(), "weight_hh": init.orthogonal(), "seed": 8}
    layer = init.apply(getattr(engine, kind.removesuffix("Cell"))(3, 4), **arguments)

    cell = init.apply(getattr(engine, kind)(3, 4), **arguments)

    np.testing.assert_array_equal(cell.weight_ih, layer.weight_ih_l0)
    np.testing.assert_array_equal(cell.weight_hh, layer.weight_hh_l0)


def test_a_new_value_is_used_at_once(rng):
    layer, x = sr.RNN(3, 4, bias=False, seed=0), np.ones((2, 1, 3), "float32")
    before = layer(x)[0]

    init.apply(layer, weight_ih=init.zeros())

    assert before.any()
    assert not layer(x)[0].any()


def test_calling_an_initialiser_changes_no_layer():
    layer = sr.GRU(3, 4, seed=0)
    before = layer.state_dict()

    new = init.chrono(10.0)(layer, np.random.default_rng(0))

    assert list(new) == ["bias_ih_l0", "bias_hh_l0"]
    assert new["bias_ih_l0"].dtype == np.float32
    assert_same_bits(layer.state_dict(), before)


def test_initialisers_are_values():
    assert init.orthogonal(2.0) == init.orthogonal(gain=2.0)
    assert init.orthogonal(2.0) != init.orthogonal()
    assert init.glorot_uniform() != init.glorot_normal()
    assert repr(init.chrono(8.0)) == "chrono(t_max=8.0, input_gate=True)"
    assert len({init.zeros(), init.zeros(), init.identity()}) == 2


REFUSED = {
    "layer": (lambda: init.apply(sr.Linear(2, 3)), TypeError, "layer: expected a recurrent"),
    "class": (
        lambda: init.apply(sr.RNN(2, 3), weight_hh=init.orthogonal),
        TypeError,
        r"weight_hh: expected an initialiser .* \(call it\)",
    ),
    "name": (lambda: init.apply(sr.RNN(2, 3), bias="zeros"), TypeError, "bias: expected"),
    "inside": (lambda: init.apply(sr.RNN(2, 3), bias=[init.zeros(), 1]), TypeError, "bias: exp"),
    "bias kind": (
        lambda: init.apply(sr.GRU(2, 3), bias=init.orthogonal()),
        ValueError,
        "bias: expected an initialiser of bias, got orthogonal",
    ),
    "weight kind": (
        lambda: init.apply(sr.GRU(2, 3), weight_ih=init.identity()),
        ValueError,
        "weight_ih: expected",
    ),
    "no bias": (
        lambda: init.apply(sr.GRU(2, 3, bias=False), bias=init.zeros()),
        ValueError,
        "bias: expected a layer with bias=True",
    ),
    "no gate": (
        lambda: init.apply(sr.RNN(2, 3), bias=init.forget_bias(1.0)),
        ValueError,
        "bias: expected a cell with a gate that keeps its state, got rnn_tanh",
    ),
    "seed": (lambda: init.apply(sr.RNN(2, 3), seed=-1), ValueError, "seed: expected"),
    "t_max": (lambda: init.chrono(2), ValueError, "t_max: expected a number above 2, got 2"),
    "bound": (lambda: init.uniform(0), ValueError, "bound: expected a positive"),
    "gain": (lambda: init.orthogonal("1"), TypeError, "gain: expected a finite number"),
    "fused": (lambda: init.glorot_normal(1.0, 1), TypeError, "fused: expected True or False"),
    "scale": (lambda: init.identity(math.nan), ValueError, "scale: expected a finite number"),
    "forget": (lambda: init.forget_bias(None), TypeError, "value: expected a finite number"),
    "float32": (
        lambda: init.apply(sr.LSTM(2, 3), bias=init.forget_bias(1e300)),
        ValueError,
        r"bias: expected values that float32 can hold, got 1e\+300",
    ),
    "alpha": (lambda: init.power_law_forget_bias(0), ValueError, "alpha: expected a positive"),
    "radius": (lambda: init.spectral_radius(-1), ValueError, "value: expected a positive"),
    "base": (lambda: init.spectral_radius(1, init.chrono(9)), ValueError, "base: expected"),
    "base type": (lambda: init.spectral_radius(1, "normal"), TypeError, "base: expected"),
    "rng": (lambda: init.zeros()(sr.RNN(2, 3), 0, "bias"), TypeError, "rng: expected a numpy"),
    "kind": (
        lambda: init.zeros()(sr.RNN(2, 3), np.random.default_rng(0)),
        ValueError,
        "kind: expected 'weight_ih' or 'weight_hh' or 'bias' or 'weight_hr', got None",
    ),
}


@every("case", REFUSED)
def test_what_is_refused(case):
    call, error, message = REFUSED[case]

    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("fill", [0.0, math.inf])
def test_a_failure_changes_nothing(fill):
    layer = sr.GRU(3, 4, seed=0)
    layer.weight_hh_l0 = np.full((12, 4), fill, "float32")
    before = layer.state_dict()

    with pytest.raises(ValueError, match="weight_hh: expected matrices of positive spectral"):
        init.apply(layer, weight_ih=init.zeros(), weight_hh=init.spectral_radius(0.9))

    assert_same_bits(layer.state_dict(), before)


def test_a_recipe_of_ones_own():
    class Ones(init.Initializer):
        kinds = ("bias",)

        def fill(self, block, rng):
            for gate in range(block.cell.gates):
                block.set_bias(gate, 1.0)

    layer = init.apply(sr.GRU(3, 4), bias=Ones())

    assert (layer.bias_ih_l0 == 1).all()
    assert not layer.bias_hh_l0.any()
