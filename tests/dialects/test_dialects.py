"""Weights of one package as another's: there and back, and what they compute."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_close, tolerance
from helpers_dialects import FORMULAS
from helpers_loops import every
from simdrnn import reference
from simdrnn.dialects import DIALECTS, convert, gate_order, permute_gates

LAYERS = {"lstm": sr.LSTM, "gru": sr.GRU, "rnn": sr.RNN}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}

# Facts about the packages that decide what comes back exactly, said here once more.
TWO_BIASES = {
    ("lstm", None): {"simdrnn", "torch", "onnx", "keras_cudnn", "guitarml"},
    ("rnn", None): {"simdrnn", "torch", "onnx", "haiku", "guitarml"},
    ("gru", True): {"simdrnn", "torch", "onnx", "keras", "haste", "rtneural", "keras_cudnn"}
    | {"guitarml"},
    ("gru", False): {"simdrnn", "onnx"},
}
HAVING = {
    ("lstm", None): {*DIALECTS},
    ("rnn", None): {*DIALECTS} - {"haste", "rtneural", "keras_cudnn", "dynet"},
    ("gru", True): {*DIALECTS} - {"haiku", "tf1", "dynet", "coreml"},
    ("gru", False): {"simdrnn", "onnx", "keras", "openvino", "haiku", "tf1", "coreml"},
}
ADDS_ONE = {"haiku", "tf1", "dynet"}
# Packages whose GRU resets after the product, and has no recurrent bias of n.
NO_BIAS_OF_N = {"flax_nnx", "madmom"}

PAIRS = [
    (*cell, source, target)
    for cell, names in HAVING.items()
    for source, target in product(sorted(names), sorted(names))
]


def leaves(weights):
    """Yield every array of a container; of a JSON file's, the lists of numbers as arrays."""
    if isinstance(weights, dict) and "type" in weights:
        yield from map(np.asarray, weights["weights"])
    elif isinstance(weights, dict) and "state_dict" in weights:
        yield from map(np.asarray, weights["state_dict"].values())
    elif isinstance(weights, (dict, list)):
        for part in weights.values() if isinstance(weights, dict) else weights:
            yield from leaves(part)
    else:
        yield weights


def names(weights):
    """Return the container with nothing in the place of arrays."""
    if isinstance(weights, dict) and "state_dict" in weights:
        return list(weights["state_dict"])
    if isinstance(weights, dict):
        json = "type" in weights
        return {k: names(one) for k, one in weights.items() if not (json and k == "weights")}
    return [names(one) for one in weights] if isinstance(weights, list) else None


def filled(weights, draw):
    """Return the same container with other numbers."""
    if isinstance(weights, dict):
        fixed = ("type", "activation", "shape")
        return {k: one if k in fixed else filled(one, draw) for k, one in weights.items()}
    if isinstance(weights, np.ndarray):
        return draw(weights.shape).astype(weights.dtype)
    if isinstance(weights[0], float):
        return draw(len(weights)).astype("float32").tolist()
    return [filled(one, draw) for one in weights]


def random_weights(dialect, cell, reset_after, *, I=3, H=4, layers=1, both=False, seed=0, **more):  # noqa: E741
    """Draw weights as a package has them: every number of its own."""
    form = {} if reset_after is None else {"reset_after": reset_after}
    layer = LAYERS[cell](I, H, layers, bidirectional=both, seed=0, **form, **more)
    values = layer.state_dict()
    for name in values:
        if name.startswith("bias_hh"):  # what Flax NNX has no place for
            values[name][:] = 0
    start = convert(values, "simdrnn", dialect, cell=cell, reset_after=reset_after)
    return filled(start, np.random.default_rng(seed).standard_normal)


@every("cell", HAVING, ids=str)
def test_the_table_has_the_cells_that_packages_have(cell):
    found = {name for name, one in DIALECTS.items() if cell[1] in one.layouts.get(cell[0], {})}

    assert found == HAVING[cell]


@every("cell, form, source, target", PAIRS)
def test_there_and_back(cell, form, source, target, rng):
    I, H, layers, both, seed = map(int, rng.integers(0, (5, 5, 2, 2, 2**32)))  # noqa: E741
    sizes = {"I": I + 1, "H": H + 1, "layers": layers + 1, "both": bool(both)}
    start = random_weights(source, cell, form, **sizes, seed=seed)
    if target in NO_BIAS_OF_N and source not in NO_BIAS_OF_N and form:
        with pytest.raises(ValueError, match="recurrent bias of n, which is not zero"):
            convert(start, source, target, cell=cell, bidirectional=bool(both))
        return
    arguments = {"cell": cell, "reset_after": form, "bidirectional": bool(both)}

    there = convert(start, source, target, **arguments)
    back = convert(there, target, source, **arguments)

    want, got = [*leaves(start)], [*leaves(back)]
    assert names(back) == names(start)
    assert [one.dtype for one in got] == [one.dtype for one in want]
    merged = source in TWO_BIASES[cell, form] and target not in TWO_BIASES[cell, form]
    # A number added at run time goes beside a bias if there are two of them.
    shifted = cell == "lstm" and (source in ADDS_ONE) != (target in ADDS_ONE)
    if not merged and (not shifted or {source, target} & TWO_BIASES[cell, form]):
        assert all(map(np.array_equal, got, want))
        return
    first, second = (convert(one, source, "simdrnn", **arguments) for one in (start, back))
    for name, value in first.items():
        if name.startswith("weight"):
            assert np.array_equal(second[name], value), name
    total, other = effective_biases(first, form), effective_biases(second, form)
    # Two conversions round once each; 1 is what is added on the way.
    assert np.all(np.abs(total - other) <= np.finfo("float32").eps * (np.abs(total) + 1))


def effective_biases(values, form):
    """Return what acts as bias of every gate, in float64: both of n of a GRU that resets after."""
    found = []
    for name, bias in values.items():
        if name.startswith("bias_ih"):
            one, other = (
                bias.astype("float64"),
                values[name.replace("_ih", "_hh")].astype("float64"),
            )
            split = len(bias) // 3 * 2 if form else len(bias)
            found += [one[:split] + other[:split], one[split:], other[split:]]
    return np.concatenate(found)


FORMS = [
    (dialect, cell, form)
    for dialect, cell in FORMULAS
    for form in ((True, False) if cell == "gru" else (None,))
    if dialect in HAVING[cell, form]
]


@every("dialect, cell, form", FORMS)
def test_a_package_computes_what_our_layer_does(dialect, cell, form, rng):
    T, B, I, H = 6, 3, 5, 4  # noqa: E741
    options = {} if form is None else {"reset_after": form}
    weights = random_weights(dialect, cell, form, I=I, H=H)
    ours = convert(weights, dialect, "simdrnn", cell=cell, reset_after=form)
    layer = getattr(reference, cell.upper())(I, H, dtype="float64", **options)
    layer.load_state_dict({name: value.astype("float64") for name, value in ours.items()})
    x = rng.standard_normal((T, B, I))
    states = [rng.standard_normal((B, H)) for _ in range(1 + (cell == "lstm"))]

    output, final = layer(x, tuple(s[None] for s in states) if len(states) > 1 else states[0][None])
    want, want_final = FORMULAS[dialect, cell](weights, x, *states)

    # The fold of +1 into a float32 bias rounds once; else both compute in float64.
    dtype = "float32" if dialect in ADDS_ONE and cell == "lstm" else "float64"
    bound = 2 * tolerance(dtype, T, I + H)
    assert_close(output, want, bound)
    final = final if isinstance(final, tuple) else (final,)
    assert_close(tuple(one[0] for one in final), want_final, bound)


@every("dialect", ["coreml", "madmom"])
def test_peepholes_look_at_the_states_that_ours_do(dialect, rng):
    layer = reference.LSTM(3, 4, dtype="float64", peephole=True, seed=0)
    weights = convert(layer.state_dict(), "simdrnn", dialect, cell="lstm")
    x, h, c = rng.standard_normal((5, 2, 3)), rng.random((2, 4)), rng.random((2, 4))

    output, _ = layer(x, (h[None], c[None]))

    want, _ = FORMULAS[dialect, "lstm"](weights, x, h, c)
    assert_close(output, want, 2 * tolerance("float64", 5, 7))


@pytest.mark.parametrize("forget_bias", [0.0, 1.0, 2.5])
def test_tensorflow_chooses_what_it_adds(forget_bias, rng):
    layer = reference.LSTM(3, 4, dtype="float64", peephole=True, seed=0)
    w = convert(layer.state_dict(), "simdrnn", "tf1", cell="lstm", forget_bias=forget_bias)
    x, h, c = rng.standard_normal((5, 2, 3)), rng.random((2, 4)), rng.random((2, 4))

    output, _ = layer(x, (h[None], c[None]))

    want, _ = FORMULAS["tf1", "lstm"](w, x, h, c, forget_bias)
    assert_close(output, want, 2 * tolerance("float64", 5, 7))
    back = convert(w, "tf1", "simdrnn", cell="lstm", forget_bias=forget_bias)
    assert np.array_equal(back["weight_co_l0"], layer.weight_co_l0)


def test_a_projection_moves_between_torch_and_tensorflow(rng):
    H, P, I = 5, 2, 3  # noqa: E741
    shapes = {
        "weight_ih_l0": (4 * H, I),
        "weight_hh_l0": (4 * H, P),
        "bias_ih_l0": (4 * H,),
        "bias_hh_l0": (4 * H,),
        "weight_hr_l0": (P, H),
    }
    w = {name: rng.standard_normal(shape) for name, shape in shapes.items()}

    there = convert(w, "torch", "tf1", cell="lstm")

    assert there["kernel"].shape == (I + P, 4 * H)
    assert np.array_equal(there["projection/kernel"], w["weight_hr_l0"].T)
    back = convert(there, "tf1", "torch", cell="lstm")
    assert list(back) == list(w)
    assert all(np.array_equal(back[n], w[n]) for n in w if not n.startswith("bias"))


def test_what_was_put_beside_a_bias_comes_off_without_a_trace():
    tiny = {"lstm/linear": {"w": np.ones((3, 8), "float32"), "b": np.full(8, 1e-20, "float32")}}

    there = convert(tiny, "haiku", "torch", cell="lstm")

    assert there["bias_hh_l0"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    back = convert(there, "torch", "haiku", cell="lstm")
    assert np.array_equal(back["lstm/linear"]["b"], tiny["lstm/linear"]["b"])


def test_results_are_fresh_and_keep_dtype_and_zeros(rng):
    kernel = rng.standard_normal((3, 8)).astype("float16")
    recurrent, bias = rng.standard_normal((2, 8)).astype("float16"), np.zeros(8, "float16")
    bias[0] = -0.0

    w = convert([kernel, recurrent, bias], "keras", "torch", cell="lstm")

    assert all(one.dtype == np.float16 for one in w.values())
    assert all(one.flags.c_contiguous and one.flags.owndata for one in w.values())
    assert not any(np.shares_memory(one, kernel) for one in w.values())
    back = convert(w, "torch", "keras", cell="lstm")
    assert np.signbit(back[2][0])
    assert not np.signbit(back[2][1])


def test_layers_without_biases_stay_so_where_a_package_has_such():
    w = sr.GRU(3, 4, bias=False, seed=0).state_dict()

    assert len(convert(w, "torch", "keras", cell="gru")) == 2
    assert "B" not in convert(w, "torch", "onnx", cell="gru")
    assert not np.any(convert(w, "torch", "haste", cell="gru")["recurrent_bias"])
    keras = convert(w, "torch", "keras", cell="gru")
    assert list(convert(keras, "keras", "torch", cell="gru")) == list(w)


def test_names_may_have_a_start():
    plain = sr.LSTM(3, 4, seed=0).state_dict()
    torch = {f"encoder.rnn.{name}": value for name, value in plain.items()}
    tf1 = convert(plain, "torch", "tf1", cell="lstm")
    scoped = {f"rnn/basic_lstm_cell/{name}:0": value for name, value in tf1.items()}
    haiku = convert(plain, "torch", "haiku", cell="lstm")
    inner = {f"net/~/{name}": value for name, value in haiku.items()}

    for one, other, dialect in (
        (torch, plain, "torch"),
        (scoped, tf1, "tf1"),
        (inner, haiku, "haiku"),
    ):
        got = convert(one, dialect, "torch", cell="lstm")
        want = convert(other, dialect, "torch", cell="lstm")
        assert all(np.array_equal(got[name], want[name]) for name in want)


def test_names_of_single_cells_are_those_of_one_layer():
    cell = sr.GRUCell(3, 4, seed=0).state_dict()

    got = convert(cell, "torch", "torch", cell="gru")

    assert [name.removesuffix("_l0") for name in got] == list(cell)


def test_a_json_file_is_read_whole_and_keeps_its_numbers():
    wide = sr.LSTM(3, 4, dtype="float64", seed=0).state_dict()
    narrow = sr.LSTM(4, 4, seed=0).state_dict()
    layers = [
        {"type": "dense", "weights": [[[1.0]], [0.0]]},
        convert(wide, "torch", "rtneural", cell="lstm"),
        convert(narrow, "torch", "rtneural", cell="lstm"),
    ]

    first, second = (
        convert({"layers": [layers[0], one]}, "rtneural", "haste", cell="lstm")
        for one in layers[1:]
    )

    want = convert(wide, "torch", "haste", cell="lstm")
    assert all(np.array_equal(first[name], want[name]) for name in want)
    assert first["kernel"].dtype == np.float64
    assert second["kernel"].dtype == np.float32


def model_of(**modules):
    """Return the weights of a whole model: those of modules, and of layers beside them."""
    made = {"embedding.weight": np.ones((9, 3), "float32"), "out.bias": np.ones(2, "float32")}
    for name, layer in modules.items():
        start = name.replace("_", ".") + "."
        made |= {start + key: value for key, value in layer.state_dict().items()}
    return made


def test_one_layer_is_chosen_out_of_a_whole_models_weights():
    lstm, other = sr.LSTM(3, 4, 2, seed=0), sr.LSTM(3, 4, seed=1)
    want = convert(lstm.state_dict(), "torch", "onnx", cell="lstm")
    whole = model_of(encoder_rnn=lstm, encoder_rnn2=other)

    found = [
        convert(model_of(encoder_rnn=lstm), "torch", "onnx", cell="lstm"),
        *(
            convert(whole, "torch", "onnx", cell="lstm", prefix=prefix)
            for prefix in ("encoder.rnn", "encoder.rnn.")
        ),
    ]

    for got in found:
        for one, layer in zip(got, want, strict=True):
            assert all(np.array_equal(one[name], value) for name, value in layer.items())
    with pytest.raises(
        ValueError, match=r"which are 'encoder\.rnn\.', 'encoder\.rnn2\.', got None"
    ):
        convert(whole, "torch", "onnx", cell="lstm")
    with pytest.raises(ValueError, match=r"which are .*, got 'encoder'"):
        convert(whole, "torch", "onnx", cell="lstm", prefix="encoder")
    with pytest.raises(ValueError, match=r"prefix: expected the start of names .*'decoder'"):
        convert(whole, "torch", "onnx", cell="lstm", prefix="decoder")
    with pytest.raises(TypeError, match="prefix: expected a string, got 3"):
        convert(whole, "torch", "onnx", cell="lstm", prefix=3)
    with pytest.raises(ValueError, match=r"prefix: expected None for Keras, .* got 'a'"):
        convert([], "keras", "onnx", cell="lstm", prefix="a")
    with pytest.raises(TypeError, match=r"got LSTM: pass its state_dict\(\)"):
        convert(lstm, "torch", "onnx", cell="lstm")
    layer = type("LSTM", (), {"get_weights": lambda self: []})()
    with pytest.raises(TypeError, match=r"got LSTM: pass its get_weights\(\)"):
        convert(layer, "keras", "onnx", cell="lstm")


def test_one_cell_is_chosen_out_of_a_models_nested_weights():
    haiku = convert(sr.LSTM(3, 4, seed=0).state_dict(), "torch", "haiku", cell="lstm")
    tf1 = convert(sr.RNN(3, 4, seed=0).state_dict(), "torch", "tf1", cell="rnn")
    dense = {"kernel": np.ones((4, 2), "float32"), "bias": np.ones(2, "float32")}

    got = convert({"net": haiku, "net/dense": {"w": np.ones((4, 2), "float32")}}, "haiku", "torch",
                  cell="lstm")  # fmt: skip
    assert len(got) == 4
    got = convert({"rnn": {"cell": tf1}, "dense": dense}, "tf1", "torch", cell="rnn", prefix="rnn")
    assert len(got) == 4
    with pytest.raises(ValueError, match="which are 'rnn/cell/', 'dense/', got None"):
        convert({"rnn": {"cell": tf1}, "dense": dense}, "tf1", "torch", cell="rnn")


def test_peepholes_of_other_packages():
    layer = sr.LSTM(3, 4, peephole=True, seed=0)
    for name in ("coreml", "madmom", "onnx"):
        there = convert(layer.state_dict(), "simdrnn", name, cell="lstm")
        back = convert(there, name, "simdrnn", cell="lstm")
        assert np.array_equal(back["weight_cf_l0"], layer.weight_cf_l0)


@every("order", ["iofg", "figo", "ogfi"])
@every("axis", [0, 1, -1])
def test_gates_of_one_matrix_change_places(order, axis, rng):
    array = rng.standard_normal((8, 12))

    got = permute_gates(array, "ifgo", order, axis)

    blocks = dict(zip("ifgo", np.split(array, 4, axis), strict=True))
    assert np.array_equal(got, np.concatenate([blocks[gate] for gate in order], axis))
    assert np.array_equal(permute_gates(got, order, "ifgo", axis), array)


def test_orders_of_gates():
    orders = {name: gate_order(name, "lstm") for name in DIALECTS}

    assert orders == {
        "simdrnn": "ifgo", "torch": "ifgo", "keras": "ifgo", "onnx": "iofg", "openvino": "figo",
        "flax": "ifgo", "flax_nnx": "ifgo", "haiku": "igfo", "tf1": "igfo", "haste": "igfo",
        "rtneural": "ifgo", "keras_cudnn": "ifgo", "dynet": "ifog", "coreml": "ifgo",
        "guitarml": "ifgo", "madmom": "ifgo",
    }  # fmt: skip
    assert {name: gate_order(name, "gru") for name in ("torch", "keras", "tf1", "haiku")} == {
        "torch": "rzn", "keras": "zrn", "tf1": "rzn", "haiku": "zrn",
    }  # fmt: skip
