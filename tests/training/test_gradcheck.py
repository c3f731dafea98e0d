"""`gradcheck`: right gradients pass, wrong ones are named, kinks raise no false alarm."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import simdrnn as sr
from helpers import CELLS, CLIPS, INFOS, assert_same_bits, clip_options, make_layer
from helpers_loops import every, in_turn
from simdrnn import reference
from simdrnn.layers.tape import Tape

RANDOM = {"lengths": "random", "mask": "random", "reset": "random"}
# Clips of the forward pass; those inside back-propagation are no derivatives.
ENGINES = (reference, sr)
MASKED = ("zero", "hold")
FORWARD_CLIPS = ("unclipped", "gate", "cell", "hidden")


@every(
    *in_turn(
        {"cell": CELLS, "engine": ENGINES, "clip": FORWARD_CLIPS, "masked_output": MASKED}, rounds=2
    )
)
def test_every_cell_and_option(engine, cell, clip, masked_output):
    layer = make_layer(engine, cell, 2, 5, dtype="float64", seed=1, **clip_options(cell, clip))

    report = sr.gradcheck(layer, T=5, B=3, **RANDOM, masked_output=masked_output, entries=12)

    assert report.ok
    count = INFOS[cell].states
    states = [f"state[{k}]" for k in range(count)] if count > 1 else ["state"]
    assert list(report.tensors) == ["x", *states, *layer.parameters()]
    sizes = {name: array.size for name, array in layer.parameters().items()}
    for name, check in report.tensors.items():
        assert check.compared + check.skipped >= min(5, sizes.get(name, 5))


@every(*in_turn({"cell": CELLS[::3], "engine": ENGINES}))
def test_stacks_directions_and_dropout(engine, cell):
    layer = make_layer(
        engine, cell, 2, 3, 2, dtype="float64", seed=0, bidirectional=True, batch_first=True,
        dropout=0.5,
    )  # fmt: skip

    assert sr.gradcheck(layer, T=4, B=3, **RANDOM, entries=8).ok


@every("radius", [1.5, 3.0])
@every("engine")
def test_layers_that_amplify(engine, radius):
    layer = engine.RNN(2, 20, dtype="float64", seed=0)
    sr.init.apply(layer, weight_hh=sr.init.spectral_radius(radius))

    assert sr.gradcheck(layer, T=10, B=2).ok


@every("T, B", [(0, 2), (3, 0), (0, 0), (1, 1)])
@every("engine")
def test_few_steps_and_rows(engine, T, B):
    report = sr.gradcheck(engine.LSTM(2, 3, dtype="float64", seed=0), T, B)

    assert report.ok
    assert report.tensors["x"].empty == (T * B == 0)


def wrong(monkeypatch, change):
    """Let ``backward`` return gradients changed in place by `change`."""
    right = Tape.backward

    def backward(tape, d_output=None, d_state=None):
        grads = right(tape, d_output, d_state)
        change(grads)
        return grads

    monkeypatch.setattr(Tape, "backward", backward)


def tensor(grads, name):
    """Return the gradient that the report calls by this name."""
    if name == "x":
        return grads.x
    if name.startswith("state"):
        return grads.state[int(name[6])]
    return grads.params[name]


TENSORS = ("x", "state[0]", "state[1]", "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


@every("name", TENSORS)
@every("engine")
def test_a_wrong_entry_is_named(engine, name, monkeypatch):
    layer = engine.LSTM(2, 3, dtype="float64", seed=0)
    entry = {"x": (3, 1, 0), "s": (0, 1, 2), "w": (7, 1), "b": (7,)}[name[0]]

    def change(grads):
        tensor(grads, name)[entry] += 1e-6

    wrong(monkeypatch, change)

    with pytest.raises(ArithmeticError) as error:
        sr.gradcheck(layer, T=4, B=2, entries=1000)

    place = f"{name}{list(entry)}"
    assert str(error.value).startswith(f"gradcheck: {place}: expected")
    assert ";" not in str(error.value)  # the other tensors are right


@every("name", TENSORS)
def test_random_directions_see_an_entry_that_was_not_chosen(name, monkeypatch):
    layer = sr.LSTM(2, 3, dtype="float64", seed=0)

    def change(grads):
        tensor(grads, name).flat[-1] += 1e-3

    wrong(monkeypatch, change)
    report = sr.gradcheck(layer, T=4, B=2, entries=0, directions=2, raise_on_error=False)

    assert [check.name for check in report.failures] == [name]
    assert report.failures[0].where.startswith("direction ")
    assert not report.ok


@every("factor", [0.0, -1.0, 1 + 1e-4, 1e12, np.inf, np.nan])
def test_wrong_factors_are_seen_where_there_are_kinks(factor, monkeypatch):
    layer = sr.RNN(2, 8, nonlinearity="relu", dtype="float64", seed=0, hidden_clip=0.5)

    def change(grads):
        with np.errstate(invalid="ignore"):  # 0 times infinity
            grads.params["weight_hh_l0"][...] *= factor

    wrong(monkeypatch, change)

    with pytest.raises(ArithmeticError, match=r"gradcheck: weight_hh_l0[\[ ]"):
        sr.gradcheck(layer, T=5, B=3, **RANDOM)


def dead_unit():
    """Return a ReLU layer whose first unit sits exactly on the kink at every step."""
    layer = sr.RNN(2, 4, nonlinearity="relu", dtype="float64", seed=0)
    for name, value in layer.state_dict().items():
        value[0] = 0.0
        setattr(layer, name, value)
    return layer


def test_kinks_are_skipped_and_counted():
    report = sr.gradcheck(dead_unit(), T=3, B=2, entries=100)

    skipped = {name: check.skipped for name, check in report.tensors.items() if check.skipped}
    assert report.ok
    # All that moves the unit off the kink: its two inputs' weights, its row of weight_hh (its own
    # state is never other than 0, except that it begins elsewhere), and its biases.
    assert skipped == {"weight_ih_l0": 2, "weight_hh_l0": 4, "bias_ih_l0": 1, "bias_hh_l0": 1}
    assert report.skipped == 8
    assert "3 compared, 1 skipped" in str(report.tensors["bias_ih_l0"])


def test_wide_steps_over_kinks_raise_no_alarm():
    layer = sr.RNN(2, 8, nonlinearity="relu", dtype="float64", seed=0, hidden_clip=0.5)

    report = sr.gradcheck(layer, T=6, B=4, eps=1e-2, entries=100)

    assert report.ok
    assert report.skipped > 0


def test_a_tensor_of_kinks_only_is_not_confirmed():
    layer = sr.RNN(2, 3, nonlinearity="relu", dtype="float64")
    sr.init.apply(layer, weight_ih=sr.init.zeros(), weight_hh=sr.init.zeros(), bias=sr.init.zeros())

    with pytest.raises(ArithmeticError, match="bias_ih_l0: expected an entry without a kink"):
        sr.gradcheck(layer, T=3, B=2)


def test_it_is_the_same_every_time_and_other_seeds_are_other_checks():
    layer = sr.GRU(2, 3, dtype="float64", seed=0)

    one, same, other = (sr.gradcheck(layer, T=3, B=2, seed=seed) for seed in (1, 1, 2))

    assert one == same
    assert one != other


def test_the_layer_stays_as_it_is():
    layer = sr.GRU(2, 3, 2, dropout=0.5, dtype="float64", seed=0)
    twin, x = copy.deepcopy(layer), np.ones((3, 2, 2))
    tape = layer.record(x)

    sr.gradcheck(layer, T=3, B=2)

    assert_same_bits(layer.state_dict(), twin.state_dict())
    tape.backward(tape.output)  # nothing changed since
    twin.record(x)
    np.testing.assert_array_equal(layer.record(x).output, twin.record(x).output)  # same dropout


def test_a_smaller_step_allows_more_rounding():
    layer = sr.GRU(2, 3, dtype="float64", seed=0)

    wide, narrow = (sr.gradcheck(layer, T=3, B=2, eps=eps) for eps in (1e-4, 1e-6))

    assert (wide.eps, narrow.eps) == (1e-4, 1e-6)
    for one, other in zip(wide.tensors.values(), narrow.tensors.values(), strict=True):
        assert 50 < other.tolerance / one.tolerance < 200


def test_the_report_can_be_read():
    report = sr.gradcheck(sr.GRU(2, 3, dtype="float64", seed=0), T=3, B=0)

    lines = str(report).splitlines()

    assert lines[0] == "ok   x: empty"
    assert len(lines) == len(report.tensors)


LAYER = sr.GRU(2, 3, dtype="float64", seed=0)
REFUSED = {
    "layer": ((sr.Linear(2, 3), 3, 2), {}, TypeError, "layer: expected a recurrent layer"),
    "cell": ((sr.GRUCell(2, 3), 3, 2), {}, TypeError, "layer: expected a recurrent layer"),
    "dtype": ((sr.GRU(2, 3), 3, 2), {}, ValueError, "layer: expected dtype float64, got float32"),
    "steps": ((LAYER, -1, 2), {}, ValueError, "T: expected a non-negative integer"),
    "rows": ((LAYER, 3, 2.0), {}, TypeError, "B: expected a non-negative integer"),
    "eps": ((LAYER, 3, 2), {"eps": 0}, ValueError, "eps: expected a positive finite number"),
    "large eps": ((LAYER, 3, 2), {"eps": 0.1}, ValueError, "eps: expected at most 0.01, got 0.1"),
    "entries": ((LAYER, 3, 2), {"entries": -1}, ValueError, "entries: expected a non-negative"),
    "nothing": (
        (LAYER, 3, 2), {"entries": 0, "directions": 0}, ValueError, "entries: expected at least 1",
    ),
    "seed": ((LAYER, 3, 2), {"seed": -1}, ValueError, "seed: expected a non-negative"),
    "lengths": ((LAYER, 3, 2), {"lengths": [4, 1]}, ValueError, "lengths: expected values in"),
    "mask": ((LAYER, 3, 2), {"mask": "some"}, TypeError, "mask: expected dtype bool"),
    "long": ((LAYER, 10**30, 2), {}, MemoryError, "T=1000000.*, B=2: too large for any memory"),
    "wide": ((LAYER, 3, 10**30), {}, MemoryError, "T=3, B=1000000.*: too large for any memory"),
    "raise": ((LAYER, 3, 2), {"raise_on_error": 1}, TypeError, "raise_on_error: expected True"),
}  # fmt: skip


@every("case", REFUSED)
def test_what_is_refused(case):
    arguments, options, error, message = REFUSED[case]

    with pytest.raises(error, match=message):
        sr.gradcheck(*arguments, **options)


@pytest.mark.parametrize("option", ["step_grad_clip", "step_grad_norm"])
def test_gradients_that_are_changed_on_purpose_are_refused(option):
    assert option in CLIPS["every"]

    with pytest.raises(ValueError, match=f"layer: expected no {option}, .*, got 0.5"):
        sr.gradcheck(sr.GRU(2, 3, dtype="float64", **{option: 0.5}), 3, 2)
