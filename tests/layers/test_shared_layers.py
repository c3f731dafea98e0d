"""Layers that several threads share: every answer is that of one version of the parameters."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from helpers_threads import X, elsewhere, flat, run_all, switching, versions_of  # noqa: F401
from simdrnn.layers import passes, recurrent
from simdrnn.layers.bound import bound_layer

WORDS = np.arange(5)

# What is shared, and what it is called with.
KINDS = {
    "layer": (lambda: sr.LSTM(6, 6, num_layers=2, bidirectional=True, seed=0), X),
    "long-way": (lambda: sr.GRU(6, 40, batch_first=True, seed=0), X),
    "projected": (lambda: sr.LSTM(6, 6, proj_size=3, seed=0), X),
    "learned-state": (lambda: sr.LSTM(6, 6, learn_initial_state=True, seed=0), X),
    "composed": (
        lambda: sr.GRU(6, 6, 3, bidirectional=True, merge="sum", residual=True, seed=0), X,
    ),
    "reference": (lambda: sr.reference.GRU(6, 6, dtype="float32", seed=0), X),
    "cell": (lambda: sr.GRUCell(6, 6, seed=0), X[0]),
    "stack": (lambda: sr.Stack([sr.GRU(6, 6), sr.LSTM(6, 6), sr.RNN(6, 6)], skip="highway"), X),
    "linear": (lambda: sr.Linear(6, 200, seed=0), X),
    "embedding": (lambda: sr.Embedding(5, 500, seed=0), WORDS),
}  # fmt: skip


# -- readers beside a writer -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_of_one_version_whoever_writes(kind, switching):  # noqa: F811
    make, x = KINDS[kind]
    shared = make()
    states = versions_of(shared, 4)
    answers = []
    for state in states:
        shared.load_state_dict(state)
        answers.append(flat(shared(x)))
    turn = [0]

    def write():
        turn[0] += 1
        shared.load_state_dict(states[turn[0] % 4])

    def call():
        assert flat(shared(x)) in answers

    def switch():
        for name in sr.isa.available():
            sr.isa.use(name)
        time.sleep(1e-4)

    before = sr.isa.active()
    run_all(write, call, call, call, switch)
    sr.isa.use(before)

    assert flat(shared(x)) == answers[turn[0] % 4]


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in ("cell", "embedding")])
def test_tapes_go_back_through_the_version_that_they_began_with(kind, switching):  # noqa: F811
    make, x = KINDS[kind]
    shared = make()
    states = versions_of(shared, 4)
    answers = {}
    for state in states:
        shared.load_state_dict(state)
        tape = shared.record(x)
        grads = tape.backward(np.ones_like(tape.output))
        answers[flat(tape.output)] = flat((grads.x, *grads.params.values()))
    turn = [0]

    def write():
        turn[0] += 1
        shared.load_state_dict(states[turn[0] % 4])

    def record():
        tape = shared.record(x)
        for _ in range(2):
            grads = tape.backward(np.ones_like(tape.output))
            assert answers[flat(tape.output)] == flat((grads.x, *grads.params.values()))

    run_all(write, record, record)


def test_states_are_of_one_version(switching):  # noqa: F811
    shared = sr.Stack([sr.GRU(6, 6), sr.LSTM(6, 6)], skip="highway")
    states = versions_of(shared, 3)
    known = [b"".join(map(flat, state.values())) for state in states]
    shared.load_state_dict(states[0])

    def write():
        for state in states:
            shared.load_state_dict(state)

    def read():
        assert b"".join(map(flat, shared.state_dict().values())) in known

    run_all(write, read, read)


def half_written(layer, task):
    """Run a task on another thread while a change of the parameters is half done."""
    with layer._update_parameters() as arrays:
        first = next(iter(arrays))
        arrays[first][...] = 7
        return elsewhere(task)


@pytest.mark.parametrize("kind", ["layer", "composed", "stack", "cell", "learned-state"])
def test_calls_during_a_change_answer_as_before_it(kind):
    make, x = KINDS[kind]
    shared = make()
    want = shared(x)

    got = half_written(shared, lambda: shared(x))

    assert_same_bits(got, want)
    with pytest.raises(AssertionError):
        assert_same_bits(shared(x), want)


@pytest.mark.parametrize("kind", KINDS)
def test_calls_that_know_nothing_before_a_change_wait_for_its_end(kind):
    make, x = KINDS[kind]
    shared, twin = make(), make()
    state = versions_of(shared, 1)[0]
    twin.load_state_dict(state)

    with ThreadPoolExecutor(1) as pool:
        with shared._update_parameters() as arrays:
            called = pool.submit(lambda: shared(x))
            time.sleep(0.02)
            assert not called.done()
            for name, array in arrays.items():
                array[...] = state[name]
        got = called.result(timeout=60)

    assert_same_bits(got, twin(x))


def test_copies_wait_for_a_change_to_end():
    layer = sr.GRU(3, 4, seed=0)
    state = versions_of(layer, 1)[0]

    with ThreadPoolExecutor(4) as pool:
        with layer._update_parameters() as arrays:
            tasks = [layer.state_dict, lambda: copy.deepcopy(layer), lambda: pickle.dumps(layer)]
            done = [pool.submit(task) for task in tasks]
            time.sleep(0.02)
            for name, array in arrays.items():
                array[...] = state[name]
        copied, other, pickled = (one.result(timeout=60) for one in done)

    assert_same_bits(copied, state)
    assert_same_bits(other.state_dict(), state)
    assert_same_bits(pickle.loads(pickled).state_dict(), state)


# -- the version of a call -------------------------------------------------------------------------


@pytest.mark.parametrize("before_the_pass", [True, False])
@pytest.mark.parametrize("kind", ["layer", "composed", "learned-state", "reference"])
def test_a_step_during_record_does_not_concern_it(kind, before_the_pass, monkeypatch):
    make, x = KINDS[kind]
    layer, twin = make(), make()
    want = twin.record(x)
    state = versions_of(layer, 1)[0]
    owner, name = (recurrent, "call_key") if before_the_pass else (recurrent.Uses, "of")
    kept = getattr(owner, name)

    def with_a_step(*arguments):
        elsewhere(lambda: layer.load_state_dict(state))
        return kept(*arguments)

    monkeypatch.setattr(owner, name, with_a_step)
    tape = layer.record(x)
    monkeypatch.undo()

    grads, wanted = tape.backward(tape.output), want.backward(want.output)
    assert_same_bits(tape.output, want.output)
    assert_same_bits(grads.x, wanted.x)
    assert_same_bits(grads.params, wanted.params)


@pytest.mark.parametrize("kind", ["layer", "composed", "stack", "linear", "reference"])
def test_a_tape_raises_where_its_own_thread_was_the_one(kind):
    make, x = KINDS[kind]
    shared = make()
    tape = shared.record(x)
    ones = np.ones_like(tape.output)
    want = flat(tape.backward(ones).x)

    elsewhere(lambda: shared.load_state_dict(versions_of(shared, 1)[0]))
    assert flat(tape.backward(ones).x) == want
    assert flat(elsewhere(lambda: tape.backward(ones)).x) == want
    shared.load_state_dict(shared.state_dict())

    with pytest.raises(ValueError, match="changed"):
        tape.backward(ones)


def test_threads_with_the_number_of_one_that_ended_are_others():
    layer = sr.GRU(6, 6)
    tapes = []
    for task in (
        lambda: tapes.append(layer.record(X)),
        lambda: layer.load_state_dict(layer.state_dict()),
    ):
        thread = threading.Thread(target=task)
        thread.start()
        thread.join()

    tapes[0].backward(tapes[0].output)


def test_a_copied_tape_needs_the_version_of_its_copied_layer():
    layer = sr.GRU(6, 6, seed=0)
    tape = layer.record(X)
    want = flat(tape.backward(tape.output).x)

    for other, again in (copy.deepcopy((layer, tape)), pickle.loads(pickle.dumps((layer, tape)))):
        assert flat(again.backward(again.output).x) == want
        other.load_state_dict(other.state_dict())
        with pytest.raises(ValueError, match="changed since"):
            again.backward(again.output)
    elsewhere(lambda: layer.load_state_dict(layer.state_dict()))
    _, again = copy.deepcopy((layer, tape))
    with pytest.raises(ValueError, match="changed since"):  # what it began with is gone
        again.backward(again.output)


def test_a_chunk_that_is_recorded_in_parts_is_of_one_version(monkeypatch):
    layer, twin = sr.GRU(6, 6, seed=0), sr.GRU(6, 6, seed=0)
    state = versions_of(layer, 1)[0]
    reset = np.zeros(X.shape[:2], bool)
    reset[3, 1] = True  # inside the second chunk
    wanted = list(sr.tbptt(twin, X, 2, reset=reset))
    key_of, calls = recurrent.call_key, []

    def with_a_step(*arguments):
        calls.append(1)
        if len(calls) == 2:
            elsewhere(lambda: layer.load_state_dict(state))
        return key_of(*arguments)

    monkeypatch.setattr(recurrent, "call_key", with_a_step)
    found = list(sr.tbptt(layer, X, 2, reset=reset))

    for one, want in zip(found, wanted, strict=True):
        got, ones = one.tape, np.ones_like(one.tape.output)
        assert_same_bits(got.output, want.tape.output)
        assert_same_bits(got.backward(ones).params, want.tape.backward(ones).params)


def test_a_stack_takes_all_versions_at_once(monkeypatch):
    stack = sr.Stack([sr.GRU(6, 6), sr.GRU(6, 6)], skip="highway", seed=0)
    states = versions_of(stack, 2)
    answers = []
    for state in states:
        stack.load_state_dict(state)
        answers.append(flat(stack(X)))
    first, ready = bound_layer(stack[0]), bound_layer(stack[0]).ready

    def with_a_step_behind(recorded):
        found = ready(recorded)
        monkeypatch.undo()
        elsewhere(lambda: stack.load_state_dict(states[0]))
        return found

    monkeypatch.setattr(first, "ready", with_a_step_behind)

    assert flat(stack(X)) in answers


def test_switching_the_instruction_set_leaves_versions_alone():
    layer = sr.LSTM(6, 40, num_layers=2, seed=0)
    before = sr.isa.active()
    packed = {}
    for name in sr.isa.available():
        sr.isa.use(name)
        packed[name] = bound_layer(layer).ready()
        assert packed[name].isa() == name
    answers = {name: flat(one.plain_layer(X, None)) for name, one in packed.items()}
    sr.isa.use(before)

    assert set(answers) == set(sr.isa.available())
    twin = sr.LSTM(6, 40, num_layers=2, seed=0)
    assert answers[before] == flat(twin(X))


@pytest.mark.parametrize("kind", ["layer", "composed"])
def test_a_switch_while_packing_mixes_nothing(kind, monkeypatch):
    make, x = KINDS[kind]
    layer, want = make(), flat(make()(x))
    before, others = sr.isa.active(), [n for n in sr.isa.available() if n != sr.isa.active()]
    of_pass, seen = passes.Passes.of_pass, []

    def switch(self, arrays, index, **options):
        seen.append(index)
        sr.isa.use([*others, before][len(seen) % (len(others) + 1)])
        return of_pass(self, arrays, index, **options)

    monkeypatch.setattr(passes.Passes, "of_pass", switch)
    got = flat(layer(x))
    monkeypatch.undo()
    sr.isa.use(before)

    assert got == want
    assert len(seen) > 1
    assert flat(layer(x)) == want
