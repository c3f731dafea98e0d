"""What PyTorch exports is loaded as the layers it was, and runs on the backend to its numbers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import simdrnn as sr
from helpers import as_tuple, assert_close
from helpers_loops import every
from helpers_onnx_models import joined, run_chain
from helpers_peers import allowed

pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
from simdrnn.onnx import backend, load

pytestmark = pytest.mark.peers

T, B, I, H = 6, 3, 4, 5  # noqa: E741


def torch_module(kind, layers, **options):
    torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")
    torch.manual_seed(0)
    return getattr(torch.nn, kind)(I, H, layers, **options).eval()


EXPORTS = {
    "lstm": ("LSTM", 2, {"bidirectional": True, "batch_first": True}, True),
    "lstm fixed": ("LSTM", 1, {}, False),
    "gru": ("GRU", 2, {"bidirectional": True}, True),
    "gru fixed": ("GRU", 2, {"batch_first": True}, False),
    "rnn": ("RNN", 2, {"nonlinearity": "relu", "bias": False}, True),
}


def export(module, arguments, path, **how):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporters are deprecated, or warn about themselves
        torch.onnx.export(module, arguments, path, verbose=False, **how)


@every("name", EXPORTS)
@every("dynamo", [False, True], ids=["scripted", "exported"])
def test_what_torch_exports_is_loaded(name, dynamo, torch, rng, tmp_path, capfd):
    kind, layers, options, free = EXPORTS[name]
    if dynamo:
        pytest.importorskip("onnxscript", reason="torch's newer exporter needs onnxscript")
        if kind == "RNN":
            pytest.skip("torch writes the steps of an RNN out as products")
        if free:
            pytest.skip("takes torch ten seconds and more; torch_exported is such a graph")
    module = torch_module(kind, layers, **options)
    batch_first = module.batch_first
    x = rng.standard_normal((B, T, I) if batch_first else (T, B, I)).astype("float32")
    given, path = torch.from_numpy(x), tmp_path / "model.onnx"
    if dynamo:
        export(module, (given,), path, dynamo=True)
    else:
        axes = {"x": {0: "first", 1: "second"}} if free else None
        export(module, (given,), path, dynamo=False, input_names=["x"], dynamic_axes=axes)

    loaded = load(path)

    with torch.no_grad():
        output, final = module(given)
    got, got_final = run_chain(loaded, x)
    close = allowed(sr.LSTM(I, H, layers, bidirectional=module.bidirectional), T, B)
    want = tuple(one.numpy() for one in (output, *as_tuple(final)))
    assert_close((got, *joined(got_final)), want, close)
    assert_close(tuple(backend.run_model(path, [x])), want, close)


def test_packed_sequences_that_torch_exports_are_loaded(torch, rng, tmp_path):
    class Packed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch_module("LSTM", 2, bidirectional=True)

        def forward(self, x, lengths):
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths)
            output, final = self.layer(packed)
            return torch.nn.utils.rnn.pad_packed_sequence(output)[0], final

    module, path = Packed().eval(), tmp_path / "model.onnx"
    x, lengths = rng.standard_normal((T, B, I)).astype("float32"), np.array([T, 4, 1])
    given = torch.from_numpy(x), torch.from_numpy(lengths)
    axes = {"x": {0: "t", 1: "b"}, "lengths": {0: "b"}}
    export(module, given, path, dynamo=False, input_names=["x", "lengths"], dynamic_axes=axes)

    loaded = load(path)

    with torch.no_grad():
        output, final = module(*given)
    got, got_final = run_chain(loaded, x, lengths=lengths)
    want = tuple(one.numpy() for one in (output, *final))
    close = allowed(sr.LSTM(I, H, 2, bidirectional=True), T, B)
    assert_close((got, *joined(got_final)), want, close)


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_unbatched_input_is_loaded(cell, torch, rng, tmp_path):
    module, path = torch_module(cell, 1), tmp_path / "model.onnx"
    x = rng.standard_normal((T, I)).astype("float32")
    export(module, (torch.from_numpy(x),), path, dynamo=False)

    layer = load(path)

    with torch.no_grad():
        output, final = module(torch.from_numpy(x))
    got, got_final = layer(x)
    want = tuple(one.numpy() for one in (output, *as_tuple(final)))
    assert_close((got, *as_tuple(got_final)), want, allowed(layer, T, 1))
