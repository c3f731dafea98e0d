"""What is saved runs on ONNX Runtime to the same numbers, and is loaded again to the same bits."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simdrnn as sr
from helpers import as_tuple, assert_close, make_layer
from helpers_cover import cover
from helpers_loops import every
from helpers_onnx_models import joined, run_chain, run_onnx
from helpers_peers import allowed, unsorted_lengths

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
from simdrnn.onnx import backend, load, save  # noqa: E402

pytestmark = pytest.mark.peers

CELLS = (
    "rnn_tanh",
    "rnn_relu",
    "gru",
    "gru_reset_before",
    "lstm",
    "lstm_peephole",
    "lstm_coupled_input",
    "lstm_peephole_coupled_input",
)
NAMES = ("recurrent_activation", "activation", "output_activation")
ACTIVATIONS = (
    (),
    (("hard_sigmoid", 0.3, 0.4), "softsign", ("scaled_tanh", 1.25, 0.75)),
    ("softsign", ("elu", 0.5), "identity"),
    ("sigmoid", ("thresholded_relu", 0.25), ("affine", 0.25, 0.5)),
)
# What a layer is built like; residuals need inputs of the size of outputs.
STRUCTURES = {
    "forward": {},
    "concat": {"bidirectional": True},
    "sum": {"bidirectional": True, "merge": "sum"},
    "mul-residual": {"bidirectional": True, "merge": "mul", "residual": True},
    "ave": {"bidirectional": True, "merge": "ave"},
    "none": {"bidirectional": True, "merge": "none"},
    "reverse": {"reverse": True},
    "turned": {"reverse": True, "keep_order": False},
    "residual": {"residual": True},
    "turned-residual": {"reverse": True, "keep_order": False, "residual": True},
}
MINDS_LENGTHS = {"mul-residual", "turned", "residual", "turned-residual"}
FACTORS = {
    "cell": CELLS,
    "structure": tuple(STRUCTURES),
    "layers": (1, 2, 3),
    "batch_first": (False, True),
    "bias": (True, False),
    "clip": (None, 0.5),
    "activations": ACTIVATIONS,
    "learned": (False, True),
    "states": (False, True),
    "lengths": (False, True),
}
T, B, I, H = 6, 3, 5, 5  # noqa: E741


def build(rng, *, cell, structure, layers, batch_first, bias, clip, activations, learned, **_):
    kind, structure = cell.split("_")[0], STRUCTURES[structure]
    names = NAMES[1:2] if kind == "rnn" else NAMES
    options = dict(zip(names, activations, strict=False))
    if kind != "lstm":
        options.pop("output_activation", None)
    if clip is not None:
        options["gate_clip"] = clip
    if structure.get("merge") == "none":
        layers = 1
    layer = make_layer(
        sr, cell, I, H, num_layers=layers, batch_first=batch_first, bias=bias,
        seed=int(rng.integers(2**32)), learn_initial_state=learned, **structure, **options,
    )  # fmt: skip
    if learned:
        names = [name for name in layer.parameters() if name[1:4] == "_0_"]
        assert names
        for name in names:
            setattr(layer, name, rng.standard_normal(H).astype("float32"))
    return layer


# Where ONNX would not mind lengths and our layer does, saving is refused.
PAIRS = [
    row | {"lengths": row["lengths"] and row["structure"] not in MINDS_LENGTHS}
    for row in cover(FACTORS, frozenset())
]


def arguments(layer, rng, *, states, lengths, **_):
    """Return what a layer and its model are called with: x, states, lengths, and them by name."""
    x = rng.standard_normal((B, T, I) if layer.batch_first else (T, B, I)).astype("float32")
    fed, own, given = {"x": x}, None, None
    if states:
        rows = layer.num_layers * (2 if layer.bidirectional else 1)
        count = 2 if isinstance(layer, sr.LSTM) else 1
        own = tuple(rng.standard_normal((rows, B, H)).astype("float32") for _ in range(count))
        fed |= dict(zip(("h_0", "c_0"), own, strict=False))
    if lengths:
        given = fed["lengths"] = unsorted_lengths(T, B, rng)
    return x, own, given, fed


def one_or_both(states):
    return states[0] if states is not None and len(states) == 1 else states


@every("row", PAIRS, ids=lambda row: "-".join(map(str, row.values())))
def test_what_is_saved_equals_the_layer_everywhere(row, tmp_path):
    rng = np.random.default_rng(zlib.crc32(str(row).encode()))
    layer, path = build(rng, **row), tmp_path / "model.onnx"
    x, states, lengths, fed = arguments(layer, rng, **row)
    output, final = layer(x, one_or_both(states), lengths=lengths)
    want = (output, *as_tuple(final))

    save(layer, path, states=row["states"], lengths=row["lengths"])

    close = allowed(layer, T, B)
    assert_close(tuple(run_onnx(path, fed)), want, close)
    assert_close(tuple(backend.run_model(path, fed)), want, close)
    again = load(path)
    got, got_final = run_chain(again, x, states, lengths)
    np.testing.assert_array_equal(got, output)
    for one, other in zip(joined(got_final), as_tuple(final), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (len(again) if isinstance(again, list) else 1) == layer.num_layers


@settings(max_examples=40)
@given(data=st.data())
def test_a_saved_layer_comes_back_as_it_was(data, tmp_path_factory):
    """Sizes, parameters, options and structure, of single layers in both dtypes."""
    row = {name: data.draw(st.sampled_from(values), name) for name, values in FACTORS.items()}
    rng = np.random.default_rng(data.draw(st.integers(0, 99), "seed"))
    dtype = data.draw(st.sampled_from(["float32", "float64"]), "dtype")
    sizes = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)), "sizes")
    structure = dict(STRUCTURES[row["structure"]])
    structure.pop("residual", None)
    options = {} if row["clip"] is None else {"gate_clip": row["clip"]}
    layer = make_layer(
        sr, row["cell"], *sizes, bias=row["bias"], batch_first=row["batch_first"], dtype=dtype,
        learn_initial_state=row["learned"], seed=int(rng.integers(99)), **structure, **options,
    )  # fmt: skip
    if row["learned"]:
        for name in [name for name in layer.parameters() if name[1:4] == "_0_"]:
            setattr(layer, name, rng.standard_normal(sizes[1]).astype(dtype))
    path = tmp_path_factory.mktemp("saved") / "model.onnx"

    save(layer, path)
    again = load(path)

    # ONNX's input_forget is a switch: "input" comes back as True, which says the same.
    assert repr(again) == repr(layer).replace("forget='input'", "forget=True")
    assert list(again.parameters()) == list(layer.parameters())
    for name, value in layer.parameters().items():
        np.testing.assert_array_equal(again.parameters()[name], value, strict=True)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_list_of_layers_is_saved_as_a_chain(batch_first, rng, tmp_path):
    layers = [
        sr.LSTM(I, 3, bidirectional=True, merge="sum", batch_first=batch_first, seed=0),
        sr.GRU(3, 4, num_layers=2, batch_first=batch_first, seed=1),
        sr.RNN(4, 2, reverse=True, batch_first=batch_first, learn_initial_state=True, seed=2),
    ]
    path = tmp_path / "model.onnx"
    x = rng.standard_normal((B, T, I) if batch_first else (T, B, I)).astype("float32")
    lengths = unsorted_lengths(T, B, rng)
    value, finals = x, []
    for layer in layers:
        value, final = layer(value, lengths=lengths)
        finals += as_tuple(final)

    save(layers, path, lengths=True)

    names = [one.name for one in onnx.load(path).graph.output]
    assert names == ["output", "h_n_0", "c_n_0", "h_n_1", "h_n_2"]
    got = tuple(run_onnx(path, {"x": x, "lengths": lengths}))
    assert_close(got, (value, *finals), sum(allowed(layer, T, B) for layer in layers))
    again = load(path)
    assert [type(one).__name__ for one in again] == ["LSTM", "GRU", "GRU", "RNN"]
    np.testing.assert_array_equal(run_chain(again, x, lengths=lengths)[0], value)


def test_a_stack_of_what_is_loaded_is_the_network(rng, tmp_path):
    layer, path = sr.LSTM(I, H, num_layers=3, bidirectional=True, seed=0), tmp_path / "model.onnx"
    x = rng.standard_normal((T, B, I)).astype("float32")

    save(layer, path)

    np.testing.assert_array_equal(sr.Stack(load(path))(x)[0], layer(x)[0])


def test_the_file_is_of_an_old_and_checked_form(tmp_path):
    save(sr.GRU(I, H), tmp_path / "model.onnx", states=True, lengths=True)

    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 14)]
    assert model.ir_version == 7
    assert model.producer_name == "simdrnn"
    assert model.producer_version == sr.__version__
    assert [one.name for one in model.graph.input] == ["x", "lengths", "h_0"]


REFUSED = {
    "zoneout": (lambda: sr.GRU(I, H, zoneout=0.5), "zoneout: expected a layer without it.*got 0.5"),
    "cell_clip": (lambda: sr.LSTM(I, H, cell_clip=2.0), "cell_clip: expected a layer without it"),
    "hidden_clip": (lambda: sr.RNN(I, H, hidden_clip=2.0), "hidden_clip: expected a layer"),
    "coupled": (
        lambda: sr.LSTM(I, H, coupled_input_forget="forget"),
        "coupled_input_forget: expected a layer without it, since ONNX.*got 'forget'",
    ),
    "another for each gate": (
        lambda: sr.GRU(I, H, recurrent_activation=["sigmoid", "softsign"]),
        r"recurrent_activation: expected one for all gates.*got \['sigmoid', 'softsign'\]",
    ),
    "cell": (lambda: sr.MGU(I, H), "layer: expected RNN, LSTM or GRU, got MGU"),
    "empty": (lambda: [], "layer: expected a layer or a list of them, got an empty list"),
    "sizes": (lambda: [sr.GRU(I, H), sr.GRU(I + 1, H)], "fit on each other: inputs 5, got 6"),
    "dtypes": (
        lambda: [sr.GRU(I, H), sr.GRU(H, H, dtype="float64")],
        "fit on each other: dtype float32, got float64",
    ),
    "layouts": (
        lambda: [sr.GRU(I, H), sr.GRU(H, H, batch_first=True)],
        "fit on each other: batch_first False, got True",
    ),
    "merge": (
        lambda: [sr.GRU(I, H, bidirectional=True, merge="none"), sr.GRU(H, H)],
        "expected merge='none' in the last layer only",
    ),
}


@every("name", REFUSED)
def test_what_onnx_has_no_counterpart_of_is_named(name, tmp_path):
    make, message = REFUSED[name]
    path = tmp_path / "model.onnx"

    with pytest.raises(ValueError, match=message):
        save(make(), path)

    assert not path.exists()


@pytest.mark.parametrize("option", [{"residual": True}, {"reverse": True, "keep_order": False}])
def test_what_minds_lengths_only_in_ours_is_named(option, tmp_path):
    name = list(option)[-1]

    with pytest.raises(ValueError, match=f"{name}: expected a layer without it, where the model"):
        save(sr.GRU(H, H, **option), tmp_path / "model.onnx", lengths=True)


def test_projections_are_refused(tmp_path):
    layer = sr.LSTM(I, H)
    object.__setattr__(layer, "proj_size", 2)  # as layers may have it one day

    with pytest.raises(ValueError, match=r"proj_size: expected a layer without it.*got 2"):
        save(layer, tmp_path / "model.onnx")


def test_what_acts_in_training_only_is_left_out(rng, tmp_path):
    layer = sr.LSTM(
        I, H, num_layers=2, dropout=0.5, input_dropout=0.5, recurrent_dropout=0.5,
        candidate_dropout=0.5, weight_dropout=0.5, weight_noise=0.5, step_grad_clip=1.0,
        step_grad_norm=1.0, recurrent_dropout_per_gate=True, seed=0,
    )  # fmt: skip
    x = rng.standard_normal((T, B, I)).astype("float32")

    save(layer, tmp_path / "model.onnx")

    again = load(tmp_path / "model.onnx")
    assert [repr(one) for one in again] == ["LSTM(5, 5)", "LSTM(5, 5)"]
    np.testing.assert_array_equal(run_chain(again, x)[0], layer(x)[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("lstm", "layer: expected RNN, LSTM or GRU, got str"),
        ([sr.GRU(I, H), None], "layer: expected RNN, LSTM or GRU, got NoneType"),
        (sr.GRUCell(I, H), "layer: expected RNN, LSTM or GRU, got GRUCell"),
    ],
)
def test_what_is_no_layer_is_a_type_error(given, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        save(given, tmp_path / "model.onnx")


@pytest.mark.parametrize("path", [3, None, b"model.onnx"])
def test_what_is_no_path_is_a_type_error(path):
    with pytest.raises(TypeError, match="path: expected a str or a path, got"):
        save(sr.GRU(I, H), path)


@pytest.mark.parametrize("name", ["states", "lengths"])
def test_flags_are_bools(name, tmp_path):
    with pytest.raises(TypeError, match=f"{name}: expected True or False, got 1"):
        save(sr.GRU(I, H), tmp_path / "model.onnx", **{name: 1})
