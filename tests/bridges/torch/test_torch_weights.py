"""Weights of `simdrnn.torch` are packed once, and again when they change; nothing is copied."""

from __future__ import annotations

import gc

import pytest

from helpers_loops import every

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")

import simdrnn  # noqa: E402
import simdrnn.torch  # noqa: E402
from helpers_bridge_torch import Arguments, assert_same, pair  # noqa: E402
from simdrnn.engine.compiled import Network, Packed  # noqa: E402
from simdrnn.torch import calls, packed  # noqa: E402

X = torch.ones(4, 2, 3)


@pytest.fixture
def packings(monkeypatch):
    """Count how often the weights of a layer and direction are packed, and by which network."""
    done = []
    pack = Network.pack

    def spy(self, passes, token, **options):
        done.extend([id(self)] * len(passes))
        return pack(self, passes, token, **options)

    monkeypatch.setattr(Network, "pack", spy)
    return done


def test_weights_are_packed_once(packings):
    layer = simdrnn.torch.LSTM(3, 5)

    with torch.no_grad():
        layer(X)
        layer(X + 1)
    layer(X)[0].sum().backward()
    layer.eval()(X)

    assert len(packings) == 1


def adam(layer):
    optimiser = torch.optim.Adam(layer.parameters(), 0.1)
    layer(X)[0].sum().backward()
    optimiser.step()


def through_numpy(layer):
    layer.weight_hh_l0.detach().numpy()[7, 3] += 1


CHANGES = {
    "optimiser": adam,
    "no-grad": lambda layer: torch.nn.init.ones_(layer.bias_hh_l0),
    "data": lambda layer: layer.weight_hh_l0.data.mul_(0.5),
    "numpy": through_numpy,
    "data-exchanged": lambda layer: setattr(layer.weight_ih_l0, "data", torch.ones(20, 3)),
    "exchanged": lambda layer: setattr(
        layer, "weight_ih_l0", torch.nn.Parameter(torch.ones(20, 3))
    ),
    "loaded": lambda layer: layer.load_state_dict(torch.nn.LSTM(3, 5).state_dict()),
    "assigned": lambda layer: layer.load_state_dict(
        torch.nn.LSTM(3, 5).state_dict(), assign=True
    ),
    "vector": lambda layer: torch.nn.utils.vector_to_parameters(
        0.1 * torch.ones(200), layer.parameters()
    ),
    "double": lambda layer: layer.double(),
    "isa": lambda layer: simdrnn.isa.use("scalar"),
}  # fmt: skip


@every("change", CHANGES)
def test_weights_are_packed_again_when_they_change(change, packings):
    active = simdrnn.isa.active()
    theirs, ours = pair("lstm", 3, 5)
    with torch.no_grad():
        ours(X)

    try:
        CHANGES[change](ours)
        packings.clear()
        theirs.to(ours.weight_ih_l0.dtype).load_state_dict(ours.state_dict())
        assert_same(theirs, ours, Arguments(X.to(ours.weight_ih_l0.dtype), None))
    finally:
        simdrnn.isa.use(active)

    assert len(packings) == 1


def test_large_weights_written_behind_autograds_back():
    theirs, ours = pair("gru", 64, 128)
    x = torch.randn(4, 2, 64)
    ours(x)

    ours.weight_hh_l0.data.mul_(0.5)  # all of it: noticed
    theirs.load_state_dict(ours.state_dict())
    assert_same(theirs, ours, Arguments(x, None))

    with torch.no_grad():
        ours.weight_hh_l0[9, 3] += 1.0  # not behind its back: its version tells
    theirs.load_state_dict(ours.state_dict())
    assert_same(theirs, ours, Arguments(x, None))

    ours.weight_hh_l0.data[5, 7] += 1.0  # one of 49152 elements
    theirs.load_state_dict(ours.state_dict())
    assert_same(theirs, ours, Arguments(x, None))


def test_a_graph_keeps_the_weights_it_was_made_with(packings):
    theirs, ours = pair("lstm", 3, 5)
    gradients = []
    for module in (ours, theirs):
        x = X.clone().requires_grad_()
        output, _ = module(x)
        with torch.no_grad():
            torch.func.functional_call(module, {"weight_hh_l0": torch.zeros(20, 5)}, (X,))
        (d_x,) = torch.autograd.grad(output.sum(), x)
        gradients.append(d_x)

    torch.testing.assert_close(*gradients, rtol=0, atol=1e-5)
    assert len(packings) == 2
    assert len(set(packings)) == 2  # the second in a network of its own


def test_a_training_loop_uses_the_same_networks_again(packings):
    layer = simdrnn.torch.GRU(3, 5)
    optimiser = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(6):
        loss = layer(X)[0].sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    assert len(packings) == 6
    assert len(set(packings)) <= 2


def test_nothing_is_kept_of_layers_that_are_gone():
    gc.collect()
    before = len(packed._ENTRIES)
    layer = simdrnn.torch.LSTM(3, 5)
    layer(X)[0].sum().backward()
    assert len(packed._ENTRIES) == before + 1

    del layer
    gc.collect()

    assert len(packed._ENTRIES) == before


def test_weights_made_in_inference_mode():
    with torch.inference_mode():
        theirs, ours = pair("lstm", 3, 5)
        for scale in (1.0, 0.5):
            for module in (theirs, ours):
                module.weight_hh_l0.mul_(scale)
            torch.testing.assert_close(ours(X)[0], theirs(X)[0], rtol=0, atol=1e-5)


def test_parametrised_weights_are_computed_for_every_call():
    theirs, ours = pair("gru", 3, 5)
    for module in (theirs, ours):
        torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
        module.parametrizations.weight_hh_l0.original0.data.mul_(0.5)

    assert_same(theirs, ours, Arguments(X, None))


def test_a_parameter_shared_by_two_layers():
    first, second = pair("lstm", 3, 5)[1], pair("lstm", 3, 5)[1]
    second.weight_ih_l0 = first.weight_ih_l0
    theirs = torch.nn.LSTM(3, 5)
    for layer in (first, second, first):
        theirs.load_state_dict(layer.state_dict())
        torch.testing.assert_close(layer(X)[0], theirs(X)[0], rtol=0, atol=1e-5)


# Zero copy


def pointer(array):
    """Return where an array's memory begins."""
    return array.__array_interface__["data"][0]


@pytest.fixture
def passes(monkeypatch):
    """Record the arguments that the engine gets."""
    seen = {}
    forward, backward = Packed.forward, Packed.backward

    def spy_forward(self, run, output, finals, **options):
        seen.update(x=run.x, states=run.states, threads=run.num_threads)
        seen.update(output=output, finals=finals)
        return forward(self, run, output, finals, **options)

    def spy_backward(self, run, tape, d_output, d_finals, gradients):
        seen.update(d_output=d_output, d_x=gradients.x, d_states=gradients.states)
        seen.update(d_parameters=gradients.parameters, back_x=run.x, tape=tape)
        return backward(self, run, tape, d_output, d_finals, gradients)

    monkeypatch.setattr(Packed, "forward", spy_forward)
    monkeypatch.setattr(Packed, "backward", spy_backward)
    return seen


@pytest.mark.parametrize("batch_first", [False, True])
def test_no_tensor_is_copied(passes, batch_first):
    layer = simdrnn.torch.LSTM(3, 5, batch_first=batch_first)
    x = torch.randn(4, 2, 3, requires_grad=True)
    state = tuple(torch.randn(1, 4 if batch_first else 2, 5, requires_grad=True) for _ in "hc")

    output, finals = layer(x, state)
    d_output = torch.randn_like(output)
    gradients = torch.autograd.grad(output, (x, *state, *layer.parameters()), d_output)

    assert pointer(passes["x"]) == pointer(passes["back_x"]) == x.data_ptr()
    # The caller's output is a copy of the tape's, since he may write to it.
    assert pointer(passes["output"]) == pointer(passes["tape"].hidden[-1]) != output.data_ptr()
    assert pointer(passes["d_output"]) == d_output.data_ptr()
    assert [pointer(a) for a in passes["states"]] == [t.data_ptr() for t in state]
    assert [pointer(a) for a in passes["finals"]] == [t.data_ptr() for t in finals]
    (parameters,) = passes["d_parameters"]
    made = [passes["d_x"], *passes["d_states"], *parameters[:4]]
    assert [pointer(a) for a in made] == [t.data_ptr() for t in gradients]
    assert output.is_contiguous()


def test_nothing_is_made_for_results_that_nobody_used(passes):
    layer = simdrnn.torch.LSTM(3, 5)

    layer(X)[1][0].sum().backward()

    assert passes["d_output"].strides[:2] == (0, 0)  # one row of zeros


def test_gradients_are_handed_on_as_they_are(passes):
    layer = simdrnn.torch.GRU(3, 5)

    layer(X)[0].sum().backward()

    (parameters,) = passes["d_parameters"]
    assert [pointer(a) for a in parameters[:4]] == [p.grad.data_ptr() for p in layer.parameters()]


def test_nothing_is_copied_without_gradients(monkeypatch):
    seen = []
    layer, state = simdrnn.torch.LSTM(3, 5), (torch.ones(1, 2, 5), torch.zeros(1, 2, 5))
    network = packed.packed_for(layer._spec(packed=False), list(layer.parameters())).network
    short = network.plain_layer

    def spy(x, states, threads):
        output, finals = short(x, states, threads)
        seen.extend([x, *states, output, *finals])
        return output, finals

    monkeypatch.setattr(network, "plain_layer", spy)
    with torch.no_grad():
        output, finals = layer(X, state)

    assert [pointer(a) for a in seen] == [t.data_ptr() for t in (X, *state, output, *finals)]


def test_packed_data_of_rows_of_one_length_are_not_copied(passes):
    layer = simdrnn.torch.GRU(3, 5)
    sequence = torch.nn.utils.rnn.pack_padded_sequence(X, torch.tensor([4, 4]))

    layer(sequence)

    assert pointer(passes["x"]) == sequence.data.data_ptr()


@pytest.mark.parametrize("threads", [1, 2])
def test_pytorchs_threads_are_respected(passes, threads, monkeypatch):
    monkeypatch.setattr(calls, "get_num_threads", lambda: 4)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        simdrnn.torch.LSTM(3, 5)(X)
        assert passes["threads"] == threads
        monkeypatch.setattr(calls, "get_num_threads", lambda: 1)
        simdrnn.torch.LSTM(3, 5)(X)
        assert passes["threads"] == 1
    finally:
        torch.set_num_threads(before)
