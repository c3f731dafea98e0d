"""Nodes that are not ours give ONNX Runtime's numbers, in every operator set, with it and without.

Where it is not installed onnx's own implementations run. What those get wrong is ours, or refused.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_close
from helpers_loops import every
from helpers_onnx import onnx_parameters
from helpers_onnx_edges import edge_cases
from helpers_onnx_models import make_model, run_onnx
from helpers_onnx_operators import node_cases
from helpers_peers import allowed

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")

from simdrnn.onnx import Session, backend  # noqa: E402
from simdrnn.onnx.pieces import OnnxPieces  # noqa: E402
from simdrnn.onnx.reference_ops import REFUSED  # noqa: E402
from simdrnn.onnx.replaced_ops import REPLACED  # noqa: E402

pytestmark = pytest.mark.peers

helper = onnx.helper
node = helper.make_node
CASES = [*node_cases(), *edge_cases()]
OPERATORS = sorted({case.operator for case in CASES})


@pytest.fixture
def no_runtime(monkeypatch):
    """Make ONNX Runtime a package that is not installed."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


def node_model(case, opset):
    """Return a model of one node, whose outputs have no types."""
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(one.dtype), list(one.shape)
        )
        for name, one in case.fed().items()
    ]
    outputs = [onnx.ValueInfoProto(name=f"out{place}") for place in range(case.outputs)]
    graph = helper.make_graph([case.node()], "one", inputs, outputs)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def assert_equal_to_runtime(case, opset):
    model, fed = node_model(case, opset), case.fed()
    want = run_onnx(model, fed)
    values = dict(fed)

    OnnxPieces().ready(model).run(values)

    for place, one in enumerate(want):
        got = values[f"out{place}"]
        assert (got.dtype, got.shape) == (one.dtype, one.shape), (case.operator, opset)
        largest = np.abs(one, where=np.isfinite(one), out=np.zeros(one.shape)).max(initial=1)
        close = np.finfo("float32").eps * (4 + 2 * case.depth) * largest
        np.testing.assert_allclose(got, one, rtol=0, atol=close, err_msg=f"{case.operator} {opset}")


def refused(case, opset):
    return any(
        one.name == case.operator and one.since <= opset < one.until and one.form(case.node())
        for one in REFUSED
    )


def opsets_of(case, exhaustive):
    """Return all sets of a case, or the first and last of each of the operator's versions."""
    every_set = range(case.since, case.until + 1)
    version = {
        opset: onnx.defs.get_schema(case.operator, opset).since_version
        for opset in range(case.since, case.until + 2)
    }
    ends = {opset for opset in every_set if version[opset] != version[opset + 1]}
    firsts = {opset for opset in every_set if opset == version[opset]}
    return every_set if exhaustive else sorted({case.since, case.until} | ends | firsts)


@every("operator", OPERATORS)
def test_without_runtime_nodes_give_its_numbers_or_are_refused(operator, pytestconfig):
    for case in [case for case in CASES if case.operator == operator]:
        for opset in opsets_of(case, pytestconfig.getoption("--exhaustive")):
            if not refused(case, opset):
                assert_equal_to_runtime(case, opset)
                continue
            with pytest.raises(NotImplementedError, match=f"{operator}.*set {opset} .*onnxruntime"):
                OnnxPieces().ready(node_model(case, opset))


def test_the_table_has_every_operator_that_is_replaced_or_refused():
    assert len(OPERATORS) >= 61
    assert {one.name for one in REPLACED} | {one.name for one in REFUSED} <= {*OPERATORS}


BATCH = ("BatchNormalization", ["x", "s", "s", "s", "s"])
POOL = {"kernel_shape": [2, 2], "dilations": [2, 2], "auto_pad": "SAME_UPPER"}
TRAINING = ["y", "mean", "var", "saved_mean", "saved_var"]
WRONG = {
    "training": (node(*BATCH, TRAINING), (7, 8, 9, 13), "with the outputs of training"),
    "spatial": (node(*BATCH, ["y"], spatial=0), (7, 8), "with spatial=0"),
    "first": (node(*BATCH, ["y"]), (6,), "in this set"),
    "Dropout": (node("Dropout", ["x"], ["y", "mask"]), (7, 10, 11), "with its mask"),
    "MaxPool": (node("MaxPool", ["x"], ["y"], **POOL), (10, 21), "with dilations and auto_pad"),
    "AveragePool": (node("AveragePool", ["x"], ["y"], **POOL), (19,), "with dilations and"),
    "LpPool": (node("LpPool", ["x"], ["y"], **POOL), (18,), "with dilations and auto_pad"),
}


@every("name", WRONG)
def test_what_nobody_here_gets_right_is_refused_by_name(name, no_runtime):
    one, opsets, what = WRONG[name]
    for opset in opsets:
        names = sorted({*one.input})
        inputs = [helper.make_tensor_value_info(n, 1, [2] * 4 if n == "x" else [2]) for n in names]
        outputs = [onnx.ValueInfoProto(name=name) for name in one.output]
        graph = helper.make_graph([one], "g", inputs, outputs)
        opsets_ = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets_, ir_version=8)

        with pytest.raises(NotImplementedError, match=rf"^node 'y' \(.*{what}.*pip install onnx"):
            backend.prepare(model)
        assert not backend.is_compatible(model)


def test_a_mask_that_nobody_reads_is_not_refused(no_runtime):
    nodes = [node("Dropout", ["x"], ["y", "mask"])]
    model = make_model(nodes, [("x", "float32", [2])], [("y", "float32", [2])], opset=7)

    assert Session(model).run(None, {"x": [1, 2]})[0].tolist() == [1, 2]


def test_what_does_not_fit_one_of_ours_is_named(no_runtime):
    pool = node("MaxPool", ["x"], ["y"], kernel_shape=[3])
    pad = node("Pad", ["x"], ["y"], pads=[0, 0, -1, 0, 0, 1], mode="edge")
    x = np.zeros((1, 1, 2), "float32")

    with pytest.raises(ValueError, match=r"node 'y' \(MaxPool\): expected at least 3 on axis 2"):
        backend.run_node(pool, [x])
    with pytest.raises(ValueError, match=r"node 'y' \(Pad\): pads: expected at least 0 with mode"):
        backend.run_node(pad, [x], opset_version=9)


T, B, I, H = 5, 3, 4, 6  # noqa: E741


def head_model(opset, rng):
    """Return a GRU with what people put before and after it, its input and a tolerance."""
    layer = sr.GRU(I, H, seed=0)
    constants = onnx_parameters(layer, "GRU", "rzn", "forward") | {
        name: np.abs(rng.standard_normal(I)).astype("float32")
        for name in ("scale", "bias", "mean", "variance")
    }
    nodes = [
        node("BatchNormalization", ["x", "scale", "bias", "mean", "variance"], ["normal"]),
        node("Transpose", ["normal"], ["steps"], perm=[2, 0, 1]),
        node("GRU", ["steps", "W", "R", "B"], ["Y", "h"], hidden_size=H, linear_before_reset=1),
        node("Softmax", ["Y"], ["soft"], axis=2),
        node("LogSoftmax", ["Y"], ["logs"], axis=1),
        node("Hardmax", ["Y"], ["hard"], axis=0),
    ]
    names = ("soft", "logs", "hard")
    outputs = [(name, "float32", ["T", 1, "B", H]) for name in names]
    model = make_model(nodes, [("x", "float32", ["B", I, "T"])], outputs, constants, opset)
    return model, rng.standard_normal((B, I, T)).astype("float32"), 16 * allowed(layer, T, B)


@every("opset", [7, 9, 12, 13, 14])
@every("runtime", [True, False], ids=["with onnxruntime", "without"])
def test_old_operators_around_a_layer_mean_what_they_meant(opset, runtime, rng, monkeypatch):
    model, x, close = head_model(opset, rng)
    want = run_onnx(model, {"x": x})
    if not runtime:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)

    session = Session(model)

    assert session.other_nodes == ("onnxruntime" if runtime else "onnx")
    assert_close(tuple(session.run(None, {"x": x})), tuple(want), close)
    assert_close(tuple(backend.run_model(model, [x])), tuple(want), close)


def test_what_runtime_lacks_runs_on_onnx():
    graph = helper.make_graph(
        [node("Det", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.DOUBLE, ["B", 2, 2])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, ["B"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)

    session = Session(model)

    assert session.other_nodes == "onnx"
    np.testing.assert_allclose(session.run(None, {"x": np.eye(2)[None] * 3}), [[9]])


def test_what_nobody_has_is_not_compatible(no_runtime):
    foreign = node("Foreign", ["x"], ["y"], domain="elsewhere")
    graph = helper.make_graph(
        [foreign],
        "g",
        [helper.make_tensor_value_info("x", 1, [1])],
        [helper.make_tensor_value_info("y", 1, [1])],
    )
    opsets = [helper.make_opsetid("", 14), helper.make_opsetid("elsewhere", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)

    with pytest.raises(NotImplementedError, match=r"own implementations do not run it.*Forei"):
        backend.prepare(model)
