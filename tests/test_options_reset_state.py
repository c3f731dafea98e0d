"""States that resets go to, on the compiled engine: as on the reference, and the same bits."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    CELLS,
    as_tuple,
    assert_close,
    assert_same_bits,
    make_layer,
    make_pattern,
    suited,
)
from helpers import tolerance as rounding
from simdrnn import reference

pytestmark = pytest.mark.usefixtures("built")
T, B, I, H = 6, 7, 3, 19  # noqa: E741
SHAPES = {
    "one": {},
    "deep": {"num_layers": 2, "bidirectional": True},
    "composed": {"num_layers": 2, "bidirectional": True, "merge": "sum"},
    "reversed": {"reverse": True, "keep_order": False},
    "zoned out": {"zoneout": 0.3, "recurrent_dropout": 0.3},
}


class Given:
    """A layer with states that were drawn, and the arguments of a call."""

    def __init__(self, module, cell, shape, goal, pattern, dtype):
        rng = np.random.default_rng(zlib.crc32(f"{cell}{shape}{goal}{pattern}".encode()))
        learned = goal == "learned"
        self.layer = make_layer(
            module,
            cell,
            I,
            H,
            dtype=dtype,
            seed=1,
            learn_initial_state=learned,
            **suited(cell, SHAPES[shape]),
        )
        for name in self.layer.parameters():
            if name[1:3] == "_0":
                setattr(self.layer, name, rng.standard_normal(H).astype(dtype))
        self.x = rng.standard_normal((T, B, I)).astype(dtype)
        form = self.layer(self.x)[1]
        self.state, other, self.d_state = (self._like(form, rng) for _ in range(3))
        self.call = make_pattern(pattern, T, B, rng)
        self.call["reset"] = rng.random((T, B)) < 0.4
        self.call["reset_state"] = other if goal == "given" else goal

    @staticmethod
    def _like(form, rng):
        drawn = [rng.standard_normal(one.shape).astype(one.dtype) for one in as_tuple(form)]
        return tuple(drawn) if isinstance(form, tuple) else drawn[0]

    def results(self, **call):
        self.layer._recorded = 0
        tape = self.layer.record(self.x, self.state, **self.call, **call)
        grads = tape.backward(np.cos(tape.output), self.d_state)
        reset = grads.reset_state
        return {
            "output": tape.output,
            "state": as_tuple(tape.state),
            "d_x": grads.x,
            "d_state": as_tuple(grads.state),
            "d_reset_state": () if reset is None else as_tuple(reset),
            "d_params": grads.params,
        }


@pytest.mark.parametrize("goal", ["zero", "given", "learned"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_results_are_those_of_the_reference(cell, shape, goal, dtype):
    pattern = ("reset", "all", "all-hold")[zlib.crc32(f"{cell}{shape}{dtype}".encode()) % 3]

    got, want = (
        Given(module, cell, shape, goal, pattern, dtype).results() for module in (sr, reference)
    )

    amplified = 1 / 0.7 if shape == "zoned out" else 1
    assert_close(got, want, rounding(dtype, 2 * T, 4 * H) * amplified)
    assert (goal == "given") == bool(got["d_reset_state"])


@pytest.mark.parametrize("goal", ["zero", "given", "learned"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru_reset_before", "rnn_relu"])
def test_threads_and_checkpoints_change_no_bit(cell, goal, dtype):
    given = Given(sr, cell, "deep", goal, "all-hold", dtype)

    want = given.results(num_threads=1)

    for threads in (2, 3, 7):
        assert_same_bits(given.results(num_threads=threads), want)
    if cell != "rnn_relu":
        for every in (1, 2, 5):
            assert_same_bits(given.results(checkpoint_every=every), want)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_initial_state_itself_is_what_none_means(shape, dtype):
    given = Given(sr, "lstm", shape, "given", "all", dtype)
    given.call["reset_state"] = given.state
    apart = given.results()
    given.call["reset_state"] = None

    together = given.results()

    assert_same_bits(apart["output"], together["output"])
    sums = tuple(a + b for a, b in zip(apart["d_state"], apart["d_reset_state"], strict=True))
    assert_close(sums, together["d_state"], rounding(dtype, 2 * T, 4 * H))
    assert_same_bits(apart["d_params"], together["d_params"])


@pytest.mark.parametrize("goal", ["random", "zero", "learned"])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_derivatives(cell, goal):
    layer = make_layer(sr, cell, 2, 3, dtype="float64", seed=0, learn_initial_state=True)

    report = sr.gradcheck(
        layer, 4, 3, reset="random", mask="random", reset_state=goal, entries=4, directions=1
    )

    assert report.ok
    assert any(name.startswith("reset_state") for name in report.tensors) == (goal == "random")
