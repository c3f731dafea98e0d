"""Networks that packages trained in PyTorch: as our layers, and inside PyTorch converted.

Each is compared by `simdrnn.parity_report`, whose bound is made of the roundings of a step and of
how this network grows them: outputs, final states, and gradients of inputs, states and weights.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
import tarfile
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers_models import (
    changed,
    check_stream,
    model_file,
    spectrum,
    speech,
    whole_roundings,
)

pytestmark = pytest.mark.models


def _state_dict(torch: Any, package: str, path: str) -> dict[str, Any]:
    return dict(torch.load(model_file(package, path), map_location="cpu", weights_only=True))


def resemblyzer(torch: Any) -> dict[str, Any]:
    return _state_dict(torch, "Resemblyzer", "resemblyzer/pretrained.pt")["model_state"]


def beatnet(torch: Any) -> dict[str, Any]:
    return _state_dict(torch, "BeatNet", "BeatNet/models/model_1_weights.pt")


def medaka(torch: Any, name: str) -> dict[str, Any]:
    with tarfile.open(model_file("medaka", f"medaka/data/{name}_model_pt.tar.gz")) as packed:
        weights = packed.extractfile("model/weights.pt")
        assert weights is not None
        return dict(torch.load(io.BytesIO(weights.read()), map_location="cpu", weights_only=True))


def medaka_small(torch: Any) -> dict[str, Any]:
    return medaka(torch, "r1041_e82_400bps_sup_v5.2.0")


def medaka_large(torch: Any) -> dict[str, Any]:
    return medaka(torch, "r1041_e82_400bps_hac_v6.0.0")


class _Nothing:
    """Stands for a class of a package that is not there: a checkpoint holds more than weights."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] in ("collections", "torch", "numpy", "builtins", "typing"):
            return super().find_class(module, name)
        return _Nothing


def whisperx(torch: Any) -> dict[str, Any]:
    """Return the segmentation network of pyannote, which the package brings."""
    file = model_file("whisperx", "whisperx/assets/pytorch_model.bin")
    lenient = types.SimpleNamespace(Unpickler=_Unpickler, load=pickle.load, __name__="lenient")
    found = torch.load(file, map_location="cpu", weights_only=False, pickle_module=lenient)
    return dict(found["state_dict"])


def _safetensors(package: str, path: str) -> dict[str, Any]:
    numpy = pytest.importorskip("safetensors.numpy", reason="needs the [peers] extra: safetensors")
    return dict(numpy.load_file(model_file(package, path)))


def silero(torch: Any) -> dict[str, Any]:
    found = _safetensors("silero-vad", "silero_vad/data/silero_vad_16k.safetensors")
    return {f"{name}_l0": value for name, value in found.items()}


def e2k(torch: Any) -> dict[str, Any]:
    return _safetensors("e2k", "e2k/models/model-c2k.safetensors")


def e2k_accent(torch: Any) -> dict[str, Any]:
    return _safetensors("e2k", "e2k/models/accent.safetensors")


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a protocol buffer: number, and an integer or the bytes."""

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    place = 0
    while place < len(data):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
            continue
        length = {1: 8, 5: 4}.get(kind) or varint()
        yield number, data[place : place + length]
        place += length


def kraken(torch: Any) -> dict[str, Any]:
    """Return the LSTMs of a CoreML file: gates' matrices apart, in the order i, f, z, o."""
    found: dict[str, Any] = {}
    model = dict(_fields(memoryview(model_file("kraken", "kraken/blla.mlmodel").read_bytes())))
    for _, layer in _fields(model[500]):
        fields = dict(_fields(layer))
        if 430 not in fields:  # biDirectionalLSTM
            continue
        name = bytes(fields[1]).decode().removesuffix("_transposed")
        directions = [value for number, value in _fields(fields[430]) if number == 20]
        hidden = dict(_fields(fields[430]))[2]
        for end, direction in zip(("l0", "l0_reverse"), directions, strict=True):
            parts = {
                number: np.frombuffer(dict(_fields(value))[1], "<f4")
                for number, value in _fields(direction)
            }
            for kind, first, rows in (("ih", 1, 4 * hidden), ("hh", 20, 4 * hidden)):
                whole = np.concatenate([parts[first + k] for k in range(4)])
                found[f"{name}.weight_{kind}_{end}"] = whole.reshape(rows, -1)
            found[f"{name}.bias_hh_{end}"] = np.concatenate([parts[40 + k] for k in range(4)])
            found[f"{name}.bias_ih_{end}"] = np.zeros(4 * hidden, "float32")
    return found


# How the package's module is made: source, prefix of the names, class, I, H, layers, directions.
MODELS: dict[str, tuple[Any, str, str, int, int, int, bool]] = {
    "Resemblyzer voice encoder": (resemblyzer, "lstm.", "LSTM", 40, 256, 3, False),
    "BeatNet beats": (beatnet, "lstm.", "LSTM", 150, 150, 2, False),
    "medaka sup 5.2": (medaka_small, "gru.", "GRU", 10, 128, 2, True),
    "medaka hac 6.0": (medaka_large, "gru.", "GRU", 10, 256, 2, True),
    "whisperx pyannote segmentation": (whisperx, "lstm.", "LSTM", 60, 128, 4, True),
    "silero-vad decoder": (silero, "lstm_cell.", "LSTM", 128, 128, 1, False),
    "e2k encoder": (e2k, "encoder.", "GRU", 256, 256, 1, True),
    "e2k decoder": (e2k, "pre_decoder.", "GRU", 256, 256, 1, False),
    "e2k decoder after attention": (e2k, "post_decoder.", "GRU", 512, 256, 1, False),
    "kraken baselines along x": (kraken, "L_10.", "LSTM", 256, 32, 1, True),
    "kraken baselines along y": (kraken, "L_11.", "LSTM", 64, 32, 1, True),
    "kraken baselines along y again": (kraken, "L_14.", "LSTM", 32, 32, 1, True),
    "kraken baselines along x again": (kraken, "L_15.", "LSTM", 64, 32, 1, True),
    "e2k accent": (e2k_accent, "rnn.", "GRU", 256, 256, 1, True),
}


def _inputs(name: str, size: int) -> Any:
    """Return (T, B, I): what the network sees, or numbers of that scale.

    Resemblyzer's 40 mel bands are powers, mostly far below 1; medaka's 10 counts, of four bases and
    a gap on both strands, are shares of the depth, nearly all of one base; pyannote's features come
    out of a norm over time and a leaky ReLU. The others' inputs are embeddings, and activations of
    layers before.
    """
    rng = np.random.default_rng(5)
    if name.startswith("Resemblyzer"):
        power = np.abs(spectrum(speech(0.7, 16000), 400, 160)) ** 2  # (frames, 201)
        bands = power[:, :200].reshape(-1, 40, 5).mean(2)
        return np.stack([bands, bands[::-1]], 1).astype("float32")
    if name.startswith("medaka"):
        base = np.eye(4)[rng.integers(0, 4, (30, 3))]
        shares = 0.02 + np.concatenate([base, base, np.zeros((30, 3, 2))], -1)
        counts = rng.multinomial(30, shares / shares.sum(-1, keepdims=True))
        return (counts / 30).astype("float32")
    x = rng.standard_normal((30, 3, size))
    if name.startswith("whisperx"):
        x = np.where(x > 0, x, 0.01 * x)
    return x.astype("float32")


def _module(torch: Any, name: str) -> tuple[Any, dict[str, Any]]:
    """Make the module as the package does; return it with its weights."""
    source, prefix, kind, inputs, hidden, layers, both = MODELS[name]
    found: Mapping[str, Any] = source(torch)
    weights = {
        key.removeprefix(prefix): torch.as_tensor(value).float()
        for key, value in found.items()
        if key.startswith(prefix)
    }
    made = getattr(torch.nn, kind)(inputs, hidden, layers, bidirectional=both)
    made.load_state_dict(weights)
    return made.eval(), weights


def _layer(name: str, weights: Mapping[str, Any], dtype: str) -> Any:
    _, _, kind, inputs, hidden, layers, both = MODELS[name]
    made = getattr(sr, kind)(inputs, hidden, layers, bidirectional=both, dtype=dtype)
    made.load_state_dict({key: value.numpy().astype(dtype) for key, value in weights.items()})
    return made


def _note(agree: Any, found: Any, which: str = "") -> None:
    assert found.ok, str(found)
    for one in found.differences.values():
        agree(which + one.name, np.float64(one.relative), np.float64(0.0), one.tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_as_our_layer(torch: Any, agree: Any, name: str) -> None:
    """Float32 as the packages run them, from zero states; gradients in float64, from any."""
    module, weights = _module(torch, name)
    layer, x = _layer(name, weights, "float32"), _inputs(name, MODELS[name][3])

    _note(agree, sr.parity_report(layer, module, x, state=None, gradients=False, show=False))

    check_stream(layer, x)
    wide, exact = _layer(name, weights, "float64"), x.astype("float64")
    _note(agree, sr.parity_report(wide, module.double(), exact, show=False), "float64 ")


@pytest.mark.parametrize("name", MODELS)
def test_converted(torch: Any, agree: Any, name: str) -> None:
    """Converted modules have the bits of our layers, and gradients within the same bounds."""
    bridge = pytest.importorskip("simdrnn.torch")
    module, weights = _module(torch, name)
    layer, x = _layer(name, weights, "float32"), _inputs(name, MODELS[name][3])[:8]
    bounds = sr.parity_report(layer, module, x, state=None, show=False).differences

    found = []
    for step in (lambda _: None, lambda one: bridge.convert(one, report=lambda _: None)):
        step(module)
        given = torch.from_numpy(x).requires_grad_()
        module.zero_grad()
        output, _ = module(given)
        torch.sum(output * torch.linspace(-1, 1, output.numel()).view_as(output)).backward()
        gradients = {n: p.grad.numpy().copy() for n, p in module.named_parameters()}
        found.append((output.detach().numpy(), gradients | {"x": given.grad.numpy()}))

    (_, theirs), (output, ours) = found
    assert np.array_equal(output, layer(x)[0])
    for key, value in theirs.items():
        name = f"gradient of {key}"
        agree(name, ours[key], value, bounds[name].tolerance)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter that traces
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:Exporting a model to ONNX")
@pytest.mark.parametrize("name", ["Resemblyzer voice encoder", "medaka sup 5.2"])
def test_exported(torch: Any, name: str) -> None:
    """A converted module, exported to ONNX by PyTorch and loaded again: the bits it had."""
    bridge = pytest.importorskip("simdrnn.torch")
    loading = pytest.importorskip("simdrnn.onnx")
    module, _ = _module(torch, name)
    x, file = torch.from_numpy(_inputs(name, MODELS[name][3])), io.BytesIO()
    bridge.convert(module, report=lambda _: None)
    with torch.no_grad():
        wanted = module(x)[0].numpy()

    torch.onnx.export(module, (x,), file, dynamo=False)

    output = x.numpy()
    for layer in loading.load(file.getvalue()):
        output = layer(output)[0]
    assert np.array_equal(output, wanted)


# Models as the packages write them


def test_silero_cell(torch: Any, agree: Any) -> None:
    """The package's decoder is a cell in a loop: the layer's bits, in PyTorch and out of it."""
    bridge = pytest.importorskip("simdrnn.torch")
    module, weights = _module(torch, "silero-vad decoder")
    layer, x = _layer("silero-vad decoder", weights, "float32"), _inputs("silero-vad", 128)
    whole, (h, c) = layer(x)
    cell = sr.LSTMCell(128, 128)
    cell.load_state_dict({key.removesuffix("_l0"): v.numpy() for key, v in weights.items()})
    theirs = torch.nn.LSTMCell(128, 128)
    theirs.load_state_dict({key.removesuffix("_l0"): v for key, v in weights.items()})
    bounds = sr.parity_report(layer, module, x, state=None, gradients=False, show=False)

    converted = bridge.convert(torch.nn.Sequential(theirs), report=lambda _: None)[0]
    with torch.no_grad():
        state, peer, inside = None, None, None
        for one, wanted in zip(x, whole, strict=True):
            state = cell(one, state)
            inside = converted(torch.from_numpy(one), inside)
            assert np.array_equal(state[0], wanted)
            assert np.array_equal(inside[0].numpy(), wanted)
        bridge.revert(converted)
        for one in x:
            peer = theirs(torch.from_numpy(one), peer)
    assert np.array_equal(state[0], h[0])
    assert np.array_equal(state[1], c[0])
    for k, n in enumerate("hc"):
        bound = bounds.differences[f"state {n}"].tolerance
        agree(f"state {n}", state[k], peer[k].numpy(), bound)


def test_beatnet_whole(torch: Any, agree: Any) -> None:
    """The package's own class, which keeps its states in itself, fed in two pieces."""
    bridge = pytest.importorskip("simdrnn.torch")
    place = importlib.util.spec_from_file_location(
        "beatnet_model", model_file("BeatNet", "BeatNet/model.py")
    )
    assert place is not None
    assert place.loader is not None
    code = importlib.util.module_from_spec(place)
    place.loader.exec_module(code)
    weights = beatnet(torch)
    power = np.abs(spectrum(speech(1.0, 22050), 1411, 441))[:, :136]
    bands = np.log10(1 + power)
    x = np.concatenate([bands, np.diff(bands, axis=0, prepend=0)], -1)[None].astype("float32")

    def run(converted: bool, rng: np.random.Generator | None) -> list[Any]:
        model = code.BDA(272, 150, 2, "cpu")
        model.load_state_dict(
            {key: torch.from_numpy(changed(v.numpy(), rng)) for key, v in weights.items()}
        )
        model.eval()
        if converted:
            bridge.convert(model, report=lambda _: None)
        given = torch.from_numpy(changed(x, rng))
        with torch.no_grad():
            pieces = [model(given[:, :20]), model(given[:, 20:])]
        return [torch.cat(pieces, -1).numpy(), model.cell.numpy()]

    bounds = whole_roundings(lambda rng: run(False, rng), 300)
    for name, bound, ours, theirs in zip(
        ("activations", "cell"), bounds, run(True, None), run(False, None), strict=True
    ):
        agree(name, ours, theirs, bound)
