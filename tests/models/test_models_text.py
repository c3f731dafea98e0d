"""Networks that read and spell, in their packages' own code: NumPy and Cython.

The peer is that code, called as the package calls it, but for two: g2p-en asks for corpora that
must be downloaded, and jieba for PaddlePaddle. For these the formula stands here, in the package's
layout, and a word or a sentence whose answer is known shows that it is theirs.
"""

from __future__ import annotations

import functools
import pickle
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers_models import (
    Block,
    check_layer,
    check_stream,
    imported,
    loaded,
    model_file,
    negated,
    run,
    sigmoid,
)

pytestmark = pytest.mark.models

# nagisa: DyNet's arrays, run by a Cython kernel


@functools.cache
def nagisa() -> Any:
    return imported("nagisa", "nagisa", "nagisa/data/nagisa_v001.model")


@pytest.mark.parametrize("part", ["ws_model", "pos_model", "char_seq_model"])
def test_nagisa(agree: Any, part: str) -> None:
    (pair,) = getattr(nagisa().tagger._model, part).layers

    def blocks(way: Any) -> dict[str, Block]:
        cut = [np.split(array, 4, -1) for array in (way.WxT, way.WhT, way.b)]
        return dict(zip("ifog", zip(*cut, strict=True), strict=True))

    hidden, size = pair[0].h_dim, pair[0].WxT.shape[0]
    layer = loaded(sr.LSTM(size, hidden, bidirectional=True), "ifgo", *map(blocks, pair))
    x = 0.3 * np.random.default_rng(1).standard_normal((25, size)).astype("float32")

    output = getattr(nagisa().tagger._model, part).transduce(x)

    check_layer(agree, layer, x[:, None], {"output": output[:, None]})
    check_stream(layer, x[:, None])


# g2pM and e2k: NumPy; their answers with our layers in the place of their loops


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # it leaves files open
def test_g2pm(agree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polyphonic characters: its loop over steps, and its answers with our layer for it."""
    module = imported("g2pM", "g2pM.g2pM", "g2pM/np_ckpt.pkl")
    reader = module.G2pM()
    with model_file("g2pM", "g2pM/np_ckpt.pkl").open("rb") as file:
        weights = pickle.load(file)
    layer = sr.LSTM(64, 32, bidirectional=True)
    layer.load_state_dict(
        {name[5:]: value for name, value in weights.items() if name.startswith("lstm.")}
    )
    sentence = "然而他红了20年以后他竟退出了大家的视线。"
    ids = np.array([[reader.char2idx.get(one, 1) for one in sentence]])
    x = reader.get_embedding(ids)[0]
    wanted: list[Any] = []
    for cell, way in ((reader.fw_lstm_cell, x), (reader.bw_lstm_cell, x[::-1])):
        states: list[Any] = [None]
        for one in way:
            states.append(cell(one[None], states[-1]))
        wanted.append(states[1:])
    forward, backward = wanted
    output = [
        np.concatenate([f[0], b[0]], -1) for f, b in zip(forward, backward[::-1], strict=True)
    ]
    finals = [np.stack([forward[-1][n], backward[-1][n]]) for n in (0, 1)]

    theirs = {"output": np.stack(output), "state h": finals[0], "state c": finals[1]}
    check_layer(agree, layer, x[:, None], theirs)
    check_stream(layer, x[:, None])

    answer = reader(sentence)

    def both(inputs: Any, target: Any) -> Any:
        ours, _ = layer(np.ascontiguousarray(reader.get_embedding(inputs).swapaxes(0, 1)))
        return np.argmax(reader.fc_layer(ours[target, 0]), 1)

    monkeypatch.setattr(reader, "predict", both)
    assert reader(sentence) == answer


def test_e2k(monkeypatch: pytest.MonkeyPatch) -> None:
    """English words in katakana: the same letters, all three GRUs ours, step by step."""
    module = imported("e2k", "e2k.inference", "e2k/models/model-c2k.safetensors")
    reader = module.C2K()
    words = ("geogaddi", "recurrent", "network", "sparrow", "vectorise")
    theirs = [reader(word) for word in words]

    def forward(self: Any, x: Any, h: Any = None) -> Any:
        ih, hh = self.cell.ih, self.cell.hh
        layer = sr.GRU(ih.weight.shape[1], hh.weight.shape[1], reverse=self.reverse)
        layer.load_state_dict({
            "weight_ih_l0": ih.weight, "weight_hh_l0": hh.weight, "bias_ih_l0": ih.bias,
            "bias_hh_l0": hh.bias,
        })  # fmt: skip
        output, state = layer(x[:, None], None if h is None else h[None, None])
        return output[:, 0], state[0, 0]

    monkeypatch.setattr(module.GRU, "forward", forward)
    assert [reader(word) for word in words] == theirs
    assert theirs[1]


# g2p-en: the formula in PyTorch's layout, float32 as there


def _gru_step(x: Any, h: Any, weights: Mapping[str, Any], part: str) -> Any:
    """One step as g2p-en's code has it."""
    from_x = x @ weights[f"{part}_w_ih"].T + weights[f"{part}_b_ih"]
    from_h = h @ weights[f"{part}_w_hh"].T + weights[f"{part}_b_hh"]
    (r, z, n), (r_h, z_h, n_h) = np.split(from_x, 3, -1), np.split(from_h, 3, -1)
    z = sigmoid(z + z_h)
    return (1 - z) * np.tanh(n + sigmoid(r + r_h) * n_h) + z * h


def test_g2p_en(agree: Any) -> None:
    """The encoder over letters; then the decoder's loop over phonemes, until it says the word."""
    weights = dict(np.load(model_file("g2p-en", "g2p_en/checkpoint20.npz")))
    encoder, decoder = (sr.GRU(256, 256), sr.GRU(256, 256))
    for layer, part in ((encoder, "enc"), (decoder, "dec")):
        layer.load_state_dict({
            f"{kind}_{side}_l0": weights[f"{part}_{kind[0]}_{side}"]
            for kind in ("weight", "bias") for side in ("ih", "hh")
        })  # fmt: skip
    letters = ["<pad>", "<unk>", "</s>", *map(chr, range(ord("a"), ord("z") + 1))]
    x = weights["enc_emb"][[letters.index(one) for one in "activation"] + [2]][:, None]
    h, output = np.zeros((1, 256), "float32"), []
    for one in x:
        h = _gru_step(one, h, weights, "enc")
        output.append(h)

    check_layer(agree, encoder, x, {"output": np.stack(output), "state h": h[None]})
    check_stream(encoder, x)

    spoken, said, steps, output, start = 2, [], [], [], run(encoder, x)["state h"]
    state = start
    while spoken != 3 and len(said) < 20:
        steps.append(weights["dec_emb"][[spoken]])
        h = _gru_step(steps[-1], h, weights, "dec")
        output.append(h)
        ours, state = decoder(steps[-1][None], state)
        spoken = int((ours[0] @ weights["fc_w"].T + weights["fc_b"]).argmax())
        said.append(spoken)
    check_layer(
        lambda result, *rest: agree(f"decoder {result}", *rest),
        decoder, np.stack(steps), {"output": np.stack(output)}, (start,),
    )  # fmt: skip
    source = model_file("g2p-en", "g2p_en/g2p.py").read_text("utf8")
    sounds = re.findall(r"'([A-Z]+[0-2]?)'", source[source.index("'AA0'") :])
    assert " ".join(sounds[one - 4] for one in said[:-1]) == "AE2 K T IH0 V EY1 SH AH0 N"


# jieba: PaddlePaddle's files and formula


def _paddle(name: str, *shape: int) -> Any:
    """Read a tensor of PaddlePaddle: two versions, levels, a description, the numbers."""
    data = model_file("jieba", f"jieba/lac_small/model_baseline/{name}").read_bytes()
    (described,) = struct.unpack_from("<i", data, 16)
    return np.frombuffer(data, "<f4", offset=20 + described).reshape(shape).copy()


def _paddle_gru(index: int, size: int) -> dict[str, Any]:
    """Return a direction's arrays: gates u, r, c of the input, u and r together, c apart."""
    flat = _paddle(f"gru_{index}.w_0", -1)
    hidden = 128
    return {
        "input": _paddle(f"fc_{index}.w_0", size, 3 * hidden),
        "bias": _paddle(f"fc_{index}.b_0", -1) + _paddle(f"gru_{index}.b_0", -1),
        "gates": flat[: 2 * hidden * hidden].reshape(hidden, 2 * hidden),
        "candidate": flat[2 * hidden * hidden :].reshape(hidden, hidden),
    }


def _paddle_run(x: Any, arrays: Mapping[str, Any]) -> Any:
    """One direction as `dynamic_gru` computes it: h' = (1 - u) h + u c, c = tanh(x + (r h) R)."""
    h, output = np.zeros(128, "float32"), []
    for one in x @ arrays["input"] + arrays["bias"]:
        u, r = np.split(sigmoid(one[:256] + h @ arrays["gates"]), 2)
        h = (1 - u) * h + u * np.tanh(one[256:] + (r * h) @ arrays["candidate"])
        output.append(h)
    return np.stack(output)


def _paddle_layer(size: int, *directions: Mapping[str, Any]) -> Any:
    def blocks(arrays: Mapping[str, Any]) -> dict[str, Block]:
        W, b = np.split(arrays["input"], 3, 1), np.split(arrays["bias"], 3)
        R = [*np.split(arrays["gates"], 2, 1), arrays["candidate"]]
        u, r, c = zip(W, R, b, strict=True)
        return {"z": negated(u), "r": r, "n": c}

    layer = sr.GRU(size, 128, bidirectional=True, reset_after=False)
    return loaded(layer, "rzn", *map(blocks, directions))


def _viterbi(scores: Any, weights: Any) -> list[int]:
    """Return the best labels: first row of the weights for the start, second for the end."""
    best, back = weights[0] + scores[0], []
    for one in scores[1:]:
        paths = best[:, None] + weights[2:]
        back.append(paths.argmax(0))
        best = paths.max(0) + one
    path = [int((best + weights[1]).argmax())]
    for one in reversed(back):
        path.append(int(one[path[-1]]))
    return path[::-1]


def _entries(name: str) -> Iterator[tuple[str, str]]:
    text = model_file("jieba", f"jieba/lac_small/{name}.dic").read_text("utf8")
    for line in filter(None, text.split("\n")):
        number, entry = line.split("\t")
        yield number, entry


def test_jieba(agree: Any) -> None:
    """Two bidirectional GRUs of Baidu's lexical analysis, and the words of a sentence by them."""
    sentence = "我爱北京天安门"
    ids = {word: int(number) for number, word in _entries("word")}
    x = _paddle("word_emb", -1, 128)[[ids[one] for one in sentence]]
    for index, size in ((0, 128), (2, 256)):
        ways = _paddle_gru(index, size), _paddle_gru(index + 1, size)
        layer = _paddle_layer(size, *ways)
        theirs = [_paddle_run(x, ways[0]), _paddle_run(x[::-1], ways[1])[::-1]]
        output = np.concatenate(theirs, -1)
        check_layer(
            lambda result, *rest, at=index // 2: agree(f"layer {at} {result}", *rest),
            layer, x[:, None], {"output": output[:, None]},
        )  # fmt: skip
        check_stream(layer, x[:, None])
        x = run(layer, x[:, None])["output"][:, 0]
    scores = x @ _paddle("fc_4.w_0", 256, 57) + _paddle("fc_4.b_0", 57)
    labels = dict(_entries("tag"))
    found = [labels[str(one)] for one in _viterbi(scores, _paddle("crfw", 59, 57))]
    assert found == ["r-B", "v-B", "LOC-B", "LOC-I", "LOC-B", "LOC-I", "LOC-I"]
