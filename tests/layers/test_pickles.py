"""What copies and pickles hold: arguments and parameters, and nothing that only one version has."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

import simdrnn as sr
from helpers import as_tuple, assert_same_bits

X = (np.arange(60).reshape(5, 3, 4) % 7 - 3).astype("float32") / 4


class Named(pickle.Unpickler):
    """Remembers what a pickle names."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))
        self.names = set()

    def find_class(self, module, name):
        self.names.add((module, name))
        return super().find_class(module, name)


class Mine(sr.LSTM):
    """A subclass with a constructor and attributes of its own."""

    def __init__(self, size):
        super().__init__(size, size, bidirectional=True, merge="sum", zoneout=(0.1, 0.2), seed=0)
        self.notes, self._inner = ["a"], 2


def objects():
    layers = [sr.GRU(4, 4, learn_initial_state=True, seed=1), sr.RNN(4, 4, seed=2)]
    return {
        "layer": sr.LSTM(4, 5, 2, activation=("elu", 0.5), dropout=0.5, seed=0),
        "cell": sr.GRUCell(4, 5, gate_clip=3.0, seed=0),
        "of the table": sr.MGU(4, 5, layer_norm=True, seed=0),
        "reference": sr.reference.IndRNN(4, 5, dtype="float32", seed=0),
        "stack": sr.Stack(layers, skip="highway", dropout=0.5, seed=3),
        "linear": sr.Linear(4, 2, bias=False, seed=0),
        "embedding": sr.Embedding(4, 2, seed=0),
    }


@pytest.mark.parametrize("name", objects())
def test_pickles_name_public_classes_only(name):
    found = Named(pickle.dumps(objects()[name]))

    found.load()

    ours = {module for module, _ in found.names if module.partition(".")[0] == "simdrnn"}
    assert ours <= {"simdrnn", "simdrnn.reference"}
    assert {module.partition(".")[0] for module, _ in found.names} <= {"simdrnn", "numpy"}


@pytest.mark.parametrize(
    "twin", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_subclasses_keep_what_they_have_and_go_on(twin):
    layer = Mine(4)
    layer.record(X)

    other = twin(layer)

    assert type(other) is Mine
    assert (other.notes, other._inner) == (["a"], 2)
    assert_same_bits(other.record(X).output, layer.record(X).output)  # the same dropout
    other.weight_ih_l0 = 2 * other.weight_ih_l0
    with pytest.raises(AssertionError):
        assert_same_bits(other(X)[0], layer(X)[0])


def test_copied_stacks_share_layers_only_if_shallow():
    stack = objects()["stack"]

    assert copy.copy(stack).layers == stack.layers
    deep = copy.deepcopy(stack)
    assert deep.layers[0] is not stack.layers[0]
    assert_same_bits(deep(X)[0], stack(X)[0])


def test_a_tape_is_copied_with_its_layer():
    layer = sr.LSTM(4, 5, seed=0)
    tape = layer.record(X)

    other, again = pickle.loads(pickle.dumps((layer, tape)))

    want, got = (one.backward(one.output) for one in (tape, again))
    assert_same_bits(as_tuple(got.state), as_tuple(want.state))
    assert_same_bits(got.params, want.params)
    other.weight_ih_l0 = 2 * other.weight_ih_l0
    with pytest.raises(ValueError, match="parameters changed since"):
        again.backward(again.output)
