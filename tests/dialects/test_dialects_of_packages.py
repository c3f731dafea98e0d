"""Converted weights compute the same in the packages themselves, as far as they are installed."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers_keras import imported_keras
from helpers_loops import every
from simdrnn.dialects import convert

pytestmark = pytest.mark.peers

LAYERS = {"lstm": sr.LSTM, "gru": sr.GRU, "rnn": sr.RNN}
I, H = 5, 4  # noqa: E741


@pytest.fixture(scope="module")
def torch():
    module = pytest.importorskip("torch", reason="needs the [peers] extra: torch")
    threads = module.get_num_threads()
    module.set_num_threads(1)  # waking more takes longer than work this small
    yield module
    module.set_num_threads(threads)


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    with imported_keras(str(tmp_path_factory.mktemp("keras"))) as module:
        yield module


def make(cell, weights, source, *, reset_after=None, bidirectional=False, layers=1, **options):
    """Return our layer with a package's weights."""
    form = {} if reset_after is None else {"reset_after": reset_after}
    layer = LAYERS[cell](I, H, layers, bidirectional=bidirectional, **form, **options)
    layer.load_state_dict(
        convert(
            weights, source, "simdrnn", cell=cell, reset_after=reset_after,
            bidirectional=bidirectional,
        )
    )  # fmt: skip
    return layer


def same(layer, theirs, **arguments):
    found = sr.parity_report(layer, theirs, show=False, **arguments)
    assert found.ok, str(found)
    return found


def disturb(array):
    """Fill an array, so that no bias is zero, with numbers that the array decides."""
    return np.random.default_rng(array.size).standard_normal(array.shape).astype(array.dtype)


# PyTorch, Keras, ONNX Runtime


@every("cell", LAYERS)
@every("layers, both, bias", [(1, False, True), (2, True, True),
                                                      (2, False, False)])  # fmt: skip
def test_torch(torch, cell, layers, both, bias):
    module = getattr(torch.nn, cell.upper())(I, H, layers, bidirectional=both, bias=bias)
    weights = module.state_dict()

    layer = make(cell, weights, "torch", bidirectional=both, layers=layers, bias=bias)

    same(layer, module)
    back = convert(layer.state_dict(), "simdrnn", "torch", cell=cell)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in back.items()})
    assert all(np.array_equal(value, back[name]) for name, value in weights.items())


@every("cell, reset_after", [("lstm", None), ("gru", True), ("gru", False), ("rnn", None)])
@every("both", [False, True])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # get_weights()
def test_keras(keras, cell, reset_after, both):
    kind = {"lstm": "LSTM", "gru": "GRU", "rnn": "SimpleRNN"}[cell]
    form = {} if reset_after is None else {"reset_after": reset_after}
    theirs = getattr(keras.layers, kind)(H, return_sequences=True, return_state=True, **form)
    if both:
        theirs = keras.layers.Bidirectional(theirs)
    theirs.build((None, None, I))
    theirs.set_weights([disturb(array) for array in theirs.get_weights()])

    layer = make(cell, theirs.get_weights(), "keras", reset_after=reset_after, bidirectional=both)

    found = same(layer, theirs)
    assert "gradient of weights 2" in found.differences
    back = convert(layer.state_dict(), "simdrnn", "keras", cell=cell, reset_after=reset_after)
    assert all(map(np.array_equal, back, theirs.get_weights()))


@every("cell, reset_after", [("lstm", None), ("gru", True), ("gru", False), ("rnn", None)])
@every("both", [False, True])
def test_onnx(cell, reset_after, both):
    form = {} if reset_after is None else {"reset_after": reset_after}
    layer = LAYERS[cell](I, H, bidirectional=both, seed=0, **form)

    same(layer, onnx_model(layer, cell, reset_after, peephole=False))


def test_onnx_peepholes():
    layer = sr.LSTM(I, H, bidirectional=True, peephole=True, seed=0)

    same(layer, onnx_model(layer, "lstm", None, peephole=True))


def onnx_model(layer, cell, reset_after, *, peephole):
    """Make a model of one node that takes x and initial states."""
    onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
    pytest.importorskip("onnxruntime", reason="needs the [test] extra: onnxruntime")
    weights = convert(layer.state_dict(), "simdrnn", "onnx", cell=cell, reset_after=reset_after)
    states = ["initial_h", "initial_c"] if cell == "lstm" else ["initial_h"]
    finals = ["Y", "Y_h", "Y_c"][: 1 + len(states)]
    names = ["X", "W", "R", "B", "", *states] + ["P"] * peephole
    attributes = {} if reset_after is None else {"linear_before_reset": int(reset_after)}
    direction = "bidirectional" if layer.bidirectional else "forward"
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node(
        cell.upper(), names, finals, hidden_size=H, direction=direction, **attributes
    )
    info = helper.make_tensor_value_info
    D = 1 + layer.bidirectional
    graph = helper.make_graph(
        [node],
        "one",
        [info("X", kind, ["T", "B", I]), *(info(one, kind, [D, "B", H]) for one in states)],
        [info("Y", kind, ["T", D, "B", H]), *(info(one, kind, [D, "B", H]) for one in finals[1:])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", 22)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10)


# Flax and Haiku


def changed(tree):
    """Return nested dicts of arrays with other numbers."""
    if isinstance(tree, dict):
        return {name: changed(one) for name, one in tree.items()}
    return disturb(np.asarray(tree))


def same_trees(one, other):
    if isinstance(one, dict):
        return set(one) == set(other) and all(same_trees(one[n], other[n]) for n in one)
    return np.array_equal(one, other)


@every("cell, kind", [("lstm", "LSTMCell"), ("lstm", "OptimizedLSTMCell"),
                                            ("gru", "GRUCell"), ("rnn", "SimpleCell")])  # fmt: skip
def test_flax(cell, kind):
    linen = pytest.importorskip("flax.linen", reason="needs flax")
    jax = pytest.importorskip("jax")
    network = linen.RNN(getattr(linen, kind)(H, name="cell"))
    start = network.init(jax.random.key(0), np.ones((2, 3, I), "f"))["params"]["cell"]
    weights = changed(dict(start))

    layer = make(cell, weights, "flax")

    same(layer, lambda x: network.apply({"params": {"cell": weights}}, x.swapaxes(0, 1))
         .swapaxes(0, 1))  # fmt: skip
    assert same_trees(convert(layer.state_dict(), "simdrnn", "flax", cell=cell), weights)


@pytest.mark.parametrize(("cell", "kind"), [("lstm", "OptimizedLSTMCell"), ("gru", "GRUCell"),
                                            ("rnn", "SimpleCell")])  # fmt: skip
def test_flax_nnx(cell, kind):
    nnx = pytest.importorskip("flax.nnx", reason="needs flax")
    module = getattr(nnx, kind)(I, H, rngs=nnx.Rngs(0))
    weights = changed(nnx.to_pure_dict(nnx.state(module, nnx.Param)))
    nnx.update(module, weights)

    layer = make(cell, weights, "flax_nnx")

    def run(x):
        carry = module.initialize_carry((x.shape[1], I), nnx.Rngs(0))
        outputs = []
        for x_t in x:
            carry, output = module(carry, x_t)
            outputs.append(np.asarray(output))
        return np.stack(outputs)

    same(layer, run)
    assert same_trees(convert(layer.state_dict(), "simdrnn", "flax_nnx", cell=cell), weights)


@every("cell, kind, options", [
    ("lstm", "LSTM", {}), ("gru", "GRU", {}), ("rnn", "VanillaRNN", {}),
    ("rnn", "VanillaRNN", {"double_bias": False})])  # fmt: skip
def test_haiku(cell, kind, options):
    haiku = pytest.importorskip("haiku", reason="needs dm-haiku")
    jax = pytest.importorskip("jax")

    def network(x):
        core = getattr(haiku, kind)(H, **options)
        return haiku.dynamic_unroll(core, x, core.initial_state(x.shape[1]))[0]

    transformed = haiku.without_apply_rng(haiku.transform(network))
    weights = changed(transformed.init(jax.random.key(0), np.ones((3, 2, I), "f")))
    more = {"nonlinearity": "relu"} if cell == "rnn" else {}

    layer = make(cell, weights, "haiku", reset_after=False if cell == "gru" else None, **more)

    same(layer, lambda x: transformed.apply(weights, x))
    back = convert(layer.state_dict(), "simdrnn", "haiku", cell=cell,
                   reset_after=False if cell == "gru" else None)  # fmt: skip
    if not options:
        assert same_trees(back, weights)
    same(layer, lambda x: transformed.apply(back if not options else weights, x))


# OpenVINO


@every("cell, reset_after", [("lstm", None), ("gru", True), ("gru", False), ("rnn", None)])
@every("both", [False, True])
def test_openvino(cell, reset_after, both):
    openvino = pytest.importorskip("openvino", reason="needs openvino")
    ops = openvino.opset13
    form = {} if reset_after is None else {"reset_after": reset_after}
    layer = LAYERS[cell](I, H, bidirectional=both, seed=0, **form)
    weights = convert(layer.state_dict(), "simdrnn", "openvino", cell=cell, reset_after=reset_after)

    def run(x):
        T, B, D = *x.shape[:2], 1 + both
        given = ops.parameter([B, T, I], np.float32)
        zeros = np.zeros((B, D, H), "f")
        states = [zeros, zeros] if cell == "lstm" else [zeros]
        direction = "bidirectional" if both else "forward"
        attributes = {} if cell != "gru" else {"linear_before_reset": reset_after}
        node = getattr(ops, f"{cell}_sequence")(
            given, *states, np.full(B, T, np.int64), weights["W"], weights["R"], weights["B"], H,
            direction, **attributes,
        )  # fmt: skip
        model = openvino.compile_model(
            openvino.Model([node.output(0)], [given]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        (output,) = model([x.swapaxes(0, 1)]).values()  # (B, D, T, H)
        return np.concatenate([output[:, d] for d in range(D)], -1).swapaxes(0, 1)

    same(layer, run)
