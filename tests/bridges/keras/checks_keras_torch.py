"""What PyTorch's autograd expects of our Keras layers; run by test_keras.py."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

import simdrnn.keras as bridge
from helpers import assert_close
from helpers_keras_bridge import bound, by_our_names, run, run_ours, twins
from simdrnn.keras import on_torch
from simdrnn.keras.kernel import Kernel

T, B, I, H = 6, 5, 3, 9  # noqa: E741
SHAPE = (B, T, I)


def draw(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape).astype("float32"))


def test_nothing_is_copied_on_the_way(rng):
    layer = bridge.LSTM(H, return_sequences=True, return_state=True)
    layer.build(SHAPE)
    x = draw(rng, *SHAPE)
    seen = {}
    original = Kernel.forward

    def spy(self, call, x, *arguments):
        seen["x"] = x.ctypes.data
        output, final = original(self, call, x, *arguments)
        seen["output"], seen["h"] = output.ctypes.data, final[0].ctypes.data
        return output, final

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(Kernel, "forward", spy)
        output, h, _ = layer(x)

    assert seen == {"x": x.data_ptr(), "output": output.data_ptr(), "h": h.data_ptr()}


def test_a_graph_may_be_kept_and_is_freed(rng):
    layer = bridge.GRU(H)
    x = draw(rng, *SHAPE).requires_grad_()
    loss = layer(x).square().sum()

    first = torch.autograd.grad(loss, x, retain_graph=True)[0]
    second = torch.autograd.grad(loss, x)[0]

    assert torch.equal(first, second)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, x)


@pytest.mark.parametrize("what", ["x", "weight"])
def test_what_backward_needs_must_not_change_before_it(what, rng):
    layer = bridge.LSTM(H, return_sequences=True)
    x = draw(rng, *SHAPE)
    output = layer(x)

    with torch.no_grad():
        {"x": x, "weight": layer.cell.kernel.value}[what].mul_(2)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_two_calls_before_backward_add_up(rng):
    layer = bridge.GRU(H)
    layer.build(SHAPE)
    inputs = [draw(rng, *SHAPE), draw(rng, B, T + 3, I)]
    kernel = layer.cell.kernel.value

    apart = sum(torch.autograd.grad(layer(x).sum(), kernel)[0] for x in inputs)
    together = torch.autograd.grad(sum(layer(x).sum() for x in inputs), kernel)[0]

    assert_close(together.numpy(), apart.numpy(), 1e-6)


def test_only_what_asks_for_a_gradient_gets_one(rng):
    layer = bridge.SimpleRNN(H)
    layer.build(SHAPE)
    layer.trainable = False
    assert not layer(draw(rng, *SHAPE)).requires_grad
    h = draw(rng, B, H).requires_grad_()

    layer(draw(rng, *SHAPE), initial_state=[h]).sum().backward()

    assert h.grad is not None
    assert float(h.grad.abs().max()) > 0


def test_before_the_first_real_step_keras_puts_out_0_here(rng):
    theirs, ours = twins("gru", SHAPE, H, rng, return_sequences=True, return_state=True)
    mask = np.ones((B, T), bool)
    mask[1, :3] = mask[2] = False
    state = [np.zeros((B, H), "float32")]  # 0 itself, with a gradient that is not
    loss = [rng.standard_normal(shape).astype("float32") for shape in ((B, T, H), (B, H))]
    x = rng.standard_normal(SHAPE).astype("float32")
    for start in (state, [state[0] + 1]):
        want, got = (run(layer, x, mask, start, loss) for layer in (theirs, ours))
        for one, other in zip(got, want, strict=True):
            assert_close(tuple(one), tuple(other), bound(ours, SHAPE, backward=True))


def test_a_stateful_lstm_trains(rng):  # Keras's own raises there, in Keras 3.15
    layer = twins("lstm", SHAPE, H, rng, stateful=True, return_state=True)[1]
    x = rng.standard_normal(SHAPE).astype("float32")
    loss = [rng.standard_normal((B, H)).astype("float32") for _ in range(3)]
    state = None
    for _ in range(2):
        got, gradients = run(layer, x, None, None, loss)
        want, named = run_ours(layer, x, None, state, loss)
        named.pop("state", None)
        assert_close(tuple(got), tuple(want), 2 * bound(layer, SHAPE))
        allowed = 2 * bound(layer, SHAPE, backward=True)
        assert_close(by_our_names(layer, gradients, None), named, allowed)
        state = want[1:]


def test_the_number_of_threads_is_that_of_torch(rng, monkeypatch):
    layer = bridge.GRU(H)
    layer.build(SHAPE)
    seen = []
    original = Kernel.forward
    monkeypatch.setattr(
        Kernel,
        "forward",
        lambda s, call, *a: (seen.append(call.num_threads), original(s, call, *a))[1],
    )
    before = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            with torch.no_grad():
                layer(draw(rng, *SHAPE))
    finally:
        torch.set_num_threads(before)

    assert seen == [1, 3]


def test_tensors_that_are_not_plain_are_left_to_keras(rng):
    x = draw(rng, *SHAPE)

    assert on_torch.obstacle([x]) is None
    assert on_torch.obstacle([x.to("meta")]) == "tensors are not on the CPU"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert on_torch.obstacle([x]) == "torch.autocast is on"
        assert bridge.report(bridge.GRU(H, name="gru")) == (
            "gru: Keras, because torch.autocast is on"
        )


@pytest.mark.filterwarnings("ignore:While compiling, we found certain side effects")
@pytest.mark.parametrize("strict", [False, True])
def test_exported_models_are_keras_own(strict, rng):
    model = keras.Sequential([keras.Input((T, I)), bridge.GRU(H)])
    x = draw(rng, *SHAPE)
    with torch.no_grad():
        want = model(x)
        program = torch.export.export(model, (x,), strict=strict)
        got = program.module()(x)

    assert "matmul" in str(program.graph) or "mm" in str(program.graph)
    assert_close(got.numpy(), want.numpy(), bound(model.layers[0], SHAPE))


def test_outputs_and_masks_may_be_written_to_before_the_way_back(rng):
    layer = bridge.GRU(H, return_sequences=True)
    layer.build(SHAPE)
    x = draw(rng, *SHAPE).requires_grad_()
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[1, 3:] = False
    want = torch.autograd.grad(layer(x, mask=mask).sum(), x)[0]

    for write in (
        lambda y, _: y.zero_(), lambda y, _: y.data.zero_(), lambda _, real: real.zero_(),
    ):  # fmt: skip
        given = mask.clone()
        output = layer(x, mask=given)
        loss = output.sum()
        with torch.no_grad():
            write(output, given)
        assert torch.equal(torch.autograd.grad(loss, x)[0], want)


def test_the_negative_bit_is_resolved(rng):
    layer = bridge.LSTM(H)
    layer.build(SHAPE)
    x = torch._neg_view(draw(rng, *SHAPE))

    assert torch.equal(layer(x), layer(x.resolve_neg()))
