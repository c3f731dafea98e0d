"""Derivatives of derivatives, forward ones and batched ones; run by test_keras.py on PyTorch."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from torch.autograd import forward_ad, gradgradcheck

import simdrnn.keras as bridge
from helpers_keras_bridge import KINDS, twins
from simdrnn.keras.kernel import Call, Kernel, Settings
from simdrnn.keras.on_torch import run as run_kernel
from simdrnn.keras.torch_formulas import layer_by_torch
from simdrnn.spec.activations import ACTIVATIONS, Activation, default_parameters
from simdrnn.spec.cell import compiled_cells

# PyTorch's forward mode scripts its decompositions when it is first used.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

B, T, I, H = 2, 4, 3, 5  # noqa: E741
SHAPE = (B, T, I)
F64 = torch.float64
NEAR = {"rtol": 0, "atol": 2e-5}  # values of some tens, from sums of some tens, in float32


def draw(*shape, dtype=torch.float32):
    return torch.from_numpy(np.random.default_rng(5).standard_normal(shape)).to(dtype)


def both(function, kind="gru", **arguments):
    """Return what a function of a layer gives for Keras's and for ours."""
    rng = np.random.default_rng(3)
    return [function(layer) for layer in twins(kind, SHAPE, H, rng, **arguments)]


HEADS = {
    "a sum": lambda y: y.sum(),
    "a frozen layer": lambda y: (y @ torch.ones(H, 1)).mean(),
    "a square": lambda y: y.square().sum(),
}


@pytest.mark.parametrize("frozen", [False, True], ids=["trained", "frozen"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", HEADS)
def test_a_gradient_penalty_is_that_of_keras(head, kind, frozen):
    def penalty(layer):
        layer.trainable = not frozen
        x = draw(*SHAPE).requires_grad_()
        value = HEADS[head](layer(x))
        gradient = torch.autograd.grad(value, x, create_graph=True)[0]
        assert gradient.requires_grad
        sources = [x] if frozen else [x, *(v.value for v in layer.trainable_variables)]
        found = torch.autograd.grad(gradient.square().sum(), sources, allow_unused=True)
        return [torch.zeros(1) if one is None else one for one in found]

    want, got = both(penalty, kind)

    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, **NEAR)
    assert kind == "rnn_relu" or float(got[0].abs().max()) > 1e-3


def kernel_of(cell, **options):
    return Kernel(Settings(cell, "float64", I, H, True, tuple(options.items())))


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("form", [(False, False, True), (True, True, True), (True, False, False)])
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru_reset_before", "rnn_tanh"])
def test_second_derivatives(cell, form, masked):
    kernel = kernel_of(cell)
    reverse, hold, sequences = form
    call, info = Call(kernel, reverse, hold, sequences), compiled_cells()[cell]
    columns = info.gates * H
    bias = (2, columns) if cell == "gru" else (columns,)
    shapes = [SHAPE, (I, columns), (H, columns), bias, *[(B, H)] * info.states]
    tensors = [(0.5 * draw(*shape, dtype=F64)).requires_grad_() for shape in shapes]
    mask = None
    if masked:
        mask = torch.ones(B, T, dtype=torch.bool)
        mask[0, 1:3] = mask[1, 2:] = False

    def function(x, *more):
        output, states = run_kernel(call, x, mask, more[:3], more[3:])
        return (output, *states) if sequences else states

    assert gradgradcheck(function, tensors, fast_mode=True)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_formulas_have_every_activation_of_the_engine(name):
    numbers = [0.5 if number is None else number for number in default_parameters(name)]
    activation = Activation(name, *numbers)
    kernel = kernel_of("lstm", activation=activation, output_activation=activation)
    call = Call(kernel, False, False, True)
    shapes = [(I, 4 * H), (H, 4 * H), (4 * H,)]
    weights = [draw(*shape, dtype=F64) for shape in shapes]
    x, states = 2 * draw(*SHAPE, dtype=F64), [torch.zeros(B, H, dtype=F64)] * 2

    want, (_, c) = run_kernel(call, x, None, weights, states)

    got, _, c_got = layer_by_torch(call, x, None, weights, states)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(c_got, c, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("vectorize", [False, True])
@pytest.mark.parametrize("name", ["jacobian", "hessian"])
def test_autograds_functions(name, vectorize):
    def of(layer):
        def function(x):
            return layer(x) if name == "jacobian" else layer(x).sum()

        apply = getattr(torch.autograd.functional, name)
        return apply(function, draw(*SHAPE), vectorize=vectorize)

    want, got = both(of, "lstm")

    torch.testing.assert_close(got, want, **NEAR)
    assert float(got.abs().max()) > 1e-3


@pytest.mark.parametrize("way", ["is_grads_batched", "vmap"])
def test_batched_gradients(way):
    def of(layer):
        x = draw(*SHAPE).requires_grad_()
        output, h = layer(x)
        sources, many = (x, *(v.value for v in layer.trainable_variables)), draw(3, *output.shape)
        if way == "vmap":
            return torch.vmap(lambda d: torch.autograd.grad(output, sources, d))(many)
        return torch.autograd.grad(
            (output, h), sources, (many, draw(3, *h.shape)), is_grads_batched=True
        )

    want, got = both(of, "gru", return_sequences=True, return_state=True)

    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, **NEAR)


TRANSFORMS = {
    "grad": lambda f, x: torch.func.grad(lambda x: f(x).sum())(x),
    "vjp": lambda f, x: torch.func.vjp(f, x)[1](torch.ones(B, H))[0],
    "jvp": lambda f, x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1],
    "vmap": lambda f, x: torch.func.vmap(f)(torch.stack([x, 2 * x])),
    "jacrev": lambda f, x: torch.func.jacrev(f)(x),
    "jacfwd": lambda f, x: torch.func.jacfwd(f)(x),
    "hessian": lambda f, x: torch.func.hessian(lambda x: f(x).sum())(x),
    "each row": lambda f, x: torch.func.vmap(torch.func.grad(lambda r: f(r[None]).sum()))(x),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_are_those_of_keras(name):
    def of(layer):
        return TRANSFORMS[name](lambda x: layer(x), draw(*SHAPE)).detach()

    want, got = both(of, "lstm")

    torch.testing.assert_close(got, want, **NEAR)
    assert float(got.abs().max()) > 1e-3


def test_stateless_calls_are_transformed():
    def of(layer):
        trainable = [variable.value.detach() for variable in layer.trainable_variables]
        others = [variable.value for variable in layer.non_trainable_variables]

        def loss(trainable):
            output, _ = layer.stateless_call(trainable, others, draw(*SHAPE))
            return output.sum()

        return torch.func.grad(loss)(trainable)

    want, got = both(of, "gru")

    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, **NEAR)
        assert float(one.abs().max()) > 1e-3


@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no_grad"])
def test_forward_mode_needs_neither_grad_mode_nor_trainable_weights(grad):
    def of(layer):
        layer.trainable = False
        with torch.set_grad_enabled(grad), forward_ad.dual_level():
            dual = forward_ad.make_dual(draw(*SHAPE), torch.ones(SHAPE))
            return forward_ad.unpack_dual(layer(dual)).tangent

    want, got = both(of)

    torch.testing.assert_close(got, want, **NEAR)
    assert bridge.report(bridge.GRU(H, name="gru")) == "gru: engine"


@pytest.mark.parametrize("higher", [False, True])
def test_tangents_of_gradients_go_back_through_a_call_made_before(higher):
    def of(layer):
        x, v, direction = draw(*SHAPE).requires_grad_(), draw(B, H), draw(B, H).flip(0)
        output = layer(x)

        def back(v):
            return torch.autograd.grad(output, x, v, retain_graph=True, create_graph=higher)[0]

        with forward_ad.dual_level():
            tangent = forward_ad.unpack_dual(back(forward_ad.make_dual(v, direction))).tangent
        return tangent.detach(), torch.func.jvp(back, (v,), (direction,))[1].detach()

    want, got = both(of, "lstm")

    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, **NEAR)
        assert float(one.abs().max()) > 1e-3


def test_checkpoints_hooks_and_unused_inputs():
    def of(layer):
        x = draw(*SHAPE).requires_grad_()
        h = torch.zeros(B, H, requires_grad=True)
        unused = torch.zeros(3, requires_grad=True)
        hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t)
        with hooks:
            output = torch.utils.checkpoint.checkpoint(
                lambda x, h: layer(x, initial_state=[h]), x, h, use_reentrant=False
            )
        sources = (x, h, unused)
        return torch.autograd.grad(output.sum(), sources, allow_unused=True)

    want, got = both(of)

    assert got[2] is None
    for one, other in zip(got[:2], want[:2], strict=True):
        torch.testing.assert_close(one, other, **NEAR)


def test_training_after_inference_mode():
    layer = bridge.GRU(H)
    layer.build(SHAPE)
    with torch.inference_mode():
        layer(draw(*SHAPE))
    x = draw(*SHAPE).requires_grad_()

    layer(x).sum().backward()

    assert float(x.grad.abs().max()) > 1e-3
    assert isinstance(layer, keras.layers.GRU)
