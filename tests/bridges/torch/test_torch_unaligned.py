"""Tensors whose elements are not where their type would have them: views of bytes at odd places."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

import simdrnn.torch as srt  # noqa: E402

pytestmark = pytest.mark.peers


def unaligned(tensor):
    """Return an equal tensor one byte behind where its elements could be."""
    memory = bytearray(tensor.numel() * tensor.element_size() + 1)
    found = torch.frombuffer(memory, dtype=tensor.dtype, offset=1).view(tensor.shape)
    return found.copy_(tensor.detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layers_give_what_they_give_of_others(dtype):
    torch.manual_seed(0)
    layer = srt.LSTM(3, 4, 2, bidirectional=True, dtype=dtype)
    x = torch.randn(5, 2, 3, dtype=dtype)
    state = tuple(torch.randn(4, 2, 4, dtype=dtype) for _ in range(2))
    twin = copy.deepcopy(layer)
    for parameter in twin.parameters():
        parameter.data = unaligned(parameter)

    def run(module, change):
        given = [change(one).requires_grad_() for one in (x, *state)]
        output, final = module(given[0], tuple(given[1:]))
        output.backward(change(torch.ones_like(output)), retain_graph=True)
        with torch.no_grad():
            assert torch.equal(module(change(x), tuple(map(change, state)))[0], output)
        return [output, *final, *(one.grad for one in (*given, *module.parameters()))]

    for got, want in zip(run(twin, unaligned), run(layer, torch.clone), strict=True):
        assert torch.equal(got, want)


def test_cells_give_what_they_give_of_others():
    cell = srt.GRUCell(3, 4)
    x, h = torch.randn(2, 3), torch.randn(2, 4)

    assert torch.equal(cell(unaligned(x), unaligned(h)), cell(x, h))
