"""LSTM with a projection: the compiled engine against the reference, and its bits."""

from __future__ import annotations

from typing import Any

import numpy as np

import simdrnn as sr
from helpers import (
    DTYPES,
    assert_close,
    assert_same_bits,
    few,
    make_problem,
    results,
    tolerance,
)
from simdrnn import reference

OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "clips": {"gate_clip": 0.7, "cell_clip": 0.4, "proj_clip": 0.15},
    "step-clips": {"step_grad_clip": 0.1, "step_grad_norm": 0.15},
    "zoneout": {"zoneout": (0.3, 0.2), "proj_clip": 0.2},
    "zoneout-h": {"zoneout": (0.4, 0.0)},
    "zoneout-c": {"zoneout": (0.0, 0.4)},
    "dropouts": {"recurrent_dropout": 0.3, "input_dropout": 0.3, "candidate_dropout": 0.2},
    "dropouts-by-gate": {"recurrent_dropout": 0.3, "recurrent_dropout_per_gate": True},
    "activations": {"activation": "softsign", "output_activation": "elu"},
    "no-bias": {"bias": False},
}


def pair(
    cell: str = "lstm",
    H: int = 19,
    P: int = 8,
    seed: int = 0,
    dtype: str = "float64",
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Return the same problem of both engines; rows are in arguments of `make_problem`."""
    return tuple(
        make_problem(
            module, cell, rng=np.random.default_rng(seed), I=6, H=H, proj_size=P, dtype=dtype,
            **{"T": 7, "B": 5} | kwargs,
        )
        for module in (sr, reference)
    )  # fmt: skip


def assert_equal(pair: tuple[Any, Any], **call: Any) -> None:
    """Compare all results of both engines, each within the tolerance of the exact ones."""
    ours, twin = pair
    layer, (T, B) = ours.layer, ours.x.shape[:2]
    directions = 2 if layer.bidirectional else 1
    inputs = max(layer.input_size, directions * layer.proj_size)
    longest = max(inputs + layer.proj_size, 4 * layer.hidden_size, T * B)
    # A step is a product deeper than those of other cells: it counts twice.
    allowed = 2 * tolerance(layer.dtype, 2 * T * layer.num_layers, longest)

    assert_close(results(ours, **call), results(twin, **call), allowed)


# -- equal to the reference ------------------------------------------------------------------------


@few(isa=sr.isa.available(), name=["dropouts", "none", "dropouts-by-gate"])
def test_lone_rows_of_many_tiles(isa, name):
    # Two tiles and more of h, which a lone row takes at once.
    assert_equal(pair(H=150, P=140, B=1, T=5, **OPTIONS[name]))


@few(sizes=[(1, 1), (40, 2), (3, 33), (0, 3), (3, 0)], dtype=DTYPES)
def test_steps_and_rows(sizes, dtype):
    T, B = sizes

    assert_equal(pair(T=T, B=B, dtype=dtype, num_layers=2, bidirectional=True))


def test_an_infinite_h_has_reached_no_clip():
    made_by, projected = sr.LSTM(6, 5, seed=0), sr.LSTM(6, 5, proj_size=2, seed=0)
    for layer in (made_by, projected):
        layer.weight_hh_l0 = np.zeros_like(layer.weight_hh_l0)
        layer.bias_ih_l0 = np.full(20, 3.0, "float32")  # the cell's h is positive
    projected.weight_hr_l0 = np.full((2, 5), np.inf, "float32")
    shared = ("weight_ih_l0", "bias_hh_l0")
    made_by.load_state_dict({name: getattr(projected, name) for name in shared}, strict=False)
    x, d_h = np.ones((1, 1, 6), "float32"), np.array([[[2.0, -3.0]]], "float32")

    tape = projected.record(x)

    assert np.isinf(tape.output).all()
    want = d_h[0, 0, :, None] * made_by(x)[0][0, 0]
    # Backward forms o * tanh(c) by a product, forward by one division: 2.5 units in the last place
    # each of sigmoid and tanh and one rounding, against 4.3.
    found = tape.backward(d_h).params["weight_hr_l0"]
    np.testing.assert_allclose(found, want, rtol=10 * 2.0**-23)


# -- bits ------------------------------------------------------------------------------------------


def planned(threads: int, T: int, B: int, H: int, P: int, **other: Any) -> dict[str, Any]:
    """Return the plan of a call with 60 inputs."""
    return sr._core.testing.plan(T, B, 60, H, 4, threads, projected_size=P, **other)


NAMES = ("none", "clips", "zoneout", "dropouts")
SHARED = [(3, 449, 100), (5, 449, 17), (5, 449, 3)]


@few(
    threads=[2, 3, 7],
    sizes=SHARED,
    name=["none", "clips", "zoneout", "dropouts"],
    pattern=["plain", "all"],
)
def test_threads_that_share_rows_change_no_bit(threads, sizes, pattern, name):
    B, H, P = sizes
    gang = planned(threads, 120, B, H, P)["gang"]
    assert gang == (threads if P > 3 else min(threads, 4))  # a small step is not worth more
    problem = make_problem(
        sr, "lstm", rng=np.random.default_rng(0), T=120, B=B, I=60, H=H, proj_size=P,
        pattern=pattern, dtype="float32", **OPTIONS[name],
    )  # fmt: skip
    want = results(problem, num_threads=1)

    assert_same_bits(results(problem, num_threads=threads), want)
    assert_same_bits(results(problem, num_threads=threads, checkpoint_every=50), want)


# -- what it costs ---------------------------------------------------------------------------------


def test_plans_count_the_weights_there_are():
    # Of 512 units 1024 x 512 recurrent weights of each gate outgrow a cache, a projection's do not.
    assert planned(2, 100, 16, 512, 0)["why"] == "heavy_weights"
    assert planned(2, 100, 16, 512, 64)["why"] == "many_rows"
    # Work for a second thread: H * (4 * (I + P) + P) multiplications for each step and row.
    work = 100 * (4 * (60 + 8) + 8) * 2
    steps = 2 * 4e6 / work
    assert planned(2, int(1.05 * steps) + 1, 1, 100, 8)["why"] != "little_work"
    assert planned(2, int(0.95 * steps), 1, 100, 8)["why"] == "little_work"


def test_packed_weights_are_those_of_the_projection():
    full, projected = sr.LSTM(64, 256, seed=0), sr.LSTM(64, 256, proj_size=64, seed=0)

    sizes = [sr.explain(layer, 10, 10).packed_bytes for layer in (full, projected)]

    weights = [4 * 4 * 256 * (64 + 256), 4 * (4 * 256 * (64 + 64) + 64 * 256)]
    for size, weight in zip(sizes, weights, strict=True):  # for forward
        assert weight <= size <= 1.05 * weight
