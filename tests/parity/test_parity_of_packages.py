"""`parity_report` recognises layers of PyTorch and Keras and ONNX models, and what is wrong."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest

import simdrnn as sr
from helpers_keras import imported_keras
from helpers_loops import every
from simdrnn.dialects import convert, permute_gates

pytestmark = pytest.mark.peers

LAYERS = {"lstm": sr.LSTM, "gru": sr.GRU, "rnn": sr.RNN}


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


def report(ours, theirs, x=None, **arguments):
    return sr.parity_report(ours, theirs, x, show=False, **arguments)


def torch_twin(torch, layer, **changed):
    arguments = {
        name: getattr(layer, name) for name in ("num_layers", "bidirectional", "bias")
    } | {"dtype": getattr(torch, layer.dtype.name)}  # fmt: skip
    made = getattr(torch.nn, type(layer).__name__)(
        layer.input_size, layer.hidden_size, **(arguments | changed)
    )
    made.load_state_dict({n: torch.from_numpy(v) for n, v in layer.state_dict().items()})
    return made


# PyTorch


@every("seed", range(12))
def test_no_false_alarm(torch, seed):
    """Sizes, depths, dtypes and gains at random: whatever both compute correctly agrees."""
    rng = np.random.default_rng(seed)
    I, H, L, T, B = (int(rng.integers(1, n)) for n in (60, 90, 4, 50, 16))  # noqa: E741
    cell, dtype = ("lstm", "gru", "rnn")[seed % 3], ("float32", "float64")[seed % 2]
    layer = LAYERS[cell](I, H, L, bidirectional=bool(seed % 4 < 2), dtype=dtype, seed=seed)
    gain = layer.dtype.type(rng.choice([1, 2, 4]))
    layer.load_state_dict({name: gain * value for name, value in layer.parameters().items()})

    found = report(layer, torch_twin(torch, layer), T=T, B=B)

    assert found.ok, str(found)
    assert {f"gradient of {name}" for name in layer.parameters()} < set(found.differences)


def test_axes_and_training_mode_are_the_modules_own(torch):
    layer = sr.LSTM(4, 5, 2, seed=0)
    module = torch_twin(torch, layer, batch_first=True, dropout=0.5)
    module.weight_ih_l0.grad = torch.ones_like(module.weight_ih_l0)
    module.train()

    found = report(layer, module)

    assert found.ok, str(found)
    assert found.differences["gradient of x"].shape == (12, 3, 4)
    assert module.training
    assert bool((module.weight_ih_l0.grad == 1).all())


def test_types_of_less_precision_set_the_tolerance(torch):
    layer = sr.GRU(4, 5, dtype="float64", seed=0)
    single = torch_twin(torch, layer).float()
    brain = copy.deepcopy(single).bfloat16()

    doubles = report(layer, torch_twin(torch, layer)).differences["output"]
    floats = report(layer, single).differences["output"]

    assert floats.ok
    assert floats.tolerance / doubles.tolerance == 2**29
    assert report(layer, brain, gradients=False).differences["output"].absolute < 0.1


def test_a_model_around_a_layer_is_called_with_x_alone(torch):
    layer = sr.GRU(4, 5, seed=0)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = torch_twin(torch, layer)

        def forward(self, x):
            return {"output": self.rnn(x)[0]}

    found = report(layer, Model())

    assert found.ok, str(found)
    assert set(found.differences) == {"output", "gradient of x"}
    assert "gradients: not compared for weight_ih_l0" in found.notes[0]
    assert not report(layer, torch.nn.Sequential(torch.nn.Linear(4, 5))).ok


def test_onnx_weights_in_a_torch_layer_are_told(torch):
    layer = sr.LSTM(4, 5, seed=0)
    module = torch_twin(torch, layer)
    onnx = {n: permute_gates(v, "ifgo", "iofg") for n, v in layer.state_dict().items()}
    layer.load_state_dict(onnx)

    found = report(layer, module)

    assert not found.ok
    assert found.hints == [
        "they agree if the rows of ours are taken for gates i, o, f, g instead of i, f, g, o, the "
        "order of onnx"
    ]


# Keras


def keras_twin(keras, layer, kind, *, both=False, dialect_cell=None, **arguments):
    made = getattr(keras.layers, kind)(layer.hidden_size, **arguments)
    if both:
        made = keras.layers.Bidirectional(made)
    made.build((None, None, layer.input_size))
    cell = dialect_cell or type(layer).__name__.lower()
    made.set_weights(convert(layer.state_dict(), "simdrnn", "keras", cell=cell))
    return made


@every("both", [False, True])
@every("cell, kind", [("lstm", "LSTM"), ("gru", "GRU"), ("rnn", "SimpleRNN")])
def test_keras_layers(keras, cell, kind, both):
    layer = LAYERS[cell](4, 5, bidirectional=both, seed=0)
    whole = keras_twin(keras, layer, kind, both=both, return_sequences=True, return_state=True)
    last = keras_twin(keras, layer, kind, both=both)

    found, at_end = report(layer, whole), report(layer, last)

    assert found.ok, str(found)
    weights = {name for name in found.differences if "weights" in name}
    assert len(weights) == (6 if both else 3)
    assert {"state h", "gradient of x", "gradient of initial h"} < set(found.differences)
    assert at_end.ok, str(at_end)
    assert set(at_end.differences) == {"last output"}


def test_keras_gradients_are_those_of_its_weights(keras):
    """A wrong one would be seen: the report says which weight differs."""
    layer = sr.GRU(4, 5, seed=0)
    theirs = keras_twin(keras, layer, "GRU", return_sequences=True)
    wrong = copy.deepcopy(layer)
    wrong.bias_hh_l0 = layer.bias_hh_l0 + np.float32(0.01)

    found = report(wrong, theirs)

    assert {one.name for one in found.failures} >= {"output", "gradient of weights 2"}


def test_hard_sigmoids_and_directions_are_told(keras):
    layer = sr.LSTM(4, 5, seed=0)
    hard = keras_twin(keras, layer, "LSTM", return_sequences=True,
                      recurrent_activation="hard_sigmoid")  # fmt: skip
    backwards = keras_twin(keras, layer, "LSTM", return_sequences=True, go_backwards=True)

    assert report(layer, hard).hints == ["they agree if gates have keras_hard_sigmoid"]
    assert report(layer, backwards, state=None).hints == [
        "they agree if ours takes the steps from the last to the first and its outputs stay in "
        "that order"
    ]


# What acts on some inputs only


def test_clamps_and_masks_of_torch_are_found(torch):
    layer = sr.LSTM(4, 5, seed=0)

    class Model(torch.nn.Module):
        def __init__(self, act):
            super().__init__()
            self.rnn, self.act = torch_twin(torch, layer), act

        def forward(self, x):
            return self.rnn(self.act(x))[0]

    acts = [
        torch.nn.Hardtanh(-7.5, 7.5),
        lambda x: torch.where(x == -9999, 0, x),
        lambda x: x[:64],
        torch.nn.Threshold(-31.25, 0.0),
    ]
    for act in acts:
        assert not report(layer, Model(act)).ok
    assert report(layer, Model(torch.nn.Identity())).ok


@pytest.mark.parametrize("value", [0.0, -99.0, 0.625])
def test_masks_of_keras_are_found(keras, value):
    layer = sr.GRU(4, 5, seed=0)
    inner = keras_twin(keras, layer, "GRU", return_sequences=True)
    model = keras.Sequential([keras.layers.Masking(value), inner])

    assert report(layer, keras.Sequential([inner]), gradients=False).ok
    assert not report(layer, model, gradients=False).ok


# ONNX


def test_clamps_and_masks_of_onnx_are_found():
    onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
    pytest.importorskip("onnxruntime", reason="needs the [test] extra: onnxruntime")
    layer = sr.GRU(4, 5, seed=0)
    node = onnx.helper.make_node
    acts = {
        "clip": [node("Min", ["X", "high"], ["m"]), node("Max", ["m", "low"], ["b"])],
        "mask": [node("Equal", ["X", "odd"], ["m"]), node("Where", ["m", "zero", "X"], ["b"])],
        "cut": [node("Slice", ["X", "from", "to", "from"], ["b"])],
    }
    constants = {"high": np.float32(77), "low": np.float32(-77), "odd": np.float32(-42.25),
                 "zero": np.float32(0), "from": np.array([0]), "to": np.array([200])}  # fmt: skip
    for name, nodes in acts.items():
        model = onnx_model(layer, linear_before_reset=1)
        model.graph.node[0].input[0] = "b"
        for one in nodes[::-1]:
            model.graph.node.insert(0, one)
        used = {key for one in nodes for key in one.input} & constants.keys()
        model.graph.initializer.extend(
            onnx.numpy_helper.from_array(constants[key], key) for key in used
        )
        if name != "cut":
            assert not report(layer, model).ok, name
        else:  # where lengths are given, the model itself refuses to be cut
            assert any("many steps" in note for note in report(layer, model).notes), name


def onnx_model(layer, **attributes):
    onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = convert(layer.state_dict(), "simdrnn", "onnx", cell="gru")
    node = helper.make_node(
        "GRU", ["X", *weights, "lengths", "h"], ["Y", "Y_h"], hidden_size=5, **attributes
    )
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "one",
        [info("X", kind, ["T", "B", 4]), info("lengths", onnx.TensorProto.INT32, ["B"]),
         info("h", kind, [1, "B", 5])],
        [info("Y", kind, ["T", 1, "B", 5]), info("Y_h", kind, [1, "B", 5])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 22)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10)


def test_onnx_models_and_sessions():
    runtime = pytest.importorskip("onnxruntime", reason="needs the [test] extra: onnxruntime")
    layer = sr.GRU(4, 5, seed=0)
    model = onnx_model(layer, linear_before_reset=1)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )

    for theirs in (model, session):
        found = report(layer, theirs)
        assert found.ok, str(found)
        assert set(found.differences) == {"output", "state h"}
        assert found.notes == ["gradients: ONNX Runtime has none"]


def test_a_forgotten_attribute_is_told():
    pytest.importorskip("onnxruntime", reason="needs the [test] extra: onnxruntime")
    layer = sr.GRU(4, 5, seed=0)

    # PyTorch's exporter lost it once: github.com/microsoft/onnxscript/issues/2852.
    found = report(layer, onnx_model(layer))

    assert found.hints == ["they agree if ours has reset_after=False"]


def test_onnx_runtime_is_asked_for(monkeypatch):
    layer = sr.GRU(4, 5, seed=0)
    model = onnx_model(layer)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(ImportError, match="pip install onnxruntime"):
        report(layer, model)


def test_models_with_other_inputs_are_refused():
    pytest.importorskip("onnxruntime", reason="needs the [test] extra: onnxruntime")

    with pytest.raises(
        ValueError, match="theirs: expected a model with inputs for x and 2 initial"
    ):
        report(sr.LSTM(4, 5, seed=0), onnx_model(sr.GRU(4, 5, seed=0)))
