"""Autograd through `simdrnn.torch`: gradcheck, retained and second graphs, dropout."""

from __future__ import annotations

import pytest

from helpers_loops import every

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")

import numpy as np  # noqa: E402
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402
from torch.func import functional_call  # noqa: E402
from torch.nn.utils.rnn import PackedSequence  # noqa: E402

import simdrnn.torch  # noqa: E402
from helpers_bridge_torch import Arguments, array, as_tuple, assert_same, call, pair  # noqa: E402
from simdrnn.engine.compiled import Packed  # noqa: E402

F64 = torch.float64


def function_of(layer, lengths=None):
    """Return a layer as a function of x, states and weights, and such arguments."""
    names = [name for name, _ in layer.named_parameters()]
    count = 2 if isinstance(layer, torch.nn.LSTM) else 1

    def function(x, *tensors):
        states, weights = tensors[:count], dict(zip(names, tensors[count:], strict=True))
        given = x if lengths is None else PackedSequence(x, lengths)
        state = states if count == 2 else states[0]
        output, final = functional_call(layer, weights, (given, state))
        return (output.data if lengths is not None else output, *as_tuple(final))

    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    batch = 2
    shape = (5, 3) if lengths is not None else (2, 3, 3) if layer.batch_first else (3, 2, 3)
    tensors = [torch.randn(shape, dtype=F64)]
    widths = (layer.proj_size or layer.hidden_size, layer.hidden_size)[:count]
    tensors += [torch.randn(rows, batch, width, dtype=F64) for width in widths]
    tensors += [parameter.detach() for parameter in layer.parameters()]
    return function, tuple(t.clone().requires_grad_() for t in tensors)


LAYERS = {
    "lstm": lambda: simdrnn.torch.LSTM(3, 2, 2, bidirectional=True, dtype=F64),
    "projected": lambda: simdrnn.torch.LSTM(3, 3, proj_size=2, dtype=F64),
    "gru": lambda: simdrnn.torch.GRU(3, 2, batch_first=True, dtype=F64),
    "rnn": lambda: simdrnn.torch.RNN(3, 2, bias=False, dtype=F64),
}


@every("layer", LAYERS)
@every("packed", [False, True], ids=["padded", "packed"])
def test_gradcheck(layer, packed):
    torch.manual_seed(0)
    lengths = torch.tensor([2, 2, 1]) if packed else None

    assert gradcheck(*function_of(LAYERS[layer](), lengths), fast_mode=layer == "lstm")


@every("layer", LAYERS)
@every("packed", [False, True], ids=["padded", "packed"])
def test_second_derivatives(layer, packed):
    torch.manual_seed(0)
    lengths = torch.tensor([2, 2, 1]) if packed else None

    assert gradgradcheck(*function_of(LAYERS[layer](), lengths), fast_mode=True)


def test_second_derivatives_through_dropout_use_the_same_masks():
    layer = simdrnn.torch.LSTM(3, 4, 3, dropout=0.5, dtype=F64)
    function, tensors = function_of(layer)
    tensors = tensors[:3]
    weights = tuple(layer.parameters())

    def same_masks(*inputs):
        torch.manual_seed(3)
        return function(*inputs, *weights)

    assert gradgradcheck(same_masks, tensors, fast_mode=True)


def test_third_derivatives():
    layer = simdrnn.torch.GRU(1, 2, dtype=F64)
    theirs = torch.nn.GRU(1, 2, dtype=F64)
    theirs.load_state_dict(layer.state_dict())
    found = []
    for module in (layer, theirs):
        x = torch.full((3, 1, 1), 0.3, dtype=F64, requires_grad=True)
        value = module(x)[0].sum()
        for _ in range(3):
            (gradient,) = torch.autograd.grad(value, x, create_graph=True)
            value = gradient.sum()
        found.append(value.item())

    # Each order multiplies rounding errors by slopes of at most 1: a few thousand of them.
    assert abs(found[0] - found[1]) <= 4096 * np.finfo(float).eps * abs(found[1])
    assert abs(found[1]) > 1e-4


def test_a_float32_gradient_penalty_equals_pytorchs():
    # PyTorch's own LSTM cannot do this where oneDNN runs it.
    theirs, ours = pair("lstm", 3, 5)
    x = torch.randn(4, 2, 3)
    gradients = []
    for module in (theirs.double(), ours):
        u = x.to(module.weight_ih_l0.dtype).requires_grad_()
        (d_x,) = torch.autograd.grad(module(u)[0].sum(), u, create_graph=True)
        module.zero_grad()
        d_x.square().sum().backward()
        gradients.append(module.weight_hh_l0.grad.double())

    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=2e-6)


def test_a_retained_graph_gives_the_same_again():
    ours = simdrnn.torch.LSTM(3, 5, 2, bidirectional=True)
    x = torch.randn(4, 2, 3, requires_grad=True)
    output, (h, c) = ours(x)
    loss = output.sum() + h.sum() - c.sum()
    inputs = (x, *ours.parameters())

    first = torch.autograd.grad(loss, inputs, retain_graph=True)
    with torch.no_grad():  # another call of the same weights, and one of others
        ours(x * 2)
        simdrnn.torch.LSTM(3, 5, 2, bidirectional=True)(x)
    again = torch.autograd.grad(loss, inputs)

    assert all(map(torch.equal, first, again))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@pytest.mark.parametrize("what", ["weight", "x", "state"])
def test_what_is_changed_before_the_way_back_is_noticed(what):
    ours = simdrnn.torch.LSTM(3, 5)
    x, h = torch.randn(4, 2, 3), torch.randn(1, 2, 5)
    output, _ = ours(x, (h, h))
    changed = {"weight": ours.weight_hh_l0, "x": x, "state": h}[what]

    loss = output.sum()
    with torch.no_grad():
        changed.mul_(2)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


WRITES = {
    "masked": lambda y: y.__setitem__(torch.tensor([True, False, True, False]), 0.0),
    "dropout": lambda y: y.mul_(2.0 * (torch.rand(y.shape) < 0.5)),  # whatever y's strides
    "relu": lambda y: torch.relu_(y),
    "a view": lambda y: y[-1].mul_(2.0),
    "unseen": lambda y: y.data.zero_(),
    "NumPy": lambda y: y.detach().numpy().fill(7.0),
}


@every("write", WRITES)
@every("cell", ["lstm", "gru", "rnn_tanh"])
@every("options", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}])
def test_results_may_be_written_to_before_the_way_back(write, cell, options):
    # In double precision PyTorch's layers keep what they need apart from what they return.
    gradients = []
    for module in pair(cell, 3, 5, dtype=F64, **options):
        torch.manual_seed(0)
        x = torch.randn(4, 4, 3, dtype=F64, requires_grad=True)
        output, final = module(x)
        torch.manual_seed(1)
        WRITES[write](output)
        for state in as_tuple(final):
            state.mul_(2.0)
        loss = output.sum() + sum(state.sum() for state in as_tuple(final))
        gradients.append(torch.autograd.grad(loss, (x, *module.parameters())))

    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_packed_results_may_be_written_to():
    # Rows of one length are not copied on the way in.
    gradients = []
    for module in pair("gru", 3, 5, dtype=F64):
        torch.manual_seed(0)
        x = torch.randn(4, 2, 3, dtype=F64)
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([4, 4]))
        output, _ = module(packed)
        output.data.data.zero_()
        output.data.relu_()
        gradients.append(torch.autograd.grad(output.data.sum(), list(module.parameters())))

    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@torch._dynamo.config.patch(allow_rnn=True)
def test_so_they_may_in_compiled_functions(backend):
    layer, x = simdrnn.torch.GRU(3, 4), torch.randn(5, 2, 3)

    def function(x):
        output, _ = layer(x)
        output[2:] = 0
        return output.relu_().sum()

    want = torch.autograd.grad(function(x), list(layer.parameters()))
    compiled = torch.compile(function, backend=backend, fullgraph=True)
    got = torch.autograd.grad(compiled(x), list(layer.parameters()))

    torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_hooks_on_saved_tensors_see_what_is_kept():
    ours = simdrnn.torch.GRU(3, 5)
    seen = []

    with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.append(t) or t, lambda t: t):
        output, _ = ours(torch.randn(4, 2, 3))
    output.sum().backward()

    assert len(seen) >= 6  # x, four weights, what the steps saved
    assert ours.weight_hh_l0.grad is not None


def test_activation_checkpoints_repeat_the_dropout():
    ours = simdrnn.torch.LSTM(3, 5, 2, dropout=0.5)
    x = torch.randn(4, 2, 3, requires_grad=True)

    torch.manual_seed(1)
    want = torch.autograd.grad(ours(x)[0].sum(), x)[0]
    torch.manual_seed(1)
    output, _ = torch.utils.checkpoint.checkpoint(ours, x, use_reentrant=False)
    got = torch.autograd.grad(output.sum(), x)[0]

    assert torch.equal(got, want)


def test_only_what_is_wanted_is_computed(monkeypatch):
    asked = []
    backward = Packed.backward

    def spy(self, run, tape, d_output, d_finals, gradients):
        asked.append(gradients.x is not None)
        return backward(self, run, tape, d_output, d_finals, gradients)

    monkeypatch.setattr(Packed, "backward", spy)
    for wants in (("x", "weights"), ("weights",)):
        for lengths in (None, torch.tensor([3, 4])):
            arguments = Arguments(torch.randn(4, 2, 3), None, lengths, wants=wants)
            assert_same(*pair("gru", 3, 5, 2, bidirectional=True), arguments)

    assert asked == [True, True, False, False]


# Dropout


def test_dropout_is_drawn_from_pytorchs_generator():
    ours = simdrnn.torch.GRU(3, 64, 2, dropout=0.5)
    x = torch.randn(4, 2, 3)

    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs += [ours(x)[0], ours(x)[0]]
    with torch.no_grad():
        torch.manual_seed(1)
        unrecorded = ours(x)[0]

    assert torch.equal(outputs[0], outputs[2])
    assert torch.equal(outputs[1], outputs[3])
    assert torch.equal(outputs[0], unrecorded)
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[4])


def test_generator_is_left_alone_where_nothing_is_drawn():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    x = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))

    for ours in (simdrnn.torch.GRU(3, 5, 2), simdrnn.torch.GRU(3, 5, 2, dropout=0.5).eval()):
        torch.set_rng_state(before)
        ours(x)
        assert torch.equal(torch.get_rng_state(), before)


def test_dropout_one_equals_pytorchs():
    theirs, ours = pair("lstm", 3, 5, 2, dropout=1.0)

    assert_same(theirs, ours, Arguments(torch.randn(4, 2, 3), None))


@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
def test_statistics_of_dropout_are_pytorchs(packed):
    # The second layer hands its input on unchanged: relu of the identity, and inputs above 0.
    p, layers = 0.3, pair("rnn_relu", 1, 16, 2, bias=False, dropout=0.3)
    for module in layers:
        with torch.no_grad():
            module.weight_ih_l0.fill_(1.0)
            module.weight_ih_l1.copy_(torch.eye(16))
            module.weight_hh_l0.zero_()
            module.weight_hh_l1.zero_()
    x = torch.ones(100, 50, 1)
    if packed:
        x = torch.nn.utils.rnn.pack_padded_sequence(x, torch.full((50,), 100))

    for module in layers:
        output = module(x)[0]
        values = output.data if packed else output
        assert set(values.unique().tolist()) == {0.0, np.float32(1 / (1 - p))}
        # 80000 draws: the share kept is within 6 standard deviations of 1 - p.
        share = (values > 0).float().mean().item()
        assert abs(share - (1 - p)) < 6 * (p * (1 - p) / values.numel()) ** 0.5


def test_dropout_gradient_goes_through_the_same_mask():
    ours = simdrnn.torch.GRU(3, 4, 2, dropout=0.5, dtype=F64)
    function, tensors = function_of(simdrnn.torch.GRU(3, 2, 2, dropout=0.5, dtype=F64))

    def same_masks(*inputs):
        torch.manual_seed(3)
        return function(*inputs)

    assert gradcheck(same_masks, tensors, fast_mode=True)
    assert call(ours, Arguments(torch.randn(3, 2, 3, dtype=F64), None))[1]
    assert array(ours.weight_ih_l0.grad).any()
