"""Packed weights are those that parameters have now, whoever changed them and however little."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits
from simdrnn.engine.packing import ComparedArrays, Packing
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.parametrised import parameters_of


class Spy:
    """A network that remembers what it was given, and what it made of it."""

    def __init__(self):
        self.isa, self.given = "avx2", []

    def token(self):
        return self.isa

    def pack(self, passes, token, recorded=False):
        self.given.append((passes, token))
        return SimpleNamespace(passes=passes)


class Source:
    version = 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_element_is_compared(dtype):
    weights = [np.arange(600, dtype=dtype).reshape(20, 30), np.ones(7, dtype)]
    values = ComparedArrays(weights, watched=True)

    for array in weights:
        for index in range(array.size):
            before = values.version
            array.flat[index] += 1

            assert values.version == before + 1
            assert values.version == before + 1
    assert_same_bits(tuple(values.copies), tuple(weights))


def test_bits_are_compared():
    weight = np.array([np.nan, 0.0, 1.0])
    values = ComparedArrays([weight], watched=True)
    assert values.version == 0

    weight[1] = -0.0

    assert values.version == 1


def test_views_of_any_strides_are_looked_at():
    whole = np.zeros((6, 8), "float32")
    values = ComparedArrays([whole[::2, 1::3], whole.T], watched=True)

    whole[0, 0] = 1.0  # in the second view only

    assert values.version == 1
    assert_same_bits(tuple(values.copies), (whole[::2, 1::3], whole.T))


def test_another_version_is_packed_when_parameters_or_the_instruction_set_change():
    network, source = Spy(), Source()
    packing = Packing(network, source, lambda: [("first",), ("second",)], lambda: "beside")

    assert not packing.fresh()
    first = packing.ready()
    assert packing.ready() is first
    assert packing.fresh()
    assert network.given == [([("first",), ("second",)], "avx2")]
    assert (first.version, first.made_for, first.beside) == (0, "avx2", "beside")
    source.version = 1
    second = packing.ready()
    assert (len(network.given), second.version) == (2, 1)
    network.isa = "scalar"
    assert not packing.fresh()
    third = packing.ready()
    assert (len(network.given), third.made_for) == (3, "scalar")
    assert first is not second is not third
    assert (first.version, second.made_for) == (0, "avx2")  # who has them goes on with them


def test_what_could_not_be_packed_does_not_count():
    network, source = Spy(), Source()
    fails = [False]

    def passes():
        yield ("first",)
        if fails[0]:
            raise MemoryError
        yield ("second",)

    packing = Packing(network, source, passes)
    packing.ready()
    source.version, fails[0] = 1, True
    with pytest.raises(MemoryError):
        packing.ready()
    source.version, fails[0] = 0, False  # those that were packed before

    packing.ready()

    assert len(network.given) == 2


@pytest.mark.parametrize("make", [sr.LSTM, sr.GRUCell, sr.reference.GRU])
def test_layers_use_it(make):
    layer = make(3, 4, seed=0)
    x = np.ones((5, 3), layer.dtype)
    before, version = layer(x), parameters_of(layer).version

    name = next(iter(layer.parameters()))
    with layer._update_parameters() as arrays:
        arrays[name][0, 0] += 1
    after = layer(x)

    assert parameters_of(layer).version == version + 1
    assert bound_layer(layer).ready() is bound_layer(layer).ready()
    twin = make(3, 4, seed=1)
    twin.load_state_dict(layer.state_dict())
    assert_same_bits(after, twin(x))
    with pytest.raises(AssertionError):
        assert_same_bits(after, before)
