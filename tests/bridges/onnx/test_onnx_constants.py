"""Weights that nodes make of constants are what ONNX Runtime makes of them."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_close
from helpers_loops import every
from helpers_onnx_models import run_onnx

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
pytest.importorskip("onnxruntime", reason="needs the [test] extra: onnxruntime")
from simdrnn.onnx import load  # noqa: E402

pytestmark = pytest.mark.peers

I, H = 4, 5  # noqa: E741
ROWS = 4 * H
node, TensorProto = onnx.helper.make_node, onnx.TensorProto
_DRAWN = np.random.default_rng(0)
W, R = (_DRAWN.standard_normal((1, ROWS, n)).astype("float32") for n in (I, H))
WHOLE = _DRAWN.integers(-8, 8, (1, ROWS, I))


def lstm(nodes, constants, opset=21, shape=("T", "B", I)):
    """Return a model of one LSTM whose W is made by nodes."""
    tensors = {"R": R, **constants}
    made = [
        one if isinstance(one, TensorProto) else onnx.numpy_helper.from_array(np.asarray(one), name)
        for name, one in tensors.items()
    ]
    graph = onnx.helper.make_graph(
        [*nodes, node("LSTM", ["x", "W", "R"], ["Y"], "rec", hidden_size=H)],
        "test",
        [onnx.helper.make_tensor_value_info("x", 1, list(shape))],
        [onnx.helper.make_tensor_value_info("Y", 1, None)],
        made,
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=10
    )


def check(model, rng):
    x = rng.standard_normal((6, 3, I)).astype("float32")

    layer = load(model)

    (want,) = run_onnx(model, {"x": x})
    assert_close(layer(x)[0], want[:, 0], 1e-5)


def small(name, array, kind, how):
    """Return a tensor with its values in raw bytes, or in the field of its type."""
    if how == "field":
        return onnx.helper.make_tensor(name, kind, array.shape, array.ravel())
    return onnx.numpy_helper.from_array(
        array.astype(onnx.helper.tensor_dtype_to_np_dtype(kind)), name
    )


MADE = {
    "product": (
        [
            node("Exp", ["a"], ["b"]),
            node("MatMul", ["b", "c"], ["d"]),
            node("Unsqueeze", ["d", "i"], ["W"]),
        ],
        {"a": W[0, :, :3], "c": R[0, :3, :I], "i": np.array([0])},
    ),
    "weight norm": (
        [
            node("ReduceL2", ["v", "i"], ["n"], keepdims=1),
            node("Div", ["v", "n"], ["u"]),
            node("Mul", ["u", "g"], ["W"]),
        ],
        {"v": W, "i": np.array([2]), "g": R[:, :, :1]},
    ),
    "filled": (
        [
            node("ConstantOfShape", ["s"], ["z"], value=onnx.helper.make_tensor("v", 1, [1], [2])),
            node("Div", ["a", "z"], ["W"]),
        ],
        {"s": np.array([1, ROWS, I]), "a": W},
    ),
    "scattered": (
        [node("ScatterND", ["a", "i", "u"], ["W"])],
        {"a": W, "i": np.array([[0, 1, 2]]), "u": np.array([7], "float32")},
    ),
    "list": (
        [
            node("Constant", [], ["a"], value_floats=W.ravel().tolist()),
            node("Reshape", ["a", "s"], ["W"]),
        ],
        {"s": np.array([1, ROWS, I])},
    ),
    "chosen": (
        [node("Greater", ["a", "z"], ["m"]), node("Where", ["m", "a", "z"], ["W"])],
        {"a": W, "z": np.float32(0)},
    ),
    "float64": ([node("Cast", ["a"], ["W"], to=1)], {"a": W.astype("float64")}),
}


@every("name", MADE)
def test_constants_are_folded(name, rng):
    check(lstm(*MADE[name]), rng)


@every("kind", ["BFLOAT16", "FLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2"])
@every("how", ["raw", "field"])
def test_small_floats_are_read(kind, how, rng):
    number = getattr(TensorProto, kind)

    check(lstm([node("Cast", ["a"], ["W"], to=1)], {"a": small("a", W, number, how)}), rng)
    with pytest.raises(ValueError, match=r"^node 'rec' \(LSTM\): W: expected float32, as R, got"):
        load(lstm([], {"W": small("W", W, number, how)}))


SCALES = {
    "one": (np.float32(0.1), {}),
    "each row": (np.linspace(0.1, 1, ROWS, dtype="float32"), {"axis": 1}),
    "blocks": (np.linspace(0.1, 1, 2 * ROWS, dtype="float32").reshape(1, ROWS, 2),
               {"axis": 2, "block_size": 2}),
}  # fmt: skip


@every("kind", ["INT4", "UINT4", "INT8", "UINT8", "INT16"])
@every("scale", SCALES)
def test_quantised_weights_are_read(kind, scale, rng):
    number, (scales, attributes) = getattr(TensorProto, kind), SCALES[scale]
    whole = WHOLE + 8 if kind.startswith("U") else WHOLE
    for how in ("raw", "field"):
        zero = small("zero", np.full(scales.shape, 3), number, how)
        constants = {"a": small("a", whole, number, how), "scale": scales, "zero": zero}
        for names in (["a", "scale"], ["a", "scale", "zero"]):
            quantised = node("DequantizeLinear", names, ["W"], **attributes)
            used = {name: constants[name] for name in names}
            check(lstm([quantised], used), rng)


@every("opset", [10, 13, 19])
def test_quantised_weights_of_older_operator_sets_are_read(opset, rng):
    model = lstm(
        [node("DequantizeLinear", ["a", "scale"], ["W"])],
        {"a": WHOLE.astype("int8"), "scale": np.float32(0.1)},
        opset,
    )

    check(model, rng)


def test_what_is_not_folded_is_named():
    for name, attributes in (("RandomNormal", {"shape": W.shape}), ("Hardmax", {"axis": 1})):
        given = ["a"] if name == "Hardmax" else []
        model = lstm([node(name, given, ["W"], "made", **attributes)], {"a": W})

        with pytest.raises(
            ValueError, match=rf"W: expected a constant, got what node 'made' \({name}"
        ):
            load(model)


@every("opset", [9, 12])
def test_operators_that_changed_their_meaning_are_not_folded(opset):
    model = lstm([node("Softmax", ["a"], ["W"], "made", axis=1)], {"a": W}, opset)

    with pytest.raises(ValueError, match=r"'made' \(Softmax\) makes: something of constants"):
        load(model)


SHAPES = {
    "free feature": ("T", "B", None),
    "all free": (None, None, None),
    "one name for all": ("?", "?", "?"),
    "less than nothing": (-1, -1, I),
    "all less than nothing": (-1, -1, -1),
}


@every("name", SHAPES)
def test_axes_that_are_free_get_the_sizes_that_weights_have(name, rng):
    check(lstm([], {"W": W}, shape=SHAPES[name]), rng)


def test_states_that_are_free_get_their_sizes(rng):
    layer = sr.GRU(I, H, num_layers=1, bidirectional=True, seed=0)
    gates = {"W": layer.weight_ih_l0[None], "R": layer.weight_hh_l0[None]}
    gru = node("GRU", ["x", "W", "R", "", "", "h"], ["Y"], "rec", hidden_size=H)
    graph = onnx.helper.make_graph(
        [gru],
        "test",
        [onnx.helper.make_tensor_value_info(name, 1, [None] * 3) for name in "xh"],
        [onnx.helper.make_tensor_value_info("Y", 1, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in gates.items()],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=7
    )
    x, h = (rng.standard_normal(shape).astype("float32") for shape in ((6, 3, I), (1, 3, H)))

    (want,) = run_onnx(model, {"x": x, "h": h})

    assert_close(load(model)(x, h)[0], want[:, 0], 1e-5)
