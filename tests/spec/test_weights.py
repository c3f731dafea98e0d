"""Parameters: names, shapes, order, initial values, and noticing every change."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from helpers import CELLS, INFOS, RECURRENT, gates_with_rows, make_layer, tolerance
from helpers_loops import every
from simdrnn import reference


def test_names_come_in_the_order_of_pytorch(engine):
    layer = engine.LSTM(3, 4, num_layers=2, bidirectional=True)

    names = list(layer.parameters())

    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ends = ("_l0", "_l0_reverse", "_l1", "_l1_reverse")
    assert names == [kind + end for end in ends for kind in kinds]


@every("cell", CELLS)
@every("engine")
def test_shapes_are_those_of_pytorch(engine, cell):
    layer = make_layer(engine, cell, 3, 4, num_layers=2, bidirectional=True)
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    rows = {kind: 4 * len(gates_with_rows(cell, kind)) for kind in kinds}

    shapes = {name: array.shape for name, array in layer.parameters().items()}

    assert shapes["weight_ih_l0_reverse"] == (rows["weight_ih"], 3)
    assert shapes["weight_ih_l1"] == (rows["weight_ih"], 8)
    for name, width in (("weight_hh", (4,)), ("bias_ih", ()), ("bias_hh", ())):
        want = (rows[name], *width) if rows[name] else None
        assert shapes.get(f"{name}_l1_reverse") == want


def test_without_bias_there_are_only_weights(engine):
    layer = engine.GRU(3, 4, bias=False)

    assert list(layer.parameters()) == ["weight_ih_l0", "weight_hh_l0"]
    assert layer.num_parameters == 12 * 3 + 12 * 4


def test_cells_have_names_without_suffix(engine):
    cell = engine.LSTMCell(3, 4)

    assert list(cell.parameters()) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]


@every("cell", CELLS)
@every("engine")
def test_uniform_fills_the_range_of_pytorch(engine, cell):
    layer = make_layer(engine, cell, 40, 64, seed=1)

    # Some of a cell's own parameters begin elsewhere.
    begun = [f"{own.name}_l0" for own in INFOS[cell].own if own.initial is not None]
    drawn = np.concatenate(
        [array.ravel() for name, array in layer.parameters().items() if name not in begun]
    )

    assert np.abs(drawn).max() <= 1 / np.sqrt(64)
    deviation = 1 / np.sqrt(3 * 64 * drawn.size)  # of the mean of that many uniform values
    assert abs(drawn.mean()) <= 6 * deviation
    assert np.ptp(drawn) > 2 / np.sqrt(64) * (1 - 20 / drawn.size)


@every("initializer", ["glorot", "orthogonal"])
@every("engine")
def test_glorot_weights_fill_their_range_and_biases_are_zero(engine, initializer):
    layer = engine.LSTM(40, 64, initializer=initializer, seed=1, dtype="float64")
    bound = np.sqrt(6 / (40 + 64))

    largest = np.abs(layer.weight_ih_l0).max()

    assert bound * (1 - 20 / layer.weight_ih_l0.size) < largest <= bound
    assert not layer.bias_ih_l0.any()
    assert not layer.bias_hh_l0.any()


@every("cell", RECURRENT)
@every("engine")
def test_orthogonal_recurrent_weights_are_orthogonal_gate_by_gate(engine, cell):
    size = 16
    layer = make_layer(engine, cell, 3, size, initializer="orthogonal", dtype="float64")

    for gate in np.split(layer.weight_hh_l0, len(gates_with_rows(cell, "weight_hh"))):
        error = np.abs(gate @ gate.T - np.eye(size)).max()
        assert error <= tolerance("float64", size, size)  # QR: a step for each column


@every("initializer", ["uniform", "glorot", "orthogonal"])
@every("engine")
def test_forget_bias_is_the_total_bias_of_the_forget_gate(engine, initializer):
    layer = engine.LSTM(3, 4, num_layers=2, forget_bias=1.5, initializer=initializer, seed=0)
    plain = engine.LSTM(3, 4, num_layers=2, initializer=initializer, seed=0)

    for end in ("_l0", "_l1"):
        bias_ih = getattr(layer, f"bias_ih{end}").reshape(4, 4)
        bias_hh = getattr(layer, f"bias_hh{end}").reshape(4, 4)
        np.testing.assert_array_equal(bias_ih[1], 1.5)
        np.testing.assert_array_equal(bias_hh[1], 0)
        untouched = getattr(plain, f"bias_ih{end}").reshape(4, 4)[[0, 2, 3]]
        np.testing.assert_array_equal(bias_ih[[0, 2, 3]], untouched)


def test_one_seed_gives_the_same_weights_in_both_types(engine):
    single = engine.GRU(3, 4, seed=5, dtype="float32").state_dict()
    double = engine.GRU(3, 4, seed=5, dtype="float64").state_dict()

    for name, value in double.items():
        np.testing.assert_array_equal(single[name], value.astype("float32"))


def test_without_seed_layers_differ_and_tell_their_seed(engine):
    first, second = engine.GRU(3, 4), engine.GRU(3, 4)

    again = engine.GRU(3, 4, seed=first.seed, dtype=first.dtype)

    assert not np.array_equal(first.weight_hh_l0, second.weight_hh_l0)
    np.testing.assert_array_equal(first.weight_hh_l0, again.weight_hh_l0)


def test_engines_start_with_the_same_weights():
    pytest.importorskip("simdrnn._core", reason="the extension is not built")
    import simdrnn as sr

    got = sr.LSTM(3, 4, seed=2, dtype="float64").state_dict()

    for name, value in reference.LSTM(3, 4, seed=2).state_dict().items():
        np.testing.assert_array_equal(got[name], value)


def test_parameters_cannot_be_written_to(engine):
    layer = engine.GRU(3, 4)

    with pytest.raises(ValueError, match="read-only"):
        layer.weight_ih_l0[0, 0] = 1.0
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        layer.parameters()["bias_ih_l0"].flags.writeable = True


def test_assignment_copies(engine):
    layer = engine.GRU(3, 4, dtype="float64")
    value = np.ones((12, 3))

    layer.weight_ih_l0 = value
    value[:] = 7.0

    np.testing.assert_array_equal(layer.weight_ih_l0, 1.0)


def test_assignment_is_seen_by_the_next_call_and_by_old_views(engine, rng):
    layer = engine.GRU(3, 4, dtype="float64")
    view = layer.weight_hh_l0
    x = rng.standard_normal((5, 2, 3))
    before = layer(x)[0]

    layer.weight_hh_l0 = np.zeros((12, 4))

    assert not view.any()
    assert not np.array_equal(layer(x)[0], before)


def test_assignment_of_a_wrong_shape_names_the_parameter(engine):
    layer = engine.LSTM(3, 128)
    message = r"weight_hh_l0: expected shape \(4\*H, H\) = \(512, 128\), got \(512, 64\)"

    with pytest.raises(ValueError, match=message):
        layer.weight_hh_l0 = np.zeros((512, 64), layer.dtype)


def test_letters_tell_where_a_width_comes_from(engine):
    layer = engine.RNN(3, 4, num_layers=2, bidirectional=True)

    with pytest.raises(ValueError, match=r"weight_ih_l1: expected shape \(H, 2\*H\) = \(4, 8\)"):
        layer.weight_ih_l1 = np.zeros((4, 4), layer.dtype)
    with pytest.raises(ValueError, match=r"bias_ih_l1: expected shape \(H,\) = \(4,\), got \(1,\)"):
        layer.bias_ih_l1 = np.zeros(1, layer.dtype)


def test_assignment_of_a_wrong_type_names_the_parameter(engine):
    layer = engine.GRU(3, 4, dtype="float32")

    with pytest.raises(TypeError, match="bias_ih_l0: expected dtype float32, got float64"):
        layer.bias_ih_l0 = np.zeros(12)


def test_assignment_to_an_unknown_parameter_lists_the_known_ones(engine):
    layer = engine.GRU(3, 4)

    with pytest.raises(AttributeError, match=r"weight_ih_l1: unknown parameter.*weight_ih_l0"):
        layer.weight_ih_l1 = np.zeros((12, 3), layer.dtype)


def test_state_dict_is_a_snapshot(engine):
    layer = engine.GRU(3, 4, dtype="float64")
    saved = layer.state_dict()

    layer.bias_ih_l0 = np.full(12, 9.0)

    assert not np.array_equal(saved["bias_ih_l0"], layer.bias_ih_l0)


def test_load_state_dict_restores_every_parameter(engine):
    source, target = engine.LSTM(3, 4, seed=0), engine.LSTM(3, 4, seed=1)

    keys = target.load_state_dict(source.state_dict())

    assert keys == ([], [])
    for name, value in source.parameters().items():
        np.testing.assert_array_equal(target.parameters()[name], value)


def test_load_state_dict_writes_nothing_if_anything_is_wrong(engine):
    layer = engine.GRU(3, 4, seed=0)
    before = layer.state_dict()
    values = {name: value + 1 for name, value in before.items()}
    values["bias_hh_l0"] = np.zeros(5, layer.dtype)

    with pytest.raises(ValueError, match=r"bias_hh_l0: expected shape \(3\*H,\)"):
        layer.load_state_dict(values)

    for name, value in layer.parameters().items():
        np.testing.assert_array_equal(value, before[name])


def test_load_state_dict_names_missing_and_unexpected_keys(engine):
    layer = engine.GRU(3, 4)
    values = layer.state_dict()
    values["extra"] = values.pop("bias_hh_l0")

    with pytest.raises(ValueError, match=r"missing \['bias_hh_l0'\], unexpected \['extra'\]"):
        layer.load_state_dict(values)


def test_load_state_dict_loads_what_fits_if_not_strict(engine):
    layer = engine.GRU(3, 4)
    value = np.full(12, 0.5, layer.dtype)

    keys = layer.load_state_dict({"bias_ih_l0": value, "extra": value}, strict=False)

    assert keys.missing_keys == ["weight_ih_l0", "weight_hh_l0", "bias_hh_l0"]
    assert keys.unexpected_keys == ["extra"]
    np.testing.assert_array_equal(layer.bias_ih_l0, value)


def test_load_state_dict_of_no_mapping_is_a_type_error(engine):
    with pytest.raises(TypeError, match="state_dict: expected a mapping name -> array, got list"):
        engine.GRU(3, 4).load_state_dict([1, 2])


COPIES = {
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@every("copied", COPIES.values(), ids=COPIES)
@every("engine")
def test_copies_run_alike_and_live_apart(engine, copied, rng):
    layer = engine.LSTM(3, 4, num_layers=2, batch_first=True, cell_clip=0.5, seed=0)
    x = rng.standard_normal((2, 5, 3)).astype(layer.dtype)
    want = layer(x)[0]

    twin = copied(layer)
    layer.bias_ih_l0 = np.full(16, 3.0, layer.dtype)

    assert repr(twin) == repr(layer)
    np.testing.assert_array_equal(twin(x)[0], want)
    with pytest.raises(ValueError, match="read-only"):
        twin.weight_ih_l0[0, 0] = 1.0


def test_updates_lend_writable_arrays_and_count_as_a_change(engine, rng):
    layer = engine.GRU(3, 4, dtype="float64")
    x = rng.standard_normal((5, 2, 3))
    before = layer(x)[0]

    with layer._update_parameters() as arrays:
        for array in arrays.values():
            array *= 0.5

    assert list(arrays) == list(layer.parameters())
    assert not np.array_equal(layer(x)[0], before)
    with pytest.raises(ValueError, match="read-only"):
        arrays["bias_ih_l0"][0] = 1.0
