"""Zoneout equals haste's, which needs a GPU to run: its formulas are written out in PyTorch.

From the functions LSTMScript and GRUScript of ``frameworks/pytorch/lstm.py`` and ``gru.py`` of
lmnt-com/haste: sequences (T, B, ...), kernels (I, G*H) and (H, G*H), gates i, g, f, o and z, r, g.
h alone is zoned out; its mask is 1 where the new value is taken. Off training the mean is taken.
"""

from __future__ import annotations

import numpy as np
import pytest

from helpers import as_tuple, assert_close, make_problem
from helpers_loops import every
from helpers_peers import allowed
from simdrnn.engine.random_words import Feature, call_key, happens

pytestmark = pytest.mark.peers

T, B, I, H = 7, 4, 5, 9  # noqa: E741
ORDER = {"lstm": (0, 2, 1, 3), "gru": (1, 0, 2)}  # our blocks of rows in haste's order


def zoned_out(new, old, p, mask):
    """Return haste's h: `mask` is None off training."""
    return p * old + (1 - p) * new if mask is None else (new - old) * mask + old


def haste_lstm(torch, x, state, kernel, recurrent, bias, recurrent_bias, p, masks):
    (h, c), outputs = state, []
    for t in range(T):
        v = h @ recurrent + x[t] @ kernel + (bias + recurrent_bias)
        i, g, f, o = v.chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = zoned_out(o.sigmoid() * c.tanh(), h, p, None if masks is None else masks[t])
        outputs.append(h)
    return torch.stack(outputs), (h, c)


def haste_gru(torch, x, state, kernel, recurrent, bias, recurrent_bias, p, masks):
    (h,), outputs = state, []
    for t in range(T):
        from_x = (x[t] @ kernel + bias).chunk(3, dim=1)
        from_h = (h @ recurrent + recurrent_bias).chunk(3, dim=1)
        z, r = ((a + b).sigmoid() for a, b in zip(from_x[:2], from_h[:2], strict=True))
        g = (from_x[2] + r * from_h[2]).tanh()
        h = zoned_out(z * h + (1 - z) * g, h, p, None if masks is None else masks[t])
        outputs.append(h)
    return torch.stack(outputs), (h,)


@every("cell", ["lstm", "gru"])
@every("training", [True, False], ids=["training", "evaluation"])
@every("p", [0.1, 0.5])
@every("engine")
def test_zoneout_equals_haste(torch, engine, cell, training, p, rng):
    zoneout = (p, 0.0) if cell == "lstm" else p
    problem = make_problem(
        engine, cell, rng=rng, T=T, B=B, I=I, H=H, dtype="float64", zoneout=zoneout
    )
    problem.call["training"] = training
    layer = problem.layer

    def in_haste_order(array):
        blocks = np.split(array, len(ORDER[cell]))
        return torch.tensor(
            np.concatenate([blocks[k] for k in ORDER[cell]]).T.copy(), requires_grad=True
        )

    weights = {name: in_haste_order(value) for name, value in layer.state_dict().items()}
    x = torch.tensor(problem.x, requires_grad=True)
    state = tuple(torch.tensor(member[0], requires_grad=True) for member in as_tuple(problem.state))
    masks = None
    if training:
        kept = happens((T, B, H), Feature.ZONEOUT, 0, p, call_key(layer.seed, 0))
        masks = torch.from_numpy(1.0 - kept)
    run = haste_lstm if cell == "lstm" else haste_gru

    tape = problem.record()
    grads = tape.backward(problem.d_output, problem.d_state)

    output, final = run(torch, x, state, *weights.values(), p, masks)
    d_final = [torch.from_numpy(member[0]) for member in as_tuple(problem.d_state)]
    torch.autograd.backward([output, *final], [torch.from_numpy(problem.d_output), *d_final])

    def ours(gradient):
        blocks = np.split(gradient.numpy().T, len(ORDER[cell]))
        return np.concatenate([blocks[ORDER[cell].index(k)] for k in range(len(blocks))])

    want = (output.detach().numpy(), tuple(member.detach().numpy()[None] for member in final))
    assert_close((tape.output, as_tuple(tape.state)), want, allowed(layer, T, B), "values")
    want_gradients = {
        "x": x.grad.numpy(),
        "state": tuple(member.grad.numpy()[None] for member in state),
    } | {name: ours(value.grad) for name, value in weights.items()}
    gradients = {"x": grads.x, "state": as_tuple(grads.state)} | grads.params
    assert_close(gradients, want_gradients, allowed(layer, T, B, backward=True), "gradients")
