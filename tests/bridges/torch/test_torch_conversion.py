"""`simdrnn.torch.convert` and `revert`: what they change and what not, and what a module keeps."""

from __future__ import annotations

import copy
import io
import logging
import pickle
import subprocess
import sys
import warnings

import pytest

from helpers_loops import every

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")

from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

import simdrnn.torch  # noqa: E402
from simdrnn.torch import Conversion, convert, revert  # noqa: E402

X = torch.ones(4, 2, 3)
CLASSES = ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell")


class Tagger(nn.Module):
    """A model with recurrent modules in several places."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(3, 5, 2, dropout=0.1, bidirectional=True)
        self.layers = nn.ModuleList([nn.GRU(10, 4), nn.RNN(4, 4)])
        self.again = self.layers[0]
        self.cell = nn.LSTMCell(4, 4)
        self.out = nn.Linear(4, 2)
        self.aside = [self.encoder]

    def forward(self, x):
        """Return outputs for every step."""
        u, _ = self.encoder(x)
        for layer in self.layers:
            u, _ = layer(u)
        h, _ = self.cell(u[-1])
        return self.out(u + h)


def reports_of(function, model):
    """Return the model and what was reported."""
    reports = []
    assert function(model, report=reports.append) is model
    assert len(reports) == 1
    return reports[0]


def test_children_are_changed_in_place_and_back():
    model = Tagger().eval()
    modules, parameters, want = dict(model.named_modules()), list(model.parameters()), model(X)

    report = reports_of(convert, model)

    assert dict(model.named_modules()) == modules
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    changed = {"encoder": "LSTM", "layers.0": "GRU", "layers.1": "RNN", "cell": "LSTMCell"}
    assert {name: type(model.get_submodule(name)) for name in changed} == {
        name: getattr(simdrnn.torch, kind) for name, kind in changed.items()
    }
    assert list(report.changed) == list(changed)
    assert report.kept == {}
    assert report.changed["cell"] == "simdrnn.torch.LSTMCell(4, 4)"
    assert model.again is model.layers[0]
    assert model.aside[0] is model.encoder
    torch.testing.assert_close(model(X), want, rtol=0, atol=1e-5)

    back = reports_of(revert, model)

    assert list(back.changed) == list(changed)
    assert back.changed["layers.1"] == "torch.nn.RNN(4, 4)"
    assert all(type(model.get_submodule(n)) is getattr(nn, k) for n, k in changed.items())
    assert torch.equal(model(X), want)


@every("name", CLASSES)
def test_a_model_that_is_one_recurrent_module(name):
    module = getattr(nn, name)(3, 5)
    want = repr(module)

    report = reports_of(convert, module)

    assert type(module) is getattr(simdrnn.torch, name)
    assert repr(module) == want
    assert str(report) == f"(the model): now simdrnn.torch.{want}"
    assert type(revert(module)) is getattr(nn, name)


def test_what_is_kept_and_why():
    class Mine(nn.LSTM):
        pass

    normed = nn.GRU(3, 4)
    torch.nn.utils.parametrizations.weight_norm(normed, "weight_ih_l0")
    old = nn.LSTM(3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.nn.utils.weight_norm(old, "weight_hh_l0")
    pruned = nn.RNNCell(3, 4)
    prune.l1_unstructured(pruned, "weight_hh", 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        quantised = torch.ao.nn.quantized.dynamic.LSTM(3, 4)
        scripted = torch.jit.script(nn.GRUCell(3, 4))
    kept = {
        "mine": Mine(3, 4), "normed": normed, "old": old, "pruned": pruned,
        "quantised": quantised, "scripted": scripted, "ours": simdrnn.torch.GRU(3, 4),
    }  # fmt: skip
    model = nn.ModuleDict(kept)
    classes = {name: type(module) for name, module in kept.items()}

    report = reports_of(convert, model)

    assert {name: type(module) for name, module in model.items()} == classes
    assert report.changed == {}
    assert report.kept == {
        "mine": "Mine is a subclass of torch.nn.LSTM",
        "normed": "weight_ih_l0 parametrised: weights that are computed",
        "old": "weight_hh_l0 computed from other parameters",
        "pruned": "weight_hh computed from other parameters",
        "quantised": "torch.ao.nn.quantized.dynamic.modules.rnn.LSTM"
        " is quantised, or to be quantised",
        "scripted": "it is scripted",
        "ours": "it is one of simdrnn.torch already",
    }
    assert str(report).splitlines()[0] == "mine: kept, Mine is a subclass of torch.nn.LSTM"


def test_subclasses_of_ours_stay():
    class Mine(simdrnn.torch.GRU):
        pass

    report = reports_of(revert, nn.ModuleList([Mine(3, 4)]))

    assert report.kept == {"0": "Mine is a subclass of simdrnn.torch's"}
    assert str(Conversion()) == "no recurrent modules"


def test_without_a_reader_the_report_is_logged(caplog):
    with caplog.at_level(logging.INFO, logger="simdrnn"):
        convert(nn.Sequential(nn.GRU(3, 4)))

    assert caplog.messages == ["0: now simdrnn.torch.GRU(3, 4)"]


@pytest.mark.parametrize("function", [convert, revert])
def test_what_is_no_module_is_refused(function):
    with pytest.raises(TypeError, match=r"^model: expected a torch\.nn\.Module, got list$"):
        function([nn.LSTM(3, 4)])


def test_hooks_and_flags_stay():
    layer, seen = nn.LSTM(3, 5).eval(), []
    layer.register_forward_hook(lambda *_: seen.append("forward"))
    layer.register_forward_pre_hook(lambda *_: seen.append("before"))
    layer.register_full_backward_hook(lambda *_: seen.append("backward"))
    layer.weight_hh_l0.requires_grad_(False)
    layer.note = "mine"

    convert(layer)
    layer(X.clone().requires_grad_())[0].sum().backward()

    assert seen == ["before", "forward", "backward"]
    assert not layer.training
    assert layer.note == "mine"
    assert layer.weight_hh_l0.grad is None
    assert layer.weight_ih_l0.grad is not None


def same_results(one, other):
    first, second = one(X[:, 0] if "Cell" in type(one).__name__ else X), None
    second = other(X[:, 0] if "Cell" in type(other).__name__ else X)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def saved(module):
    """Save a whole module and load it again."""
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@every("name", CLASSES)
@every(
    "copied",
    [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), saved],
    ids=["deepcopy", "pickle", "save"],
)
def test_copies(name, copied):
    module = getattr(simdrnn.torch, name)(3, 5)
    x = X[:, 0] if "Cell" in name else X
    module(x)  # packs the weights

    other = copied(module)

    assert type(other) is type(module)
    same_results(module, other)
    with torch.no_grad():
        next(other.parameters()).zero_()
    result, want = other(x), module(x)
    assert not torch.equal(*(r[0] if isinstance(r, tuple) else r for r in (result, want)))


@every("name", CLASSES)
def test_state_dicts_go_both_ways(name):
    ours, theirs = getattr(simdrnn.torch, name)(3, 5), getattr(nn, name)(3, 5)
    file = io.BytesIO()
    torch.save(theirs.state_dict(), file)
    file.seek(0)

    ours.load_state_dict(torch.load(file, weights_only=True))

    assert all(
        torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)
    )
    theirs.load_state_dict(ours.state_dict())
    assert set(ours.state_dict()) == set(theirs.state_dict())


def test_clipped_gradients_and_moved_modules():
    model = convert(nn.Sequential(nn.LSTM(3, 5)))
    x = X.double()
    model.double()

    model(x)[0].sum().backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 0.01)

    assert model(x)[0].dtype == torch.float64
    total = sum(p.grad.square().sum() for p in model.parameters()) ** 0.5
    assert norm > 0.01 >= total
    assert model.to("meta")(torch.empty(4, 2, 3, device="meta", dtype=torch.float64))[0].is_meta


def test_without_pytorch_the_import_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import simdrnn\n"
        "try:\n    import simdrnn.torch\n"
        "except ImportError as error:\n    print(error)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "simdrnn.torch needs PyTorch: pip install torch"


def test_importing_simdrnn_does_not_import_pytorch():
    code = "import sys, simdrnn; print('torch' in sys.modules)"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "False"
