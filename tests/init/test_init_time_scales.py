"""Biases drawn for a spread of time scales: chrono's, and the power law's."""

from __future__ import annotations

import math

import numpy as np
import pytest

import simdrnn as sr
from helpers import INFOS, make_layer
from helpers_init import FORGETFUL, SIGMAS, SPARE, total_bias, unit
from helpers_loops import every
from simdrnn import init


@every("cell", FORGETFUL)
@every("dtype")
@every("engine")
def test_chrono_ranges(engine, cell, dtype):
    H, t_max = 1000, 100.0
    layer = make_layer(engine, cell, 3, H, dtype=dtype)

    init.apply(layer, bias=[init.zeros(), init.chrono(t_max)], seed=4)

    info = INFOS[cell]
    keep = total_bias(layer, info.keep)
    slack = unit(dtype) * math.log(t_max)
    assert keep.min() >= 0 - slack
    assert keep.max() <= math.log(t_max - 1) + slack
    end = (t_max - 2) * SPARE / H
    assert keep.min() < math.log(1 + end)
    assert keep.max() > math.log(t_max - 1 - end)
    spread = (t_max - 2) / math.sqrt(12 * H)
    assert abs(np.exp(keep).mean() - t_max / 2) < SIGMAS * spread
    if info.write >= 0:
        np.testing.assert_array_equal(total_bias(layer, info.write), -keep)
    for gate in {*range(info.gates)} - {info.keep, info.write}:
        assert not total_bias(layer, gate).any()


def test_chrono_may_leave_the_input_gate():
    layer = init.apply(
        sr.LSTM(3, 5), bias=[init.zeros(), init.chrono(9.0, input_gate=False)], seed=0
    )

    assert total_bias(layer, 1).any()
    assert not total_bias(layer, 0).any()


def test_power_law_time_scales():
    H, alpha, scale = 4000, 0.56, 2.0
    layer = sr.GRU(1, H)

    init.apply(layer, bias=[init.zeros(), init.power_law_forget_bias(alpha, scale)], seed=6)

    # 1 / T = -log sigmoid(bias), which is gamma distributed.
    rate = np.logaddexp(0, -total_bias(layer, INFOS["gru"].keep).astype("float64"))
    assert abs(rate.mean() - alpha / scale) < SIGMAS * math.sqrt(alpha / H) / scale
    # log(rate) has mean digamma(alpha) - log(scale) and variance trigamma(alpha).
    wanted = digamma(alpha) - math.log(scale)
    assert abs(np.log(rate).mean() - wanted) < SIGMAS * math.sqrt(trigamma(alpha) / H)


@every("cell", FORGETFUL)
def test_power_law_biases_are_those_of_the_gates_that_keep_and_write(cell):
    info, layer = INFOS[cell], make_layer(sr, cell, 1, 100, dtype="float64")

    init.apply(layer, bias=[init.zeros(), init.power_law_forget_bias(0.56, 2.0)], seed=6)

    keep = total_bias(layer, info.keep)
    assert len(np.unique(keep)) == 100
    for gate in {*range(info.gates)} - {info.keep}:
        want = -keep if gate == info.write else 0 * keep
        np.testing.assert_array_equal(total_bias(layer, gate), want)


def digamma(x):
    """Return the first derivative of log gamma, by differences; so is the second, below."""
    return (math.lgamma(x + 1e-4) - math.lgamma(x - 1e-4)) / 2e-4


def trigamma(x):
    return (math.lgamma(x + 1e-3) - 2 * math.lgamma(x) + math.lgamma(x - 1e-3)) / 1e-6


@pytest.mark.parametrize("alpha", [1e-3, 0.56, 1e6])
def test_power_law_is_finite_whatever_its_shape(alpha):
    layer = init.apply(sr.GRU(2, 100), bias=init.power_law_forget_bias(alpha), seed=0)

    assert np.isfinite(layer.bias_ih_l0).all()
