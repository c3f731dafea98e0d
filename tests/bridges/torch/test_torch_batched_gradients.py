"""Gradients that come many at a time, and forward mode: `simdrnn.torch` beside PyTorch's own."""

from __future__ import annotations

import pytest

from helpers_loops import every

pytestmark = [
    pytest.mark.peers,
    # PyTorch's forward mode scripts its decompositions when it is first used.
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated"),
    # Where PyTorch's own operators around ours are called in a loop, too.
    pytest.mark.filterwarnings("ignore:There is a performance drop"),
]
torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")

from torch.autograd import forward_ad  # noqa: E402
from torch.nn.utils.rnn import pack_padded_sequence  # noqa: E402

from helpers_bridge_torch import LAYERS, as_tuple, pair  # noqa: E402

F64 = torch.float64
SIZES = (3, 4)


def both(kind, *, single=False, **arguments):
    """Return PyTorch's module and ours in float64, where oneDNN's LSTM does not run."""
    return pair(kind, *SIZES, single=single, **arguments, dtype=F64)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=F64)


def results(module, x):
    """Return all results of a call as a tuple."""
    made = module(x)
    if isinstance(made, torch.Tensor):
        return (made,)
    output, state = made
    if isinstance(module, torch.nn.RNNCellBase):
        return output, state
    return output, *as_tuple(state)


def assert_alike(got, want):
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)


@every("kind", LAYERS)
@every("single", [False, True], ids=["layer", "cell"])
@every("function", ["jacobian", "hessian"])
def test_vectorised_functions_of_autograd(kind, single, function):
    def of(module):
        def call(x):
            output = results(module, x)[0]
            return output if function == "jacobian" else output.square().sum()

        x = draw(2, 3) if single else draw(3, 2, 3)
        apply = getattr(torch.autograd.functional, function)
        return [apply(call, x, vectorize=vectorize) for vectorize in (False, True)]

    (want, _), got = map(of, both(kind, single=single))

    assert_alike(got, [want, want])
    assert float(want.abs().max()) > 1e-3


@every("way", ["is_grads_batched", "vmap", "two vmaps"])
@every("packed", [False, True], ids=["padded", "packed"])
def test_gradients_of_all_results_at_once(way, packed):
    def of(module):
        x = draw(3, 2, 3).requires_grad_()
        given = pack_padded_sequence(x, torch.tensor([3, 2])) if packed else x
        output, *finals = results(module, given)
        made = (output.data if packed else output, *finals)
        sources = (x, *module.parameters())

        def back(*gradients):
            return torch.autograd.grad(made, sources, gradients, retain_graph=True)

        many = [draw(2, 3, *one.shape, seed=index) for index, one in enumerate(made)]
        if way == "two vmaps":
            return torch.vmap(torch.vmap(back))(*many)
        many = [one[0] for one in many]
        if way == "vmap":
            return torch.vmap(back)(*many)
        return torch.autograd.grad(made, sources, many, is_grads_batched=True)

    want, got = map(of, both("lstm", num_layers=2, bidirectional=True))

    assert_alike(got, want)


@every("way", ["is_grads_batched", "vmap"])
def test_batched_gradients_are_differentiated_and_differentiate(way):
    def of(module):
        x = draw(3, 2, 3).requires_grad_()
        output = module(x)[0]

        def batch(made, many, **more):
            if way == "vmap":
                return torch.vmap(
                    lambda d: torch.autograd.grad(made, x, d, retain_graph=True, **more)[0]
                )(many)
            return torch.autograd.grad(
                made, x, many, is_grads_batched=True, retain_graph=True, **more
            )[0]

        first = batch(output, draw(2, *output.shape), create_graph=True)
        single = torch.autograd.grad(output.square().sum(), x, create_graph=True)[0]
        return (
            first,
            *torch.autograd.grad(
                first.square().sum(), (x, *module.parameters()), retain_graph=True
            ),
            batch(single, draw(3, *x.shape)),
        )

    want, got = map(of, both("gru"))

    assert_alike(got, want)


def test_a_batch_of_no_gradients():
    _, ours = both("gru")
    x = draw(3, 2, 3).requires_grad_()
    output = ours(x)[0]

    found = torch.vmap(lambda d: torch.autograd.grad(output, x, d)[0])(draw(0, *output.shape))

    assert found.shape == (0, 3, 2, 3)


@every("kind", LAYERS)
@every("grad", [False, True], ids=["no_grad", "grad"])
@every("frozen", [False, True], ids=["trained", "frozen"])
def test_forward_mode_needs_neither_grad_mode_nor_parameters(kind, grad, frozen):
    # float32 here: oneDNN's LSTM, which has no forward mode, would run where nobody minds.
    ours = pair(kind, *SIZES)[1].requires_grad_(not frozen)
    x, direction = draw(3, 2, 3).float(), draw(3, 2, 3, seed=1).float()
    with torch.set_grad_enabled(grad):
        with forward_ad.dual_level():
            output = ours(forward_ad.make_dual(x, direction))[0]
            tangent = forward_ad.unpack_dual(output).tangent
        pushed = torch.func.jvp(lambda x: ours(x)[0], (x,), (direction,))[1]

    x.requires_grad_()
    jacobian = torch.autograd.functional.jacobian(lambda x: ours(x)[0], x)
    want = torch.einsum("tbhsci,sci->tbh", jacobian, direction)
    for found in (tangent, pushed):
        torch.testing.assert_close(found, want, rtol=0, atol=1e-5)
    assert float(want.abs().max()) > 1e-3


@every("kind", LAYERS)
@every("higher", [False, True], ids=["first", "create_graph"])
def test_tangents_of_gradients_go_back_through_a_call_made_before(kind, higher):
    def of(module):
        x = draw(3, 2, 3).requires_grad_()
        output = module(x)[0]
        v, direction = draw(*output.shape, seed=1), draw(*output.shape, seed=2)

        def back(v):
            return torch.autograd.grad(output, x, v, retain_graph=True, create_graph=higher)[0]

        with forward_ad.dual_level():
            tangent = forward_ad.unpack_dual(back(forward_ad.make_dual(v, direction))).tangent
        return tangent, torch.func.jvp(back, (v,), (direction,))[1]

    want, got = map(of, both(kind))

    assert_alike(got, want)
    assert float(want[0].detach().abs().max()) > 1e-3
