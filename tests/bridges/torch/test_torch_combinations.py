"""`simdrnn.torch`: keywords, promises, subclasses, traces and derivatives of any kind together."""

from __future__ import annotations

import inspect
import io
import warnings

import pytest

from helpers_loops import every

pytestmark = [
    pytest.mark.peers,
    # PyTorch's forward mode scripts its decompositions when it is first used.
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")

from torch import nn  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402

import simdrnn.torch  # noqa: E402
from helpers_bridge_torch import as_tuple, pair  # noqa: E402
from simdrnn.torch import convert, revert  # noqa: E402

T, B, I, H = 5, 3, 3, 4  # noqa: E741
F64 = torch.float64
EXACT = {"rtol": 0, "atol": 1e-12}


def keywords():
    """Return all keywords at once."""
    generator = torch.Generator().manual_seed(0)
    return {
        "lengths": torch.tensor([T, 2, 4]),
        "mask": torch.rand(T, B, generator=generator) < 0.7,
        "reset": torch.rand(T, B, generator=generator) < 0.3,
        "reset_state": "given",
    }


def marked(cell):
    """Return ours as a function of x and the first of its initial states, with keywords."""
    torch.manual_seed(0)
    layer = pair(cell, I, H, bidirectional=True, dtype=F64)[1]
    count = 2 if layer.mode == "LSTM" else 1

    def function(x, h):
        states = (h, torch.ones_like(h))[:count]
        output, final = layer(x, states if count == 2 else h, **keywords())
        return (output, *as_tuple(final))

    arguments = torch.randn(T, B, I, dtype=F64), torch.randn(2, B, H, dtype=F64)
    return function, [argument.requires_grad_() for argument in arguments]


# Keywords


@every("cell", ["lstm", "gru"])
def test_keywords_and_derivatives_of_a_linear_head(cell):
    # The reference runs by PyTorch's operators, step by step: transforms see to that.
    function, (x, h) = marked(cell)

    def gradient(x, h):
        return torch.autograd.grad(function(x, h)[0].sum(), (x, h), create_graph=True)

    penalty = sum(one.square().sum() for one in gradient(x, h))
    got = torch.autograd.grad(penalty, (x, h))

    first = torch.func.grad(lambda x, h: function(x, h)[0].sum(), (0, 1))
    second = torch.func.grad(lambda x, h: sum(g.square().sum() for g in first(x, h)), (0, 1))
    torch.testing.assert_close(got, second(x.detach(), h.detach()), **EXACT)
    assert all(bool(one.any()) for one in got)


@every("cell", ["lstm", "gru"])
@every("way", ["is_grads_batched", "vmap"])
def test_keywords_and_batched_gradients(cell, way):
    function, arguments = marked(cell)
    made = function(*arguments)
    many = [torch.randn(3, *one.shape, dtype=F64) for one in made]

    def back(*gradients, **more):
        return torch.autograd.grad(made, arguments, gradients, retain_graph=True, **more)

    got = (
        back(*many, is_grads_batched=True) if way == "is_grads_batched" else torch.vmap(back)(*many)
    )

    rows = [back(*row) for row in zip(*many, strict=True)]
    want = [torch.stack(columns) for columns in zip(*rows, strict=True)]
    torch.testing.assert_close(list(got), want, **EXACT)


@every("cell", ["lstm", "gru"])
def test_keywords_and_forward_mode(cell):
    function, (x, h) = marked(cell)
    directions = torch.randn_like(x), torch.randn_like(h)
    made = function(x, h)
    weights = [torch.randn_like(one) for one in made]

    def back(*gradients):
        return torch.autograd.grad(made, (x, h), gradients, retain_graph=True)

    with torch.no_grad(), forward_ad.dual_level():
        pushed = function(*map(forward_ad.make_dual, (x.detach(), h.detach()), directions))
        tangents = [forward_ad.unpack_dual(one).tangent for one in pushed]
    forward = sum((w * tangent).sum() for w, tangent in zip(weights, tangents, strict=True))
    reverse = sum((g * d).sum() for g, d in zip(back(*weights), directions, strict=True))
    torch.testing.assert_close(forward, reverse, **EXACT)

    # The way back is linear in the gradients: tangents of these go the same way.
    others = tuple(torch.randn_like(w) for w in weights)
    with forward_ad.dual_level():
        duals = back(*map(forward_ad.make_dual, weights, others))
        tangents = [forward_ad.unpack_dual(one).tangent for one in duals]
    torch.testing.assert_close(tangents, list(back(*others)), **EXACT)


# Outputs that are written to


@every("cell", ["lstm", "gru"])
@every("vectorize", [False, True])
def test_outputs_that_are_written_to_and_batched_gradients(cell, vectorize):
    theirs, ours = pair(cell, I, H, dtype=F64)
    x = torch.randn(T, B, I, dtype=F64)

    def of(module, copied):
        def function(x):
            output = module(x)[0]
            output = output.clone() if copied else output
            output[1] = 0.0
            output.mul_(2.0).tanh_()
            return output[:, 0]

        return torch.autograd.functional.jacobian(function, x, vectorize=vectorize)

    torch.testing.assert_close(of(ours, False), of(theirs, True), **EXACT)


# Traced and exported programs


@every("made", ["traced", "exported"])
@every("trained", [False, True], ids=["frozen", "trained"])
def test_programs_in_forward_mode(made, trained):
    layer = simdrnn.torch.LSTM(I, H, dtype=F64).requires_grad_(trained)
    x, direction = torch.randn(2, T, B, I, dtype=F64)
    if made == "traced":
        program = torch.jit.trace(layer, (x,))
    else:
        program = torch.export.export(layer, (x,)).module()
    want = torch.func.jvp(lambda x: layer(x)[0], (x,), (direction,))[1]

    for grad in (False, True):
        with torch.set_grad_enabled(grad), forward_ad.dual_level():
            output = program(forward_ad.make_dual(x, direction))[0]
            tangent = forward_ad.unpack_dual(output).tangent
            torch.testing.assert_close(tangent, want, **EXACT)
    pushed = torch.func.jvp(lambda x: program(x)[0], (x,), (direction,))[1]
    torch.testing.assert_close(pushed, want, **EXACT)


@every("made", ["traced", "exported"])
def test_batched_and_second_derivatives_of_programs(made):
    layer, x = simdrnn.torch.LSTM(I, H, dtype=F64), torch.randn(3, 1, I, dtype=F64)
    program = torch.jit.trace(layer, (x,))
    if made == "exported":
        program = torch.export.export(layer, (x,)).module()

    def of(module, function, vectorize):
        def call(x):
            output = module(x)[0][-1]
            return output if function == "jacobian" else output.square().sum()

        return getattr(torch.autograd.functional, function)(call, x, vectorize=vectorize)

    for function in ("jacobian", "hessian"):
        want = of(layer, function, False)
        for vectorize in (False, True):
            torch.testing.assert_close(of(program, function, vectorize), want, **EXACT)


# Subclasses and promises


class Scaled(nn.GRU):
    """A layer with a forward of its own."""

    def forward(self, input, hx=None, **more):
        """Double the output."""
        output, state = super().forward(input, hx, **more)
        return 2 * output, state


class Scripted(nn.GRU):
    """A layer that only has another name."""


class Cell(nn.LSTMCell):
    """A cell that only has another name."""


def modules():
    """Return a model with subclasses and PyTorch's own classes."""
    torch.manual_seed(0)
    return nn.ModuleList([Scaled(I, H), Cell(I, H), nn.LSTM(I, H), nn.RNNCell(I, H)])


def attributes(module):
    """Return what a module is and has, its parameters apart."""
    of_weights = ("_parameters", "_flat_weights", "_flat_weight_refs")
    kept = {key: value for key, value in vars(module).items() if key not in of_weights}
    return type(module), kept


def test_revert_undoes_subclasses_and_promises():
    model = modules()
    before = [attributes(module) for module in model]
    references = [len(layer._flat_weight_refs) for layer in (model[0], model[2])]
    assert references == [4, 4]

    convert(model, True, True)

    assert all(module.frozen_weights for module in model)
    assert "frozen_weights=True" in repr(model[0])
    assert [type(module).__module__ for module in model[2:]] == [
        "simdrnn.torch.layers", "simdrnn.torch.cells",
    ]  # fmt: skip
    assert model[0]._flat_weight_refs == []
    torch.utils.swap_tensors(model[0].weight_hh_l0, nn.Parameter(torch.ones(3 * H, H)))
    revert(model)

    assert [attributes(module) for module in model] == before
    assert [len(layer._flat_weight_refs) for layer in (model[0], model[2])] == references
    assert "frozen_weights" not in repr(model)


def test_a_promise_of_a_subclass_spares_the_comparison_and_no_more():
    layer, x = convert(Scaled(I, H), subclasses=True, frozen_weights=True), torch.randn(T, B, I)
    with torch.no_grad():
        before = layer(x)[0]
        layer.weight_hh_l0.data[2] += 1.0  # broken
        assert torch.equal(layer(x)[0], before)
        layer.flatten_parameters()
        assert not torch.equal(layer(x)[0], before)
        layer.weight_hh_l0.zero_()  # seen by PyTorch
        after = layer(x)[0]

    torch.testing.assert_close(after, revert(layer)(x)[0], rtol=0, atol=1e-6)


def test_a_promise_may_follow():
    model = convert(nn.ModuleList([nn.GRU(I, H), nn.LSTMCell(I, H)]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(model, frozen_weights=True)

    assert all(module.frozen_weights for module in model)


def test_a_subclass_whose_promise_would_be_another_stays():
    class Own(nn.GRU):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.frozen_weights = ["weight_ih_l0"]

    model = nn.ModuleList([Own(I, H)])
    with pytest.warns(UserWarning, match="Own has frozen_weights of its own"):
        convert(model, subclasses=True)

    assert type(model[0]) is Own


def test_subclasses_have_keywords_and_derivatives():
    layer = convert(Scaled(I, H).double(), subclasses=True)
    x = torch.randn(T, B, I, dtype=F64, requires_grad=True)

    def function(x):
        return layer(x, **keywords())[0]

    plain = simdrnn.torch.GRU(I, H, dtype=F64)
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(function(x), 2 * plain(x, **keywords())[0])
    one, many = (
        torch.autograd.functional.jacobian(function, x, vectorize=vectorize)
        for vectorize in (False, True)
    )
    torch.testing.assert_close(many, one, **EXACT)
    assert torch.autograd.gradgradcheck(function, x, fast_mode=True)


@every("promised", [False, True])
def test_traced_subclasses(promised):
    layer = convert(Scaled(I, H), True, promised)
    with torch.no_grad():
        program = torch.jit.trace(layer, (torch.randn(T, B, I),))
    x = torch.randn(T + 2, B - 1, I)

    assert "simdrnn::recurrent" in str(program.inlined_graph)
    output, state = program(x)
    want, last = layer(x)
    torch.testing.assert_close((output, state), (want, last), rtol=0, atol=0)
    parameters = list(layer.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(output.sum(), list(program.parameters())),
        torch.autograd.grad(want.sum(), parameters), rtol=0, atol=0,
    )  # fmt: skip
    with torch.no_grad():
        program.weight_hh_l0.data.zero_()  # unseen: programs carry no promise
        assert not torch.equal(program(x)[0], output)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scripted_subclasses_are_their_owners():
    layer, cell = convert(nn.ModuleList([Scripted(I, H), Cell(I, H)]), True, True)
    x, h = torch.randn(B, I), torch.randn(B, H)

    scripted = torch.jit.script(cell)

    torch.testing.assert_close(scripted(x, (h, h)), cell(x, (h, h)), rtol=0, atol=1e-6)
    assert scripted.original_name == "Cell"
    # PyTorch leaves its subclasses of layers without their overloads, which fail when they run.
    assert torch.jit.script(layer).original_name == "Scripted"
    assert layer._flat_weight_refs == []
    assert layer.frozen_weights


# The older exporter to ONNX


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every("name", ["LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell", "Scaled"])
def test_the_older_exporter_to_onnx(name):
    # It reads the signature, and hands in defaults by position.
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the [peers] extra: onnxruntime")
    module = convert((Scaled if name == "Scaled" else getattr(nn, name))(I, H), subclasses=True)
    x, file = torch.randn(*(B, I) if name.endswith("Cell") else (T, B, I)), io.BytesIO()

    torch.onnx.export(module, (x,), file, dynamo=False)

    session = onnxruntime.InferenceSession(file.getvalue())
    got = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    want = module(x)
    want = want[0] if isinstance(want, tuple) else want
    torch.testing.assert_close(torch.from_numpy(got), want.detach(), rtol=0, atol=1e-5)


def test_keywords_by_position_are_refused_as_pytorch_refuses_them():
    h = torch.zeros(1, B, H)
    with pytest.raises(TypeError, match="takes from 2 to 3 positional arguments but 4 were given"):
        simdrnn.torch.LSTM(I, H)(torch.zeros(T, B, I), h, h)
    shown = inspect.signature(simdrnn.torch.GRU.forward).parameters
    assert {"lengths", "mask", "reset", "reset_state"} <= shown.keys()


# Functions of the weights


@every("layer", ["LSTM", "GRU", "RNN", "LSTMCell", "GRUCell"])
@every("transform", ["grad", "jvp", "jacrev", "grad of grad"])
def test_transforms_of_functions_of_the_weights(layer, transform):
    torch.manual_seed(0)
    more = {} if layer.endswith("Cell") else {"num_layers": 2, "bidirectional": True}
    theirs = getattr(torch.nn, layer)(I, H, dtype=F64, **more)
    ours = getattr(simdrnn.torch, layer)(I, H, dtype=F64, **more)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(*(() if layer.endswith("Cell") else (3,)), B, I, dtype=F64)
    weights = {name: weight.detach() for name, weight in theirs.named_parameters()}

    def of(module):
        def loss(weights):
            first = torch.func.functional_call(module, weights, (x,))
            return (first[0] if isinstance(first, tuple) else first).square().sum()

        def slope(weights):
            return sum(one.square().sum() for one in torch.func.grad(loss)(weights).values())

        if transform == "jvp":
            return torch.func.jvp(loss, (weights,), (weights,))
        made = {"grad": torch.func.grad, "jacrev": torch.func.jacrev}
        return made.get(transform, lambda _: torch.func.grad(slope))(loss)(weights)

    before = ours(x)[0]
    torch.testing.assert_close(of(ours), of(theirs), **EXACT)
    torch.testing.assert_close(ours(x)[0], before, rtol=0, atol=0)  # its own weights are back
