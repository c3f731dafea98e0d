"""Recurrent nodes wherever a graph may have them: in branches, loops, functions, on any weights."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_close, make_layer
from helpers_loops import every
from helpers_onnx import onnx_parameters, peers
from helpers_onnx_models import make_model, run_onnx, value_info
from helpers_peers import allowed

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")

from simdrnn.onnx import (  # noqa: E402
    Session,
    backend,
    program,
)

pytestmark = pytest.mark.peers

helper = onnx.helper
node = helper.make_node
T, B, I, H = 6, 3, 4, 5  # noqa: E741
LAYER = make_layer(sr, "gru", I, H, seed=0)
CLOSE = 4 * allowed(LAYER, T, B)
GRU = {"hidden_size": H, "linear_before_reset": 1}
WEIGHTS = onnx_parameters(LAYER, "GRU", "rzn", "forward")


@pytest.fixture(autouse=True)
def _peers():
    peers()


def assert_equals_runtime(model, *feeds, monkeypatch, without=True):
    """Compare with ONNX Runtime: in it, pieces on it, and on onnx's own implementations."""
    wanted = [run_onnx(model, fed) for fed in feeds]
    for way in ("whole", "cut", "without") if without else ("whole", "cut"):
        if way == "cut":
            monkeypatch.setattr(program, "whole_graph", lambda *model: None)
        elif way == "without":
            monkeypatch.setitem(sys.modules, "onnxruntime", None)
        session = Session(model)
        assert session.other_nodes == ("onnx" if way == "without" else "onnxruntime")
        for fed, want in zip(feeds, wanted, strict=True):
            got = session.run(None, fed)
            assert [one.dtype for one in got] == [one.dtype for one in want]
            assert_close(tuple(got), tuple(want), CLOSE)
            assert_close(tuple(backend.run_model(model, fed)), tuple(want), CLOSE)


def graph(nodes, inputs, outputs, constants=None):
    tensors = [onnx.numpy_helper.from_array(one, name) for name, one in (constants or {}).items()]
    infos = [[value_info(*one) for one in values] for values in (inputs, outputs)]
    return helper.make_graph(nodes, "inner", *infos, tensors)


def test_branches(rng, monkeypatch):
    """One branch has its own weights and a branch inside, the other those of the model around."""
    shape = ["T", 1, "B", H]
    inner = [
        graph([node("Neg", ["y"], ["inner"])], [], [("inner", "float32", shape)]),
        graph([node("GRU", ["x", "W", "R"], ["inner"], **GRU)], [], [("inner", "float32", shape)]),
    ]
    own = {f"own_{name}": 2 * array for name, array in WEIGHTS.items()}
    then = graph(
        [
            node("GRU", ["x", "own_W", "own_R", "own_B"], ["y"], **GRU),
            node("If", ["deep"], ["both"], then_branch=inner[0], else_branch=inner[1]),
            node("Add", ["both", "offset"], ["chosen"]),
        ],
        [],
        [("chosen", "float32", shape)],
        own,
    )
    other = graph(
        [node("GRU", ["x", "W", "R", "B"], ["chosen"], **GRU)], [], [("chosen", "float32", shape)]
    )
    nodes = [
        node("Constant", [], ["offset"], value_float=0.25),
        node("Relu", ["given"], ["x"]),
        node("If", ["cond"], ["Y"], then_branch=then, else_branch=other),
        node("Tanh", ["Y"], ["output"]),
    ]
    inputs = [("given", "float32", ["T", "B", I]), ("cond", "bool", []), ("deep", "bool", [])]
    model = make_model(nodes, inputs, [("output", "float32", shape)], WEIGHTS)
    x = rng.standard_normal((T, B, I)).astype("float32")
    feeds = [
        {"given": x, "cond": np.array(cond), "deep": np.array(deep)}
        for cond in (True, False)
        for deep in (True, False)
    ]

    assert_equals_runtime(model, *feeds, monkeypatch=monkeypatch)


def loop_model():
    """Return a Loop that carries a state, stops by itself, and puts what it sees together."""
    body = graph(
        [
            node("GRU", ["x", "W", "R", "B", "", "h"], ["Y", "next"], **GRU),
            node("Mul", ["next", "half"], ["seen"]),
            node("Less", ["turn", "last"], ["more"]),
        ],
        [("turn", "int64", []), ("going", "bool", []), ("h", "float32", [1, "B", H])],
        [("more", "bool", []), ("next", "float32", [1, "B", H]), ("seen", "float32", [1, "B", H])],
        {"half": np.array(0.5, "float32")},
    )
    nodes = [
        node("Loop", ["most", "", "h_0"], ["h_n", "all"], body=body),
        node("Neg", ["all"], ["output"]),
    ]
    inputs = [("x", "float32", ["T", "B", I]), ("h_0", "float32", [1, "B", H])]
    inputs += [("most", "int64", []), ("last", "int64", [])]
    outputs = [("h_n", "float32", [1, "B", H]), ("output", "float32", ["N", 1, "B", H])]
    return make_model(nodes, inputs, outputs, WEIGHTS)


def test_loops(rng, monkeypatch):
    x = rng.standard_normal((T, B, I)).astype("float32")
    h = rng.standard_normal((1, B, H)).astype("float32")
    feeds = [
        {"x": x, "h_0": h, "most": np.array(most), "last": np.array(last)}
        for most, last in ((4, 9), (9, 2), (1, 0))
    ]

    assert_equals_runtime(loop_model(), *feeds, monkeypatch=monkeypatch)


def test_a_loop_of_no_turns_gives_back_its_state(rng):
    h = rng.standard_normal((1, B, H)).astype("float32")
    fed = {"x": np.zeros((T, B, I), "f"), "h_0": h, "most": np.array(0), "last": np.array(9)}

    h_n, output = Session(loop_model()).run(None, fed)

    np.testing.assert_array_equal(h_n, h)
    assert (output.shape, output.dtype) == ((0, 1, 0, H), np.float32)


@every("way", [(0, 0), (1, 0), (0, 1), (1, 1)], ids=str)
def test_scans(way, rng, monkeypatch):
    """Over the second axis, forwards or backwards; what comes out is laid along the last."""
    body = graph(
        [
            node("GRU", ["piece", "W", "R", "B", "", "h"], ["Y", "next"], **GRU),
            node("Relu", ["Y"], ["seen"]),
        ],
        [("h", "float32", [1, "B", H]), ("piece", "float32", ["T", "B", I])],
        [("next", "float32", [1, "B", H]), ("seen", "float32", ["T", 1, "B", H])],
    )
    scan = node(
        "Scan", ["h_0", "x"], ["h_n", "output"], body=body, num_scan_inputs=1, scan_input_axes=[1],
        scan_input_directions=[way[0]], scan_output_axes=[4], scan_output_directions=[way[1]],
    )  # fmt: skip
    inputs = [("h_0", "float32", [1, "B", H]), ("x", "float32", ["T", "N", "B", I])]
    outputs = [("h_n", "float32", [1, "B", H]), ("output", "float32", ["T", 1, "B", H, "N"])]
    model = make_model([scan], inputs, outputs, WEIGHTS)
    x = rng.standard_normal((T, 2, B, I)).astype("float32")
    h = rng.standard_normal((1, B, H)).astype("float32")

    assert_equals_runtime(model, {"h_0": h, "x": x}, monkeypatch=monkeypatch)


def test_other_nodes_with_graphs_inside_run_in_runtime_alone(rng, monkeypatch):
    inner = graph(
        [node("GRU", ["x", "W", "R", "B"], ["y"], **GRU)],
        [("x", "float32", ["T", "B", I])],
        [("y", "float32", ["T", 1, "B", H])],
    )
    nodes = [
        node("SequenceConstruct", ["given"], ["many"]),
        node("SequenceMap", ["many"], ["made"], "mapped", body=inner),
        node("ConcatFromSequence", ["made"], ["Y"], axis=0),
    ]
    outputs = [("Y", "float32", ["T", 1, "B", H])]
    model = make_model(nodes, [("given", "float32", ["T", "B", I])], outputs, WEIGHTS, 18)

    fed = {"given": rng.standard_normal((T, B, I)).astype("float32")}

    assert_close(tuple(Session(model).run(None, fed)), tuple(run_onnx(model, fed)), CLOSE)
    monkeypatch.setattr(program, "whole_graph", lambda *model: None)
    with pytest.raises(ValueError, match=r"node 'mapped' \(SequenceMap\): expected If, Loop or Sc"):
        backend.prepare(model)


def made_by_nodes():
    """Return nodes and constants that make a GRU's weights in ways that exporters have."""
    W, R, bias = WEIGHTS["W"], WEIGHTS["R"], WEIGHTS["B"]
    constants = {
        "W_t": W.transpose(0, 2, 1).copy(),
        "R_bytes": np.round(R * 64 + 128).astype("uint8"),
        "R_zero": np.array(128, "uint8"),
        "R_scale": np.array(1 / 64, "float32"),
        "B_parts": bias.reshape(2, -1),
        "B_shape": np.array([1, -1]),
        "zero": np.array([0.0], "float32"),
    }
    nodes = [
        node("Transpose", ["W_t"], ["W"], perm=[0, 2, 1]),
        node("DequantizeLinear", ["R_bytes", "R_scale", "R_zero"], ["R"]),
        node("Reshape", ["B_parts", "B_shape"], ["B"]),
        node("Constant", [], ["state"], value=onnx.numpy_helper.from_array(np.array([1, 1, H]))),
        node("Expand", ["zero", "state"], ["h"]),
    ]
    return nodes, constants


@every("opset", [10, 13, 18, 21])
def test_weights_that_constants_make(opset, rng, monkeypatch):
    before, constants = made_by_nodes()
    gru = node("GRU", ["x", "W", "R", "B", "", "h"], ["Y"], **GRU)
    model = make_model(
        [*before, gru, node("Softmax", ["Y"], ["y"], axis=1)],
        [("x", "float32", ["T", 1, I])],
        [("y", "float32", ["T", 1, 1, H])],
        constants,
        opset,
    )
    x = rng.standard_normal((T, 1, I)).astype("float32")

    assert_equals_runtime(model, {"x": x}, monkeypatch=monkeypatch)


def test_a_weight_that_is_drawn_is_no_constant():
    nodes = [
        node("RandomUniform", [], ["W"], shape=[1, 3 * H, I]),
        node("GRU", ["x", "W", "R"], ["Y"], **GRU),
    ]
    constants = {"R": WEIGHTS["R"]}
    inputs, outputs = [("x", "float32", ["T", "B", I])], [("Y", "float32", ["T", 1, "B", H])]
    session = Session(make_model(nodes, inputs, outputs, constants))
    fed = {"x": np.ones((T, B, I), "f")}

    assert np.abs(session.run(None, fed)[0] - session.run(None, fed)[0]).max() > 1e-3


def test_operators_of_other_domains_run_around_ours(rng, monkeypatch):
    nodes = [
        node("FusedMatMul", ["x", "V"], ["scaled"], domain="com.microsoft", alpha=0.5),
        node("GRU", ["scaled", "W", "R", "B"], ["Y"], **GRU),
        node("Gelu", ["Y"], ["y"], domain="com.microsoft"),
    ]
    constants = WEIGHTS | {"V": rng.standard_normal((I, I)).astype("float32")}
    infos = [[value_info(*one)] for one in (("x", "float32", ["T", "B", I]),
                                            ("y", "float32", ["T", 1, "B", H]))]  # fmt: skip
    tensors = [onnx.numpy_helper.from_array(one, name) for name, one in constants.items()]
    opsets = [helper.make_opsetid("", 14), helper.make_opsetid("com.microsoft", 1)]
    whole = helper.make_graph(nodes, "whole", *infos, tensors)
    model = helper.make_model(whole, opset_imports=opsets, ir_version=8)
    x = rng.standard_normal((T, B, I)).astype("float32")

    assert_equals_runtime(model, {"x": x}, monkeypatch=monkeypatch, without=False)


def test_functions_of_the_model_run_around_ours(rng, monkeypatch):
    """One function has a recurrent node, and calls another; a third is ONNX Runtime's alone."""
    opsets = [helper.make_opsetid("", 14), helper.make_opsetid("own", 1)]
    functions = [
        helper.make_function(
            "own", "Twice", ["x"], ["y"], [node("Add", ["x", "x"], ["y"])], opsets
        ),
        helper.make_function(
            "own", "Layer", ["x", "W", "R"], ["y"],
            [
                node("Twice", ["x"], ["more"], domain="own"),
                node("GRU", ["more", "W", "R"], ["y"], **GRU),
            ],
            opsets,
        ),
        helper.make_function(
            "own", "Outer", ["x", "W", "R"], ["y"],
            [node("Layer", ["x", "W", "R"], ["y"], domain="own")], opsets,
        ),
    ]  # fmt: skip
    nodes = [
        node("Outer", ["x", "W", "R"], ["Y"], domain="own"),
        node("Twice", ["Y"], ["y"], domain="own"),
    ]
    infos = [[value_info(*one)] for one in (("x", "float32", ["T", "B", I]),
                                            ("y", "float32", ["T", 1, "B", H]))]  # fmt: skip
    tensors = [onnx.numpy_helper.from_array(WEIGHTS[name], name) for name in "WR"]
    whole = helper.make_graph(nodes, "whole", *infos, tensors)
    model = helper.make_model(whole, opset_imports=opsets, functions=functions, ir_version=8)
    x = rng.standard_normal((T, B, I)).astype("float32")

    assert_equals_runtime(model, {"x": x}, monkeypatch=monkeypatch)
    functions[1].opset_import[0].version = 15
    other = helper.make_model(whole, opset_imports=opsets, functions=functions, ir_version=8)
    with pytest.raises(ValueError, match="function 'Layer' of 'own': expected operator set 14"):
        backend.prepare(other)


def test_what_no_output_needs_is_not_run(rng):
    """A node that would fail, behind a recurrent one: nobody asks for what it makes."""
    nodes = [
        node("GRU", ["x", "W", "R", "B"], ["Y"], **GRU),
        node("Reshape", ["Y", "seven"], ["unused"]),
    ]
    constants = WEIGHTS | {"seven": np.array([7])}
    inputs, outputs = [("x", "float32", ["T", "B", I])], [("Y", "float32", ["T", 1, "B", H])]
    model = make_model(nodes, inputs, outputs, constants)
    x = rng.standard_normal((T, B, I)).astype("float32")

    np.testing.assert_array_equal(Session(model).run(None, {"x": x})[0][:, 0], LAYER(x)[0])


def test_half_precision_is_refused_by_name():
    inputs, outputs = [("x", "float32", ["T", "B", I])], [("Y", "float32", ["T", 1, "B", H])]
    nodes = [node("Cast", ["x"], ["half"], to=10), node("GRU", ["half", "W", "R"], ["Y"], **GRU)]
    model = make_model(nodes, inputs, outputs, WEIGHTS)

    with pytest.raises(ValueError, match=r"node 'Y' \(GRU\): X: expected float32 or float64, got"):
        Session(model)
