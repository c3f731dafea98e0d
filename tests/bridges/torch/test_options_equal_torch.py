"""Options equal what PyTorch's autograd makes of their formulas, in float64.

The formulas are in `helpers_torch`, each with its source, and below. Random masks are those of our
layer, drawn again.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import simdrnn as sr
from helpers import INFOS, as_tuple, assert_close, make_problem
from helpers_cover import cover
from helpers_loops import every
from helpers_peers import allowed
from simdrnn.engine.random_words import Feature

pytestmark = pytest.mark.peers

T, B, I, H = 7, 4, 5, 9  # noqa: E741
DIRECTIONS = {
    "forward": {},
    "reverse": {"reverse": True},
    "both": {"bidirectional": True},
}
# None is off. A value that is exactly at a bound has slope 0 here and 1 in PyTorch: no bound is a
# simple function of others (with 0.5, JANET made 0.25 * -0.2 + 0.75 * softsign(0.5) = 0.2).
OPTIONS = {
    "gate_clip": (None, 0.45),
    "cell_clip": (None, 0.3),
    "hidden_clip": (None, 0.2),
    "step_grad_clip": (None, 0.1),
    "step_grad_norm": (None, 0.15),
    "input_dropout": (None, 0.4),
    "recurrent_dropout": (None, 0.4),
    "recurrent_dropout_per_gate": (None, True),
    "candidate_dropout": (None, 0.4),
    "zoneout": (None, 0.3, (0.25, 0.5)),
    "activation": (None, ("scaled_tanh", 1.25, 0.75), "softsign"),
    "recurrent_activation": (None, ("hard_sigmoid", 0.3, 0.4)),
    "output_activation": (None, ("elu", 0.5)),
}
CELLS = (
    *("rnn_tanh", "rnn_relu", "lstm", "lstm_peephole", "lstm_coupled_input", "lstm_coupled_forget"),
    *("lstm_peephole_coupled_input", "lstm_peephole_coupled_forget", "gru", "gru_reset_before"),
    *("mgu", "ugrnn", "li_gru", "janet"),
)
FACTORS = {
    "cell": CELLS,
    "direction": tuple(DIRECTIONS),
    "training": (True, False),
    "state": (True, False),
    "bias": (True, False),
    "checkpoint_every": (None, 3),
    **OPTIONS,
}


def defined(cell, options):
    """Return the options that are on and that the cell has something for."""
    given = {name: value for name, value in options.items() if value is not None}
    if "recurrent_dropout" not in given:
        given.pop("recurrent_dropout_per_gate", None)
    if INFOS[cell].states == 1:
        if isinstance(given.get("zoneout"), tuple):
            given["zoneout"] = given["zoneout"][0]
        for name in ("cell_clip", "output_activation"):
            given.pop(name, None)
    if INFOS[cell].gates == 1:
        for name in ("recurrent_activation", "candidate_dropout"):
            given.pop(name, None)
    return given


def torch_results(torch, cell, problem, options, *, training=True, reverse=False):
    """Run the problem's first call in PyTorch: (output, state), and gradients named as ours."""
    from helpers_torch import Masks, run_direction

    layer = problem.layer

    def leaf(array):
        return torch.tensor(array, requires_grad=True)

    parameters = {name: leaf(value) for name, value in layer.state_dict().items()}
    x = leaf(problem.x)
    given = as_tuple(problem.d_state if problem.state is None else problem.state)
    state = tuple(leaf(member * (problem.state is not None)) for member in given)
    masks = Masks(layer.seed, training)
    dropped = x * masks.multiplier((1, B, I), Feature.INPUT, 0, options.get("input_dropout"))
    outputs, finals = [], []
    for index, end in enumerate(("", "_reverse") if layer.bidirectional else ("",)):
        ending = f"_l0{end}"
        own = {n[: -len(ending)]: v for n, v in parameters.items() if n.endswith(ending)}
        initial = tuple(member[index] for member in state)
        output, final = run_direction(
            cell, own, dropped, initial, options, masks, index, reverse=reverse or index == 1
        )
        outputs.append(output)
        finals.append(final)
    output = torch.cat(outputs, dim=-1)
    final = tuple(torch.stack(member) for member in zip(*finals, strict=True))
    torch.autograd.backward(
        [output, *final],
        [torch.from_numpy(d) for d in (problem.d_output, *as_tuple(problem.d_state))],
    )
    gradients = {"x": x.grad.numpy(), "state": tuple(member.grad.numpy() for member in state)}
    gradients |= {name: value.grad.numpy() for name, value in parameters.items()}
    return (output.detach().numpy(), tuple(m.detach().numpy() for m in final)), gradients


def assert_equal_to_torch(
    torch, engine, cell, rng, *, direction="both", training=True, state=True, bias=True,
    checkpoint_every=None, **options,
):  # fmt: skip
    options = defined(cell, options)
    problem = make_problem(
        engine, cell, rng=rng, T=T, B=B, I=I, H=H, dtype="float64", with_state=state, bias=bias,
        **DIRECTIONS[direction], **options,
    )  # fmt: skip
    problem.call = {"training": training, "checkpoint_every": checkpoint_every}

    tape = problem.record()
    grads = tape.backward(problem.d_output, problem.d_state)
    values = (tape.output, as_tuple(tape.state))
    gradients = {"x": grads.x, "state": as_tuple(grads.state)} | grads.params

    want_values, want = torch_results(
        torch, cell, problem, options, training=training, reverse=direction == "reverse"
    )
    assert_close(values, want_values, allowed(problem.layer, T, B), "values")
    assert_close(gradients, want, allowed(problem.layer, T, B, backward=True), "gradients")


PAIRS = cover(FACTORS, frozenset())
SINGLE = [
    (cell, name, value, training)
    for cell in CELLS
    for name, values in OPTIONS.items()
    for value in values[1:]
    for training in (True, False)
    if defined(cell, {name: value}) == {name: value} and (training or "dropout" not in name)
]


@every("row", PAIRS, ids=lambda row: "-".join(map(str, row.values())))
@every("engine")
def test_every_pair_of_options_equals_autograd(torch, engine, row):
    rng = np.random.default_rng(zlib.crc32(str(row).encode()))

    assert_equal_to_torch(torch, engine, rng=rng, **row)


@every("cell, name, value, training", SINGLE, ids=str)
def test_every_option_alone_equals_autograd(torch, cell, name, value, training, rng):
    assert_equal_to_torch(torch, sr, cell, rng, training=training, **{name: value})


@every("cell", CELLS)
@every("engine")
def test_recurrent_dropout_by_gate_equals_autograd(torch, engine, cell, rng):
    options = {"recurrent_dropout": 0.4, "recurrent_dropout_per_gate": True}

    assert_equal_to_torch(torch, engine, cell, rng, **options)


@every("cell", CELLS)
@every("engine")
def test_cells_without_options_equal_autograd(torch, engine, cell, rng):
    assert_equal_to_torch(torch, engine, cell, rng)
