"""The backend passes onnx's own tests of recurrent nodes and runs models with other nodes, too."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_close, make_layer
from helpers_loops import every
from helpers_onnx import onnx_parameters
from helpers_onnx_models import make_model, node_model, run_onnx
from helpers_peers import allowed

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
from onnx.backend.base import Backend, BackendRep  # noqa: E402
from onnx.backend.test.case import node as node_tests  # noqa: E402
from onnx.backend.test.runner import Runner  # noqa: E402

from simdrnn.onnx import backend, save  # noqa: E402

pytestmark = pytest.mark.peers

T, B, I, H = 6, 3, 4, 5  # noqa: E741
node = onnx.helper.make_node


def node_cases():
    """Return onnx's own cases of the three operators.

    Importing their modules collects them. The public way collects those of all operators, which
    takes ten seconds.
    """
    for name in ("lstm", "gru", "rnn"):
        import_module(f"{node_tests.__name__}.{name}")
    found = [
        case
        for case in node_tests._NodeTestCases
        if {one.op_type for one in case.model.graph.node} <= {"LSTM", "GRU", "RNN"}
    ]
    assert len(found) >= 18  # as many has the release that these tests were written with
    return found


@every("case", node_cases(), ids=lambda case: case.name)
def test_onnx_own_node_tests_pass(case):
    assert backend.is_compatible(case.model)
    prepared = backend.prepare(case.model)

    for inputs, wanted in case.data_sets:
        outputs = prepared.run(inputs)
        Runner.assert_similar_outputs(wanted, outputs, case.rtol, case.atol)


def test_it_is_what_onnx_calls_a_backend():
    assert issubclass(backend.SimdrnnBackend, Backend)
    assert issubclass(backend.Prepared, BackendRep)
    assert backend.supports_device("CPU")
    assert backend.supports_device("CPU:0")
    assert not backend.supports_device("CUDA")


def whole_model(rng):
    """Return what a tagger is: embedding, two directions, layer norm, dense, log-probabilities."""
    layer = make_layer(sr, "gru", I, H, bidirectional=True, seed=0)
    constants = onnx_parameters(layer, "GRU", "rzn", "bidirectional") | {
        "table": rng.standard_normal((11, I)).astype("float32"),
        "V": rng.standard_normal((2 * H, 7)).astype("float32"),
        "v": rng.standard_normal(7).astype("float32"),
        "scale": rng.standard_normal(2 * H).astype("float32"),
        "merge": np.array([0, 0, -1]),
    }
    gru = {"hidden_size": H, "linear_before_reset": 1, "direction": "bidirectional"}
    nodes = [
        node("Gather", ["table", "tokens"], ["x"]),
        node("GRU", ["x", "W", "R", "B", "lengths"], ["Y", "h"], **gru),
        node("Transpose", ["Y"], ["y"], perm=[0, 2, 1, 3]),
        node("Reshape", ["y", "merge"], ["u"]),
        node("LayerNormalization", ["u", "scale"], ["normal"]),
        node("MatMul", ["normal", "V"], ["scores"]),
        node("Add", ["scores", "v"], ["biased"]),
        node("LogSoftmax", ["biased"], ["output"], axis=-1),
    ]
    inputs = [("tokens", "int64", ["T", "B"]), ("lengths", "int32", ["B"])]
    outputs = [("output", "float32", ["T", "B", 7]), ("h", "float32", [2, "B", H])]
    model = make_model(nodes, inputs, outputs, constants, 18)
    fed = {"tokens": rng.integers(0, 11, (T, B)), "lengths": np.array([4, 6, 1], np.int32)}
    return model, fed, layer


def test_whole_models_run(rng):
    model, fed, layer = whole_model(rng)

    made = backend.run_model(model, fed)

    want = tuple(run_onnx(model, fed))
    # The norm divides by a deviation that may be small: by how much is in the numbers wanted.
    assert_close(made.h, want[1], allowed(layer, T, B))
    assert_close(made.output, want[0], 16 * allowed(layer, T, B))
    assert made._fields == ("output", "h")
    assert made["h"] is made.h


def test_inputs_come_by_name_in_order_or_alone(rng):
    model, fed, _ = whole_model(rng)
    prepared = backend.prepare(model)

    by_name, in_order = prepared.run(fed), prepared.run(list(fed.values()))

    assert prepared.input_names == ["tokens", "lengths"]
    assert prepared.output_names == ["output", "h"]
    for one, other in zip(by_name, in_order, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_array_is_enough_for_one_input(rng, tmp_path):
    layer, path = sr.LSTM(I, H, seed=0), tmp_path / "model.onnx"
    save(layer, path)
    x = rng.standard_normal((T, B, I)).astype("float32")

    made = backend.run_model(path, x)

    np.testing.assert_array_equal(made.output, layer(x)[0])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], r"inputs: expected 2 \(tokens, lengths\), got 0"),
        ({"tokens": np.zeros((1, 1), int)}, "inputs: expected tokens, lengths, got tokens"),
        ({"tokens": 0, "lengths": 0, "x": 0}, "inputs: expected tokens, lengths, got tokens, len"),
    ],
)
def test_inputs_that_lack_or_are_too_many_are_named(inputs, message, rng):
    model, _, _ = whole_model(rng)

    with pytest.raises(ValueError, match=message):
        backend.run_model(model, inputs)


def test_what_does_not_fit_a_node_names_it(rng):
    parameters = onnx_parameters(make_layer(sr, "lstm", I, H), "LSTM", "ifgo", "forward")
    x = rng.standard_normal((T, B, I)).astype("float32")
    fed = {"X": x, "sequence_lens": np.array([1, 2, T + 1], np.int32)}
    model = node_model("LSTM", parameters, {}, fed)

    with pytest.raises(ValueError, match=r"^node 'the node' \(LSTM\): lengths: expected values in"):
        backend.run_model(model, fed)
    fed["X"] = x[..., :2]
    with pytest.raises(ValueError, match=r"^node 'the node' \(LSTM\): x: expected"):
        backend.run_model(model, fed)


def test_one_initial_state_leaves_the_other_zero(rng):
    layer = make_layer(sr, "lstm", I, H, seed=0)
    parameters = onnx_parameters(layer, "LSTM", "ifgo", "forward")
    x = rng.standard_normal((T, B, I)).astype("float32")
    c = rng.standard_normal((1, B, H)).astype("float32")
    fed = {"X": x, "initial_c": c}

    made = backend.run_model(node_model("LSTM", parameters, {}, fed), fed)

    output, final = layer(x, (np.zeros_like(c), c))
    np.testing.assert_array_equal(made.Y[:, 0], output)
    np.testing.assert_array_equal(made.Y_c, final[1])


def test_weights_may_change_from_one_run_to_the_next(rng):
    layer = make_layer(sr, "gru", I, H, seed=0)
    parameters = onnx_parameters(layer, "GRU", "rzn", "forward")
    x = rng.standard_normal((T, B, I)).astype("float32")
    gru = node("GRU", ["X", "W", "R"], ["Y"], hidden_size=H, linear_before_reset=1)
    shapes = {name: parameters[name].shape for name in "WR"}
    model = make_model(
        [gru],
        [("X", "float32", ["T", "B", I]), *((n, "float32", s) for n, s in shapes.items())],
        [("Y", "float32", ["T", 1, "B", H])],
    )
    prepared = backend.prepare(model)
    fed = {"X": x, "W": parameters["W"].copy(), "R": parameters["R"]}

    results = []
    for _ in range(2):
        results.append(prepared.run(fed).Y)
        fed["W"] *= 2  # in place: the array is the same, what is in it is not
    results.append(prepared.run(fed | {"W": parameters["W"]}).Y)

    np.testing.assert_array_equal(results[0], results[2])
    assert np.abs(results[0] - results[1]).max() > 0.01
    doubled = run_onnx(model, {"X": x, "W": parameters["W"] * 2, "R": parameters["R"]})[0]
    assert_close(results[1], doubled, allowed(layer, T, B))


def test_defaults_of_inputs_may_be_replaced(rng):
    parameters = onnx_parameters(make_layer(sr, "rnn_tanh", I, H, seed=0), "RNN", "h", "forward")
    x = rng.standard_normal((T, B, I)).astype("float32")
    model = node_model("RNN", parameters, {}, {"X": x}, opset=7)  # lists W, R and B as inputs
    twice = {name: 2 * array for name, array in parameters.items()}

    plain = backend.run_model(model, [x])
    given = backend.run_model(model, {"X": x, **twice})
    in_order = backend.run_model(model, [x, *(twice[name] for name in "WRB")])

    want = node_model("RNN", twice, {}, {"X": x}, opset=7)
    np.testing.assert_array_equal(given.Y, backend.run_model(want, [x]).Y)
    np.testing.assert_array_equal(given.Y, in_order.Y)
    assert np.abs(given.Y - plain.Y).max() > 0.01


def test_outputs_without_names_are_nobodys_inputs(rng):
    """Two nodes leave out Y: what the first makes must not become lengths of the second."""
    parameters = onnx_parameters(make_layer(sr, "gru", I, H, seed=0), "GRU", "rzn", "forward")
    options = {"hidden_size": H, "linear_before_reset": 1}
    nodes = [
        node("GRU", ["X", "W", "R", "B"], ["", "first"], **options),
        node("GRU", ["X", "W", "R", "B", "", "first"], ["", "second"], **options),
        node("Clip", ["second", "", "most"], ["bounded"]),
    ]
    model = make_model(
        nodes,
        [("X", "float32", ["T", "B", I])],
        [(name, "float32", [1, "B", H]) for name in ("first", "second", "bounded")],
        parameters | {"most": np.array(0.125, "float32")},
    )
    x = rng.standard_normal((T, B, I)).astype("float32")

    made = backend.run_model(model, [x])

    layer = make_layer(sr, "gru", I, H)
    assert_close(tuple(made), tuple(run_onnx(model, {"X": x})), allowed(layer, 2 * T, B))
    assert not model.graph.node[0].output[0]  # the caller's model is as it was


def test_attributes_may_come_from_a_function(rng):
    """A model's own function passes its attribute on to the node in it."""
    inner = node("RNN", ["X", "W", "R"], ["Y"], activations=["Tanh"])
    attribute = inner.attribute.add()
    attribute.name, attribute.ref_attr_name = "direction", "way"
    attribute.type = onnx.AttributeProto.STRING
    opsets = [onnx.helper.make_opsetid("", 14), onnx.helper.make_opsetid("own", 1)]
    function = onnx.helper.make_function(
        "own", "F", ["X", "W", "R"], ["Y"], [inner], opsets, ["way"]
    )
    layer = sr.RNN(I, H, bias=False, reverse=True, seed=0)
    parameters = onnx_parameters(layer, "RNN", "h", "reverse")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("F", ["X", "W", "R"], ["Y"], domain="own", way="reverse")],
        "calls",
        [onnx.helper.make_tensor_value_info("X", 1, ["T", "B", I])],
        [onnx.helper.make_tensor_value_info("Y", 1, ["T", 1, "B", H])],
        [onnx.numpy_helper.from_array(array, name) for name, array in parameters.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)
    x = rng.standard_normal((T, B, I)).astype("float32")

    made = backend.run_model(model, [x])

    np.testing.assert_array_equal(made.Y[:, 0], layer(x)[0])


def test_outputs_without_names_are_nobodys_inputs_in_functions_either(rng):
    options = {"hidden_size": H, "linear_before_reset": 1}
    inner = [
        node("GRU", ["X", "W", "R"], ["", "h"], **options),
        node("GRU", ["X", "W", "R", "", "", "h"], ["", "Y_h"], **options),
    ]
    opsets = [onnx.helper.make_opsetid("", 14), onnx.helper.make_opsetid("own", 1)]
    function = onnx.helper.make_function("own", "F", ["X", "W", "R"], ["Y_h"], inner, opsets)
    layer = sr.GRU(I, H, bias=False, seed=0)
    parameters = onnx_parameters(layer, "GRU", "rzn", "forward")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("F", ["X", "W", "R"], ["Y_h"], domain="own")],
        "calls",
        [onnx.helper.make_tensor_value_info("X", 1, ["T", "B", I])],
        [onnx.helper.make_tensor_value_info("Y_h", 1, [1, "B", H])],
        [onnx.numpy_helper.from_array(array, name) for name, array in parameters.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)
    x = rng.standard_normal((T, B, I)).astype("float32")

    made = backend.run_model(model, [x])

    np.testing.assert_array_equal(made.Y_h, layer(x, layer(x)[1])[1])


@pytest.mark.parametrize("opset", [7, 14, 22])
def test_one_node_runs_alone(opset, rng):
    layer = make_layer(sr, "lstm", I, H, seed=0)
    parameters = onnx_parameters(layer, "LSTM", "ifgo", "forward")
    x = rng.standard_normal((T, B, I)).astype("float32")
    lstm = node("LSTM", ["X", "W", "R", "B"], ["Y", "", "Y_c"], hidden_size=H)
    fed = [x, *(parameters[name] for name in "WRB")]

    made = backend.run_node(lstm, fed, opset_version=opset)

    output, (_, c) = layer(x)
    assert made._fields == ("Y", "Y_c")
    np.testing.assert_array_equal(made.Y[:, 0], output)
    np.testing.assert_array_equal(made.Y_c, c)
    by_name = backend.run_node(lstm, dict(zip("XWRB", fed, strict=True)))
    np.testing.assert_array_equal(by_name.Y, made.Y)


def test_other_nodes_run_alone():
    assert backend.run_node(node("Relu", ["x"], ["y"]), np.float32([-1, 2])).y.tolist() == [0, 2]


def test_what_a_node_is_given_is_counted():
    with pytest.raises(ValueError, match=r"node 'y' \(Add\): inputs: expected 2 \(a, b\), got 1"):
        backend.run_node(node("Add", ["a", "b"], ["y"]), [np.float32(1)])
    with pytest.raises(ValueError, match=r"node 'y' \(Add\): expected a valid node"):
        backend.run_node(node("Add", ["a"], ["y"]), [np.float32(1)])


def test_other_devices_are_refused(rng):
    model, fed, _ = whole_model(rng)

    with pytest.raises(ValueError, match="device: expected 'CPU', got 'CUDA'"):
        backend.run_model(model, fed, "CUDA")
    with pytest.raises(ValueError, match="device: expected 'CPU', got 'CUDA'"):
        backend.run_node(node("Relu", ["x"], ["y"]), [np.float32(1)], "CUDA")
    assert not backend.is_compatible(model, "CUDA")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda one: backend.supports_device(3), "device: expected a name, as 'CPU', got 3"),
        (lambda one: backend.prepare(b"", device=None), "device: expected a name, .* got None"),
        (lambda one: backend.run_node(one, None), "inputs: expected arrays by name, .* got None"),
        (lambda one: backend.run_node(one, [np.ma.ones(2)]), "input 'x': .* got a masked array"),
        (lambda one: backend.run_node(one, [[[1], [1, 2]]]), "input 'x': .* members differ in"),
        (lambda one: backend.run_node(one, [None]), "input 'x': expected an array, got None"),
        (
            lambda one: backend.run_node(one, [np.ones(1)], opset_version="14"),
            "opset_version: expected a positive integer, got '14'",
        ),
    ],
)
def test_what_is_of_no_such_type_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call(node("Relu", ["x"], ["y"]))


def test_what_cannot_be_run_is_not_compatible(rng):
    model, _, _ = whole_model(rng)
    assert backend.is_compatible(model)
    model.graph.initializer[0].dims[0] += 1

    assert not backend.is_compatible(model)
