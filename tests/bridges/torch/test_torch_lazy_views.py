"""Tensors whose memory is not simply their values: PyTorch's layers read them, and so do ours."""

from __future__ import annotations

import pytest

from helpers_loops import every

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")

from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402
from torch.nn.utils.rnn import PackedSequence  # noqa: E402

import simdrnn.torch  # noqa: E402

T, B, I, H = 5, 2, 3, 4  # noqa: E741


def unaligned(tensor):
    memory = bytearray(tensor.numel() * 4 + 1)
    view = torch.frombuffer(memory, dtype=torch.float32, offset=1, count=tensor.numel())
    return view.view(tensor.shape).copy_(tensor)


VIEWS = {
    "imaginary part of a conjugate": lambda t: torch.complex(t, t).conj().imag,
    "negative bit": lambda t: torch._neg_view(t.contiguous()),
    "known zeros": lambda t: torch._efficientzerotensor(t.shape),
    "real part": lambda t: torch.complex(t, t).real,
    "expanded": lambda t: t[:1].expand(t.shape),
    "one number": lambda t: t.reshape(-1)[0].expand(t.shape),
    "overlapping": lambda t: torch.randn(t.numel()).as_strided(t.shape, (1,) * t.dim()),
    "last axis first": lambda t: t.movedim(-1, 0).contiguous().movedim(0, -1),
    "part of a storage": lambda t: torch.cat((t.reshape(-1), t.reshape(-1)))[1:][
        : t.numel()
    ].view(t.shape),
    "unaligned": unaligned,
}  # fmt: skip


def plain(tensor):
    """Return the same values in memory of their own."""
    return torch.stack([tensor + 0.0])[0].clone(memory_format=torch.contiguous_format)


def results(layer, x, h, weight, d_output):
    """Return a call's results and gradients."""
    given = {name: p.detach() for name, p in layer.named_parameters()} | {"weight_hh_l0": weight}
    with torch.no_grad():
        quick = torch.func.functional_call(layer, given, (x, h))
    leaves = [tensor.detach().requires_grad_() for tensor in (x, h, weight)]
    given["weight_hh_l0"] = leaves[2]
    output, state = torch.func.functional_call(layer, given, (leaves[0], leaves[1]))
    gradients = torch.autograd.grad((output, state), leaves, (d_output, h))
    return [*quick, output.detach(), state.detach(), *gradients]


@every("view", VIEWS)
@every("place", range(4))
def test_any_view_anywhere(view, place):
    torch.manual_seed(0)
    layer = simdrnn.torch.GRU(I, H)
    tensors = [
        torch.randn(T, B, I), torch.randn(1, B, H), torch.randn(3 * H, H), torch.randn(T, B, H),
    ]  # fmt: skip
    tensors[place] = VIEWS[view](tensors[place])
    want = results(layer, *[plain(tensor) for tensor in tensors])

    got = results(layer, *tensors)

    torch.testing.assert_close(got, want, rtol=0, atol=0)


@every("view", VIEWS)
def test_cells_and_packed_rows(view):
    cell, layer = simdrnn.torch.LSTMCell(I, H), simdrnn.torch.LSTM(I, H)
    x = VIEWS[view](torch.randn(T, I))
    sizes = torch.tensor([2, 2, 1])

    torch.testing.assert_close(cell(x), cell(plain(x)), rtol=0, atol=0)
    packed, want = (layer(PackedSequence(u, sizes))[0].data for u in (x, plain(x)))
    torch.testing.assert_close(packed, want, rtol=0, atol=0)


def test_a_parameter_may_have_the_negative_bit():
    layer, fresh = simdrnn.torch.GRU(I, H), simdrnn.torch.GRU(I, H)
    layer.weight_hh_l0 = torch.nn.Parameter(torch._neg_view(layer.weight_hh_l0.detach()))
    x = torch.randn(T, B, I)
    for _ in range(2):
        fresh.load_state_dict({n: t.resolve_neg() for n, t in layer.state_dict().items()})
        torch.testing.assert_close(layer(x), fresh(x), rtol=0, atol=0)
        layer.weight_hh_l0.data[0] += 1.0


@every("kind", ["LSTM", "GRU", "RNN"])
def test_tensors_without_values(kind):
    with FakeTensorMode(allow_non_fake_inputs=True):
        layer = getattr(simdrnn.torch, kind)(I, H)
        output, _ = layer(torch.randn(T, B, I), lengths=torch.ones(B, dtype=torch.int64))

    assert output.shape == (T, B, H)


def test_weights_whose_memory_was_freed_are_refused():
    layer = simdrnn.torch.GRU(I, H)
    layer.weight_hh_l0.untyped_storage().resize_(0)

    with pytest.raises(RuntimeError, match=r"^weights: expected memory for shape \(12, 4\), got"):
        layer(torch.randn(T, B, I))


BAD = {
    "sparse": lambda x: x.to_sparse(),
    "complex": lambda x: x.to(torch.complex64),
    "integers": lambda x: x.to(torch.int64),
    "half": lambda x: x.half(),
    "oneDNN's": lambda x: x.to_mkldnn(),
}


@every("case", BAD)
def test_what_pytorch_refuses_is_refused_as_pytorch_does(case):
    x = BAD[case](torch.randn(T, B, I))
    with pytest.raises(Exception) as want:  # noqa: PT011
        torch.nn.GRU(I, H)(x)
    with pytest.raises(Exception) as got:  # noqa: PT011
        simdrnn.torch.GRU(I, H)(x)
    assert (type(got.value), str(got.value)) == (type(want.value), str(want.value))
