"""Equal to PyTorch on random weights and biases: values, states, all gradients."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from helpers import as_tuple, assert_close, make_layer, make_problem, tolerance
from helpers_loops import every
from helpers_peers import allowed, unsorted_lengths

pytestmark = pytest.mark.peers

TWINS = {"rnn_tanh": "RNN", "rnn_relu": "RNN", "lstm": "LSTM", "gru": "GRU"}
VARIANTS = {
    "plain": {},
    "layers": {"num_layers": 3},
    "both": {"bidirectional": True},
    "layers-both": {"num_layers": 2, "bidirectional": True},
    "no-bias": {"num_layers": 2, "bidirectional": True, "bias": False},
}
variants = every("variant", VARIANTS)
twins = every("cell", TWINS)


def torch_twin(torch, cell, layer):
    """Return PyTorch's layer with the weights of ours."""
    extra: dict[str, Any] = {"nonlinearity": "relu"} if cell == "rnn_relu" else {}
    if cell == "lstm":
        extra = {"proj_size": layer.proj_size}
    twin = getattr(torch.nn, TWINS[cell])(
        layer.input_size, layer.hidden_size, layer.num_layers, bias=layer.bias,
        batch_first=layer.batch_first, bidirectional=layer.bidirectional,
        dtype=getattr(torch, layer.dtype.name), **extra,
    )  # fmt: skip
    twin.load_state_dict({k: torch.from_numpy(v) for k, v in layer.state_dict().items()})
    return twin


def leaves(torch, value):
    """Return the array or the tuple of arrays as tensors that want a gradient."""
    tensors = tuple(torch.tensor(member, requires_grad=True) for member in as_tuple(value))
    return tensors if isinstance(value, tuple) else tensors[0]


def torch_results(torch, cell, problem):
    """Run a problem through PyTorch: return (output, state), and gradients as ours are named."""
    layer, lengths = problem.layer, problem.call.get("lengths")
    twin = torch_twin(torch, cell, layer)
    x = leaves(torch, problem.x)
    state = None if problem.state is None else leaves(torch, problem.state)
    packing = torch.nn.utils.rnn
    given = x
    if lengths is not None:
        given = packing.pack_padded_sequence(
            x, torch.from_numpy(lengths), layer.batch_first, enforce_sorted=False
        )
    output, final = twin(given, state)
    if lengths is not None:
        steps = x.shape[1 if layer.batch_first else 0]
        output, _ = packing.pad_packed_sequence(output, layer.batch_first, total_length=steps)

    torch.autograd.backward(
        [output, *as_tuple(final)],
        [torch.from_numpy(d) for d in (problem.d_output, *as_tuple(problem.d_state))],
    )
    gradients: dict[str, Any] = {"x": x.grad.numpy()}
    if state is not None:
        members = tuple(member.grad.numpy() for member in as_tuple(state))
        gradients["state"] = members if isinstance(state, tuple) else members[0]
    gradients |= {name: value.grad.numpy() for name, value in twin.named_parameters()}
    values = tuple(member.detach().numpy() for member in as_tuple(final))
    return (output.detach().numpy(), values), gradients


def our_results(problem):
    tape = problem.record()
    grads = tape.backward(problem.d_output, problem.d_state)
    gradients = {"x": grads.x} | ({} if problem.state is None else {"state": grads.state})
    return (tape.output, as_tuple(tape.state)), gradients | grads.params


def assert_equal_to_torch(torch, cell, problem):
    layer = problem.layer
    T, B = problem.x.shape[:2]
    T, B = (B, T) if layer.batch_first else (T, B)

    values, gradients = our_results(problem)

    want_values, want_gradients = torch_results(torch, cell, problem)
    assert_close(values, want_values, allowed(layer, T, B), "values")
    assert_close(gradients, want_gradients, allowed(layer, T, B, backward=True), "gradients")


@twins
@variants
@every("with_state", [True, False], ids=["state", "no-state"])
@every("dtype")
@every("engine")
def test_layers_equal_pytorch(engine, torch, cell, variant, with_state, dtype, rng):
    problem = make_problem(
        engine, cell, rng=rng, T=7, B=5, I=6, H=9, dtype=dtype,
        with_state=with_state, **VARIANTS[variant],
    )  # fmt: skip

    assert_equal_to_torch(torch, cell, problem)


@twins
@every("sizes", [(1, 1, 1, 1), (3, 33, 17, 31), (40, 2, 3, 65)], ids=str)
@every("dtype")
def test_other_sizes_equal_pytorch(torch, cell, sizes, dtype, rng):
    import simdrnn

    T, B, I, H = sizes  # noqa: E741
    problem = make_problem(
        simdrnn, cell, rng=rng, T=T, B=B, I=I, H=H, dtype=dtype, num_layers=2, bidirectional=True
    )

    assert_equal_to_torch(torch, cell, problem)


def batch_first(problem):
    """Return the problem with sequences (B, T, ...)."""
    layer = copy.deepcopy(problem.layer)
    arguments = {name: getattr(layer, name) for name in ("num_layers", "bias", "bidirectional")}
    turned = type(layer)(
        layer.input_size, layer.hidden_size, batch_first=True, dtype=layer.dtype, **arguments
    )
    turned.load_state_dict(layer.state_dict())
    problem.layer = turned
    problem.x, problem.d_output = problem.x.swapaxes(0, 1), problem.d_output.swapaxes(0, 1)
    return problem


@every("cell", ["rnn_tanh", "lstm", "gru"])
@every("pattern", ["plain", "lengths"])
@every("dtype")
@every("engine")
def test_batch_first_equals_pytorch(engine, torch, cell, pattern, dtype, rng):
    problem = make_problem(
        engine, cell, rng=rng, T=7, B=5, dtype=dtype, num_layers=2, bidirectional=True
    )
    if pattern == "lengths":
        problem.call["lengths"] = unsorted_lengths(7, 5, rng)

    assert_equal_to_torch(torch, cell, batch_first(problem))


@twins
@every("dtype")
@every("engine")
def test_unbatched_calls_equal_pytorch(engine, torch, cell, dtype, rng):
    problem = make_problem(engine, cell, rng=rng, B=1, dtype=dtype, num_layers=2)
    squeezed = tuple(member[:, 0] for member in as_tuple(problem.state))

    given = squeezed if cell == "lstm" else squeezed[0]
    output, state = problem.layer(problem.x[:, 0], given)

    (want_output, want_state), _ = torch_results(torch, cell, problem)
    want = (want_output[:, 0], tuple(member[:, 0] for member in want_state))
    assert_close((output, as_tuple(state)), want, allowed(problem.layer, 5, 1))


@twins
@variants
@every("dtype")
@every("engine")
def test_lengths_equal_packed_sequences(engine, torch, cell, variant, dtype, rng):
    problem = make_problem(
        engine, cell, rng=rng, T=8, B=7, I=5, H=9, dtype=dtype, **VARIANTS[variant]
    )
    problem.call["lengths"] = unsorted_lengths(8, 7, rng)

    assert_equal_to_torch(torch, cell, problem)


@variants
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@every("sizes", [(5, 1), (9, 8), (19, 17), (32, 8)], ids=str)
@every("pattern", ["plain", "lengths"])
@every("dtype")
@every("engine")
def test_projections_equal_pytorch(engine, torch, variant, sizes, pattern, dtype, rng):
    hidden, projected = sizes
    problem = make_problem(
        engine, "lstm", rng=rng, T=7, B=5, I=6, H=hidden, proj_size=projected, dtype=dtype,
        **VARIANTS[variant],
    )  # fmt: skip
    if pattern == "lengths":
        problem.call["lengths"] = unsorted_lengths(7, 5, rng)

    assert_equal_to_torch(torch, "lstm", problem)


@twins
@every("dtype")
@every("engine")
def test_empty_batches_equal_pytorch(engine, torch, cell, dtype, rng):
    problem = make_problem(engine, cell, rng=rng, T=4, B=0, dtype=dtype, bidirectional=True)

    assert_equal_to_torch(torch, cell, problem)


@twins
@every("bias", [True, False], ids=["bias", "no-bias"])
@every("leading", [(5,), (), (0,)], ids=["batch", "unbatched", "empty"])
@every("dtype")
@every("engine")
def test_cells_equal_pytorch(engine, torch, cell, bias, leading, dtype, rng):
    extra = {"nonlinearity": "relu"} if cell == "rnn_relu" else {}
    name = TWINS[cell] + "Cell"
    ours = getattr(engine, name)(6, 9, bias=bias, dtype=dtype, **extra)
    theirs = getattr(torch.nn, name)(6, 9, bias=bias, dtype=getattr(torch, dtype), **extra)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    x = rng.standard_normal((*leading, 6)).astype(dtype)
    states = tuple(
        rng.standard_normal((*leading, 9)).astype(dtype) for _ in range(1 + (cell == "lstm"))
    )

    got = ours(x, states if cell == "lstm" else states[0])

    tensors = tuple(map(torch.from_numpy, states))
    want = theirs(torch.from_numpy(x), tensors if cell == "lstm" else tensors[0])
    want = tuple(member.detach().numpy() for member in as_tuple(want))
    assert_close(as_tuple(got), want, 2 * tolerance(dtype, 1, 6 + 9))


@twins
@variants
@every("dtype")
@every("engine")
def test_state_dicts_move_both_ways(engine, torch, cell, variant, dtype):
    layer = make_layer(engine, cell, 6, 9, dtype=dtype, seed=1, **VARIANTS[variant])
    twin = torch_twin(torch, cell, make_layer(engine, cell, 6, 9, dtype=dtype, **VARIANTS[variant]))

    layer.load_state_dict(twin.state_dict())

    theirs = {name: value.numpy() for name, value in twin.state_dict().items()}
    assert list(layer.state_dict()) == list(theirs)
    assert_close(layer.state_dict(), theirs, 0.0)


def test_state_dict_of_another_dtype_is_refused(engine, torch):
    layer = engine.GRU(6, 9, dtype="float32")
    twin = torch.nn.GRU(6, 9, dtype=torch.float64)

    with pytest.raises(TypeError, match="weight_ih_l0: expected dtype float32, got float64"):
        layer.load_state_dict(twin.state_dict())


def largest_distance(one, other):
    """Return the largest distance of two samples' distribution functions."""
    points = np.sort(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(s), points, side="right") / s.size for s in (one, other)]
    return np.abs(shares[0] - shares[1]).max()


@twins
@every("engine")
def test_initial_weights_are_distributed_as_in_pytorch(engine, torch, cell):
    torch.manual_seed(0)
    layer = make_layer(engine, cell, 20, 64, num_layers=2, dtype="float64", seed=0)
    extra = {"nonlinearity": "relu"} if cell == "rnn_relu" else {}
    twin = getattr(torch.nn, TWINS[cell])(20, 64, num_layers=2, dtype=torch.float64, **extra)

    ours, theirs = layer.state_dict(), twin.state_dict()

    for name, value in theirs.items():
        one, other = ours[name].ravel(), value.numpy().ravel()
        # Smirnov's bound: equal distributions are further apart with probability 2 exp(-2 c^2).
        spread = 3.5 * np.sqrt((one.size + other.size) / (one.size * other.size))
        assert largest_distance(one, other) < spread, name
        assert np.abs(one).max() <= 1 / np.sqrt(64)
