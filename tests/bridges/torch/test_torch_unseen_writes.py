"""Weights that are written to behind the back of their version: the engine has the new ones."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")
sr_torch = pytest.importorskip("simdrnn.torch", reason="needs the [torch] extra")

pytestmark = pytest.mark.peers

H = 128  # weights of more than 4096 elements, whose rows divide what samples would be taken at

WRITES = {
    "one element": lambda w: w.data.view(-1).__setitem__(-2, 3.0),
    "a column": lambda w: w.data.__setitem__((slice(None), 5), 0.0),
    "a mask": lambda w: w.data.mul_((torch.arange(w.shape[1]) % 2).float()),
    "NumPy": lambda w: w.detach().numpy().__setitem__((3, 7), 2.0),
    "an update": lambda w: w.data.add_(torch.ones_like(w), alpha=-1e-3),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("weight", ["weight_ih_l0", "weight_hh_l0"])
def test_it_is_seen(weight, name):
    layer = sr_torch.RNN(8, H)
    x = torch.randn(4, 2, 8)
    with torch.no_grad():
        before, _ = layer(x)
        WRITES[name](getattr(layer, weight))

        after, _ = layer(x)

        fresh = sr_torch.RNN(8, H)
        fresh.load_state_dict(layer.state_dict())
        assert torch.equal(after, fresh(x)[0])
        assert not torch.equal(after, before)
