"""Models as people export them from PyTorch give PyTorch's and ONNX Runtime's numbers."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from helpers import assert_close
from helpers_loops import every
from helpers_onnx import peers
from helpers_onnx_models import run_onnx

pytest.importorskip("onnx", reason="needs the [test] extra: onnx")

from simdrnn.onnx import Session, backend

pytestmark = pytest.mark.peers

CLOSE = 1e-5  # of numbers of about 1, behind sums of a few hundred products and twelve steps


@pytest.fixture(autouse=True)
def _peers():
    peers()


def reader(nn):
    """Return a reader of lines of text: convolutions, pools and norms, two LSTM layers, scores."""

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.look = nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(8, 12, (3, 2), groups=4), nn.BatchNorm2d(12), nn.LeakyReLU(0.1),
                nn.MaxPool2d((6, 1)),
            )  # fmt: skip
            self.read = nn.LSTM(12, 10, 2, bidirectional=True)
            self.score = nn.Linear(20, 7)

        def forward(self, image):
            seen = self.look(image).squeeze(2).permute(2, 0, 1)
            return self.score(self.read(seen)[0]).log_softmax(2)

    return Reader(), [("image", (2, 1, 16, 26), {0: "batch", 3: "width"})], ["scores"]


def tagger(nn):
    """Return embeddings, a GRU of two directions, layer norm, and its best scores."""

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(30, 8)
            self.read = nn.GRU(8, 9, bidirectional=True, batch_first=True)
            self.normal, self.score = nn.LayerNorm(18), nn.Linear(18, 11)

        def forward(self, words):
            scores = self.score(self.normal(self.read(self.embed(words))[0]))
            return scores.softmax(1), scores.topk(3, dim=2)[0]

    return Tagger(), [("words", (3, 12), {0: "batch", 1: "time"})], ["soft", "best"]


def detector(nn):
    """Return what hears speech step by step: strided convolutions, states that go in and out."""

    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.hear = nn.Sequential(nn.Conv1d(1, 6, 16, stride=8), nn.ReLU())
            self.read, self.up = nn.LSTM(6, 8), nn.ConvTranspose1d(8, 2, 4, stride=2, groups=2)

        def forward(self, wave, h, c):
            made, (h, c) = self.read(self.hear(wave).permute(2, 0, 1), (h, c))
            return self.up(made.permute(1, 2, 0)).sigmoid(), h, c

    shapes = [("wave", (2, 1, 64), {0: "batch", 2: "time"})]
    shapes += [(name, (1, 2, 8), {1: "batch"}) for name in "hc"]
    return Detector(), shapes, ["voice", "h_n", "c_n"]


MODELS = {"reader": reader, "tagger": tagger, "detector": detector}


def draw(shape, rng):
    if len(shape) == 2:
        return rng.integers(0, 30, shape)
    return rng.standard_normal(shape).astype("float32")


@every("name", MODELS)
@every("opset", [9, 12, 13, 17])
def test_exported_models_run(name, opset, torch, rng, tmp_path, monkeypatch, capfd):
    torch.manual_seed(0)
    module, described, outputs = MODELS[name](torch.nn)
    for one in module.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            one.running_mean.uniform_(-0.5, 0.5)
            one.running_var.uniform_(0.5, 2)
    path, arrays = tmp_path / "model.onnx", [draw(shape, rng) for _, shape, _ in described]
    axes = {one: free for one, _, free in described}
    module, given = module.eval(), tuple(map(torch.from_numpy, arrays))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is deprecated, or warns about itself
        torch.onnx.export(
            module, given, path, dynamo=False, opset_version=opset, input_names=[*axes],
            output_names=outputs, dynamic_axes=axes, verbose=False,
        )  # fmt: skip
    with torch.no_grad():
        want = module(*given)
    want = tuple(one.numpy() for one in (want if isinstance(want, tuple) else (want,)))
    fed = dict(zip(axes, arrays, strict=True))
    assert_close(tuple(run_onnx(path, fed)), want, CLOSE)
    for runtime in (True, False):
        if not runtime:
            monkeypatch.setitem(sys.modules, "onnxruntime", None)
        session = Session(path)
        assert session.other_nodes == ("onnxruntime" if runtime else "onnx")
        assert_close(tuple(session.run(None, fed)), want, CLOSE)
        assert_close(tuple(backend.run_model(path, arrays)), want, CLOSE)


@every("cell", ["LSTM", "GRU"])
@every("runtime", [True, False], ids=["with onnxruntime", "without"])
def test_no_rows_as_in_torch(cell, runtime, torch, tmp_path, monkeypatch, capfd):
    """What joins the directions is exported as [0, 0, -1], which is 0 of anything without rows."""
    path = tmp_path / "model.onnx"
    module = getattr(torch.nn, cell)(4, 5, 2, bidirectional=True, batch_first=True).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(2, 6, 4),), path, dynamo=False, input_names=["x"], verbose=False,
            dynamic_axes={"x": {0: "batch", 1: "time"}},
        )  # fmt: skip
    if not runtime:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    x = np.zeros((0, 6, 4), "float32")
    with torch.no_grad():
        want, states = module(torch.from_numpy(x))

    made = backend.run_model(path, [x])

    states = states if isinstance(states, tuple) else (states,)
    assert [one.shape for one in made] == [tuple(one.shape) for one in (want, *states)]


def test_a_state_is_carried_from_call_to_call(torch, rng, tmp_path, capfd):
    """A detector hears a wave piece by piece as ONNX Runtime does, bit by bit the same pieces."""
    torch.manual_seed(0)
    module, described, outputs = detector(torch.nn)
    path, arrays = tmp_path / "model.onnx", [draw(shape, rng) for _, shape, _ in described]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), tuple(map(torch.from_numpy, arrays)), path, dynamo=False,
            input_names=["wave", "h", "c"], output_names=outputs, verbose=False,
        )  # fmt: skip
    session = Session(path, num_threads=1)
    ours = theirs = [np.zeros((1, 2, 8), "float32")] * 2
    for _ in range(20):
        wave = draw((2, 1, 64), rng)
        voice, *ours = session.run(None, {"wave": wave, "h": ours[0], "c": ours[1]})
        want, *theirs = run_onnx(path, {"wave": wave, "h": theirs[0], "c": theirs[1]})
        assert_close((voice, *ours), (want, *theirs), CLOSE)
