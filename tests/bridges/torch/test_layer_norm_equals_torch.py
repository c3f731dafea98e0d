"""Layer normalisation equals what three libraries write, put together of ``torch.nn.LayerNorm``.

* haste: LayerNormLSTMScript and LayerNormGRUScript of ``frameworks/pytorch/layer_norm_lstm.py`` and
  ``layer_norm_gru.py`` of lmnt-com/haste; it needs a GPU to run.
* torch: LayerNormLSTMCell of ``benchmarks/fastrnns/custom_lstms.py`` of pytorch/pytorch.
* tf: LayerNormLSTMCell of ``tensorflow_addons/rnn/layer_norm_lstm_cell.py``; its norms of the two
  products have biases, the layer has another, and epsilon is 1e-3.

Autograd's gradients of that are compared too. The GRU's placements torch and tf are ours: haste's
with the biases of the norms.
"""

from __future__ import annotations

import numpy as np
import pytest

from helpers import as_tuple, make_problem, results
from helpers_layer_norm import EPSILON, PLACEMENTS, allowed, distance, scattered
from helpers_loops import every

pytestmark = pytest.mark.peers

T, B, I, H = 6, 4, 5, 19  # noqa: E741


class Norms:
    """The layer norms of a layer, as modules that hold its parameters."""

    def __init__(self, torch, parameters, placement):
        self.own = {
            name.removesuffix("_l0"): torch.nn.Parameter(torch.from_numpy(np.array(value)))
            for name, value in parameters.items()
        }
        self.modules = {
            part: self.module(torch, part, EPSILON[placement])
            for part in ("ih", "hh", "c")
            if f"weight_ln_{part}" in self.own
        }

    def module(self, torch, part, epsilon):
        weight, bias = self.own[f"weight_ln_{part}"], self.own.get(f"bias_ln_{part}")
        norm = torch.nn.LayerNorm(len(weight), eps=epsilon, bias=bias is not None).double()
        norm.weight, norm.bias = weight, bias
        return norm

    def products(self, x, h):
        """Return both products, normalised, with the layer's biases where it has any."""
        from_x = self.modules["ih"](x @ self.own["weight_ih"].T)
        from_h = self.modules["hh"](h @ self.own["weight_hh"].T)
        return from_x + self.own.get("bias_ih", 0.0), from_h + self.own.get("bias_hh", 0.0)


def lstm(norms, placement, x, h, c):
    from_x, from_h = norms.products(x, h)
    i, f, g, o = (from_x + from_h).chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    seen = norms.modules["c"](c)
    return o.sigmoid() * seen.tanh(), c if placement == "haste" else seen


def gru(norms, placement, x, h):
    from_x, from_h = (part.chunk(3, dim=1) for part in norms.products(x, h))
    r, z = ((a + b).sigmoid() for a, b in zip(from_x[:2], from_h[:2], strict=True))
    n = (from_x[2] + r * from_h[2]).tanh()
    return (z * h + (1 - z) * n,)


@every("bias", [True, False])
@every("step", [lstm, gru], ids=["lstm", "gru"])
@every("placement", PLACEMENTS)
@every("engine")
def test_results_and_gradients_equal_torch_modules(torch, engine, placement, step, bias, rng):
    sizes = {"T": T, "B": B, "I": I, "H": H}
    problem = scattered(
        make_problem(
            engine, step.__name__, rng=rng, layer_norm=placement, bias=bias, **sizes
        )
    )  # fmt: skip
    norms = Norms(torch, problem.layer.parameters(), placement)
    x = torch.tensor(problem.x, requires_grad=True)
    given = tuple(torch.tensor(member, requires_grad=True) for member in as_tuple(problem.state))
    state, outputs = tuple(member[0] for member in given), []
    for x_t in x:
        state = step(norms, placement, x_t, *state)
        outputs.append(state[0])
    d_final = [torch.from_numpy(member[0]) for member in as_tuple(problem.d_state)]
    torch.autograd.backward(
        [torch.stack(outputs), *state], [torch.from_numpy(problem.d_output), *d_final]
    )

    found = results(problem)

    want = {
        "output": torch.stack(outputs).detach().numpy(),
        "state": tuple(member.detach().numpy()[None] for member in state),
        "d_x": x.grad.numpy(),
        "d_state": tuple(member.grad.numpy() for member in given),
        "d_params": {name: value.grad.numpy() for name, value in norms.own.items()},
    }
    # Both sides are rounded.
    assert distance(found, want) <= 2 * allowed(problem, 4 * H + I)
