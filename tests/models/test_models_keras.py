"""Networks that packages trained in Keras: read with `sr.dialects`, or converted in place.

The peer is Keras 3 on PyTorch. Most files are of Keras 2, some of whose models Keras 3 does not
build any more; their layers it does. What changed is the default of `recurrent_activation`, then
`hard_sigmoid`, and what that means: 0.2 x + 0.5 in Keras 2, x / 6 + 0.5 in Keras 3.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers_keras import imported_keras
from helpers_models import (
    changed,
    check_layer,
    check_stream,
    model_file,
    run,
    whole_roundings,
)

pytestmark = [
    pytest.mark.models,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

# Keras 2's, by our name: our default slope is Keras 2's and ONNX's.
HARD = "hard_sigmoid"


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with imported_keras(str(tmp_path_factory.mktemp("keras"))) as module:
        yield module


def arrays_of(package: str, path: str, *layers: str) -> list[Any]:
    """Return kernel, recurrent kernel and bias of the layers of a file of weights, in order."""
    h5py = pytest.importorskip("h5py", reason="needs h5py, which keras brings")
    with h5py.File(model_file(package, path)) as file:
        groups = file.get("model_weights", file)
        return [
            np.asarray(groups[f"{layer}/{name}:0"])
            for layer in layers
            for name in ("kernel", "recurrent_kernel", "bias")
        ]


def ours(cell: str, arrays: list[Any], recurrent_activation: str, **options: Any) -> Any:
    """Return our layer with Keras's arrays."""
    both = len(arrays) == 6
    form = {"reset_after": False} if cell == "gru" else {}
    layer = getattr(sr, cell.upper())(
        arrays[0].shape[0], arrays[1].shape[0], bidirectional=both,
        recurrent_activation=recurrent_activation, **form, **options,
    )  # fmt: skip
    layer.load_state_dict(
        sr.dialects.convert(arrays, "keras", "simdrnn", cell=cell, bidirectional=both, **form)
    )
    return layer


def theirs(
    keras: Any, cell: str, arrays: list[Any], x: Any, recurrent_activation: str
) -> dict[str, Any]:
    """Return what Keras computes, in the shapes of ours.

    `Bidirectional` makes its layers anew by the names of their functions: under the name of Keras
    3's own, that of Keras 2 would be lost.
    """

    def hard_sigmoid_of_keras_2(x: Any) -> Any:
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    both = len(arrays) == 6
    form = {"reset_after": False} if cell == "gru" else {}
    layer = getattr(keras.layers, cell.upper())(
        arrays[1].shape[0], return_sequences=True, return_state=True,
        recurrent_activation=hard_sigmoid_of_keras_2 if recurrent_activation == HARD else "sigmoid",
        **form,
    )  # fmt: skip
    with keras.saving.custom_object_scope({"hard_sigmoid_of_keras_2": hard_sigmoid_of_keras_2}):
        layer = keras.layers.Bidirectional(layer) if both else layer
    layer.build((None, None, x.shape[-1]))
    layer.set_weights(arrays)
    output, *states = (
        keras.ops.convert_to_numpy(one) for one in layer(np.ascontiguousarray(x.swapaxes(0, 1)))
    )
    count = len(states) // (1 + both)
    named = {f"state {n}": np.stack(states[k::count]) for k, n in enumerate("hc"[:count])}
    return {"output": output.swapaxes(0, 1)} | named


def one_hot(words: Sequence[str], letters: str, size: int) -> Any:
    """Return (T, B, size): one letter a step, nothing after the end of a word."""
    made = np.zeros((max(map(len, words)), len(words), size), "float32")
    for b, word in enumerate(words):
        for t, letter in enumerate(word):
            made[t, b, letters.index(letter)] = 1
    return made


def words(size: int) -> Any:
    return one_hot(("natural", "language", "naturally", "x"), "abcdefghijklmnopqrstuvwxyz", size)


def peptides(size: int) -> Any:
    return one_hot(("SIINFEKLA", "GILGFVFTL", "NLVPMVATV"), "ACDEFGHIKLMNPQRSTVWY", size)


def activations(size: int) -> Any:
    """Return what comes out of a ReLU."""
    return np.maximum(np.random.default_rng(4).standard_normal((25, 2, size)), 0).astype("float32")


CREMA = ("crema", "crema/models/chord/model.h5")
RNNMORPH = ("rnnmorph", "rnnmorph/models/ru/eval_model.h5")
RNNMORPH_EN = ("rnnmorph", "rnnmorph/models/en/eval_model.h5")
TEXTGENRNN = ("textgenrnn", "textgenrnn/textgenrnn_weights.hdf5")
CHARS = ("chars2vec", "chars2vec/trained_models/eng_300/weights.h5")


def _pair(prefix: str, suffix: str) -> tuple[str, str]:
    return (f"{prefix}/forward_{suffix}", f"{prefix}/backward_{suffix}")


# File, layers in it (forward and backward), cell, gates' activation, input.
MODELS: dict[str, tuple[tuple[str, str], tuple[str, ...], str, str, Any]] = {
    "crema chords 1": (
        CREMA, _pair("bidirectional_1/bidirectional_1", "gru_1"), "gru", HARD, activations,
    ),
    "crema chords 2": (
        CREMA, _pair("bidirectional_2/bidirectional_2", "gru_2"), "gru", HARD, activations,
    ),
    "chars2vec 300, 1": (CHARS, ("lstm_1/lstm_1",), "lstm", HARD, words),
    "chars2vec 300, 2": (CHARS, ("lstm_2/lstm_2",), "lstm", HARD, activations),
    "mhcnuggets HLA-A02:01": (
        ("mhcnuggets", "mhcnuggets/saves/production/HLA-A02:01_BA.h5"),
        ("lstm_1/lstm_1",), "lstm", HARD, peptides,
    ),
    "mhcnuggets HLA-DRB101:01": (
        ("mhcnuggets", "mhcnuggets/saves/production/HLA-DRB101:01_BA.h5"),
        ("lstm_1/lstm_1",), "lstm", HARD, peptides,
    ),
    "rnnmorph Russian 1": (
        RNNMORPH, ("LSTM_1_forward/LSTM_1_forward", "LSTM_1_backward/LSTM_1_backward"), "lstm",
        HARD, activations,
    ),
    "rnnmorph Russian 2": (
        RNNMORPH, _pair("bidirectional_1/bidirectional_1", "LSTM_0"), "lstm", HARD, activations,
    ),
    "rnnmorph English 1": (
        RNNMORPH_EN, ("LSTM_1_forward/LSTM_1_forward", "LSTM_1_backward/LSTM_1_backward"), "lstm",
        HARD, activations,
    ),
    "dgaintel": (
        ("dgaintel", "dgaintel/domain_classifier_model.h5"), ("lstm_4/lstm_4",), "lstm", "sigmoid",
        activations,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_layers(agree: Any, keras: Any, name: str) -> None:
    file, names, cell, activation, make = MODELS[name]
    arrays = arrays_of(*file, *names)
    layer = ours(cell, arrays, activation)
    x = make(layer.input_size)

    check_layer(agree, layer, x, theirs(keras, cell, arrays, x, activation))
    check_stream(layer, x)


# Whole models, converted in place


def _compare_whole(agree: Any, model: Any, x: Any, longest: int) -> None:
    bridge = pytest.importorskip("simdrnn.keras")
    weights = model.get_weights()

    def respond(rng: np.random.Generator | None) -> list[Any]:
        model.set_weights([changed(one, rng) for one in weights])
        found = model.predict(np.where(x == -1, x, changed(x, rng)), verbose=0)  # -1 is masked
        model.set_weights(weights)
        return [np.asarray(found)]

    (bound,) = whole_roundings(respond, longest)
    (peer,) = respond(None)
    bridge.convert(model)
    (found,) = respond(None)
    agree("prediction", found, peer, bound)
    bridge.revert(model)
    assert np.array_equal(respond(None)[0], peer)


def test_sleepecg(agree: Any, keras: Any, tmp_path: Path) -> None:
    """A file of Keras 3, with a mask: a night of 30 s pieces, of which the last are missing."""
    name = "sleepecg/classifiers/wrn-gru-mesa.zip"
    with zipfile.ZipFile(model_file("sleepecg", name)) as packed:
        file = Path(packed.extract("classifier.keras", tmp_path))
    model = keras.saving.load_model(file, compile=False)
    x = np.random.default_rng(6).standard_normal((2, 60, 36)).astype("float32")
    x[1, 45:] = -1

    _compare_whole(agree, model, x, 64)


def test_dgaintel(agree: Any, keras: Any, tmp_path: Path) -> None:
    """A file of TensorFlow 1's Keras, without an argument that Keras 3's LSTM has no more."""
    h5py = pytest.importorskip("h5py", reason="needs h5py, which keras brings")
    data = model_file("dgaintel", "dgaintel/domain_classifier_model.h5").read_bytes()
    (tmp_path / "model.h5").write_bytes(data)
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        configuration = json.loads(file.attrs["model_config"])
        for one in configuration["config"]["layers"]:
            one["config"].pop("time_major", None)
        file.attrs["model_config"] = json.dumps(configuration)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other arguments of that time
        model = keras.models.load_model(tmp_path / "model.h5", compile=False)
    letters = " " + "abcdefghijklmnopqrstuvwxyz0123456789-."
    domains = ("wikipedia.org", "xjqkzvwbhplm.com")
    ids = np.zeros((2, 82), "int32")
    for row, domain in zip(ids, domains, strict=True):
        row[: len(domain)] = [letters.index(one) % 39 for one in domain]

    _compare_whole(agree, model, ids, 3 * 128)


# textgenrnn: weights of CuDNNLSTM


def _from_cudnn(kernel: Any, recurrent: Any, bias: Any) -> list[Any]:
    """Return an LSTM's arrays for those of CuDNNLSTM, as Keras converts them.

    Of each gate cuDNN wants the matrix transposed and in rows, and there are two biases.
    """
    turned = [one.T.reshape(one.shape, order="F") for one in np.split(kernel, 4, 1)]
    rows = [one.T for one in np.split(recurrent, 4, 1)]
    return [np.hstack(turned), np.hstack(rows), np.add(*np.split(bias, 2))]


def test_textgenrnn(agree: Any, keras: Any) -> None:
    """Both layers, then the whole: English is likelier than its letters in another order."""
    h5py = pytest.importorskip("h5py", reason="needs h5py, which keras brings")
    with h5py.File(model_file(*TEXTGENRNN)) as groups:
        names = ("embedding/embedding/embeddings", "attention/attention/attention_W",
                 "output/output/kernel", "output/output/bias")  # fmt: skip
        embedding, attention, kernel, bias = (np.asarray(groups[f"{one}:0"]) for one in names)
    ids = json.loads(model_file("textgenrnn", "textgenrnn/textgenrnn_vocab.json").read_text("utf8"))
    layers = []
    for index in (1, 2):
        arrays = _from_cudnn(
            *arrays_of(
                "textgenrnn", "textgenrnn/textgenrnn_weights.hdf5", f"rnn_{index}/rnn_{index}"
            )
        )
        layers.append(ours("lstm", arrays, "sigmoid"))
        x = embedding[[ids[one] for one in "the best part of the"]][:, None]
        x = x if index == 1 else run(layers[0], x)["output"]
        check_layer(
            lambda result, *rest, at=index: agree(f"layer {at} {result}", *rest),
            layers[-1], x, theirs(keras, "lstm", arrays, x, "sigmoid"),
        )  # fmt: skip
        check_stream(layers[-1], x)

    def likelihood(text: str) -> float:
        found = []
        for end in range(8, len(text)):
            given = [0] * (40 - end) + [ids[one] for one in text[max(end - 40, 0) : end]]
            parts = [embedding[given][:, None]]
            for layer in layers:
                parts.append(run(layer, parts[-1])["output"])
            joined = np.concatenate(parts, -1)[:, 0]
            weights = np.exp(joined @ attention - (joined @ attention).max())
            scores = (joined * weights / weights.sum()).sum(0) @ kernel + bias
            found.append(scores[ids[text[end]]] - np.log(np.exp(scores).sum()))
        return float(np.mean(found))

    text = "what is the best way to learn a language"
    assert likelihood(text) > -2.2
    assert likelihood(text[::-1]) < likelihood(text) - 2


# piper's Hebrew model: Keras layers that tf2onnx wrote out as loops


def test_piper_hebrew(agree: Any) -> None:
    """Two bidirectional LSTMs whose directions are added, with a mask; the peer is ONNX Runtime."""
    onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
    pytest.importorskip("onnxruntime", reason="needs the [test] extra: onnxruntime")
    from helpers_models_onnx import values_at

    model = onnx.load(model_file("piper-tts", "piper/hebrew/nakdimon.onnx"))
    ids = np.random.default_rng(8).integers(1, 42, (2, 21)).astype("float32")
    ids[1, 14:] = 0
    loops = [node for node in model.graph.node if node.op_type == "Loop"]
    sums = ("model/bidirectional/add:0", "model/bidirectional_1/add:0")
    first = "model/bidirectional/backward_lstm/PartitionedCall/transpose:0"
    weights = [name for node in loops for name in node.input[7:10]]
    values = values_at(model, {"input_1": ids}, [first, *sums, *weights])
    x = values[first]
    for index, name in enumerate(sums):
        arrays = [values[one] for one in weights[6 * index : 6 * index + 6]]
        layer = ours("lstm", arrays, "sigmoid", merge="sum")
        check_layer(
            lambda result, *rest, at=index: agree(f"layer {at} {result}", *rest),
            layer, x, {"output": values[name]}, mask=(ids != 0).T,
        )  # fmt: skip
        check_stream(layer, x)
        x = values[name]
