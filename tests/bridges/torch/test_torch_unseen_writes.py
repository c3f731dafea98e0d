"""Weights that are written to behind the back of their version: the engine has the new ones."""

from __future__ import annotations

import copy

import pytest

from helpers_loops import every

torch = pytest.importorskip("torch", reason="needs PyTorch")
sr_torch = pytest.importorskip("simdrnn.torch", reason="needs the [torch] extra")

from torch.nn.utils import prune  # noqa: E402

import simdrnn  # noqa: E402

pytestmark = pytest.mark.peers

H = 128  # weights of more than 4096 elements, whose rows divide what samples would be taken at


def numpy_of(w):
    return w.detach().numpy()


def exchanged_for_the_transposed(w):
    w.data = w.data.t()  # same memory, same shape, same version


def resized(w):
    memory = w.untyped_storage()
    size, values = memory.nbytes(), w.detach() + 1.0
    memory.resize_(0)  # as who shards parameters does
    memory.resize_(size)
    w.data.copy_(values)


def shared_with_a_process(w):
    w.share_memory_()
    numpy_of(w)[3, 7] = 2.0


WRITES = {
    "one element": lambda w: w.data.view(-1).__setitem__(-2, 3.0),
    "a column": lambda w: w.data.__setitem__((slice(None), 5), 0.0),
    "a mask": lambda w: w.data.mul_((torch.arange(w.shape[1]) % 2).float()),
    "NumPy": lambda w: numpy_of(w).__setitem__((3, 7), 2.0),
    "an update": lambda w: w.data.add_(torch.ones_like(w), alpha=-1e-3),
    "an average": lambda w: w.data.lerp_(torch.ones_like(w), 1e-3),
    "other memory": lambda w: setattr(w, "data", w.data + 1.0),
    "a set tensor": lambda w: w.set_(w.flip(0)),
    "transposed": exchanged_for_the_transposed,
    "memory resized": resized,
    "shared memory": shared_with_a_process,
}


def outputs_of_fresh(layer, x):
    """Return the outputs of a new layer with these weights."""
    options = {name: getattr(layer, name) for name in ("num_layers", "bidirectional")}
    if layer.proj_size:
        options["proj_size"] = layer.proj_size
    fresh = type(layer)(layer.input_size, layer.hidden_size, **options, dtype=x.dtype)
    fresh.load_state_dict(layer.state_dict())
    return fresh(x)[0]


@every("write", WRITES)
@every("weight", ["weight_ih_l0", "weight_hh_l0"])
def test_it_is_seen(weight, write):
    layer = sr_torch.RNN(H, H)
    x = torch.randn(4, 2, H)
    with torch.no_grad():
        before, _ = layer(x)
        WRITES[write](getattr(layer, weight))

        after, _ = layer(x)

        assert torch.equal(after, outputs_of_fresh(layer, x))
        assert not torch.equal(after, before)


def test_in_any_parameter():
    layer = sr_torch.LSTM(8, 72, 2, bidirectional=True, proj_size=64)
    x = torch.randn(4, 2, 8)
    with torch.no_grad():
        before, _ = layer(x)
        for parameter in layer.parameters():
            parameter.data.view(-1)[-1] += 1.0
            after, _ = layer(x)
            assert not torch.equal(after, before)
            before = after

        assert torch.equal(after, outputs_of_fresh(layer, x))


@every("kind", ["LSTMCell", "GRUCell", "RNNCell"])
def test_in_a_cell(kind):
    cell, other = getattr(sr_torch, kind)(8, H), getattr(sr_torch, kind)(8, H)
    x = torch.randn(2, 8)
    cell(x)
    for parameter in cell.parameters():
        numpy_of(parameter).reshape(-1)[-1] += 1.0
        other.load_state_dict(cell.state_dict())

        torch.testing.assert_close(cell(x), other(x), rtol=0, atol=0)


def test_views_of_one_buffer():
    # As data-parallel wrappers and optimisers with flat memory arrange parameters.
    layers = [sr_torch.GRU(8, H), sr_torch.GRU(8, H)]
    parameters = [p for layer in layers for p in layer.parameters()]
    flat = torch.cat([p.detach().reshape(-1) for p in parameters])
    begin = 0
    for p in parameters:
        p.data = flat[begin : begin + p.numel()].view_as(p)
        begin += p.numel()
    x = torch.randn(4, 2, 8)
    with torch.no_grad():
        for _ in range(2):
            for layer in layers:
                assert torch.equal(layer(x)[0], outputs_of_fresh(layer, x))
            flat.mul_(0.5)


def test_masks_of_pruning_and_normed_weights():
    x = torch.randn(4, 2, 8)
    pruned = sr_torch.GRU(8, H)
    prune.random_unstructured(pruned, "weight_hh_l0", 0.5)
    normed = sr_torch.GRU(8, H)
    torch.nn.utils.parametrizations.spectral_norm(normed, "weight_hh_l0")
    normed.eval()
    for layer, source in (
        (pruned, pruned.weight_hh_l0_mask),
        (normed, normed.parametrizations.weight_hh_l0.original),
    ):
        before = layer(x)[0]
        source.data[:, 5] = 0.0
        after = layer(x)[0]

        plain = torch.nn.GRU.forward(layer, x)[0]
        torch.testing.assert_close(after, plain, rtol=0, atol=1e-5)
        assert not torch.equal(after, before)


def test_calls_with_the_weights_of_others():
    layer, other = sr_torch.LSTM(8, H), sr_torch.LSTM(8, H)
    x = torch.randn(4, 2, 8)
    with torch.no_grad():
        own, want = layer(x)[0], other(x)[0]
        given = {name: p.detach().clone() for name, p in other.named_parameters()}
        assert torch.equal(torch.func.functional_call(layer, given, (x,))[0], want)
        given["weight_hh_l0"].data[5] += 1.0
        assert not torch.equal(torch.func.functional_call(layer, given, (x,))[0], want)
        assert torch.equal(layer(x)[0], own)


@every("kind", ["LSTM", "GRUCell"])
def test_tensors_may_be_swapped(kind):
    # PyTorch refuses to swap what weak references point to.
    layer, other = getattr(sr_torch, kind)(3, 4), getattr(sr_torch, kind)(3, 4)
    x = torch.randn(5, 3)
    with torch.no_grad():
        layer(x), other(x)
        want = other(x)
        for mine, theirs in zip(layer.parameters(), other.parameters(), strict=True):
            torch.utils.swap_tensors(mine, theirs)
        got = layer(x)
    torch.testing.assert_close(got, want, rtol=0, atol=0)

    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        layer.double()
        layer.load_state_dict(other.state_dict())
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    other.double()
    torch.testing.assert_close(layer(x.double()), other(x.double()), rtol=0, atol=0)


def test_converted_layers_may_be_swapped_and_reverted():
    layer = sr_torch.convert(torch.nn.GRU(3, 4))
    torch.utils.swap_tensors(layer.weight_hh_l0, torch.nn.Parameter(torch.ones(12, 4)))
    x = torch.randn(5, 3)
    want = layer(x)[0]

    sr_torch.revert(layer)

    torch.testing.assert_close(layer(x)[0], want, rtol=0, atol=1e-6)
    layer.weight_hh_l0 = torch.nn.Parameter(torch.zeros(12, 4))
    assert not torch.equal(layer(x)[0], want)


def test_memory_is_left_as_it_was():
    # NumPy's views keep a tensor's memory from being resized for good.
    layer = sr_torch.LSTM(3, 4)
    layer(torch.randn(5, 3))

    assert all(p.untyped_storage().resizable() for p in layer.parameters())


# The promise


def test_a_promise_spares_the_comparison_and_is_shown():
    layer = sr_torch.convert(torch.nn.LSTM(8, H), frozen_weights=True)
    x = torch.randn(4, 2, 8)
    with torch.no_grad():
        before = layer(x)[0]
        layer.weight_hh_l0.data[5] += 1.0  # broken

        assert torch.equal(layer(x)[0], before)
        layer.flatten_parameters()
        assert torch.equal(layer(x)[0], outputs_of_fresh(layer, x))

    assert "frozen_weights=True" in repr(layer)
    said = layer.explain(4, 2)
    assert said.weights.startswith("promised to be frozen")
    assert said.weights in str(simdrnn.explain(layer, 4, 2))
    assert sr_torch.LSTM(8, H).explain(4, 2).weights.startswith("compared at every call")
    assert "frozen_weights" not in repr(sr_torch.revert(layer))


NOTICED = {
    "no-grad": lambda layer: layer.weight_hh_l0.mul_(0.5),
    "loaded": lambda layer: layer.load_state_dict(sr_torch.GRU(8, H).state_dict()),
    "assigned": lambda layer: layer.load_state_dict(
        sr_torch.GRU(8, H).state_dict(), assign=True
    ),
    "exchanged": lambda layer: setattr(
        layer, "weight_hh_l0", torch.nn.Parameter(torch.ones(3 * H, H))
    ),
    "other memory": lambda layer: setattr(
        layer.weight_hh_l0, "data", layer.weight_hh_l0 + 1.0
    ),
    "swapped": lambda layer: torch.utils.swap_tensors(
        layer.weight_hh_l0, torch.nn.Parameter(torch.ones(3 * H, H))
    ),
}  # fmt: skip


@every("change", NOTICED)
def test_what_pytorch_sees_is_noticed_with_a_promise(change):
    layer, x = sr_torch.GRU(8, H), torch.randn(4, 2, 8)
    layer.frozen_weights = True
    with torch.no_grad():
        before = layer(x)[0]
        NOTICED[change](layer)
        after = layer(x)[0]
        assert torch.equal(after, outputs_of_fresh(layer, x))
        assert not torch.equal(after, before)


def test_so_is_another_instruction_set():
    # Weights that are packed for one are garbage for another.
    layer, x = sr_torch.GRU(8, H), torch.randn(4, 2, 8)
    layer.frozen_weights = True
    active = simdrnn.isa.active()
    try:
        with torch.no_grad():
            before = layer(x)[0]
            simdrnn.isa.use("scalar")
            torch.testing.assert_close(layer(x)[0], before, rtol=0, atol=1e-5)
    finally:
        simdrnn.isa.use(active)


def test_a_promise_does_not_hold_in_training():
    layer, x = sr_torch.GRU(8, H), torch.randn(4, 2, 8)
    layer.frozen_weights = True
    for _ in range(3):
        output = layer(x)[0]
        assert torch.equal(output, outputs_of_fresh(layer, x))
        output.sum().backward()
        for p in layer.parameters():
            p.data.add_(p.grad, alpha=-0.1)  # an optimiser that PyTorch does not see


def test_a_promise_has_to_be_yes_or_no():
    with pytest.raises(TypeError, match="frozen_weights: expected True or False, got 'yes'"):
        sr_torch.convert(torch.nn.GRU(3, 4), frozen_weights="yes")


def test_a_promise_is_copied_with_its_layer():
    layer = sr_torch.convert(torch.nn.GRU(3, 4), frozen_weights=True)

    assert copy.deepcopy(layer).frozen_weights
    assert not sr_torch.GRU(3, 4).frozen_weights
