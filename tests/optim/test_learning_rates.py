"""Schedules: their numbers, PyTorch's where it has them, and what they remember."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from helpers_nn import needs_torch
from simdrnn.optim import Cosine, EarlyStopping, Exponential, GradientNoise, Plateau, Step, Warmup
from simdrnn.optim.schedules import schedule_of

LOSSES = [1.0, 0.5, 0.5, 0.49999, 0.6, 0.4, 0.4, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3, math.nan, 0.2]


@pytest.mark.peers
@needs_torch
def test_factors_are_pytorchs():
    from torch import zeros
    from torch.nn import Parameter
    from torch.optim import SGD
    from torch.optim import lr_scheduler as schedulers

    def warm_steps(o):
        parts = [schedulers.LinearLR(o, 1 / 4, total_iters=3), schedulers.StepLR(o, 2, 0.5)]
        return schedulers.SequentialLR(o, parts, [4])

    pairs = [
        (Step(3, 0.3), lambda o: schedulers.StepLR(o, 3, 0.3)),
        (Exponential(0.9), lambda o: schedulers.ExponentialLR(o, 0.9)),
        (Cosine(10, low=0.2), lambda o: schedulers.CosineAnnealingLR(o, 10, eta_min=0.2 * 0.5)),
        (Warmup(4), lambda o: schedulers.LinearLR(o, 1 / 4, total_iters=3)),
        (Warmup(4, then=Step(2, 0.5)), warm_steps),
    ]
    for ours, theirs in pairs:
        optimizer = SGD([Parameter(zeros(1))], lr=0.5)
        scheduler = theirs(optimizer)
        for step in range(11):
            wanted = optimizer.param_groups[0]["lr"]
            assert 0.5 * ours(step) == pytest.approx(wanted, rel=1e-12), (ours, step)
            optimizer.step()
            scheduler.step()


@pytest.mark.peers
@needs_torch
def test_plateaus_are_pytorchs():
    from torch import zeros
    from torch.nn import Parameter
    from torch.optim import SGD
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    for options in (
        {"patience": 1}, {"patience": 0, "cooldown": 2}, {"patience": 2, "threshold": 0.1},
        {"patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
    ):  # fmt: skip
        optimizer = SGD([Parameter(zeros(1))], lr=0.5)
        theirs = ReduceLROnPlateau(optimizer, factor=0.5, min_lr=0.5 * 0.1, eps=0.0, **options)
        ours = Plateau(0.5, low=0.1, **options)
        for loss in LOSSES:
            theirs.step(loss)
            ours.update(loss)
            assert 0.5 * ours(7) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12), (
                options
            )


@every("schedule", [Step(3), Exponential(0.5, 4), Cosine(9), Warmup(2), Warmup(3, Cosine(5)),
                    Warmup(2, Plateau(0.5, 1))])  # fmt: skip
def test_a_schedule_is_what_its_state_says(schedule):
    for loss in LOSSES[:7]:
        schedule.update(loss)

    twin = schedule_of(json.loads(json.dumps(schedule.state_dict())))

    assert repr(twin) == repr(schedule)
    for loss in LOSSES[7:]:
        schedule.update(loss)
        twin.update(loss)
        assert [twin(step) for step in range(12)] == [schedule(step) for step in range(12)]


def test_early_stopping_goes_on_from_its_state():
    stopping = EarlyStopping(patience=2, min_delta=0.1)
    said = [stopping.update(loss) for loss in (1.0, 0.95, 0.8, 0.75)]
    twin = EarlyStopping.from_state(json.loads(json.dumps(stopping.state_dict())))

    assert said == [False] * 4
    assert [twin.update(loss) for loss in (math.nan, 0.79, 0.5)] == [False, True, False]


def test_gradient_noise_has_its_deviation_and_is_fixed_by_the_step():
    noise = GradientNoise(eta=0.3, gamma=0.55, seed=1)
    grads = {"a": np.zeros((50, 40)), "b": np.zeros(999, "float32")}

    noise.add_(grads, 9)

    wanted = math.sqrt(0.3 / 10**0.55)
    assert noise.deviation(9) == pytest.approx(wanted)
    assert grads["a"].std() == pytest.approx(wanted, rel=0.1)
    assert abs(np.corrcoef(grads["a"].ravel()[:999], grads["b"])[0, 1]) < 0.1
    again = {"a": np.zeros((50, 40)), "b": np.zeros(999, "float32")}
    GradientNoise(eta=0.3, gamma=0.55, seed=1).add_(again, 9)
    assert all(np.array_equal(again[name], one) for name, one in grads.items())
    noise.add_(again, 10)
    assert not np.array_equal(again["a"], 2 * grads["a"])


@every("call, error, message", [
    (lambda: Warmup(0), ValueError, "steps: expected a positive integer, got 0"),
    (lambda: Warmup(3, then=lambda step: 1.0), TypeError, "then: expected a schedule or None"),
    (lambda: Cosine(3, low=2), ValueError, "low: expected a number"),
    (lambda: Step(3, 0.0), ValueError, "gamma: expected"),
    (lambda: Exponential(1.5), ValueError, "gamma: expected a number above 0, at most 1"),
    (lambda: Plateau(1.0), ValueError, "factor: expected"),
    (lambda: Plateau(threshold_mode="odd"), ValueError, "threshold_mode: expected"),
    (lambda: EarlyStopping(-1), ValueError, "patience: expected a non-negative integer"),
    (lambda: GradientNoise(0.0), ValueError, "eta: expected"),
    (lambda: schedule_of({"kind": "eval"}), ValueError, "schedule: expected one of"),
    (lambda: schedule_of(None), ValueError, "schedule: expected one of"),
    (lambda: schedule_of({"kind": []}), ValueError, "schedule: expected one of"),
    (lambda: schedule_of({"kind": "Step", "steps": 3}), ValueError, "schedule: expected the names"),
    (lambda: schedule_of({**Plateau().state_dict(), "memory": 1}), TypeError, "memory: expected"),
    (lambda: Cosine(3)("1"), TypeError, "step: expected a non-negative integer, got '1'"),
    (lambda: Warmup(3)(-1), ValueError, "step: expected a non-negative integer, got -1"),
    (lambda: Step(3)(0.5), TypeError, "step: expected a non-negative integer, got 0.5"),
    (lambda: Exponential(0.5)(-1), ValueError, "step: expected a non-negative integer, got -1"),
    (lambda: Plateau().update("low"), TypeError, "value: expected a number, got 'low'"),
    (lambda: EarlyStopping().update(None), TypeError, "value: expected a number, got None"),
    (lambda: EarlyStopping.from_state({}), ValueError, "state: expected the names"),
    (lambda: GradientNoise().add_([1.0], 0), TypeError, "grads: expected a dict of arrays"),
    (lambda: GradientNoise().add_({"w": np.ones(2, int)}, 0), TypeError, r"grads\['w'\]: exp"),
])  # fmt: skip
def test_bad_input_gets_a_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_is_refused_leaves_nothing_half_done():
    schedule, grads = Plateau(), {"a": np.zeros(3), "b": np.zeros(3, int)}

    with pytest.raises(ValueError, match="cooling: expected"):
        schedule.remember({"scale": 0.5, "best": 1.0, "waited": 2, "cooling": -1})
    with pytest.raises(TypeError, match=r"grads\['b'\]"):
        GradientNoise(seed=0).add_(grads, 0)

    assert schedule.state_dict() == Plateau().state_dict()
    assert not grads["a"].any()


def test_schedules_have_a_place_in_the_package():
    assert {"Warmup", "Cosine", "Step", "Exponential", "Plateau"} <= set(sr.optim.__all__)
