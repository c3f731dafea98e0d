"""Graphs as exporters write them around recurrent nodes become the layers that were exported."""

from __future__ import annotations

import re

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_close
from helpers_loops import every
from helpers_onnx import onnx_parameters
from helpers_onnx_models import make_model, run_chain, run_onnx
from helpers_peers import allowed, unsorted_lengths

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
from simdrnn.onnx import backend, load, save  # noqa: E402

pytestmark = pytest.mark.peers

T, B, I, H = 6, 3, 4, 5  # noqa: E741
node = onnx.helper.make_node


def weights(layer, operator, gates, direction="forward", prefix=""):
    """Return a node's arrays under names with a prefix."""
    found = onnx_parameters(layer, operator, gates, direction)
    return {f"{prefix}{name}": array for name, array in found.items()}


def integers(**values):
    return {name: np.array(value, np.int64) for name, value in values.items()}


# Hand-made graphs, one for each style of exporter: its layers of ours, the model, its inputs.


def torch_scripted(rng):
    """Dynamic sizes, batch first, two directions: states of zeros cut out of one array."""
    layers = [sr.LSTM(I, H, bidirectional=True, seed=0), sr.LSTM(2 * H, H, bidirectional=True)]
    constants = integers(
        zero=0, axis=[0], rows=[4], hidden=[H], from0=[0], to2=[2], to4=[4], merge=[0, 0, -1]
    )
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"], axis=0),
        node("Unsqueeze", ["batch", "axis"], ["batch1"]),
        node("Concat", ["rows", "batch1", "hidden"], ["sizes"], axis=0),
        node("ConstantOfShape", ["sizes"], ["states"]),
        node("Transpose", ["x"], ["u0"], perm=[1, 0, 2]),
    ]
    for k, (first, last) in enumerate((("from0", "to2"), ("to2", "to4"))):
        constants |= weights(layers[k], "LSTM", "ifgo", "bidirectional", f"{k}")
        names = [f"u{k}", f"{k}W", f"{k}R", f"{k}B", "", f"s{k}", f"s{k}"]
        nodes += [
            node("Slice", ["states", first, last, "axis"], [f"s{k}"]),
            node(
                "LSTM", names, [f"Y{k}", f"h{k}", f"c{k}"], hidden_size=H, direction="bidirectional"
            ),
            node("Transpose", [f"Y{k}"], [f"t{k}"], perm=[0, 2, 1, 3]),
            node("Reshape", [f"t{k}", "merge"], [f"u{k + 1}"]),
        ]
    nodes += [
        node("Transpose", ["u2"], ["output"], perm=[1, 0, 2]),
        node("Concat", ["h0", "h1"], ["h_n"], axis=0),
        node("Concat", ["c0", "c1"], ["c_n"], axis=0),
    ]
    state = [4, "B", H]
    model = make_model(
        nodes,
        [("x", "float32", ["B", "T", I])],
        [
            ("output", "float32", ["B", "T", 2 * H]),
            *((n, "float32", state) for n in ("h_n", "c_n")),
        ],
        constants,
    )
    return layers, model, True, {}


def torch_exported(rng):
    """Free batch: the shape for Reshape is reckoned; states are inputs of the model."""
    layers = [sr.GRU(I, H, seed=0), sr.GRU(H, H, seed=1)]
    constants = integers(a=[0], b=[1], c=[2], d=[3], e=[4], all=[-1])
    nodes = []
    for k, (first, last) in enumerate(("ab", "bc")):
        constants |= weights(layers[k], "GRU", "rzn", prefix=f"{k}")
        source = "x" if k == 0 else "u1"
        names = [source, f"{k}W", f"{k}R", f"{k}B", "", f"s{k}"]
        nodes += [
            node("Slice", ["h_0", first, last, "a"], [f"s{k}"]),
            node("GRU", names, [f"Y{k}", f"h{k}"], hidden_size=H, linear_before_reset=1),
            node("Transpose", [f"Y{k}"], [f"t{k}"], perm=[0, 2, 1, 3]),
            node("Shape", [f"t{k}"], [f"shape{k}"]),
            *(
                node("Slice", [f"shape{k}", *"abcde"[place : place + 2]], [f"n{place}{k}"])
                for place in range(4)
            ),
            node("Mul", [f"n2{k}", f"n3{k}"], [f"width{k}"]),
            node("Reshape", [f"width{k}", "all"], [f"last{k}"]),
            node("Concat", [f"n0{k}", f"n1{k}", f"last{k}"], [f"sizes{k}"], axis=0),
            node("Reshape", [f"t{k}", f"sizes{k}"], [f"u{k + 1}"]),
        ]
    nodes += [node("Identity", ["u2"], ["output"]), node("Concat", ["h0", "h1"], ["h_n"], axis=0)]
    model = make_model(
        nodes,
        [("x", "float32", [T, "B", I]), ("h_0", "float32", [2, "B", H])],
        [("output", "float32", [T, "B", H]), ("h_n", "float32", [2, "B", H])],
        constants,
    )
    return layers, model, False, {"h_0": rng.standard_normal((2, B, H)).astype("float32")}


def keras_exported(rng):
    """Layers between Transposes, zeros expanded to a shape that was cast, the last step alone."""
    layers = [sr.LSTM(I, H, seed=0), sr.LSTM(H, H, seed=1)]
    constants = integers(zero=[0], one=[1], hidden=[H], minus1=[-1], end=[2**31 - 1])
    constants["nothing"] = np.array(0.0, "float32")
    nodes = []
    for k in range(2):
        constants |= weights(layers[k], "LSTM", "ifgo", prefix=f"{k}")
        source = "x" if k == 0 else "seq0"
        names = [f"t{k}", f"{k}W", f"{k}R", f"{k}B", "", f"s{k}", f"s{k}"]
        nodes += [
            node("Transpose", [source], [f"t{k}"], perm=[1, 0, 2]),
            node("Shape", [source], [f"shape{k}"]),
            node("Cast", [f"shape{k}"], [f"cast{k}"], to=onnx.TensorProto.INT32),
            node("Slice", [f"cast{k}", "zero", "one", "zero"], [f"cut{k}"]),
            node("Cast", [f"cut{k}"], [f"batch{k}"], to=onnx.TensorProto.INT64),
            node("Concat", [f"batch{k}", "hidden"], [f"sizes{k}"], axis=0),
            node("Expand", ["nothing", f"sizes{k}"], [f"zeros{k}"]),
            node("Unsqueeze", [f"zeros{k}", "zero"], [f"s{k}"]),
            node("LSTM", names, [f"Y{k}", f"h{k}", f"c{k}"], hidden_size=H,
                 activations=["Sigmoid", "Tanh", "Tanh"]),
            node("Squeeze", [f"Y{k}", "one"], [f"y{k}"]),
        ]  # fmt: skip
    nodes.insert(10, node("Transpose", ["y0"], ["seq0"], perm=[1, 0, 2]))
    nodes += [
        node("Slice", ["y1", "minus1", "end", "zero"], ["last"]),
        node("Squeeze", ["last", "zero"], ["output"]),
    ]
    model = make_model(
        nodes, [("x", "float32", ["B", "T", I])], [("output", "float32", ["B", H])], constants, 13
    )
    return layers, model, True, {}


def two_nodes_for_two_directions(rng):
    """Each direction is a node; the reverse one gets its input turned around, as from Keras."""
    layers = [sr.GRU(I, H, bidirectional=True, seed=0), sr.GRU(2 * H, H, seed=1)]
    both = weights(layers[0], "GRU", "rzn", "bidirectional")
    constants = integers(one=[1]) | {"lengths": np.full(B, T, np.int64)}
    for name, array in both.items():
        constants |= {f"f{name}": array[:1], f"r{name}": array[1:]}
    constants |= weights(layers[1], "GRU", "rzn", prefix="1")
    options = {"hidden_size": H, "linear_before_reset": 1}
    turn = {"time_axis": 0, "batch_axis": 1}
    nodes = [
        node("ReverseSequence", ["x", "lengths"], ["turned"], **turn),
        node("GRU", ["turned", "rW", "rR", "rB"], ["rY"], **options),
        node("GRU", ["x", "fW", "fR", "fB"], ["fY"], **options),
        node("Squeeze", ["rY", "one"], ["r1"]),
        node("ReverseSequence", ["r1", "lengths"], ["r"], **turn),
        node("Squeeze", ["fY", "one"], ["f"]),
        node("Concat", ["f", "r"], ["u"], axis=-1),
        node("GRU", ["u", "1W", "1R", "1B"], ["Y"], **options),
    ]
    model = make_model(
        nodes, [("x", "float32", [T, B, I])], [("Y", "float32", [T, 1, B, H])], constants
    )
    return layers, model, False, {}


def weights_put_together_in_the_graph(rng):
    """As scripts are exported without folding: halves of weights are joined by nodes."""
    layer = sr.RNN(I, H, nonlinearity="relu", seed=0)
    found = weights(layer, "RNN", "h")
    constants = integers(axis=[0])
    constants |= {"W": found["W"][0].T, "R1": found["R"][0, :2], "R2": found["R"][0, 2:]}
    constants |= {"b1": found["B"][0, :H], "b2": found["B"][0, H:]}
    nodes = [
        node("Transpose", ["W"], ["Wt"]),
        node("Unsqueeze", ["Wt", "axis"], ["W3"]),
        node("Concat", ["R1", "R2"], ["Rc"], axis=0),
        node("Unsqueeze", ["Rc", "axis"], ["R3"]),
        node("Concat", ["b1", "b2"], ["bc"], axis=0),
        node("Unsqueeze", ["bc", "axis"], ["B2"]),
        node("RNN", ["x", "W3", "R3", "B2"], ["Y"], hidden_size=H, activations=["Relu"]),
    ]
    model = make_model(
        nodes, [("x", "float32", ["T", "B", I])], [("Y", "float32", ["T", 1, "B", H])], constants
    )
    return [layer], model, False, {}


GRAPHS = (
    torch_scripted,
    torch_exported,
    keras_exported,
    two_nodes_for_two_directions,
    weights_put_together_in_the_graph,
)


@every("graph", GRAPHS, ids=lambda graph: graph.__name__)
def test_exported_graphs_are_recognised(graph, rng):
    layers, model, batch_first, states = graph(rng)

    loaded = load(model)

    loaded = loaded if isinstance(loaded, list) else [loaded]
    assert [type(one) for one in loaded] == [type(one) for one in layers]
    for one, layer in zip(loaded, layers, strict=True):
        assert one.batch_first == batch_first
        for name, value in layer.parameters().items():
            np.testing.assert_array_equal(one.parameters()[name], value, strict=True)
    x = rng.standard_normal((B, T, I) if batch_first else (T, B, I)).astype("float32")
    want = run_onnx(model, {"x": x, **states})
    output, _ = run_chain(loaded, x, tuple(states.values()) or None)
    if graph is keras_exported:
        output = output[:, -1]
    close = sum(allowed(layer, T, B) for layer in layers)
    assert_close(output.reshape(want[0].shape), want[0], close)
    assert_close(tuple(backend.run_model(model, {"x": x, **states})), tuple(want), close)


# What is not recognised.


def broken(layers=2, between=(), after=(), outputs=(("output", ["T", "B", H]),), **constants):
    """Return a chain of GRUs with other nodes in it.

    Parameters
    ----------
    between : nodes that make "u" of "y0"; by default one that does nothing.
    after : nodes that make the outputs of "y{layers - 1}".
    """
    found = integers(one=[1]) | constants
    nodes = []
    for k in range(layers):
        layer = sr.GRU(I if k == 0 else H, H, seed=k)
        found |= weights(layer, "GRU", "rzn", prefix=f"{k}")
        names = ["x" if k == 0 else "u", f"{k}W", f"{k}R", f"{k}B"]
        nodes += [
            node(
                "GRU", names, [f"Y{k}", f"h{k}"], f"gru {k}", hidden_size=H, linear_before_reset=1
            ),
            node("Squeeze", [f"Y{k}", "one"], [f"y{k}"], f"squeeze {k}"),
        ]
        if k == 0 and layers > 1:
            nodes += between or [node("Identity", ["y0"], ["u"])]
    nodes += after or [node("Identity", [f"y{layers - 1}"], ["output"])]
    values = [(name, "float32", shape) for name, shape in outputs]
    return make_model(nodes, [("x", "float32", ["T", "B", I])], values, found)


BROKEN = {
    "activation between": (
        {"between": [node("Tanh", ["y0"], ["u"], "act")]},
        "node 'act' (Tanh): expected recurrent nodes and what moves or joins values",
    ),
    "dense head": (
        {
            "after": [node("MatMul", ["y1", "V"], ["output"], "head")],
            "V": np.ones((H, H), "float32"),
        },
        "node 'head' (MatMul): expected recurrent nodes",
    ),
    "scale between": (
        {"between": [node("Mul", ["y0", "two"], ["u"], "scale")], "two": np.float32(2)},
        "node 'gru 1' (GRU): X: expected the output of the layer before, got what node 'scale' "
        "(Mul) makes",
    ),
    "shift, then moved": (
        {
            "between": [
                node("Add", ["y0", "two"], ["s"], "shift"),
                node("Transpose", ["s"], ["t"], "there", perm=[1, 0, 2]),
                node("Transpose", ["t"], ["u"], "back", perm=[1, 0, 2]),
            ],
            "two": np.float32(2),
        },
        "got what node 'shift' (Add) makes",
    ),
    "axes confused": (
        {"between": [node("Transpose", ["y0"], ["u"], "swap", perm=[1, 0, 2])]},
        "node 'gru 1' (GRU): X: expected the output of the layer before, got what node 'swap' "
        "(Transpose) makes",
    ),
    "turned around": (
        {
            "between": [node("Slice", ["y0", "m", "e", "a", "m"], ["u"], "turn")],
            **integers(m=[-1], e=[-(2**63)], a=[2]),
        },
        "got what node 'turn' (Slice) makes",
    ),
    "output scaled": (
        {"after": [node("Add", ["y1", "y1"], ["output"], "twice")]},
        "output 'output': expected the output of a layer, its first or last step, or final "
        "states, got what node 'twice' (Add) makes",
    ),
    "two branches": (
        {
            "between": [node("Identity", ["x2"], ["u"], "branch")],
            "x2": np.ones((5, 2, H), "float32"),
        },
        "node 'gru 1' (GRU): X: expected the output of the layer before, got what node 'branch' "
        "(Identity) makes",
    ),
}


@every("name", BROKEN)
def test_what_is_not_recognised_is_named(name):
    arguments, message = BROKEN[name]

    with pytest.raises(ValueError, match=re.escape(message)):
        load(broken(**arguments))


def test_what_holds_for_one_size_only_is_refused():
    """A shape that fits some sizes is no proof."""
    shape = np.array([3, 2, H], np.int64)
    between = [node("Reshape", ["y0", "shape"], ["u"], "fixed")]

    with pytest.raises(ValueError, match=r"got what node 'fixed' \(Reshape\) makes: something of"):
        load(broken(between=between, shape=shape))


def test_the_chain_that_the_broken_ones_break_is_recognised():
    assert [repr(one) for one in load(broken())] == ["GRU(4, 5)", "GRU(5, 5)"]


def one_gru(extra, inputs=(), constants=None, **attributes):
    """Return a model of one GRU with more inputs than X, W, R and B."""
    found = weights(sr.GRU(I, H, seed=0), "GRU", "rzn") | (constants or {})
    gru = node("GRU", ["x", "W", "R", "B", *extra], ["Y"], "one", hidden_size=H, **attributes)
    given = [("x", "float32", ["T", "B", I]), *inputs]
    return make_model([gru], given, [("Y", "float32", ["T", 1, "B", H])], found)


def test_initial_states_of_other_rows_are_refused(rng):
    states = rng.standard_normal((1, B, H)).astype("float32")
    model = one_gru(["", "s"], constants={"s": states})

    with pytest.raises(ValueError, match=r"^node 'one' \(GRU\): initial_h: expected zeros, an inp"):
        load(model)


def test_constant_lengths_are_refused():
    model = one_gru(["s"], constants={"s": np.array([1, 2, 2], np.int32)})

    with pytest.raises(ValueError, match=r"^node 'one' \(GRU\): sequence_lens: expected an input"):
        load(model)


def test_weights_that_are_inputs_are_refused():
    model = one_gru([])
    (place,) = [k for k, one in enumerate(model.graph.initializer) if one.name == "R"]
    del model.graph.initializer[place]
    model.graph.input.append(onnx.helper.make_tensor_value_info("R", 1, [1, 3 * H, H]))

    with pytest.raises(ValueError, match=r"^node 'one' \(GRU\): R: expected a constant, got what"):
        load(model)


def test_other_widths_are_refused():
    model = one_gru([])
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = I + 1

    with pytest.raises(ValueError, match=r"^node 'one' \(GRU\): X: expected float32 with I = 4"):
        load(model)


def test_older_operator_sets_are_refused():
    model = one_gru([])
    model.opset_import[0].version = 3

    for use in (load, backend.prepare):
        with pytest.raises(ValueError, match=r"expected (operator set 7 or later|a valid ONNX)"):
            use(model)


def test_a_model_without_recurrent_nodes_is_refused():
    model = make_model(
        [node("Identity", ["x"], ["y"])], [("x", "float32", [2])], [("y", "float32", [2])]
    )

    with pytest.raises(
        ValueError, match=r"^path_or_model: expected a recurrent node \(RNN, GRU or LSTM\)"
    ):
        load(model)


def test_lengths_have_to_be_those_of_every_layer(rng, tmp_path):
    save([sr.GRU(I, H), sr.GRU(H, H)], tmp_path / "model.onnx", lengths=True)
    model = onnx.load(tmp_path / "model.onnx")
    second = [one for one in model.graph.node if one.op_type == "GRU"][1]
    second.input[4] = ""

    with pytest.raises(ValueError, match="sequence_lens: expected the same for all layers"):
        load(model)


def test_lengths_change_nothing_where_they_are_the_steps(rng):
    lengths = unsorted_lengths(T, B, rng)
    model = one_gru(["s"], inputs=[("s", "int32", ["B"])])
    x = rng.standard_normal((T, B, I)).astype("float32")

    layer = load(model)

    (want,) = run_onnx(model, {"x": x, "s": lengths.astype(np.int32)})
    got, _ = layer(x, lengths=lengths)
    assert_close(got, want[:, 0], allowed(layer, T, B))
