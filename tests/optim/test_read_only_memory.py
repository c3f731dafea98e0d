"""Pickles and memory maps whose arrays cannot be written: what is trained is copied."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits

X = np.random.default_rng(0).standard_normal((4, 3, 6)).astype("float32")


def through_pickle(value):
    """Return what another process gets whose buffers are somebody's: Ray, Dask."""
    buffers = []
    data = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(data, buffers=[bytes(buffer.raw()) for buffer in buffers])


MODELS = {
    "layer": lambda: sr.LSTM(6, 4, learn_initial_state=True, seed=0),
    "composed": lambda: sr.GRU(6, 4, bidirectional=True, merge="sum", seed=0),
    "stack": lambda: sr.Stack([sr.GRU(6, 6, seed=0), sr.LSTM(6, 6, seed=1)], "highway", seed=0),
    "linear": lambda: sr.Linear(6, 4, seed=0),
    "reference": lambda: sr.reference.GRU(6, 4, dtype="float32", seed=0),
}
OPTIMISERS = {
    "sgd": partial(sr.optim.SGD, lr=0.1, momentum=0.9),
    "adam": partial(sr.optim.Adam, amsgrad=True),
    "adamw": sr.optim.AdamW,
    "rmsprop": partial(sr.optim.RMSprop, momentum=0.5, centered=True),
}


def steps(model, optimizer):
    for _ in range(2):
        tape = model.record(X)
        optimizer.step(tape.backward(np.ones_like(tape.output)), max_norm=1.0)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_training_goes_on_in_another_process(model, optimiser):
    ours = MODELS[model]()
    optimizer = OPTIMISERS[optimiser](ours)
    steps(ours, optimizer)

    theirs, other = through_pickle((ours, optimizer))
    assert_same_bits(theirs(X), ours(X))
    for one, its in ((ours, optimizer), (theirs, other)):
        steps(one, its)

    assert_same_bits(theirs.state_dict(), ours.state_dict())
    other.load_state_dict(through_pickle(optimizer.state_dict()))
    theirs.load_state_dict(through_pickle(ours.state_dict()))
    for one, its in ((ours, optimizer), (theirs, other)):
        steps(one, its)
    assert_same_bits(theirs.state_dict(), ours.state_dict())


def test_arrays_in_a_dict_are_exchanged_for_some_that_can_be_written():
    weights = {"w": np.ones(3)}
    optimizer = sr.optim.SGD(weights, lr=0.5, momentum=0.5)

    theirs, other = through_pickle((weights, optimizer))
    for owned, its in ((weights, optimizer), (theirs, other)):
        its.step({"w": np.ones(3)})
        assert owned["w"].tolist() == [0.5] * 3


def test_an_array_of_somebody_is_not_exchanged():
    weights = np.ones(3)

    theirs, other = through_pickle((weights, sr.optim.SGD(weights)))

    assert not theirs.flags.writeable
    with pytest.raises(ValueError, match="layers: expected a writable array, got a read-only one"):
        other.step(np.ones(3))


def test_parameters_are_taken_from_a_memory_map(tmp_path):
    layer, path = sr.GRU(6, 4, seed=0), tmp_path / "weight.npy"
    np.save(path, layer.weight_ih_l0 + 1)
    mapped = np.load(path, mmap_mode="r")
    layer.weight_ih_l0 = mapped
    layer.load_state_dict({"weight_ih_l0": mapped}, strict=False)
    tape = layer.record(X)

    sr.optim.Adam(layer).step(tape.backward(tape.output))

    assert (layer.weight_ih_l0 != mapped).any()
    assert_same_bits(np.array(mapped), np.load(path))


def test_a_tape_arrives_with_its_layer():
    layer = sr.GRU(6, 4, seed=0)
    tape = layer.record(X)

    theirs, again = through_pickle((layer, tape))
    grads = again.backward(again.output)

    assert_same_bits(grads.params, tape.backward(tape.output).params)
    sr.optim.Adam(theirs).step(grads)
