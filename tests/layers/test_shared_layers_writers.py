"""Threads that write to one layer, and what stops them in the middle."""

from __future__ import annotations

import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_threads import X, elsewhere, switching, versions_of  # noqa: F401
from simdrnn.engine import packing
from simdrnn.layers import parameters, parametrised, passes, recurrent
from simdrnn.layers.parametrised import parameters_of
from simdrnn.optim import base, tree
from simdrnn.regularizers import constraints
from simdrnn.stack import stack as stacks

# -- writers ---------------------------------------------------------------------------------------


def test_threads_that_train_one_layer_apply_whole_steps(switching):  # noqa: F811
    layer = sr.GRU(6, 6, seed=0)
    modules = [layer, sr.Linear(6, 3, seed=1)]
    optimizers = [sr.optim.SGD(order, lr=2.0**-10) for order in (modules, modules[::-1], layer)]
    rounds, start = 25, threading.Barrier(6)
    starts = [one.state_dict() for one in modules]
    ones = [{name: np.ones_like(a) for name, a in state.items()} for state in starts]
    given = [ones, ones[::-1], ones[0]]

    def train(number):
        start.wait()
        for _ in range(rounds):
            tape = layer.record(X)
            made = modules[1].record(tape.output)
            tape.backward(made.backward(np.ones_like(made.output)).x)
            optimizers[number % 3].step(given[number % 3])

    before = {name: np.round(a * 2**10) / 2**10 for name, a in starts[0].items()}
    layer.load_state_dict(before)
    modules[1].load_state_dict({n: np.round(a * 2**10) / 2**10 for n, a in starts[1].items()})
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(train, number) for number in range(6)]:
            done.result(timeout=60)

    for name, array in layer.parameters().items():  # sums of powers of two are exact
        assert_same_bits(array, before[name] - np.float32(6 * rounds * 2.0**-10))
        assert not array.flags.writeable


def test_threads_that_share_an_optimiser_make_all_its_steps(switching):  # noqa: F811
    layer, twin = sr.GRU(6, 6, seed=0), sr.GRU(6, 6, seed=0)
    optimizer, other = sr.optim.Adam(layer), sr.optim.Adam(twin)
    gradients = {name: np.ones_like(array) for name, array in layer.parameters().items()}

    def train(_):
        for _ in range(20):
            optimizer.step(gradients, max_norm=1.0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(train, range(4)))
    for _ in range(80):
        other.step(gradients, max_norm=1.0)

    assert_same_bits(layer.state_dict(), twin.state_dict())
    assert optimizer.state_dict()["step"] == 80


def test_max_norm_does_not_undo_another_threads_step(monkeypatch):
    layer = sr.RNN(2, 2, dtype="float64", seed=0)
    layer.weight_ih_l0 = np.full((2, 2), 5.0)
    chosen, done = constraints.chosen, []

    def behind(*arguments):
        found = chosen(*arguments)
        thread = threading.Thread(target=lambda: setattr(layer, "weight_ih_l0", np.zeros((2, 2))))
        thread.start()
        thread.join(0.05)
        done.append(thread)
        return found

    monkeypatch.setattr(constraints, "chosen", behind)
    assert constraints.max_norm_(layer, 1.0, "weight_ih*") == 2
    done[0].join()

    assert not layer.weight_ih_l0.any()


def test_two_threads_draw_different_dropout(monkeypatch):
    layer = sr.LSTM(6, 6, recurrent_dropout=0.5, seed=0)
    stack = sr.Stack([sr.GRU(6, 6), sr.GRU(6, 6)], dropout=0.5, seed=0)
    keys = {}

    def spy(name, key_of):
        def slow(seed, number):
            keys.setdefault(name, []).append(number)
            time.sleep(0.005)  # others come in here
            return key_of(seed, number)

        return slow

    monkeypatch.setattr(recurrent, "call_key", spy("layer", recurrent.call_key))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: layer.record(X), range(8)))
    monkeypatch.setattr(stacks, "call_key", spy("stack", stacks.call_key))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: stack.record(X), range(8)))

    assert sorted(keys["layer"][:8]) == list(range(8)) == sorted(keys["stack"])
    assert layer._recorded == 8
    assert stack._recorded == (8, 8, 8)
    assert pickle.loads(pickle.dumps(layer))._recorded == 8


# -- exceptions in the middle ----------------------------------------------------------------------


class Stop(BaseException):
    """As Ctrl-C, wherever it comes."""


MODULES = (base, packing, parameters, parametrised, passes, recurrent, tree)
FILES = {module.__file__ for module in MODULES} | {__file__}


def stopped_at(line, function):
    """Run a function that is stopped at its nth line in our files; tell whether it has so many."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if frame.f_code.co_filename not in FILES:
            return None
        count += event == "line"
        if count == line and event == "line":
            sys.settrace(None)
            raise Stop
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except Stop as stop:
        return stop  # with the frames that it went through
    finally:
        sys.settrace(before)
    return None


def by_hand(layer, state):
    with layer._update_parameters() as arrays:
        for name, array in arrays.items():
            array[...] = state[name]


CHANGES = {
    "optimiser": lambda layer, _: OPTIMIZERS[layer].step(GRADIENTS),
    "load": lambda layer, state: layer.load_state_dict(state),
    "assign": lambda layer, state: setattr(layer, "weight_hh_l0", state["weight_hh_l0"]),
    "by-hand": by_hand,
    "call": lambda layer, _: layer(X),
}
OPTIMIZERS = {}
GRADIENTS = {}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_may_be_stopped_anywhere(change):
    state = versions_of(sr.GRU(6, 6), 1)[0]
    twin, line, stop = sr.GRU(6, 6), 0, True
    while stop:
        line += 1
        layer = sr.GRU(6, 6, seed=0)
        GRADIENTS.update({name: np.ones_like(a) for name, a in layer.parameters().items()})
        OPTIMIZERS.clear()
        OPTIMIZERS[layer] = sr.optim.SGD(layer, lr=0.1)
        if change != "call":
            layer(X)

        stop = stopped_at(line, lambda layer=layer: CHANGES[change](layer, state))

        own = parameters_of(layer)
        assert not any(a.flags.writeable for a in (*own.arrays.values(), *own.views.values())), line
        twin.load_state_dict({name: np.array(a) for name, a in layer.parameters().items()})
        assert_same_bits(layer(X), twin(X), str(line))
        assert elsewhere(lambda layer=layer: layer.load_state_dict(state)) == ([], [])
    assert line > 5


def test_what_raises_inside_a_change_leaves_what_was_written():
    layer, twin = sr.GRU(6, 6, seed=0), sr.GRU(6, 6, seed=0)
    layer(X)
    kept = {}

    def fail():
        with layer._update_parameters() as arrays:
            kept.update(arrays)
            arrays["weight_ih_l0"][...] = 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    twin.weight_ih_l0 = np.ones((18, 6), "float32")
    assert_same_bits(layer(X), twin(X))
    assert not any(array.flags.writeable for array in kept.values())


def test_changes_inside_changes_of_one_thread():
    layer, twin = sr.GRU(6, 6, seed=0), sr.GRU(6, 6, seed=1)
    want = layer(X)
    with layer._update_parameters() as arrays:
        layer.load_state_dict(twin.state_dict())
        assert arrays["weight_ih_l0"].flags.writeable
        assert_same_bits(layer(X), want)  # as for a signal handler
        arrays["weight_ih_l0"][...] = twin.weight_ih_l0

    assert_same_bits(layer(X), twin(X))
    update = layer._update_parameters()
    with update, pytest.raises(ValueError, match="update: expected to be entered once"):
        update.__enter__()


def test_a_change_that_nobody_leaves_ends_when_it_is_dropped():
    layer = sr.GRU(6, 6, seed=0)
    update = layer._update_parameters()
    arrays = update.__enter__()  # and whoever did so was stopped before his `with`

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(layer.load_state_dict, layer.state_dict())
        time.sleep(0.02)
        assert not waiting.done()
        del update
        waiting.result(timeout=60)

    assert not any(array.flags.writeable for array in arrays.values())
