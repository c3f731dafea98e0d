"""Merged, residual, reversed and learned structures equal layers composed in PyTorch, in float64.

Every layer is one of ``torch.nn``; what joins them is written here.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from helpers import as_tuple, assert_close, make_problem
from helpers_cover import cover
from helpers_loops import every
from helpers_peers import allowed, unsorted_lengths
from simdrnn.engine.random_words import call_key, happens

pytestmark = pytest.mark.peers

T, B, I, H = 6, 5, 4, 8  # noqa: E741
TWINS = {"rnn_tanh": "RNN", "lstm": "LSTM", "gru": "GRU"}
STRUCTURES = {
    "forward": {},
    "reverse": {"reverse": True},
    "concat": {"bidirectional": True},
    "sum": {"bidirectional": True, "merge": "sum"},
    "mul": {"bidirectional": True, "merge": "mul"},
    "ave": {"bidirectional": True, "merge": "ave"},
}
FACTORS = {
    "cell": tuple(TWINS),
    "structure": tuple(STRUCTURES),
    "num_layers": (1, 2, 3),
    "residual": (False, True),
    "learned": (False, True),
    "lengths": (False, True),
    "dropout": (0.0, 0.4),
}


def draw(engine, cell, structure, rng, num_layers, residual, learned, dropout):
    """Draw a problem; where a single layer is residual, its input has the output's size."""
    options = STRUCTURES[structure] | {"residual": residual, "num_layers": num_layers}
    options["learn_initial_state"] = learned
    width = 2 * H if structure == "concat" else H
    problem = make_problem(
        engine, cell, rng=rng, T=T, B=B, I=width if residual and num_layers == 1 else I, H=H,
        dtype="float64", with_state=not learned, dropout=dropout if num_layers > 1 else 0.0,
        **options,
    )  # fmt: skip
    problem.d_output = rng.standard_normal((T, B, width))
    for name in problem.layer.parameters():
        if name.startswith(("h_0", "c_0")):  # zeros at first
            setattr(problem.layer, name, rng.standard_normal(H))
    return problem


def run_layer(torch, cell, weights, u, state, lengths, structure):
    """Run one layer: return what it puts out, merged, and the final states (D, B, H)."""
    both = structure not in ("forward", "reverse")
    module = getattr(torch.nn, TWINS[cell])(u.shape[-1], H, bidirectional=both, dtype=u.dtype)
    given = state if cell == "lstm" else state[0]
    reversed_ = structure == "reverse"
    if lengths is not None:
        # torch's packed sequences have no reverse direction alone: turn the real steps around.
        steps = torch.arange(T)[:, None]
        turned = torch.where(steps < lengths, lengths - 1 - steps, steps)[..., None]
        u = u.gather(0, turned.expand_as(u)) if reversed_ else u
        packed = torch.nn.utils.rnn.pack_padded_sequence(u, lengths, enforce_sorted=False)
        output, final = torch.func.functional_call(module, weights, (packed, given))
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(output, total_length=T)
        output = output.gather(0, turned.expand_as(output)) if reversed_ else output
    else:
        u = u.flip(0) if reversed_ else u
        output, final = torch.func.functional_call(module, weights, (u, given))
        output = output.flip(0) if reversed_ else output
    if structure in ("sum", "mul", "ave"):
        one, other = output.split(H, dim=-1)
        joined = {"sum": one + other, "mul": one * other, "ave": (one + other) / 2}
        output = joined[structure]
    return output, as_tuple(final)


def torch_results(torch, cell, problem, structure, residual, dropout):
    """Run the problem's first call: (output, state), and gradients named as ours."""
    layer, lengths = problem.layer, problem.call.get("lengths")
    parameters = {n: torch.tensor(v, requires_grad=True) for n, v in layer.state_dict().items()}
    x = torch.tensor(problem.x, requires_grad=True)
    real = torch.ones(T, B, 1, dtype=torch.bool)
    if lengths is not None:
        lengths = torch.from_numpy(lengths)
        real = (torch.arange(T)[:, None] < lengths)[..., None]
    ends = ("", "_reverse") if layer.bidirectional else ("",)
    states = None
    if problem.state is not None:
        states = tuple(torch.tensor(s, requires_grad=True) for s in as_tuple(problem.state))
    below, finals = x, []
    for k in range(layer.num_layers):
        if k and dropout:
            dropped = happens((T, B, below.shape[-1]), 0, k - 1, dropout, call_key(layer.seed, 0))
            below = below * torch.from_numpy(~dropped / (1 - dropout))
        if states is None:  # learned: the same for every row
            members = ("h_0", "c_0") if cell == "lstm" else ("h_0",)
            given = tuple(
                torch.stack([parameters[f"{m}_l{k}{end}"].expand(B, H) for end in ends])
                for m in members
            )
        else:
            given = tuple(s[k * len(ends) : (k + 1) * len(ends)] for s in states)
        weights = {
            f"{kind}_l0{end}": parameters[f"{kind}_l{k}{end}"]
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            for end in ends
        }
        output, final = run_layer(torch, cell, weights, below, given, lengths, structure)
        if residual and output.shape == below.shape:
            output = output + torch.where(real, below, 0.0)
        below = output
        finals.append(final)
    final = tuple(torch.cat(member) for member in zip(*finals, strict=True))
    torch.autograd.backward(
        [below, *final],
        [torch.from_numpy(d) for d in (problem.d_output, *as_tuple(problem.d_state))],
    )
    gradients = {"x": x.grad.numpy()}
    if states is not None:
        gradients["state"] = tuple(s.grad.numpy() for s in states)
    gradients |= {name: value.grad.numpy() for name, value in parameters.items()}
    return (below.detach().numpy(), tuple(f.detach().numpy() for f in final)), gradients


@every("row", cover(FACTORS, frozenset()), ids=lambda row: "-".join(map(str, row.values())))
@every("engine")
def test_every_pair_of_structures_equals_layers_composed(torch, engine, row):
    rng = np.random.default_rng(zlib.crc32(str(row).encode()))
    cell, structure, residual = row["cell"], row["structure"], row["residual"]
    dropout = row["dropout"] if row["num_layers"] > 1 else 0.0
    problem = draw(
        engine, cell, structure, rng, row["num_layers"], residual, row["learned"], dropout
    )
    if row["lengths"]:
        problem.call["lengths"] = unsorted_lengths(T, B, rng)

    tape = problem.record()
    grads = tape.backward(problem.d_output, problem.d_state)

    want_values, want = torch_results(torch, cell, problem, structure, residual, dropout)
    got = {"x": grads.x} | ({} if problem.state is None else {"state": as_tuple(grads.state)})
    layer = problem.layer
    assert_close((tape.output, as_tuple(tape.state)), want_values, allowed(layer, T, B), "values")
    assert_close(got | grads.params, want, allowed(layer, T, B, backward=True), "gradients")
