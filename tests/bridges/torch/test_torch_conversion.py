"""`simdrnn.torch.convert` and `revert`: what they change and what not, and what a module keeps."""

from __future__ import annotations

import abc
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
from simdrnn.torch.plain import plain_class  # noqa: E402

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

    with pytest.warns(UserWarning, match="changed nothing: mine: kept, Mine is a subclass"):
        report = reports_of(convert, model)

    assert {name: type(module) for name, module in model.items()} == classes
    assert report.changed == {}
    assert report.kept == {
        "mine": "Mine is a subclass of torch.nn.LSTM: subclasses=True changes it, too",
        "normed": "weight_ih_l0 parametrised: weights that are computed",
        "old": "weight_hh_l0 computed from other parameters",
        "pruned": "weight_hh computed from other parameters",
        "quantised": "torch.ao.nn.quantized.dynamic.modules.rnn.LSTM"
        " is quantised, or to be quantised",
        "scripted": "it is scripted",
        "ours": "it is one of simdrnn.torch already",
    }
    first = "mine: kept, Mine is a subclass of torch.nn.LSTM: subclasses=True changes it, too"
    assert str(report).splitlines()[0] == first


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


def test_weights_alone_are_refused_with_what_to_do():
    with pytest.raises(
        TypeError, match=r"got OrderedDict: pass the model .*dialects\.convert, which"
    ):
        convert(nn.LSTM(3, 4).state_dict())


def test_a_convert_that_changed_nothing_warns():
    with pytest.warns(UserWarning, match=r"^simdrnn\.torch\.convert changed nothing: no recurrent"):
        convert(nn.Linear(3, 4))
    converted = convert(nn.Sequential(nn.GRU(3, 4)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(converted)  # all that there is runs on the engine: nothing to say


# Subclasses


class Plain(nn.LSTM):
    """One that only adds a method."""

    def extra(self):
        """Return something of its own."""
        return 7

    def extra_repr(self):
        """Show itself in a way of its own."""
        return super().extra_repr() + ", mine"


class Before(abc.ABC, nn.RNNBase):
    """A base with a forward of its own, above whatever layer follows."""

    @abc.abstractmethod
    def extra(self):
        """Return something of its own."""

    def forward(self, x, hx=None, lengths=None):
        """Run the layer on packed sequences where lengths are given."""
        if lengths is None:
            return super().forward(x, hx)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, state = super().forward(packed, hx)
        return nn.utils.rnn.pad_packed_sequence(output)[0], state


class Mixed(Before, nn.GRU):
    """A layer below such a base."""

    def extra(self):
        """Return something of its own."""
        return 8


class Step(nn.LSTMCell):
    """A cell whose forward names its class."""

    def forward(self, input, hx=None):
        """Take a step of the input doubled."""
        return super(Step, self).forward(2 * input, hx)  # noqa: UP008


SUBCLASSES = {"plain": (Plain, X, {}), "cell": (Step, X[0], {})} | {
    "mixed": (Mixed, X, {"lengths": torch.tensor([2, 4])})
}


def flat(made):
    """Return tensors in nested tuples."""
    return [one for part in made for one in flat(part)] if isinstance(made, tuple) else [made]


@every("name", SUBCLASSES)
def test_subclasses_run_on_the_engine_with_their_own_methods(name, monkeypatch):
    kind, x, more = SUBCLASSES[name]
    model = nn.Sequential(kind(3, 4))
    want, shown, ran = flat(model[0](x, **more)), repr(model), []
    forward = simdrnn.torch.calls.forward
    monkeypatch.setattr(
        simdrnn.torch.calls, "forward", lambda *a, **k: ran.append(1) or forward(*a, **k)
    )

    report = reports_of(lambda m, report: convert(m, subclasses=True, report=report), model)

    base = plain_class(kind).__name__
    more_said = ", mine" if name == "plain" else ""
    assert report.changed == {"0": f"{kind.__name__}(3, 4{more_said}) on simdrnn.torch.{base}"}
    assert isinstance(model[0], kind)
    assert isinstance(model[0], getattr(simdrnn.torch, base))
    assert repr(model) == shown
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), saved(model)]
    for one in (model, *copies):
        ran.clear()
        assert type(one[0]) is type(model[0])
        for got, other in zip(flat(one[0](x, **more)), want, strict=True):
            torch.testing.assert_close(got, other, rtol=0, atol=1e-6)
        assert ran
    if name != "cell":
        assert model[0].extra() == kind.extra(model[0])

    assert list(reports_of(revert, model).changed) == ["0"]
    assert type(model[0]) is kind
    assert type(revert(copies[1])[0]) is kind


def kept_subclasses():
    """Return subclasses that cannot be changed, and a part of the reason."""

    class Other(nn.GRU):
        def forward(self, x):
            return x

    class Permuted(nn.LSTM):
        def permute_hidden(self, hx, permutation):
            return hx

    class Named(nn.LSTM):
        def _states(self):
            return None

    class Final(nn.GRU):
        def __init_subclass__(cls):
            raise TypeError("it is final")

    return [
        (Other, "a forward of its own, which does not call super"),
        (Permuted, "overrides permute_hidden, which our loop does not ask"),
        (Named, "has _states of its own"),
        (Final, "cannot change its class: it is final"),
    ]


def test_subclasses_that_stay_and_why():
    for kind, why in kept_subclasses():
        model = nn.Sequential(kind(3, 4))
        with pytest.warns(UserWarning, match=f"changed nothing: 0: kept, .*{why}"):
            convert(model, subclasses=True)
        assert type(model[0]) is kind


# Quantising


# PyTorch says so once in a process, here or in a test before.
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor, torch.quantize_per_channel")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every("name", ["LSTM", "GRU", "LSTMCell"])
def test_quantising_what_is_ours_warns_and_points_to_revert(name):
    model = convert(nn.Sequential(getattr(nn, name)(3, 4), nn.Linear(4, 2)))

    with pytest.warns(
        UserWarning, match=rf"leaves simdrnn\.torch's {name} as it is: .*revert\(model\)"
    ):
        torch.ao.quantization.quantize_dynamic(model)
    assert not hasattr(model[0], "qconfig")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(revert(model))
    assert type(quantised[0]) is getattr(torch.ao.nn.quantized.dynamic, name)


def test_a_qconfig_is_an_attribute_as_any_other():
    layer = nn.LSTM(3, 4)
    layer.qconfig = "mine"

    convert(layer)

    assert layer.qconfig == "mine"
    with pytest.warns(UserWarning, match="revert"):
        layer.qconfig = None
    assert layer.qconfig is None
    del layer.qconfig
    with pytest.raises(AttributeError):
        _ = layer.qconfig


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
