"""Stacks as objects: parameters, training, copies, and what they refuse."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_loops import every
from simdrnn import reference

X = np.ones((4, 2, 3), "float32")


def make(skip="highway", seed=0, engine=sr):
    dtype = "float32" if engine is sr else "float64"
    layers = [engine.LSTM(3, 3, seed=seed, dtype=dtype), engine.GRU(3, 3, seed=seed, dtype=dtype)]
    return sr.Stack(layers, skip, seed=seed)


def test_parameters_are_those_of_the_layers_and_gates():
    stack = make()

    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    gates = [f"{index}.gate.{name}" for index in (0, 1) for name in ("weight", "bias")]
    want = [f"{index}.{name}" for index in (0, 1) for name in names] + gates
    assert list(stack.parameters()) == list(stack.state_dict()) == want
    assert stack.num_parameters == sum(value.size for value in stack.parameters().values())
    assert_same_bits(stack.parameters()["1.bias_hh_l0"], stack[1].bias_hh_l0)
    assert (stack.parameters()["0.gate.bias"] == -1).all()
    assert (len(stack), stack.input_size, stack.output_size) == (2, 3, 3)
    grads = stack.record(X).backward()
    assert list(grads.params) == want
    with pytest.raises(ValueError, match="read-only"):
        stack.parameters()["0.gate.bias"][0] = 1


def test_loading_is_checked_as_a_whole():
    stack, other = make(), make(seed=1)
    values, before = other.state_dict(), stack.state_dict()

    wrong = values | {"1.gate.weight": np.zeros((2, 3), "float32")}
    with pytest.raises(ValueError, match=r"1\.gate\.weight: expected shape \(F, F\) = \(3, 3\)"):
        stack.load_state_dict(wrong)
    renamed = {("x" if name == "0.bias_ih_l0" else name): v for name, v in values.items()}
    with pytest.raises(ValueError, match=r"got missing \['0.bias_ih_l0'\], unexpected \['x'\]"):
        stack.load_state_dict(renamed)
    with pytest.raises(TypeError, match="state_dict: expected a mapping"):
        stack.load_state_dict([])
    assert_same_bits(stack.state_dict(), before)

    assert stack.load_state_dict(values) == ([], [])
    assert_same_bits(stack(X)[0], other(X)[0])
    keys = stack.load_state_dict({"0.gate.bias": before["0.gate.bias"], "y": 0}, strict=False)
    assert (len(keys.missing_keys), keys.unexpected_keys) == (len(before) - 1, ["y"])


@every("skip", [None, "residual", "highway"])
@every("engine", [sr, reference], ids=["compiled", "reference"])
def test_training(skip, engine):
    stack = make(skip, engine=engine)
    optimizer = sr.optim.Adam(stack, lr=0.05)
    x = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(stack.dtype)
    target = np.full(x.shape, 0.25, stack.dtype)
    losses = []

    for _ in range(40):
        tape = stack.record(x)
        loss = sr.mse(tape.output, target)
        losses.append(float(loss.value))
        grads = tape.backward(loss.backward())
        sr.clip_grad_norm_(grads, 1.0)
        optimizer.step(grads)

    assert losses[-1] < losses[0] / 4
    with pytest.raises(ValueError, match="record again"):
        tape.backward(loss.backward())


def test_a_change_of_a_gate_alone_is_noticed():
    stack = make()
    tape, before = stack.record(X), stack(X)[0]

    stack.load_state_dict({"1.gate.bias": np.zeros(3, "float32")}, strict=False)

    assert not np.array_equal(stack(X)[0], before)
    with pytest.raises(ValueError, match="record again"):
        tape.backward()


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_stand_alone(twin):
    stack = make()
    other, want = twin(stack), stack(X)[0]

    stack.load_state_dict(make(seed=1).state_dict())

    assert_same_bits(other(X)[0], want)
    other.load_state_dict(stack.state_dict())
    assert_same_bits(other(X)[0], stack(X)[0])
    assert_same_bits(other.record(X).output, stack.record(X).output)


def test_repr_shows_how_it_was_made():
    stack = sr.Stack(
        [sr.GRU(2, 3, bidirectional=True, merge="sum"), sr.LSTM(3, 3, residual=True)], "residual",
        0.5,
    )  # fmt: skip

    text = repr(stack)

    assert text == (
        "Stack([GRU(2, 3, bidirectional=True, merge='sum'), LSTM(3, 3, residual=True)], "
        "skip='residual', dropout=0.5)"
    )
    names = {"Stack": sr.Stack, "GRU": sr.GRU, "LSTM": sr.LSTM}
    assert repr(eval(text, names)) == text


def test_layers_without_skips_may_end_apart():
    top = sr.GRU(3, 4, bidirectional=True, merge="none", seed=0)
    stack = sr.Stack([sr.GRU(3, 3, seed=0), top])

    tape = stack.record(X)

    assert tape.output.shape == (4, 2, 2, 4)
    assert tape.last_output.shape == (2, 2, 4)
    assert tape.backward(tape.output, None, tape.last_output).x.shape == X.shape


def test_only_what_is_put_out_needs_a_last_output():
    low = sr.GRU(3, 3, bidirectional=True, residual=True, merge="sum", seed=0)  # it has none
    stack = sr.Stack([low, sr.GRU(3, 4, seed=0)])

    tape = stack.record(X, lengths=[2, 4])

    assert_same_bits(tape.last_output[0], tape.output[1, 0])
    assert_same_bits(stack.last_output(tape.state), tape.last_output)
    with pytest.raises(ValueError, match="last_output: expected one direction"):
        _ = sr.Stack([low, sr.GRU(6, 4)], "concat").record(X).last_output


GRU = sr.GRU(3, 3)
REFUSED = {
    "no list": (lambda: sr.Stack(GRU), TypeError, "layers: expected a list of layers, got GRU"),
    "none": (lambda: sr.Stack([]), ValueError, "layers: expected at least one layer, got none"),
    "module": (
        lambda: sr.Stack([GRU, sr.Linear(3, 3)]), TypeError,
        "layers[1]: expected a recurrent layer, got Linear",
    ),
    "twice": (lambda: sr.Stack([GRU, GRU]), ValueError, "layers[1]: expected each layer once"),
    "dtype": (
        lambda: sr.Stack([GRU, sr.GRU(3, 3, dtype="float64")]), ValueError,
        "layers[1]: expected dtype float32 as layers[0], got float64",
    ),
    "layout": (
        lambda: sr.Stack([GRU, sr.GRU(3, 3, batch_first=True)]), ValueError,
        "layers[1]: expected batch_first=False as layers[0], got True",
    ),
    "size": (
        lambda: sr.Stack([GRU, sr.GRU(4, 3)]), ValueError,
        "layers[1]: expected input_size=3, which is what it is given, got 4",
    ),
    "concat": (
        lambda: sr.Stack([GRU, sr.GRU(3, 3)], "concat"), ValueError,
        "layers[1]: expected input_size=6, which is what it is given, got 3",
    ),
    "skip": (
        lambda: sr.Stack([GRU], "dense"), ValueError,
        "skip: expected one of None, 'residual', 'highway', 'concat', got 'dense'",
    ),
    "nowhere": (
        lambda: sr.Stack([sr.GRU(2, 3), sr.GRU(3, 4)], "highway"), ValueError,
        "skip: expected a layer whose input and output have the same size, got [(2, 3), (3, 4)]",
    ),
    "apart": (
        lambda: sr.Stack([sr.GRU(3, 3, bidirectional=True, merge="none"), sr.GRU(6, 3)]),
        ValueError, "layers[0]: expected directions that merge",
    ),
    "order": (
        lambda: sr.Stack([sr.GRU(3, 3, reverse=True, keep_order=False)], "residual"), ValueError,
        "layers[0]: expected outputs at their times",
    ),
    "dropout": (lambda: sr.Stack([GRU], dropout=2), ValueError, "dropout: expected a number"),
    "seed": (lambda: sr.Stack([GRU], seed=-1), ValueError, "seed: expected a non-negative"),
}  # fmt: skip


@every("case", REFUSED)
def test_what_is_no_stack(case):
    call, error, message = REFUSED[case]

    with pytest.raises(error, match=re.escape(message)):
        call()


STATE = (np.zeros((1, 2, 3), "float32"), np.zeros((1, 2, 3), "float32"))
CALLS = {
    "x": (lambda s: s(X[..., :2]), ValueError, "x: expected shape (T, B, 3)"),
    "state": (lambda s: s(X, STATE[0]), TypeError, "state: expected a tuple of 2, one for each"),
    "states": (lambda s: s(X, (STATE,)), TypeError, "one for each layer, got tuple of 1"),
    "one state": (
        lambda s: s(X, (STATE, STATE)), TypeError, "state[1]: expected one array h_0, got a tuple",
    ),
    "shape": (
        lambda s: s(X, (STATE, STATE[0][:, :1])), ValueError, "state[1]: expected shape (L*D, B",
    ),
    "lengths": (lambda s: s(X, lengths=[5, 1]), ValueError, "lengths: expected values in [0, T]"),
    "reset_state": (
        lambda s: s(X, reset_state="zero"), ValueError, "reset_state: expected reset= with it",
    ),
    "learned": (
        lambda s: s(X, reset=np.zeros((4, 2), bool), reset_state="learned"), ValueError,
        "reset_state: expected a layer with learn_initial_state=True",
    ),
    "resets": (
        lambda s: s(X, reset=np.zeros((4, 2), bool), reset_state=(STATE, STATE)), TypeError,
        "reset_state[1]: expected one array",
    ),
    "training": (lambda s: s.record(X, training=1), TypeError, "training: expected True or False"),
    "d_output": (
        lambda s: s.record(X).backward(X[:1]), ValueError,
        "d_output: expected shape (T, B, D*H) = (4, 2, 3), got (1, 2, 3)",
    ),
    "d_state": (
        lambda s: s.record(X).backward(None, (None, X)), ValueError, "d_state[1]: expected shape",
    ),
    "last": (
        lambda s: s.record(X).last_output, ValueError,
        "last_output: expected skip None or 'concat', got 'highway'",
    ),
    "last state": (lambda s: make(None).last_output(None), TypeError, "state: expected the state"),
}  # fmt: skip


@every("case", CALLS)
def test_what_stacks_refuse_before_anything_runs(case):
    call, error, message = CALLS[case]
    stack = make()

    with pytest.raises(error, match=re.escape(message)):
        call(stack)

    if not case.startswith(("d_", "last")):
        assert stack._recorded == (0, 0, 0)


def test_dropout_needs_two_layers():
    with pytest.warns(UserWarning, match="dropout: acts between layers"):
        sr.Stack([sr.GRU(2, 3)], dropout=0.5)
