"""Single layers out of whole models: `load(path, node=...)`."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_close
from helpers_onnx import onnx_parameters
from helpers_onnx_models import make_model, run_onnx

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
from simdrnn.onnx import load  # noqa: E402

pytestmark = pytest.mark.peers

I, H = 4, 5  # noqa: E741
node = onnx.helper.make_node


def weights(layer, prefix, direction="forward"):
    found = onnx_parameters(layer, "GRU", "rzn", direction)
    return {f"{prefix}{name}": array for name, array in found.items()}


def gru(name, given, prefix, made, *more, **attributes):
    return node(
        "GRU", [given, f"{prefix}W", f"{prefix}R", f"{prefix}B", *more], made, name,
        hidden_size=H, linear_before_reset=1, **attributes,
    )  # fmt: skip


def whole_model():
    """Return a model of two GRUs among other nodes, and the layers."""
    first, second = sr.GRU(I, H, seed=0), sr.GRU(H, H, bidirectional=True, seed=1)
    constants = weights(first, "f") | weights(second, "s", "bidirectional")
    constants |= {
        "V": np.eye(I, dtype="float32"),
        "axis": np.array([1]),
        "h": np.full((1, 1, H), 0.5),
    }
    constants["h"] = constants["h"].astype("float32")
    constants |= {"one": np.array([1]), "H": np.array([H])}
    nodes = [
        node("MatMul", ["x", "V"], ["m"]),
        node("Relu", ["m"], ["r"]),
        node("Shape", ["r"], ["n"], start=1, end=2),
        node("Concat", ["one", "n", "H"], ["size"], axis=0),
        node("Expand", ["h", "size"], ["h0"]),
        gru("first", "r", "f", ["Y", "last"], "", "h0"),
        node("Squeeze", ["Y", "axis"], ["y"]),
        node("Tanh", ["y"], ["t"]),
        gru("", "t", "s", ["Z"], direction="bidirectional"),
        node("Sigmoid", ["Z"], ["output"]),
    ]
    inputs = [("x", "float32", ["T", "B", I])]
    names = ("m", "r", "t", "Z", "Y", "h0", "output")
    shapes = {"output": ["T", 2, "B", H], "Z": ["T", 2, "B", H], "Y": ["T", 1, "B", H]}
    shapes |= {"m": ["T", "B", I], "r": ["T", "B", I], "t": ["T", "B", H], "h0": [1, "B", H]}
    outputs = [(name, "float32", shapes[name]) for name in names]
    return make_model(nodes, inputs, outputs, constants, 18), first, second


def test_one_node_of_a_whole_model_is_its_layer(rng):
    model, first, second = whole_model()
    x = rng.standard_normal((6, 3, I)).astype("float32")
    values = dict(zip(("m", "r", "t", "Z", "Y"), run_onnx(model, {"x": x}), strict=False))

    one, other = load(model, node="first"), load(model, "Z")

    assert repr(one) == "GRU(4, 5, learn_initial_state=True)"
    np.testing.assert_array_equal(one.weight_hh_l0, first.weight_hh_l0)
    np.testing.assert_array_equal(other.weight_ih_l0_reverse, second.weight_ih_l0_reverse)
    assert_close(one(values["r"])[0], values["Y"][:, 0], 1e-5)
    want = values["Z"].transpose(0, 2, 1, 3).reshape(6, 3, 2 * H)
    assert_close(other(values["t"])[0], want, 1e-5)


def test_a_star_is_all_of_them_by_name():
    model, *_ = whole_model()

    found = load(model, node="*")

    assert [(name, repr(layer)) for name, layer in found] == [
        ("first", "GRU(4, 5, learn_initial_state=True)"),
        ("Z", "GRU(5, 5, bidirectional=True)"),
    ]


def test_what_is_not_there_is_said():
    model, *_ = whole_model()

    with pytest.raises(ValueError, match=r"^node: expected one of first, Z, got 'third'"):
        load(model, node="third")
    with pytest.raises(TypeError, match=r"^node: expected a name, "):
        load(model, node=3)
    with pytest.raises(ValueError, match=r"'m' \(MatMul\): expected recurrent nodes.* node= takes"):
        load(model)


def test_nodes_inside_of_others_are_found():
    layer = sr.GRU(I, H, seed=0)
    found = weights(layer, "w")
    branches = [
        onnx.helper.make_graph(
            [gru(f"{name} one", "x", "w", [f"{name} Y"])], name, [],
            [onnx.helper.make_tensor_value_info(f"{name} Y", 1, ["T", 1, "B", H])],
            [onnx.numpy_helper.from_array(array, key) for key, array in found.items()],
        )
        for name in ("then", "else")
    ]  # fmt: skip
    choice = node("If", ["c"], ["Y"], then_branch=branches[0], else_branch=branches[1])
    model = make_model(
        [choice],
        [("x", "float32", ["T", "B", I]), ("c", "bool", [])],
        [("Y", "float32", ["T", 1, "B", H])],
    )

    names = [name for name, _ in load(model, node="*")]

    assert names == ["else one", "then one"] or names == ["then one", "else one"]
    np.testing.assert_array_equal(load(model, node="then one").weight_hh_l0, layer.weight_hh_l0)


def test_a_node_whose_states_depend_on_numbers_takes_them_in_a_call(rng):
    layer = sr.GRU(I, H, seed=0)
    constants = weights(layer, "w")
    nodes = [node("Tanh", ["h"], ["t"]), gru("one", "x", "w", ["Y"], "", "t")]
    model = make_model(
        nodes,
        [("x", "float32", ["T", "B", I]), ("h", "float32", [1, "B", H])],
        [("Y", "float32", ["T", 1, "B", H])],
        constants,
    )
    x, h = (rng.standard_normal(shape).astype("float32") for shape in ((6, 3, I), (1, 3, H)))
    (want,) = run_onnx(model, {"x": x, "h": h})

    assert_close(load(model, node="one")(x, np.tanh(h))[0], want[:, 0], 1e-5)
    with pytest.raises(ValueError, match=r"initial_h: expected zeros.*got what node 't' \(Tanh\)"):
        load(model)
