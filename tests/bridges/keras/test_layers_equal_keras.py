"""Keras's LSTM, GRU and SimpleRNN equal our layers: masks, directions, activations, gradients.

Keras runs on PyTorch, and in float32, as its products do there whatever a layer's dtype. Its
backends disagree on what a layer without ``zero_output_for_mask`` puts out where the first steps
are masked and the initial state is not 0: that state on NumPy and JAX, as here, but 0 on PyTorch
and TensorFlow. No such case is compared.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import simdrnn as sr
from helpers import INFOS, as_tuple, assert_close, make_problem
from helpers_cover import cover
from helpers_keras import ACTIVATIONS, imported_keras, make_keras, our_gradients
from helpers_loops import every
from helpers_peers import allowed

pytestmark = pytest.mark.peers

# Our cell -> Keras's layer, and its arguments.
CELLS = {
    "rnn_tanh": ("SimpleRNN", {}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {"reset_after": True}),
    "gru_reset_before": ("GRU", {"reset_after": False}),
}
# What Keras calls a structure -> our options.
STRUCTURES = {
    "forward": {},
    "backward": {"reverse": True, "keep_order": False},
    "concat": {"bidirectional": True, "merge": "concat"},
    "sum": {"bidirectional": True, "merge": "sum"},
    "mul": {"bidirectional": True, "merge": "mul"},
    "ave": {"bidirectional": True, "merge": "ave"},
    None: {"bidirectional": True, "merge": "none"},
}
ALONE = ("forward", "backward")
T, B, I, H = 6, 5, 4, 9  # noqa: E741

FACTORS = {
    "cell": tuple(CELLS),
    "structure": tuple(STRUCTURES),
    "mask": ("none", "holes", "padding"),
    "masked_output": ("hold", "zero"),
    "state": (False, True),
    "sequences": (True, False),
    "activations": (None, ("softsign", "hard_sigmoid"), ("relu", "sigmoid"), ("elu", "softsign")),
    "bias": (True, False),
}


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    with imported_keras(str(tmp_path_factory.mktemp("keras"))) as module:
        yield module


def our_options(cell, activations):
    """Return our options for Keras's (activation, recurrent_activation)."""
    if activations is None:
        return {}
    names = {"activation": ACTIVATIONS[activations[0]]}
    if cell != "rnn_tanh":
        names["recurrent_activation"] = ACTIVATIONS[activations[1]]
    if cell == "lstm":  # Keras's has one for both
        names["output_activation"] = names["activation"]
    return names


def keras_options(cell, activations):
    """Return them as Keras takes them."""
    if activations is None:
        return {}
    names = ("activation", "recurrent_activation")[: 1 if cell == "rnn_tanh" else 2]
    return dict(zip(names, activations, strict=False))


def draw_mask(mask, structure, rng, *, first_real):
    """Draw a mask (B, T), with a row of no real steps where `first_real` lets it.

    Parameters
    ----------
    first_real : whether the first step that is taken must be real in every row.
    """
    if mask == "padding":
        lengths = np.array([T, 0, 1, 3, T - 1])
        if first_real:
            lengths[1] = 2
        padding = np.arange(T) < lengths[:, None]
        return padding[:, ::-1].copy() if first_real and structure == "backward" else padding
    drawn = rng.random((B, T)) < 0.5
    drawn[1] = False
    drawn[2] = True
    if first_real:
        if structure != "backward":
            drawn[:, 0] = True
        if structure != "forward":
            drawn[:, -1] = True
    return drawn


def our_call(mask, structure, drawn):
    """Return our arguments for Keras's mask: where it is padding on the right, lengths."""
    if drawn is None:
        return {}
    if mask == "padding" and structure != "backward":  # which has it in front
        return {"lengths": drawn.sum(axis=1)}
    return {"mask": drawn}


def keras_run(twin, problem, drawn, d_output):
    """Run the twin and back-propagate: return (output, states), and gradients in Keras's layout."""
    import torch

    def leaf(array):
        return torch.tensor(array, requires_grad=True)

    x = leaf(problem.x)
    directions = 2 if problem.layer.bidirectional else 1
    state = None
    if problem.state is not None:  # Keras has a flat list, direction by direction
        members = as_tuple(problem.state)
        state = [leaf(member[d]) for d in range(directions) for member in members]
    output, *final = twin(
        x,
        mask=None if drawn is None else torch.from_numpy(drawn),
        initial_state=state,
        training=True,
    )
    if getattr(twin, "merge_mode", "concat") is None:
        output, final = torch.stack([output, final[0]], dim=-2), final[1:]
    d_final = [m[d] for d in range(directions) for m in as_tuple(problem.d_state)]
    torch.autograd.backward([output, *final], [torch.from_numpy(d) for d in (d_output, *d_final)])

    def by_direction(values):
        count = len(as_tuple(problem.d_state))
        each = [values[d * count : (d + 1) * count] for d in range(directions)]
        return tuple(np.stack(member) for member in zip(*each, strict=True))

    gradients = {"x": x.grad.numpy()}
    if state is not None:
        gradients["state"] = by_direction([one.grad.numpy() for one in state])
    weights = [weight.value.grad.numpy() for weight in twin.trainable_variables]
    return (output.detach().numpy(), by_direction([f.detach().numpy() for f in final])), (
        gradients,
        weights,
    )


def our_run(problem, structure, sequences, call, d_output):
    """Run ours and back-propagate: return (output, states) and gradients."""
    tape = problem.layer.record(problem.x, problem.state, training=True, **call)
    if sequences:
        output, given = tape.output, {"d_output": d_output}
    elif structure in ALONE:
        at_last = np.zeros_like(tape.output)
        at_last[:, -1] = d_output
        output, given = tape.output[:, -1], {"d_output": at_last}
    else:
        output, given = tape.last_output, {"d_last_output": d_output}
    grads = tape.backward(d_state=problem.d_state, **given)
    gradients = {"x": grads.x}
    if problem.state is not None:
        gradients["state"] = as_tuple(grads.state)
    return (output, as_tuple(tape.state)), gradients | grads.params


def assert_equal_to_keras(
    keras, cell, rng, *, structure="forward", mask="none", masked_output="zero", state=True,
    sequences=True, activations=None, bias=True,
):  # fmt: skip
    kind, arguments = CELLS[cell]
    gates = "".join(INFOS[cell].gate_names)
    problem = make_problem(
        sr, cell, rng=rng, T=T, B=B, I=I, H=H, dtype="float32", with_state=state, bias=bias,
        batch_first=True, **STRUCTURES[structure], **our_options(cell, activations),
    )  # fmt: skip
    problem.x = np.ascontiguousarray(problem.x.swapaxes(0, 1))
    if structure not in ALONE:  # the wrapper's own choice
        masked_output = "zero" if sequences else "hold"
    drawn = None
    if mask != "none":
        first_real = state and masked_output == "hold"
        drawn = draw_mask(mask, structure, rng, first_real=first_real)
    call = our_call(mask, structure, drawn) | {"masked_output": masked_output}
    zeros = {"zero_output_for_mask": masked_output == "zero"} if structure in ALONE else {}
    twin = make_keras(
        keras, kind, problem.layer, gates, structure, return_sequences=sequences, dropout=0.0,
        recurrent_dropout=0.0, **zeros, **arguments, **keras_options(cell, activations),
    )  # fmt: skip
    like = problem.layer(problem.x)[0]
    d_output = rng.standard_normal(like.shape if sequences else like[:, 0].shape).astype("float32")

    values, gradients = our_run(problem, structure, sequences, call, d_output)

    want_values, (want, weights) = keras_run(twin, problem, drawn, d_output)
    assert_close(values, want_values, allowed(problem.layer, T, B), "values")
    want |= our_gradients(weights, problem.layer, kind, gates)
    assert_close(gradients, want, allowed(problem.layer, T, B, backward=True), "gradients")


PAIRS = cover(FACTORS, frozenset())


@every("row", PAIRS, ids=lambda row: "-".join(map(str, row.values())))
def test_every_pair_of_arguments_equals_ours(keras, row):
    rng = np.random.default_rng(zlib.crc32(str(row).encode()))

    assert_equal_to_keras(keras, rng=rng, **row)


@every("cell", CELLS)
@every("structure", ["forward", "backward", "concat"])
@every("masked_output", ["hold", "zero"])
@every("state", [True, False], ids=["state", "no-state"])
def test_masks_with_holes_equal_ours(keras, cell, structure, masked_output, state, rng):
    sequences = structure in ALONE or masked_output == "zero"  # both directions choose by that

    assert_equal_to_keras(
        keras, cell, rng, structure=structure, mask="holes", masked_output=masked_output,
        state=state, sequences=sequences,
    )  # fmt: skip


PLACES = [(cell, place) for cell in CELLS for place in range(1 if cell == "rnn_tanh" else 2)]


@every("cell, place", PLACES, ids=str)
@every("name", ACTIVATIONS)
def test_every_activation_equals_ours(keras, cell, place, name, rng):
    activations = ["tanh", "sigmoid"]
    activations[place] = name

    assert_equal_to_keras(keras, cell, rng, activations=tuple(activations))
